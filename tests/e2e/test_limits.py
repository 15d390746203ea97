"""Limits of one caller, and requests through proxies only."""

import contextlib

import pytest
import requests

from aws import connect, fails
from server import Credentials, Server, eventually
from wire import Wire

ANN = Credentials("ANNSACCESSKEY", "anns-secret-0123456789")
IN_FLIGHT = 'sluice_requests_limited_total{limit="in_flight"}'


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
    ann, root = connect(server, ANN, attempts=5), connect(server)
    ann.create_bucket(Bucket="slow")
    wire, body = Wire(server, ANN), b"firstsecond"

    with contextlib.ExitStack() as connections:

        def begin_upload():
            """A request counts until the gateway is done with it, a moment after its answer."""
            c = connections.enter_context(wire.connect())
            c.send(wire.request("PUT", "/slow/k", headers=[("Expect", "100-continue")], body=body).head())
            return c if c.response("PUT", interim=True).status == 100 else None

        c = eventually(begin_upload)
        assert c
        refused = metric(server, IN_FLIGHT)
        # While this upload is under way, its user may ask for nothing else; others may.
        with fails("SlowDown", 503):
            connect(server, ANN).list_buckets()
        root.list_buckets()
        assert metric(server, IN_FLIGHT) == refused + 1
        c.send(body)
        assert c.response("PUT").status == 200
    assert ann.get_object(Bucket="slow", Key="k")["Body"].read() == body


def test_one_after_the_other(limited):
    """Who waits for each answer never has more than one request under way, whichever connection it is on."""
    server = limited("--user-requests", "1")
    connect(server, ANN, attempts=5).create_bucket(Bucket="one")
    sides = [connect(server, ANN), connect(server, ANN)]
    for i in range(100):
        s3, key = sides[i % 2], f"k{i // 10}"
        if i % 10 == 0:
            with fails("404", 404):
                s3.head_object(Bucket="one", Key=key)
        s3.put_object(Bucket="one", Key=key, Body=b"small")
        assert sides[i // 2 % 2].get_object(Bucket="one", Key=key)["Body"].read() == b"small"
        s3.list_objects_v2(Bucket="one")
    assert metric(server, IN_FLIGHT) == 0


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


@pytest.mark.posix
def test_few_descriptors(binary, tmp_path, private_server):
    """Files that are read often are kept open for a second, but not so many that requests have none left."""
    narrow = tmp_path / "narrow"
    narrow.write_text(f'#!/bin/sh\nulimit -n 512\nexec {binary} "$@"\n')
    narrow.chmod(0o755)
    server = private_server("few", binary=narrow, options=["--connections", "64"])
    connect(server).create_bucket(Bucket="files")
    for i in range(600):
        (server.volume / "files" / f"{i}").write_bytes(b"often read")
    wire = Wire(server)
    with wire.connect() as c:
        for _ in range(3):
            for i in range(600):
                c.send(wire.request("GET", f"/files/{i}").encode())
                assert c.response().status == 200
