"""Other origins, as a browser sees them: rules put with boto3, preflights and requests sent raw."""

import pytest

from aws import fails, put_all
from wire import UNSIGNED

ORIGIN = "https://app.example.com"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
RULE = {
    "ID": "app",
    "AllowedOrigins": ["https://*.example.com"],
    "AllowedMethods": ["GET", "PUT"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag", "x-amz-storage-class"],
    "MaxAgeSeconds": 600,
}


def put_rules(s3, bucket, *rules):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def preflight(wire, target, origin=ORIGIN, method="GET", headers=None):
    sent = [("Origin", origin)] if origin else []
    sent += [("Access-Control-Request-Method", method)] if method else []
    sent += [("Access-Control-Request-Headers", headers)] if headers else []
    return wire.send(wire.anonymous("OPTIONS", target, sent))


def test_configuration(s3, bucket):
    with fails("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    put_rules(s3, bucket, RULE, {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]})
    rules = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert rules == [RULE, {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]}]
    with fails("InvalidRequest", 400):
        put_rules(s3, bucket, {"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.delete_bucket_cors(Bucket=bucket)
    with fails("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


def test_trap_32_preflight_and_vary(s3, wire, bucket):
    put_rules(s3, bucket, {"AllowedOrigins": [ORIGIN], "AllowedMethods": ["DELETE"]}, RULE)
    answer = preflight(wire, f"/{bucket}/k", method="PUT", headers="Content-Type, X-Amz-Date")
    assert (answer.status, answer.body) == (200, b""), answer
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("access-control-allow-methods") == "GET, PUT", "the first rule that fits, not the first of that origin"
    assert answer.header("access-control-allow-headers") == "content-type, x-amz-date"
    assert answer.header("access-control-expose-headers") == "ETag, x-amz-storage-class"
    assert answer.header("access-control-max-age") == "600"
    assert answer.header("vary") == VARY
    assert preflight(wire, f"/{bucket}/k", method="DELETE", headers="x-other").status == 403
    assert preflight(wire, f"/{bucket}/k", method="DELETE").status == 200


@pytest.mark.parametrize(
    "target, asked, status, code, message",
    [
        ("/{bucket}/k", {"origin": None}, 400, "BadRequest", "Origin request header needed"),
        ("/{bucket}/k", {"method": None}, 400, "BadRequest", "Invalid Access-Control-Request-Method"),
        ("/{bucket}/k", {"origin": "https://elsewhere.org"}, 403, "AccessForbidden", "not whitelisted"),
        ("/{bucket}/k", {"method": "POST"}, 403, "AccessForbidden", "not whitelisted"),
        ("/absent-bucket/k", {}, 403, "AccessForbidden", "Bucket not found"),
    ],
)
def test_refused_preflights(s3, wire, bucket, target, asked, status, code, message):
    put_rules(s3, bucket, RULE)
    answer = preflight(wire, target.format(bucket=bucket), **asked)
    assert (answer.status, answer.code) == (status, code), answer
    assert message in answer.body.decode()
    assert answer.header("access-control-allow-origin") is None


def test_without_rules(wire, bucket):
    answer = preflight(wire, f"/{bucket}/k")
    assert (answer.status, answer.code) == (403, "AccessForbidden"), answer
    assert "CORS is not enabled" in answer.body.decode()


def test_a_presigned_upload_from_a_page(s3, wire, bucket, folder):
    """What a browser does with a presigned PUT: asks with its URL, then uses it."""
    put_rules(s3, bucket, RULE)
    request = wire.presign("PUT", f"/{bucket}/k", body_hash=UNSIGNED)
    assert preflight(wire, request.target, method="PUT").status == 200
    request.set("Origin", ORIGIN).set("Content-Length", "4")
    request.body = b"page"
    answer = wire.send(request)
    assert answer.status == 200, answer
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("vary") == VARY
    assert (folder / "k").read_bytes() == b"page"


def test_errors_can_be_read_by_scripts(s3, wire, bucket):
    put_rules(s3, bucket, RULE)
    put_all(s3, bucket, ["k"])
    for answer in (
        wire.call("GET", f"/{bucket}/absent", headers=[("Origin", ORIGIN)]),
        wire.send(wire.anonymous("GET", f"/{bucket}/k", [("Origin", ORIGIN)])),
    ):
        assert answer.status in (403, 404), answer
        assert answer.header("access-control-allow-origin") == ORIGIN
        assert answer.header("access-control-allow-credentials") == "true"


def test_sec_59_everybody_is_nobody_in_particular(s3, wire, bucket):
    put_rules(s3, bucket, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]})
    put_all(s3, bucket, ["k"])
    answer = wire.call("GET", f"/{bucket}/k", headers=[("Origin", ORIGIN)])
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "*")
    assert answer.header("access-control-allow-credentials") is None
    assert wire.call("GET", f"/{bucket}/k").header("vary") is None
