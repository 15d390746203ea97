"""Who may in: signatures in headers and queries, and every way they can fail (SEC-01 to SEC-13)."""

import datetime
import random
import re

import pytest

from aws import connect, put_all
from server import Credentials
from wire import STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER, UNSIGNED, Wire, now


@pytest.fixture
def stored(s3, bucket):
    put_all(s3, bucket, ["k"], b"stored")
    return f"/{bucket}/k"


def denied(answer, code, status=403):
    assert (answer.status, answer.code) == (status, code), answer


# SEC-01: every operation, every payload mode, header and query.

OPERATIONS = [
    ("GET", "/", []),
    ("PUT", "/{b}-new", []),
    ("DELETE", "/{b}", []),
    ("HEAD", "/{b}", []),
    ("GET", "/{b}", []),
    ("GET", "/{b}", [("list-type", "2")]),
    ("GET", "/{b}", [("location", "")]),
    ("GET", "/{b}", [("versions", "")]),
    ("GET", "/{b}", [("uploads", "")]),
    ("POST", "/{b}", [("delete", "")]),
    ("GET", "/{b}", [("acl", "")]),
    ("PUT", "/{b}", [("tagging", "")]),
    ("GET", "/{b}", [("policy", "")]),
    ("PUT", "/{b}", [("versioning", "")]),
    ("GET", "/{b}/k", []),
    ("HEAD", "/{b}/k", []),
    ("PUT", "/{b}/k", []),
    ("DELETE", "/{b}/k", []),
    ("POST", "/{b}/k", [("uploads", "")]),
    ("PUT", "/{b}/k", [("partNumber", "1"), ("uploadId", "x")]),
    ("POST", "/{b}/k", [("uploadId", "x")]),
    ("DELETE", "/{b}/k", [("uploadId", "x")]),
    ("GET", "/{b}/k", [("uploadId", "x")]),
    ("GET", "/{b}/k", [("tagging", "")]),
    ("PUT", "/{b}/k", [("tagging", "")]),
    ("GET", "/{b}/k", [("attributes", "")]),
    ("POST", "/{b}/k", [("select", "")]),
    ("GET", "/{b}/k", [("torrent", "")]),
]
STREAMING = (STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER)
MODES = [None, UNSIGNED, STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("where", ["header", "query", "none"])
def test_random_signatures_open_nothing(wire, bucket, folder, stored, mode, where):
    generator = random.Random(f"{mode}{where}")
    for method, path, query in OPERATIONS:
        path = path.format(b=bucket)
        signature = generator.randbytes(32).hex()
        headers = [("x-amz-content-sha256", mode)] if mode and where != "header" else []
        if where == "header":
            request = wire.request(method, path, query, payload_hash=mode)
            request.set("Authorization", dict(request.headers)["Authorization"].rsplit("=", 1)[0] + "=" + signature)
        elif where == "query":
            request = wire.presign(method, path, query, headers)
            request.target = request.target.rsplit("=", 1)[0] + "=" + signature
        else:
            request = wire.anonymous(method, wire.request(method, path, query).target, headers)
        answer = wire.send(request)
        # A streaming mode where it has no place may be said before the signature is looked at.
        assert answer.status == 403 or (answer.status == 400 and mode in STREAMING), (method, path, query, answer)
    assert [p.name for p in folder.iterdir() if p.name != ".sluice"] == ["k"]
    assert (folder / "k").read_bytes() == b"stored"
    assert not (folder.parent / f"{bucket}-new").exists()


def test_both_header_and_query(wire, stored):
    """SEC-03."""
    request = wire.presign("GET", stored)
    request.headers.append(("Authorization", dict(wire.request("GET", stored).headers)["Authorization"]))
    answer = wire.send(request)
    assert answer.status == 400, answer


def test_unknown_key_and_wrong_secret(wire, stored):
    denied(Wire(wire.server, Credentials("AKIDNOBODY", "x" * 20)).call("GET", stored), "InvalidAccessKeyId")
    answer = Wire(wire.server, Credentials(wire.credentials.access_key, "x" * 20)).call("GET", stored)
    denied(answer, "SignatureDoesNotMatch")
    error = answer.xml()
    assert error.findtext("AWSAccessKeyId") == wire.credentials.access_key
    assert error.findtext("StringToSign").startswith("AWS4-HMAC-SHA256")
    assert error.findtext("CanonicalRequest").startswith("GET\n")


def test_anonymous_is_denied(wire, stored):
    for method in ("GET", "PUT", "DELETE"):
        denied(wire.send(wire.anonymous(method, stored)), "AccessDenied")
    assert wire.send(wire.anonymous("GET", stored + "?response-content-type=x")).status in (400, 403)


@pytest.mark.parametrize("minutes, fine", [(-20, False), (-14, True), (14, True), (20, False)])
def test_clock_skew(wire, stored, minutes, fine):
    answer = wire.call("GET", stored, when=now() + datetime.timedelta(minutes=minutes))
    if fine:
        assert answer.status == 200
    else:
        denied(answer, "RequestTimeTooSkewed")


def test_scope_of_another_day_region_or_service(wire, stored):
    request = wire.request("GET", stored)
    value = dict(request.headers)["Authorization"]
    for old, new in ((request.amz_date[:8], "20010101"), ("us-east-1", "eu-mars-7"), ("/s3/", "/ec2/"), ("aws4_request", "aws3_request")):
        denied(wire.send(request.set("Authorization", value.replace(old, new, 1))), "AuthorizationHeaderMalformed", 400)


@pytest.mark.parametrize(
    "name, value",
    [
        ("x-amz-meta-extra", "1"),
        ("x-amz-copy-source", "/b/k"),
        ("x-amz-tagging", "a=1"),
        ("x-amz-acl", "private"),
        ("x-amz-object-lock-legal-hold", "ON"),
    ],
)
def test_unsigned_amz_headers_are_refused(wire, bucket, folder, name, value):
    """SEC-07, also for presigned URLs: nobody adds a copy source on the way."""
    answer = wire.call("PUT", f"/{bucket}/new", headers=[(name, value)], unsigned=[name], body=b"x")
    assert (answer.status, answer.code) in ((403, "AccessDenied"), (403, "SignatureDoesNotMatch"), (400, "AuthorizationHeaderMalformed")), answer
    request = wire.presign("PUT", f"/{bucket}/new")
    request.headers += [(name, value), ("Content-Length", "1")]
    request.body = b"x"
    assert wire.send(request).status in (400, 403)
    assert not (folder / "new").exists()


def test_host_must_be_signed(wire, stored):
    answer = wire.call("GET", stored, unsigned=["host"])
    assert answer.status in (400, 403), answer


def test_changed_requests_do_not_match(wire, stored, bucket):
    def changed(**more):
        request = wire.request("GET", stored, [("a", "1")], [("x-amz-meta-a", "1")])
        for key, value in more.items():
            setattr(request, key, value)
        return request

    assert wire.send(changed()).status == 200
    denied(wire.send(changed(method="DELETE")), "SignatureDoesNotMatch")
    denied(wire.send(changed(target=f"/{bucket}/other?a=1")), "SignatureDoesNotMatch")
    denied(wire.send(changed(target=f"{stored}?a=2")), "SignatureDoesNotMatch")
    denied(wire.send(changed(target=f"{stored}?a=1&b=2")), "SignatureDoesNotMatch")
    denied(wire.send(changed().set("x-amz-meta-a", "2")), "SignatureDoesNotMatch")
    denied(wire.send(changed().set("Host", "elsewhere")), "SignatureDoesNotMatch")


def test_header_values_as_received(wire, stored):
    """Spaces collapsed, order of SignedHeaders kept, values joined; signed Accept-Encoding as rclone sends it."""
    headers = [
        ("x-amz-meta-spaces", "  a   b  c "),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "x"),
        ("x-amz-meta-empty", ""),
        ("X-Amz-Meta-Case", "C"),
        ("amz-sdk-invocation-id", "1-2-3"),
        ("amz-sdk-request", "attempt=1; max=3"),
        ("Range", "bytes=0-1"),
    ]
    assert wire.call("GET", stored, headers=headers).body == b"st"


@pytest.mark.parametrize("query", [[("x-id", "GetObject")], [("b", "2"), ("a", "1")], [("a", ""), ("a", "1"), ("a", "0")], [("ü &=+", "ö/?#")]])
def test_query_is_canonicalised(wire, stored, query):
    assert wire.call("GET", stored, query).status == 200


def test_sub_resource_with_and_without_equals_sign(wire, bucket):
    request = wire.request("GET", f"/{bucket}", [("uploads", "")])
    assert wire.send(request).status == 200
    request.target = request.target.rstrip("=")
    assert wire.send(request).status == 200


# Presigned.


def test_presigned_get(wire, stored):
    answer = wire.send(wire.presign("GET", stored))
    assert (answer.status, answer.body) == (200, b"stored")
    assert wire.send(wire.presign("HEAD", stored)).status == 200


@pytest.mark.parametrize("ago, expires, code", [(10, 5, "AccessDenied"), (-1200, 60, "AccessDenied")], ids=["expired", "not yet"])
def test_presigned_outside_its_time(wire, stored, ago, expires, code):
    denied(wire.send(wire.presign("GET", stored, expires=expires, when=now() - datetime.timedelta(seconds=ago))), code)


@pytest.mark.parametrize("expires", [-1, 604801, "x", ""])
def test_presigned_with_a_bad_expiry(wire, stored, expires):
    denied(wire.send(wire.presign("GET", stored, expires=expires)), "AuthorizationQueryParametersError", 400)


def test_presigned_for_seven_days(wire, stored):
    assert wire.send(wire.presign("GET", stored, expires=604800, when=now() - datetime.timedelta(days=6, hours=23))).status == 200


@pytest.mark.parametrize("missing", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"])
def test_presigned_with_a_part_missing(wire, stored, missing):
    request = wire.presign("GET", stored)
    path, query = request.target.split("?")
    request.target = path + "?" + "&".join(p for p in query.split("&") if not p.startswith(missing + "="))
    answer = wire.send(request)
    assert answer.status in (400, 403) and answer.code in ("AuthorizationQueryParametersError", "AccessDenied"), answer


def test_presigned_for_one_method_and_key_only(wire, stored, bucket):
    request = wire.presign("GET", stored)
    request.method = "DELETE"
    denied(wire.send(request), "SignatureDoesNotMatch")
    request = wire.presign("GET", stored)
    request.target = request.target.replace("/k?", "/l?")
    denied(wire.send(request), "SignatureDoesNotMatch")


def test_presigned_every_operation_is_verified(wire, bucket):
    assert wire.send(wire.presign("GET", f"/{bucket}", [("list-type", "2")])).status == 200
    assert wire.send(wire.presign("GET", "/")).status == 200
    assert wire.send(wire.presign("PUT", f"/{bucket}-pre")).status == 200


# SigV2.


def test_sigv2_can_be_switched_off(private_server):
    server = private_server("nosigv2", options=["--sigv2", "off"])
    s3 = connect(server)
    s3.create_bucket(Bucket="nosigv2")
    url = connect(server, signature=None).generate_presigned_url("get_object", Params={"Bucket": "nosigv2", "Key": "k"})
    answer = Wire(server).send(Wire(server).anonymous("GET", url.removeprefix(server.endpoint)))
    assert answer.status in (400, 403) and b"4" in answer.body, answer


def test_sigv2_in_the_header_is_refused(wire, stored):
    answer = wire.send(wire.anonymous("GET", stored, [("Authorization", f"AWS {wire.credentials.access_key}:c2lnbmF0dXJl")]))
    assert answer.status in (400, 403), answer


def test_sigv4a_is_refused_cleanly(wire, stored):
    request = wire.request("GET", stored)
    answer = wire.send(request.set("Authorization", dict(request.headers)["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")))
    assert answer.status in (400, 403, 501), answer


# SEC-12, SEC-13.


@pytest.mark.parametrize("key", ["' OR 1=1 --", "../../etc", "%00", "a" * 3000, "a b", "ключ"])
def test_odd_access_keys(wire, stored, key):
    answer = Wire(wire.server, Credentials(key, "x" * 20)).call("GET", stored)
    assert answer.status in (400, 403), answer


def test_first_start_prints_a_pair_once(private_server):
    """SEC-10: no default credentials."""
    server = private_server("first", root=None)
    assert Wire(server, Credentials("minioadmin", "minioadmin")).call("GET", "/").status == 403
    printed = dict(re.findall(r"export (AWS_\w+_KEY\w*)=(\S+)", server.stderr()))
    made = Credentials(printed["AWS_ACCESS_KEY_ID"], printed["AWS_SECRET_ACCESS_KEY"])
    assert len(made.secret_key) >= 22
    assert Wire(server, made).call("GET", "/").status == 200
    server.stop()
    server.start()
    assert server.stderr().count(made.secret_key) == 1, "printed at the first start only"
    assert Wire(server, made).call("GET", "/").status == 200
