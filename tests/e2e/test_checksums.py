"""Checksums of whole objects: all algorithms, in headers, stored and told only when asked for."""

import pytest

from aws import connect, fails, read
from wire import ALGORITHMS, checksum, md5_base64

DATA = b"check me" * 5000
FIELDS = [f"Checksum{a}" for a in ALGORITHMS]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_given_stored_and_told(s3, bucket, algorithm):
    field = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{field: checksum(algorithm, DATA)})
    assert put[field] == checksum(algorithm, DATA)
    for got in (s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED"), s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")):
        assert got[field] == checksum(algorithm, DATA)
        assert got["ChecksumType"] == "FULL_OBJECT"
        assert [f for f in FIELDS if f in got] == [field]
    with fails("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{field: checksum(algorithm, b"other")})
    assert read(s3, bucket, "k") == DATA


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_computed_by_the_sdk(s3, bucket, algorithm):
    assert s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=algorithm)[f"Checksum{algorithm}"] == checksum(algorithm, DATA)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]


def test_not_told_unless_asked(server, bucket, s3):
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm="SHA1")
    quiet = connect(server, checksums="when_required")
    assert not [f for f in FIELDS if f in quiet.head_object(Bucket=bucket, Key="k")]


def test_crc64nvme_is_computed_when_the_client_sends_none(wire, s3, bucket):
    assert wire.call("PUT", f"/{bucket}/k", body=DATA).status == 200
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (checksum("CRC64NVME", DATA), "FULL_OBJECT")


def test_never_on_a_part_of_the_object(s3, bucket):
    """boto3 would check it against the bytes it got."""
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm="CRC32")
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-9", ChecksumMode="ENABLED")
    assert not [f for f in FIELDS if f in got]
    assert got["Body"].read() == DATA[:10]


def test_two_checksum_headers_are_refused(wire, bucket):
    headers = [("x-amz-checksum-crc32", checksum("CRC32", DATA)), ("x-amz-checksum-sha1", checksum("SHA1", DATA))]
    answer = wire.call("PUT", f"/{bucket}/k", headers=headers, body=DATA)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_announced_algorithm_without_a_value(wire, bucket):
    answer = wire.call("PUT", f"/{bucket}/k", headers=[("x-amz-sdk-checksum-algorithm", "CRC32")], body=DATA)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    "value, code", [("", "InvalidDigest"), ("AAAA", "InvalidDigest"), ("!", "InvalidDigest"), (md5_base64(b"other"), "BadDigest")]
)
def test_content_md5(wire, bucket, folder, value, code):
    answer = wire.call("PUT", f"/{bucket}/k", headers=[("Content-MD5", value)], body=DATA)
    assert (answer.status, answer.code) == (400, code)
    assert not (folder / "k").exists()


def test_delete_objects_needs_a_checksum(wire, bucket):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = wire.call("POST", f"/{bucket}", [("delete", "")], body=body)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    for name, value in (
        ("Content-MD5", md5_base64(body)),
        ("x-amz-checksum-crc32", checksum("CRC32", body)),
        ("x-amz-checksum-sha256", checksum("SHA256", body)),
    ):
        assert wire.call("POST", f"/{bucket}", [("delete", "")], headers=[(name, value)], body=body).status == 200
    answer = wire.call("POST", f"/{bucket}", [("delete", "")], headers=[("Content-MD5", md5_base64(b"?"))], body=body)
    assert (answer.status, answer.code) == (400, "BadDigest")


def test_copy_keeps_or_computes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=DATA, ChecksumAlgorithm="SHA256")
    source = {"Bucket": bucket, "Key": "a"}
    assert s3.copy_object(Bucket=bucket, Key="b", CopySource=source)["CopyObjectResult"]["ChecksumSHA256"] == checksum("SHA256", DATA)
    copied = s3.copy_object(Bucket=bucket, Key="c", CopySource=source, ChecksumAlgorithm="CRC32C")
    assert copied["CopyObjectResult"]["ChecksumCRC32C"] == checksum("CRC32C", DATA)
    assert s3.head_object(Bucket=bucket, Key="c", ChecksumMode="ENABLED")["ChecksumCRC32C"] == checksum("CRC32C", DATA)
