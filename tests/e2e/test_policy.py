"""Bucket policies with a real client: who gets in by them, who is kept out, and the way back (SEC-30 to SEC-40)."""

import json

import pytest
from botocore import UNSIGNED

from aws import connect, fails, keys, put_all, read
from server import eventually
from wire import Wire


def statement(bucket, effect, actions, keys="*", principal="*", **more):
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{keys}"]
    return {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resources, **more}


def put_policy(s3, bucket, *statements):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


@pytest.fixture
def anonymous(server):
    """An unsigned client."""
    return connect(server, signature=UNSIGNED)


def test_document(s3, bucket):
    with fails("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)
    put_policy(s3, bucket, statement(bucket, "Allow", ["s3:GetObject"]))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Effect"] == "Allow"
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False


def test_what_is_not_understood_is_refused_by_name(s3, bucket):
    condition = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
    with fails("MalformedPolicy", 400) as caught:
        put_policy(s3, bucket, statement(bucket, "Allow", ["s3:GetObject"], Condition=condition))
    assert "aws:SourceVpc" in caught.value.response["Error"]["Message"]
    with fails("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket=bucket)


def test_deny_wins_and_can_be_taken_back(s3, bucket):
    put_all(s3, bucket, ["open/k", "closed/k"])
    put_policy(s3, bucket, statement(bucket, "Allow", ["s3:*"]), statement(bucket, "Deny", ["s3:GetObject"], keys="closed/*"))
    assert read(s3, bucket, "open/k") == b"x"
    with fails("AccessDenied", 403):
        read(s3, bucket, "closed/k")
    put_policy(s3, bucket, statement(bucket, "Deny", ["s3:*"]))
    with fails("AccessDenied", 403):
        s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert read(s3, bucket, "closed/k") == b"x"


def test_user_of_another_bucket(server, s3, bucket):
    name = f"user-{bucket}"
    credentials = server.add_user(name, "--buckets", f"{bucket}-other")
    guest = connect(server, credentials)
    put_all(s3, bucket, ["a/k", "b/k"])
    assert eventually(lambda: Wire(server, credentials).call("GET", "/").status == 200, timeout=5 * server.slowness)
    principal = {"AWS": f"arn:aws:iam::000000000000:user/{name}"}
    condition = {"StringLike": {"s3:prefix": "a/*"}}
    put_policy(
        s3,
        bucket,
        statement(bucket, "Allow", ["s3:GetObject"], keys="a/*", principal=principal),
        statement(bucket, "Allow", ["s3:ListBucket"], principal=principal, Condition=condition),
    )
    assert read(guest, bucket, "a/k") == b"x"
    assert keys(guest, bucket, Prefix="a/") == ["a/k"]
    for refused in (
        lambda: read(guest, bucket, "b/k"),
        lambda: keys(guest, bucket),
        lambda: guest.put_object(Bucket=bucket, Key="a/k", Body=b"y"),
        lambda: guest.delete_bucket_policy(Bucket=bucket),
    ):
        with fails("AccessDenied", 403):
            refused()


def test_everybody_reads_what_is_public(s3, anonymous, bucket):
    put_all(s3, bucket, ["open/k", "closed/k"])
    with fails("AccessDenied", 403):
        read(anonymous, bucket, "open/k")
    put_policy(s3, bucket, statement(bucket, "Allow", ["s3:GetObject"], keys="open/*"))
    assert read(anonymous, bucket, "open/k") == b"x"
    for refused in (
        lambda: read(anonymous, bucket, "closed/k"),
        lambda: read(anonymous, bucket, "open/absent"),
        lambda: keys(anonymous, bucket),
        lambda: anonymous.put_object(Bucket=bucket, Key="open/k", Body=b"y"),
    ):
        with fails("AccessDenied", 403):
            refused()
    with fails("InvalidRequest", 400):
        read(anonymous, bucket, "open/k", ResponseContentType="text/html")
