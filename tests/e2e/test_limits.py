"""Limits of one caller, and requests through proxies only."""

import pytest
import requests

from aws import connect, fails
from server import Credentials, Server

ANN = Credentials("ANNSACCESSKEY", "anns-secret-0123456789")


@pytest.fixture
def limited(binary, tmp_path, ports, slowness):
    made = []

    def make(*options):
        server = Server(binary, tmp_path, ports, options=options, slowness=slowness)
        server.expect_failures = True
        server.user("add", "ann", "--access-key", ANN.access_key, "--secret-key", ANN.secret_key)
        made.append(server.start())
        return server

    yield make
    for server in made:
        server.stop()


def metric(server, name):
    text = server.admin("/metrics")[1]
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_requests_at_a_time(limited):
    """SEC-57."""
    server = limited("--user-requests", "1")
    ann, root = connect(server, ANN), connect(server)
    ann.create_bucket(Bucket="slow")
    url = ann.generate_presigned_url("put_object", Params={"Bucket": "slow", "Key": "k"})

    def slowly():
        yield b"first"
        # While this upload is under way, its user may ask for nothing else; others may. It is when its head has been read.
        with fails("SlowDown", 503):
            while True:
                ann.list_buckets()
        root.list_buckets()
        yield b"second"

    assert requests.put(url, data=slowly(), timeout=20).status_code == 200
    assert ann.get_object(Bucket="slow", Key="k")["Body"].read() == b"firstsecond"
    assert metric(server, 'sluice_requests_limited_total{limit="in_flight"}') == 1


def test_rate(limited):
    server = limited("--user-rate", "20")
    ann = connect(server, ANN)
    answers = []
    for _ in range(100):
        try:
            answers.append(ann.list_buckets()["ResponseMetadata"]["HTTPStatusCode"])
        except ann.exceptions.ClientError as e:
            answers.append(e.response["ResponseMetadata"]["HTTPStatusCode"])
            assert e.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert answers[:20] == [200] * 20
    assert 503 in answers
    connect(server).list_buckets()
    # A client that repeats as SDKs do gets through.
    patient = connect(server, ANN, attempts=10)
    for _ in range(10):
        patient.list_buckets()


@pytest.mark.parametrize("proxies, status", [("127.0.0.1", 200), ("192.0.2.0/24", 403)])
def test_proxies_only(limited, proxies, status):
    server = limited("--proxies-only", "on", "--trusted-proxies", proxies)
    if status == 200:
        connect(server).list_buckets()
        return
    answer = requests.get(server.endpoint, headers={"X-Forwarded-For": "192.0.2.1"}, timeout=10)
    assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)
    assert metric(server, "sluice_requests_foreign_total") >= 1


def test_proxies_only_needs_proxies(binary, tmp_path, ports):
    server = Server(binary, tmp_path, ports)
    done = server.run("serve", str(server.volume), "--proxies-only", "on", check=False)
    assert done.returncode != 0 and "--trusted-proxies" in done.stderr
