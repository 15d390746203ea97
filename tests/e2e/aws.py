"""Helpers over boto3 that most tests use."""

import contextlib
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from server import REGION, ROOT, eventually


def connect(server, credentials=ROOT, signature="s3v4", addressing="path", attempts=1, checksums="when_supported", **more):
    """A client that shows failures instead of repeating requests."""
    config = Config(
        signature_version=signature,
        s3={"addressing_style": addressing},
        retries={"total_max_attempts": attempts, "mode": "standard"},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        read_timeout=60 * server.slowness,
        max_pool_connections=50,
        **more,
    )
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        config=config,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        verify=str(server.certificate.cert) if server.tls else None,
    )


def connect_new_user(server, name, *options):
    """Of a new user whom the gateway knows already."""
    client = connect(server, credentials=server.add_user(name, *options))

    def is_known():
        try:
            return bool(client.list_buckets())
        except ClientError:
            return False

    assert eventually(is_known, timeout=10)
    return client


def new_bucket_name():
    return f"t-{uuid.uuid4().hex[:16]}"


@contextlib.contextmanager
def fails(code, status=None):
    """The block's request fails with this S3 code (for HEAD: the bare status as text) and status."""
    with pytest.raises(ClientError) as caught:
        yield caught
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    if status is not None:
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status, response


def status_of(response):
    return response["ResponseMetadata"]["HTTPStatusCode"]


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def keys(s3, bucket, **more):
    """All keys, page by page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **more)
    return [o["Key"] for page in pages for o in page.get("Contents", [])]


def put_all(s3, bucket, names, body=b"x"):
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=body)


def upload_parts(s3, bucket, key, parts, order=None, **create):
    """CreateMultipartUpload and the parts, not the end: (upload id, list for Complete)."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **create)["UploadId"]
    done = {}
    algorithm = {"ChecksumAlgorithm": create["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in create else {}
    for number in order or range(1, len(parts) + 1):
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=parts[number - 1], **algorithm)
        done[number] = {"PartNumber": number, "ETag": answer["ETag"]}
        done[number].update({k: v for k, v in answer.items() if k.startswith("Checksum") and k != "ChecksumType"})
    return upload, [done[number] for number in sorted(done)]


def complete(s3, bucket, key, upload, parts, **more):
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more)
