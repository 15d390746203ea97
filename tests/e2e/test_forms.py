"""Browser uploads: the forms that boto3 makes, posted as browsers do."""

import hashlib
import io
import os

import pytest
import requests

from aws import connect, read

SIZE = 24 << 20


def post(form, file, name="picture.png", **fields):
    return requests.post(
        form["url"], data={**form["fields"], **fields}, files={"file": (name, file)}, verify=False, allow_redirects=False, timeout=60
    )


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_boto3_form(server, s3, bucket, version):
    client = connect(server, signature=version)
    form = client.generate_presigned_post(
        bucket,
        "in/${filename}",
        Fields={"acl": "bucket-owner-full-control", "Content-Type": "image/png", "x-amz-meta-from": "form"},
        Conditions=[{"acl": "bucket-owner-full-control"}, ["starts-with", "$Content-Type", "image/"], {"x-amz-meta-from": "form"}],
        ExpiresIn=60,
    )
    answer = post(form, b"not really a picture")
    assert answer.status_code == 204, answer.text
    assert answer.headers["ETag"] == '"' + hashlib.md5(b"not really a picture").hexdigest() + '"'
    head = s3.head_object(Bucket=bucket, Key="in/picture.png")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", {"from": "form"})
    assert read(s3, bucket, "in/picture.png") == b"not really a picture"

    # What nobody signed is refused: another field, another key's prefix, another signature.
    assert post(form, b"x", **{"x-amz-meta-more": "1"}).status_code == 403
    assert post(form, b"x", key="out/x").status_code == 403
    name = "x-amz-signature" if version == "s3v4" else "signature"
    assert post(form, b"x", **{name: "A" * 28}).status_code == 403


def test_size_range_and_large_file(server, s3, bucket):
    client = connect(server)
    form = client.generate_presigned_post(bucket, "large", Conditions=[["content-length-range", 1000, SIZE]], ExpiresIn=60)
    body = os.urandom(1 << 20) * (SIZE >> 20)
    answer = post(form, io.BytesIO(body))
    assert answer.status_code == 204, answer.text
    assert hashlib.sha256(read(s3, bucket, "large")).digest() == hashlib.sha256(body).digest()
    answer = post(form, b"small")
    assert (answer.status_code, "EntityTooSmall" in answer.text) == (400, True)
    answer = post(form, io.BytesIO(body[:1000] + body))
    assert (answer.status_code, "EntityTooLarge" in answer.text) == (400, True)
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == SIZE


def test_anonymous_form_needs_the_buckets_word(server, s3, bucket, folder):
    folder.chmod(0o777)  # the gateway of root lets nobody in particular write as nobody
    form = {"url": f"{server.endpoint}/{bucket}", "fields": {"key": "drop/a"}}
    assert post(form, b"x").status_code == 403
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", '
        f'"Resource": "arn:aws:s3:::{bucket}/drop/*"}}]}}',
    )
    os.chmod(server.volume / bucket, 0o777)  # and the file system's word
    answer = post(form, b"x", success_action_status="201")
    assert answer.status_code == 201, answer.text
    assert "<Key>drop/a</Key>" in answer.text
    assert post({**form, "fields": {"key": "elsewhere/a"}}, b"x").status_code == 403
