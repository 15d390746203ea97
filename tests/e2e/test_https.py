"""What https sends: through OpenSSL, or through the kernel where that has TLS (there: `tests/soak/vm.py`)."""

import contextlib
import pathlib
import random
import socket
import ssl
import subprocess
import time

import pytest

from aws import connect, new_bucket_name
from server import eventually
from wire import Reset, Wire

KIB, MIB = 1024, 1024 * 1024
SIZES = (0, 1, 1000, 16 * KIB, 64 * KIB, 64 * KIB + 1, 512 * KIB, 5 * MIB + 7)
CONTENT = random.Random(1).randbytes(SIZES[-1])
CLOSE = ("Connection", "close")
# The kernel knows those with authenticated encryption.
CIPHERS = {
    "TLS_AES_128_GCM_SHA256": "1.3",
    "TLS_AES_256_GCM_SHA384": "1.3",
    "TLS_CHACHA20_POLY1305_SHA256": "1.3",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "1.2",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "1.2",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "1.2",
    "ECDHE-ECDSA-AES256-SHA384": "1.2",
}


@pytest.fixture(scope="module")
def objects(keepers):
    """The gateway with an object of each size, KEY/SIZE."""
    server = keepers["https"].get()
    s3, bucket = connect(server), new_bucket_name()
    s3.create_bucket(Bucket=bucket)
    for size in SIZES:
        s3.put_object(Bucket=bucket, Key=str(size), Body=CONTENT[:size])
    return Wire(server), f"/{bucket}"


def kernel_sessions():
    """Connections that this machine's kernel has encrypted."""
    table = pathlib.Path("/proc/net/tls_stat")
    counts = dict(line.split() for line in table.read_text().splitlines()) if table.exists() else {}
    return int(counts.get("TlsTxSw", 0))


@pytest.mark.parametrize("cipher", CIPHERS)
def test_ciphers(objects, tmp_path, cipher):
    wire, bucket = objects
    version, before = CIPHERS[cipher], kernel_sessions()
    chosen = ["--tls13-ciphers", cipher, "--tlsv1.3"] if version == "1.3" else ["--ciphers", cipher, "--tls-max", "1.2"]
    words = ["curl", "-sSfv", "--cacert", wire.server.certificate.cert, *chosen]
    for size in SIZES:
        words += ["-o", tmp_path / str(size), wire.server.endpoint + wire.presign("GET", f"{bucket}/{size}").target]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"TLSv{version} / {cipher}" in done.stderr, done.stderr
    for size in SIZES:
        assert (tmp_path / str(size)).read_bytes() == CONTENT[:size], size
    if "tls=kernel" in wire.server.stderr() and not cipher.endswith("-AES256-SHA384"):
        assert kernel_sessions() > before


def test_the_kernel_may_be_left_out(private_server, certificate):
    server = private_server("ktls", certificate=certificate, options=["--ktls", "off"])
    assert eventually(lambda: "tls=yes" in server.stderr())
    assert Wire(server).call("GET", "/").status == 200


def test_one_connection_has_all_kinds_of_answers(objects):
    wire, bucket = objects
    with wire.connect() as c:
        for size in SIZES:
            path = f"{bucket}/{size}"
            c.send(wire.request("GET", path).encode())
            answer = c.response()
            assert answer.status == 200 and answer.body == CONTENT[:size]
            c.send(wire.request("HEAD", path).encode())
            assert c.response("HEAD").header("Content-Length") == str(size)
            c.send(wire.request("GET", path, headers=[("If-None-Match", answer.header("ETag"))]).encode())
            assert c.response().status == 304
            if size > 1:
                c.send(wire.request("GET", path, headers=[("Range", f"bytes=1-{size // 2}")]).encode())
                assert c.response().body == CONTENT[1 : size // 2 + 1]
            c.send(wire.request("GET", f"{bucket}/none").encode())
            assert c.response().code == "NoSuchKey"
            c.send(wire.request("GET", bucket).encode())
            assert c.response().xml().findtext("Name") == bucket[1:]


def test_pipelined(objects):
    wire, bucket = objects
    sizes = random.Random(2).choices(SIZES, k=40)
    with wire.connect() as c:
        c.send(b"".join(wire.request("GET", f"{bucket}/{size}").encode() for size in sizes))
        for size in sizes:
            assert c.response().body == CONTENT[:size]


def test_random_ranges(objects):
    wire, bucket = objects
    some = random.Random(3)
    with wire.connect() as c:
        for _ in range(60):
            first, last = sorted(some.choices(range(SIZES[-1]), k=2))
            c.send(wire.request("GET", f"{bucket}/{SIZES[-1]}", headers=[("Range", f"bytes={first}-{last}")]).encode())
            answer = c.response()
            assert answer.status == 206 and answer.body == CONTENT[first : last + 1]


def slow_connection(server):
    """With a small window, so that the gateway's socket fills."""
    context = ssl.create_default_context(cafile=server.certificate.cert)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * KIB)
    raw.settimeout(60)
    raw.connect(("127.0.0.1", server.port))
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def read_all(s):
    parts = []
    while part := s.recv(MIB):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("last_kib", range(1800, 4200, 400))
def test_slow_readers_lose_nothing_at_the_end(objects, last_kib):
    """Around what a socket holds, the end of an answer is the gateway's last write, behind which it closes."""
    wire, bucket = objects
    with contextlib.ExitStack() as open_ones:
        waiting = []
        for kib in range(last_kib - 200, last_kib + 200, 9):
            s = open_ones.enter_context(slow_connection(wire.server))
            span = ("Range", f"bytes=0-{kib * KIB - 1}")
            s.sendall(wire.request("GET", f"{bucket}/{SIZES[-1]}", headers=[span, CLOSE]).encode())
            waiting.append((kib, s))
        time.sleep(0.3)
        for kib, s in waiting:
            head, _, body = read_all(s).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 206") and body == CONTENT[: kib * KIB], (kib, len(body))


def test_readers_that_leave(objects):
    wire, bucket = objects
    for _ in range(20):
        with slow_connection(wire.server) as s:
            s.sendall(wire.request("GET", f"{bucket}/{SIZES[-1]}").encode() * 3)
            s.recv(100)
    answer = wire.call("GET", f"{bucket}/{SIZES[-1]}")
    assert answer.body == CONTENT


def test_uploads(objects):
    wire, bucket = objects
    with wire.connect() as c:
        for size in SIZES:
            request = wire.request("PUT", f"{bucket}/up", headers=[("Expect", "100-continue")], body=CONTENT[:size])
            c.send(request.head())
            assert c.response("PUT", interim=True).status == 100
            c.send(request.body)
            assert c.response("PUT").status == 200
            c.send(wire.request("GET", f"{bucket}/up").encode())
            assert c.response().body == CONTENT[:size]


def test_a_refused_upload_sees_its_answer(objects):
    """The gateway says so, ends its side, and drops what is still coming."""
    wire, bucket = objects
    for _ in range(10):
        with wire.connect() as c:
            with contextlib.suppress(Reset, ssl.SSLError):
                c.send(wire.request("PUT", f"{bucket}/there", headers=[("Content-MD5", "x"), CLOSE], body=CONTENT[: 512 * KIB]).encode())
            assert c.response("PUT").code == "InvalidDigest"
