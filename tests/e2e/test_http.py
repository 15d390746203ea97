"""HTTP/1.1 on the wire: connections, pipelining, limits, timeouts, early answers, and shapes that smuggle."""

import contextlib
import http.client
import socket
import time

import pytest

from server import Credentials
from wire import EMPTY_SHA256, UNSIGNED, Reset, Wire, http_chunked

TEN_MIB = 10 * 1024 * 1024


@pytest.fixture
def stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"0123456789", ContentType="text/plain")
    return f"/{bucket}/object"


# Connections.


def test_keep_alive(wire, stored):
    with wire.connect() as c:
        for _ in range(20):
            c.send(wire.request("GET", stored).encode())
            answer = c.response()
            assert (answer.status, answer.body) == (200, b"0123456789")
            assert (answer.header("Connection") or "keep-alive").lower() == "keep-alive"


def test_connection_close_is_honoured(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("Connection", "close")]).encode())
        answer = c.response()
        assert answer.header("Connection").lower() == "close"
        assert c.ends()


def test_http_1_0_closes_unless_asked(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("GET", stored).encode("HTTP/1.0"))
        assert c.response().body == b"0123456789"
        assert c.ends()
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("Connection", "keep-alive")]).encode("HTTP/1.0"))
        answer = c.response()
        assert answer.body == b"0123456789"
        assert "chunked" not in (answer.header("Transfer-Encoding") or "")


def test_http_1_0_listing_is_not_chunked(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("GET", stored.rsplit("/", 1)[0], [("list-type", "2")]).encode("HTTP/1.0"))
        answer = c.response()
        assert answer.header("Transfer-Encoding") is None
        assert answer.xml().findtext("Contents/Key") == "object"


def test_pipelining_answers_in_order(wire, bucket, s3):
    """Slow and quick requests mixed: the answers keep the order of the requests."""
    s3.put_object(Bucket=bucket, Key="big", Body=b"B" * TEN_MIB)
    for i in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=f"{i}".encode())
    requests = []
    for i in range(20):
        requests.append((wire.request("GET", f"/{bucket}/k{i}"), f"{i}".encode()))
        if i % 5 == 0:
            requests.append((wire.request("GET", f"/{bucket}/big"), b"B" * TEN_MIB))
        if i % 7 == 0:
            requests.append((wire.request("GET", f"/{bucket}/none"), None))
    with wire.connect() as c:
        c.send(b"".join(r.encode() for r, _ in requests))
        for _, expected in requests:
            answer = c.response()
            if expected is None:
                assert (answer.status, answer.code) == (404, "NoSuchKey")
            else:
                assert answer.status == 200 and answer.body == expected


def test_pipelined_puts_and_gets(wire, bucket):
    with wire.connect() as c:
        for i in range(10):
            c.send(wire.request("PUT", f"/{bucket}/p", body=f"{i}".encode()).encode() + wire.request("GET", f"/{bucket}/p").encode())
        for i in range(10):
            assert c.response().status == 200
            assert c.response().body == f"{i}".encode()


def test_head_byte_by_byte(wire, stored):
    with wire.connect() as c:
        c.send_slowly(wire.request("GET", stored).encode(), 1, 0)
        assert c.response().body == b"0123456789"


def test_empty_lines_before_a_request_are_forgiven(wire, stored):
    """RFC 9112 2.2: at least one."""
    with wire.connect() as c:
        c.send(b"\r\n" + wire.request("GET", stored).encode())
        assert c.response().status == 200


# Answers.


def test_every_answer_carries_the_usual_headers(wire, stored):
    for answer in (wire.call("GET", stored), wire.call("GET", stored + "none"), wire.call("HEAD", stored), wire.call("GET", "/")):
        assert answer.header("Date").endswith(" GMT")
        assert answer.header("x-amz-request-id")
        assert answer.header("x-amz-id-2")
        assert answer.header("Server")


def test_request_ids_differ_and_are_logged(wire, stored, server):
    mark = server.mark()
    ids = [wire.call("GET", stored).header("x-amz-request-id") for _ in range(5)]
    assert len(set(ids)) == 5
    logged = [r["request_id"] for r in server.wait_requests(mark, 5)]
    assert set(ids) <= set(logged)


def test_head_has_the_length_and_no_body(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("HEAD", stored).encode() + wire.request("GET", stored).encode())
        answer = c.response("HEAD")
        assert (answer.status, answer.header("Content-Length"), answer.header("Content-Type")) == (200, "10", "text/plain")
        assert c.response().body == b"0123456789"


@pytest.mark.parametrize("path", ["/{bucket}/none", "/no-such-bucket-x/k", "/no-such-bucket-x"])
def test_head_errors_have_no_body(wire, bucket, path):
    with wire.connect() as c:
        c.send(wire.request("HEAD", path.format(bucket=bucket)).encode() + wire.request("GET", f"/{bucket}/none").encode())
        assert c.response("HEAD").status == 404
        assert c.response().code == "NoSuchKey"


def test_304_has_no_body_but_validators(wire, stored, s3, bucket):
    etag = s3.head_object(Bucket=bucket, Key="object")["ETag"]
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("If-None-Match", etag)]).encode() + wire.request("GET", stored).encode())
        answer = c.response()
        assert (answer.status, answer.body) == (304, b"")
        assert answer.header("ETag") == etag
        assert answer.header("Last-Modified")
        assert c.response().body == b"0123456789"


def test_204_has_no_length(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("DELETE", stored).encode() + wire.request("GET", stored).encode())
        answer = c.response("DELETE")
        assert answer.status == 204
        assert answer.header("Content-Length") in (None, "0") and answer.header("Transfer-Encoding") is None
        assert c.response().code == "NoSuchKey"


def test_long_listing_comes_whole(wire, bucket, folder):
    for i in range(1000):
        (folder / f"{'n' * 200}{i:04d}").touch()
    answer = wire.call("GET", f"/{bucket}", [("list-type", "2")])
    assert len(answer.xml().findall("Contents")) == 1000


# Early answers: the client sees them, whatever it is still sending.


def wrong(wire):
    return Wire(wire.server, Credentials(wire.credentials.access_key, "wrong-secret-wrong-secret"))


@pytest.mark.parametrize("size", [1000, 300_000, TEN_MIB])
def test_error_with_unread_body_is_an_answer_not_a_reset(wire, bucket, size):
    for _ in range(3):
        answer = wrong(wire).call("PUT", f"/{bucket}/k", body=b"b" * size, payload_hash=EMPTY_SHA256)
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("size", [1000, 300_000])
def test_after_an_early_error_the_connection_is_usable_or_closed(wire, bucket, stored, size):
    with wire.connect() as c:
        c.send(wrong(wire).request("PUT", f"/{bucket}/k", body=b"b" * size).encode())
        answer = c.response()
        assert answer.status == 403
        if (answer.header("Connection") or "").lower() == "close":
            assert c.ends()
        else:
            c.send(wire.request("GET", stored).encode())
            assert c.response().body == b"0123456789"


def test_early_error_with_chunked_body(wire, bucket):
    with wire.connect() as c:
        request = wrong(wire).request("PUT", f"/{bucket}/k", headers=[("Transfer-Encoding", "chunked")])
        c.send(request.head() + http_chunked(b"b" * 400_000, 50_000))
        assert c.response().status == 403


def test_body_on_a_get_is_not_taken_for_the_next_request(wire, stored):
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("Content-Length", str(len(hidden)))], body=hidden).encode())
        first = c.response()
        if (first.header("Connection") or "").lower() != "close":
            c.send(wire.request("GET", stored).encode())
            assert c.response().body == b"0123456789"
        else:
            assert c.ends()


# Shapes that smuggle, and nonsense: refused, and the connection closed.

HOST = b"Host: x\r\n"
SMUGGLING = {
    "length and coding": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "list of lengths": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 4\r\n\r\nabcd",
    "length with sign": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "hex length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "endless length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "empty length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: \r\n\r\n",
    "folded header": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X-A: 1\r\n 2\r\n\r\n",
    "bare LF": b"GET /b/k HTTP/1.1\nHost: x\n\n",
    "bare LF in a header": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X-A: 1\nX-B: 2\r\n\r\n",
    "bare CR in a header": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X-A: 1\rX-B: 2\r\n\r\n",
    "NUL in a header": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X-A: 1\0\r\n\r\n",
    "space before the colon": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc",
    "no colon": b"GET /b/k HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "empty name": b"GET /b/k HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "other coding": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding twice": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in disguise": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding list": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "chunked with HTTP/1.0": b"PUT /b/k HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /b/k HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /b/k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "version 2": b"GET /b/k HTTP/2.0\r\n" + HOST + b"\r\n",
    "no version": b"GET /b/k\r\n\r\n",
    "space in the target": b"GET /b/ k HTTP/1.1\r\n" + HOST + b"\r\n",
    "target without slash": b"GET b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling_shapes_are_refused(wire, name):
    """SEC-53."""
    with wire.connect(timeout=10) as c:
        c.send(SMUGGLING[name])
        try:
            answer = c.response()
        except EOFError:
            return  # closed without a word: fine for what is not HTTP at all
        assert answer.status in (400, 411, 501, 505), answer
        assert c.ends(), "the connection goes on behind a request nobody can delimit"


CHUNKS = {
    "size not hex": b"g\r\nabc\r\n0\r\n\r\n",
    "size with sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with space": b" 3\r\nabc\r\n0\r\n\r\n",
    "empty size": b"\r\nabc\r\n0\r\n\r\n",
    "size overflows": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "longer than said": b"3\r\nabcdef\r\n0\r\n\r\n",
    "bare LF behind size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF behind data": b"3\r\nabc\n0\r\n\r\n",
    "long extension": b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_broken_transfer_chunks_are_refused(wire, bucket, folder, name):
    with wire.connect(timeout=10) as c:
        headers = [("Transfer-Encoding", "chunked"), ("x-amz-decoded-content-length", "3"), ("x-amz-trailer", "x-amz-checksum-crc32")]
        c.send(wire.request("PUT", f"/{bucket}/k", headers=headers, payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER").head() + CHUNKS[name])
        answer = c.response()
        assert answer.status == 400, answer
        assert c.ends()
    assert not (folder / "k").exists()


@pytest.mark.parametrize("method", ["FOO", "TRACE", "PATCH", "CONNECT"])
def test_unknown_methods(wire, stored, method):
    answer = wire.call(method, stored)
    assert answer.status in (400, 405, 501), answer


# Limits.


def test_too_many_headers(wire, stored):
    answer = wire.send(wire.request("GET", stored, headers=[(f"X-H{i}", "v") for i in range(400)]))
    assert answer.status in (400, 431), answer


def test_head_too_large(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("X-Long", "v" * 100_000)]).encode())
        assert c.response().status in (400, 431)


def test_header_name_too_long(wire, stored):
    with wire.connect() as c:
        c.send(wire.request("GET", stored, headers=[("X-" + "n" * 70_000, "v")]).encode())
        assert c.response().status in (400, 431)


def test_8_kib_of_headers_are_fine(wire, stored):
    assert wire.call("GET", stored, headers=[("X-Long", "v" * 8000)]).status == 200


def test_target_too_long(wire):
    with wire.connect() as c:
        c.send(wire.anonymous("GET", "/" + "k" * 20_000).encode())
        assert c.response().status in (400, 414)


@pytest.mark.timed
def test_endless_head_is_cut(wire):
    """A head that never ends fills no memory: at the limit comes the answer."""
    with wire.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for _ in range(40):
            c.send(b"X-A: " + b"v" * 4000 + b"\r\n")
            if not c.is_silent(0.01):
                break
        assert c.response().status in (400, 431)


def test_xml_body_too_large(wire, bucket):
    answer = wire.call("PUT", f"/{bucket}/k", [("tagging", "")], body=b"<Tagging>" + b" " * 3_000_000 + b"</Tagging>")
    assert answer.status == 400, answer
    assert answer.code in ("MaxMessageLengthExceeded", "EntityTooLarge", "MalformedXML", "InvalidRequest")


# Timeouts, on a gateway with short ones.


@pytest.fixture
def hasty(private_server):
    return private_server("hasty", options=["--head-timeout", "1s", "--idle-timeout", "2s", "--body-timeout", "2s"])


@pytest.mark.timed
def test_timeouts(hasty):
    """SEC-57."""
    wire = Wire(hasty)
    assert wire.call("PUT", "/hasty").status == 200
    with (
        wire.connect(timeout=15) as idle,
        wire.connect(timeout=15) as used,
        wire.connect(timeout=15) as slow_head,
        wire.connect(timeout=15) as slow_body,
    ):
        started = time.monotonic()
        used.send(wire.request("GET", "/hasty").encode())
        assert used.response().status == 200
        slow_head.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow_body.send(wire.request("PUT", "/hasty/slow", body=b"x" * 1000).head() + b"x" * 10)
        # A byte now and then does not extend a head's time.
        for _ in range(3):
            time.sleep(0.3)
            slow_head.send(b"x")
        answer = slow_head.response()
        assert answer.status in (400, 408) and slow_head.ends()
        assert time.monotonic() - started < 4 * hasty.slowness
        assert used.ends() and idle.ends()
        answer = slow_body.response()
        assert (answer.status, answer.code) == (400, "RequestTimeout")
        assert slow_body.ends()
    assert not (hasty.volume / "hasty/slow").exists()


@pytest.mark.timed
@pytest.mark.posix
def test_reader_that_stops_is_dropped_and_holds_nothing(hasty):
    wire = Wire(hasty)
    wire.call("PUT", "/hasty")
    (hasty.volume / "hasty/k").write_bytes(b"k" * 50_000_000)
    with wire.connect(timeout=30) as c:
        c.send(wire.request("GET", "/hasty/k").encode())
        c.head()
        time.sleep(5)
        with pytest.raises((EOFError, Reset)):
            c.exactly(50_000_000)
    assert wire.call("GET", "/hasty/k", headers=[("Range", "bytes=0-0")]).status == 206


@pytest.mark.timed
def test_slow_but_steady_body_is_taken(hasty):
    wire = Wire(hasty)
    wire.call("PUT", "/hasty")
    with wire.connect(timeout=30) as c:
        request = wire.request("PUT", "/hasty/steady", body=b"s" * 60)
        c.send(request.head())
        c.send_slowly(request.body, 10, 0.7)
        assert c.response().status == 200


@pytest.mark.timed
def test_connections_beyond_the_limit_wait(private_server):
    """Idle ones make room; while all are busy, the next one waits."""
    server = private_server("narrow", options=["--connections", "8"])
    wire = Wire(server)
    assert wire.call("PUT", "/narrow").status == 200
    idle, busy = [], []
    for _ in range(12):
        idle.append(wire.connect())
        idle[-1].send(wire.request("HEAD", "/narrow").encode())
        assert idle[-1].response("HEAD").status == 200
    for _ in range(8):
        busy.append(wire.connect())
        busy[-1].send(wire.request("PUT", "/narrow/k", headers=[("Expect", "100-continue")], body=b"slow").head())
        assert busy[-1].response(interim=True).status == 100
    ninth = wire.connect()
    ninth.send(wire.request("HEAD", "/narrow").encode())
    assert ninth.is_silent(0.5)
    busy[0].send(b"slow")
    assert busy[0].response().status == 200
    assert ninth.response("HEAD").status == 200
    for c in [*idle, *busy, ninth]:
        c.close()


def test_large_heads_leave_memory_for_bodies(private_server):
    """Each waits for its body with a head that takes a chunk of memory: so many of them are refused that the others can go on."""
    server = private_server("heads", kind="dir", options=["--memory", "4M"])
    server.expect_failures = True
    wire, body = Wire(server), b"b" * 200_000
    assert wire.call("PUT", "/heads").status == 200
    with contextlib.ExitStack() as connections:
        uploads = []
        for i in range(70):
            c = connections.enter_context(wire.connect())
            request = wire.request(
                "PUT", f"/heads/{i}", headers=[("x-filler", "f" * 5000), ("Content-Length", str(len(body)))], payload_hash=UNSIGNED
            )
            request.headers.append(("Expect", "100-continue"))
            c.send(request.head())
            uploads.append((c, c.response(interim=True).status))
        admitted = [c for c, status in uploads if status == 100]
        assert {status for _, status in uploads} == {100, 503}
        assert len(admitted) == 32
        for c in admitted:
            c.send(body)
        assert [c.response().status for c in admitted] == [200] * 32


# Addresses.


def test_ipv6_and_unix_socket(private_server, ports, short_path):
    six, path = ports.take(), short_path / "s.sock"
    server = private_server("addresses", options=["--listen", f"[::1]:{six}", "--listen", f"unix:{path}"])
    connection = http.client.HTTPConnection("::1", six, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 403
    connection.close()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 403")
    assert Wire(server).call("GET", "/").status == 200


def test_virtual_host_style(server, bucket, s3):
    s3.put_object(Bucket=bucket, Key="a b/c", Body=b"virtual")
    wire = Wire(server)
    host = f"{bucket}.s3.localhost:{server.port}"
    assert wire.call("GET", "/a b/c", host=host).body == b"virtual"
    assert wire.call("GET", "/", [("list-type", "2")], host=host).xml().findtext("Contents/Key") == "a b/c"
    assert wire.call("HEAD", "/", host=host).status == 200
    assert wire.call("GET", f"/{bucket}/a b/c", host=f"s3.localhost:{server.port}").body == b"virtual"
