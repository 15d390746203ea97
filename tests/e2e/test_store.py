"""The s3 object store driver against a running gateway: the store contract over http and https."""

import os
import subprocess

import pytest

from aws import connect
from server import ROOT


@pytest.mark.parametrize("kind", ["http", "https"])
def test_store_contract(keepers, binary, kind):
    server = keepers[kind].get()
    program = binary.parents[1] / "tests/contract/store_contract"
    bucket = f"store-contract-{kind}"
    connect(server).create_bucket(Bucket=bucket)
    given = {
        "SLUICE_TEST_STORE": "s3",
        "SLUICE_TEST_BUCKET": f"{server.endpoint}/{bucket}" + (f"?ca-certs={server.certificate.cert}" if server.tls else ""),
        "SLUICE_TEST_ACCESS_KEY": ROOT.access_key,
        "SLUICE_TEST_SECRET_KEY": ROOT.secret_key,
    }
    ran = subprocess.run([program, "live"], env={**os.environ, **given}, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
