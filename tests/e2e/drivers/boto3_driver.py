"""Runs one operation with whatever boto3 the interpreter has (Debian's, by /usr/bin/python3): driver JSON on the command line."""

import json
import os
import pathlib
import sys

import boto3
from botocore.config import Config

s3 = boto3.client(
    "s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1", aws_access_key_id=os.environ["S3_ACCESS_KEY"],
    aws_secret_access_key=os.environ["S3_SECRET_KEY"], verify=os.environ.get("S3_CA") or None,
    config=Config(signature_version=os.environ.get("S3_SIGNATURE") or None, s3={"addressing_style": "path"},
                  retries={"total_max_attempts": 1}))  # fmt: skip


def listing(bucket, prefix, page_size=None):
    paginator = s3.get_paginator("list_objects_v2")
    config = {"PageSize": page_size} if page_size else {}
    for page in paginator.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig=config):
        for item in page.get("Contents", []):
            yield item["Key"]


def put(bucket, key, file, content_type=None, metadata=None):
    extra = {"ContentType": content_type} if content_type else {}
    s3.upload_file(file, bucket, key, ExtraArgs={**extra, "Metadata": metadata or {}})


def put_tree(bucket, prefix, folder):
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            put(bucket, prefix + str(path.relative_to(folder)), str(path))


def get(bucket, key, file):
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, file)


def get_tree(bucket, prefix, folder):
    for key in listing(bucket, prefix):
        get(bucket, key, os.path.join(folder, key[len(prefix) :]))


def keys(bucket, prefix, page_size=None):
    return list(listing(bucket, prefix, page_size))


def head(bucket, key):
    h = s3.head_object(Bucket=bucket, Key=key)
    return {"type": h["ContentType"], "metadata": h["Metadata"], "size": h["ContentLength"], "etag": h["ETag"]}


def remove_tree(bucket, prefix):
    names = [{"Key": k} for k in listing(bucket, prefix)]
    for i in range(0, len(names), 1000):
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": names[i : i + 1000], "Quiet": True}).get("Errors")
        assert not errors, errors


def copy(bucket, key, to):
    s3.copy({"Bucket": bucket, "Key": key}, bucket, to)


def presign(bucket, key, method):
    return s3.generate_presigned_url(f"{method}_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=300)


def version():
    return boto3.__version__


if __name__ == "__main__":
    call = json.loads(sys.argv[1])
    print(json.dumps(globals()[call.pop("op")](**call)))
