"""The short form of tests/interop/random_volume.py: both gateways and both mounts at once on one volume, in several variants."""

import os

import pytest

from juicefs import CLIENT
from random_volume import run_variant

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.plain,
    pytest.mark.skipif(CLIENT is None, reason="no official JuiceFS client (tests/juicefs-client)"),
    pytest.mark.skipif(not os.path.exists("/dev/fuse") or os.geteuid() != 0, reason="no mounts here"),
]


@pytest.mark.parametrize("variant, seconds", [("plain", 9), ("lz4-hash-trash", 9), ("zstd-aes-small", 14), ("chacha-shards", 14)])
def test_random_operations(binary, ports, tmp_path, variant, seconds):
    failures, operations = run_variant(tmp_path, binary, variant, seconds, seed=5, ports=ports)
    assert not failures, "\n".join(failures)
    assert operations > 100, "hardly anything was done"
