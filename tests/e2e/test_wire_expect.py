"""Expect: 100-continue. The answer 100 comes at once, and only after authentication, authorisation and preconditions."""

import time

import pytest

from server import Credentials
from wire import STREAMING_UNSIGNED_TRAILER, Wire

BODY = b"b" * 300_000
EXPECT = ("Expect", "100-continue")
pytestmark = pytest.mark.timed


def ask(c, request, version="HTTP/1.1"):
    """Sends the head only; the first answer, interim ones included."""
    c.send(request.head(version))
    return c.response(request.method, interim=True)


@pytest.fixture
def path(bucket):
    return f"/{bucket}/object"


def test_continue_comes_at_once_and_the_body_is_taken(wire, path, folder):
    with wire.connect() as c:
        started = time.monotonic()
        assert ask(c, wire.request("PUT", path, headers=[EXPECT], body=BODY)).status == 100
        assert time.monotonic() - started < 0.5 * wire.server.slowness
        c.send(BODY)
        assert c.response().status == 200
        # And the connection goes on.
        c.send(wire.request("GET", path).encode())
        assert c.response().body == BODY
    assert (folder / "object").read_bytes() == BODY


@pytest.mark.parametrize("value", ["100-Continue", "100-CONTINUE"])
def test_the_value_has_no_case(wire, path, value):
    with wire.connect() as c:
        assert ask(c, wire.request("PUT", path, headers=[("Expect", value)], body=BODY)).status == 100
        c.send(BODY)
        assert c.response().status == 200


def refusals(bucket):
    return {
        "bad signature": (
            403,
            "SignatureDoesNotMatch",
            lambda w: Wire(w.server, Credentials(w.credentials.access_key, "wrong" * 8)),
            [],
            f"/{bucket}/object",
        ),
        "unknown key": (403, "InvalidAccessKeyId", lambda w: Wire(w.server, Credentials("NOSUCHKEY", "wrong" * 8)), [], f"/{bucket}/object"),
        "no bucket": (404, "NoSuchBucket", None, [], "/no-such-bucket-here/object"),
        "exists": (412, "PreconditionFailed", None, [("If-None-Match", "*")], f"/{bucket}/there"),
        "other etag": (412, "PreconditionFailed", None, [("If-Match", '"00000000000000000000000000000000"')], f"/{bucket}/there"),
        "file in the way": (None, None, None, [], f"/{bucket}/there/below"),
        "bad md5 header": (400, "InvalidDigest", None, [("Content-MD5", "x")], f"/{bucket}/object"),
    }


@pytest.mark.parametrize("name", refusals(""))
def test_refused_before_the_body(wire, bucket, s3, folder, name):
    s3.put_object(Bucket=bucket, Key="there", Body=b"old")
    status, code, as_whom, headers, path = refusals(bucket)[name]
    sender = as_whom(wire) if as_whom else wire
    with wire.connect() as c:
        started = time.monotonic()
        answer = ask(c, sender.request("PUT", path, headers=[EXPECT, *headers], body=BODY))
        assert time.monotonic() - started < 0.5 * wire.server.slowness
        assert answer.status >= 400, answer
        if status:
            assert (answer.status, answer.code) == (status, code)
        # Either the connection is over, or the next request on it is understood: the body was never sent.
        if (answer.header("Connection") or "").lower() == "close":
            assert c.ends()
        else:
            c.send(wire.request("GET", f"/{bucket}/there").encode())
            assert c.response().body == b"old"
    assert (folder / "there").read_bytes() == b"old"
    assert not (folder / "object").exists()


def test_a_client_that_sends_the_body_in_spite_of_the_refusal_sees_the_answer(wire, bucket):
    """boto3 sends the body after one second of silence; others do not wait at all."""
    with wire.connect() as c:
        request = Wire(wire.server, Credentials(wire.credentials.access_key, "wrong" * 8)).request("PUT", f"/{bucket}/k", headers=[EXPECT], body=BODY)
        c.send(request.encode())
        assert c.response().status == 403


def test_body_sent_with_the_head(wire, path, folder):
    """RFC 9110 10.1.1: the interim answer may be left out when the body is there already; either way the final one comes."""
    with wire.connect() as c:
        c.send(wire.request("PUT", path, headers=[EXPECT], body=BODY).encode())
        assert c.response().status == 200
    assert (folder / "object").read_bytes() == BODY


def test_http_1_0_gets_no_interim_answer(wire, path):
    with wire.connect() as c:
        request = wire.request("PUT", path, headers=[EXPECT], body=b"1.0")
        c.send(request.head("HTTP/1.0"))
        assert c.is_silent(0.5)
        c.send(request.body)
        assert c.response(interim=True).status == 200


@pytest.mark.parametrize("value", ["200-ok", "something"])
def test_unknown_expectation_is_ignored(wire, path, value):
    with wire.connect() as c:
        request = wire.request("PUT", path, headers=[("Expect", value)], body=BODY)
        c.send(request.head("HTTP/1.1") + request.body)
        assert c.response("PUT", interim=True).status == 200


def test_continue_without_a_body(wire, path):
    """botocore takes a final answer that comes without it for the answer to the connection's next request, too."""
    with wire.connect() as c:
        assert ask(c, wire.request("PUT", path, headers=[EXPECT], body=b"")).status == 100
        assert c.response("PUT").status == 200
        assert ask(c, wire.request("HEAD", path)).status == 200


def test_no_continue_when_nobody_asked(wire, path):
    with wire.connect() as c:
        c.send(wire.request("PUT", path, body=BODY).head())
        assert c.is_silent(0.3)
        c.send(BODY)
        assert c.response(interim=True).status == 200


def test_continue_for_trailer_uploads_and_parts(wire, bucket, s3):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    headers = [
        EXPECT,
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-decoded-content-length", "0"),
        ("Transfer-Encoding", "chunked"),
    ]
    for query in ([], [("partNumber", "1"), ("uploadId", upload)]):
        with wire.connect() as c:
            assert ask(c, wire.request("PUT", f"/{bucket}/k", query, headers=headers, payload_hash=STREAMING_UNSIGNED_TRAILER)).status == 100
            inner = b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
            c.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner))
            assert c.response().status == 200


def test_part_of_no_upload_is_refused_before_the_body(wire, bucket):
    with wire.connect() as c:
        answer = ask(c, wire.request("PUT", f"/{bucket}/k", [("partNumber", "1"), ("uploadId", "none")], headers=[EXPECT], body=BODY))
        assert (answer.status, answer.code) == (404, "NoSuchUpload")
