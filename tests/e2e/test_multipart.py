"""Multipart uploads."""

import concurrent.futures
import hashlib
import os
import random
import time

import pytest
from botocore.exceptions import ClientError

from aws import complete, connect, fails, keys, new_bucket_name, read, upload_parts
from server import staging_leftovers
from wire import checksum, checksum_bytes

MIB = 1024 * 1024
PARTS = [random.Random(i).randbytes(5 * MIB) for i in range(3)] + [b"the rest"]
WHOLE = b"".join(PARTS)


def multipart_etag(parts):
    return f'"{hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()}-{len(parts)}"'


@pytest.mark.parametrize("order", [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3], [1, 2, 2, 3, 1, 4]], ids=str)
def test_any_order(s3, bucket, folder, order):
    upload, parts = upload_parts(s3, bucket, "k", PARTS, order, ContentType="text/x", Metadata={"m": "1"})
    assert keys(s3, bucket) == []
    done = complete(s3, bucket, "k", upload, parts)
    assert done["ETag"] == multipart_etag(PARTS)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ETag"], head["ContentLength"], head["ContentType"], head["Metadata"]) == (done["ETag"], len(WHOLE), "text/x", {"m": "1"})
    assert (folder / "k").read_bytes() == WHOLE
    assert read(s3, bucket, "k") == WHOLE


def test_first_uploads_of_a_bucket(s3):
    """What they need in the bucket is made with the first one, under the eyes of the others: nobody is refused meanwhile."""

    def begin(name, i):
        if i % 2:
            return s3.create_multipart_upload(Bucket=name, Key=f"k{i}")
        return s3.put_object(Bucket=name, Key=f"k{i}", Body=b"x")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            name = new_bucket_name()
            s3.create_bucket(Bucket=name)
            assert len(list(pool.map(begin, [name] * 8, range(8)))) == 8


@pytest.mark.parametrize("sizes", [[5, 5, 1], [6, 5, 7, 1], [5, 8, 5], [7, 5]], ids=str)
def test_parts_of_unequal_size(s3, bucket, folder, sizes):
    parts = [random.Random(i).randbytes(size * MIB + i) for i, size in enumerate(sizes)]
    upload, done = upload_parts(s3, bucket, "k", parts)
    assert complete(s3, bucket, "k", upload, done)["ETag"] == multipart_etag(parts)
    assert (folder / "k").read_bytes() == b"".join(parts)


def test_uploaded_again_with_another_size(s3, bucket, folder):
    upload, done = upload_parts(s3, bucket, "k", PARTS)
    other = random.Random(99).randbytes(6 * MIB)
    for number, body in ((2, other), (4, b""), (4, b"a longer rest"), (1, PARTS[0])):
        done[number - 1] = {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
    complete(s3, bucket, "k", upload, done)
    assert (folder / "k").read_bytes() == PARTS[0] + other + PARTS[2] + b"a longer rest"


def test_gaps_and_left_out_parts(s3, bucket, folder):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etags = {
        n: s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=PARTS[0] if n < 10000 else b"end")["ETag"]
        for n in (10000, 77, 3, 500)
    }
    complete(s3, bucket, "k", upload, [{"PartNumber": n, "ETag": etags[n]} for n in (3, 500, 10000)])
    assert (folder / "k").read_bytes() == PARTS[0] * 2 + b"end"
    assert staging_leftovers(folder) == []


def test_parts_in_parallel(server, s3, bucket, folder):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]

    def send(n):
        answer = connect(server).upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=PARTS[n % 3])
        return {"PartNumber": n, "ETag": answer["ETag"]}

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(send, range(1, 13)))
    complete(s3, bucket, "k", upload, parts)
    assert (folder / "k").read_bytes() == b"".join(PARTS[n % 3] for n in range(1, 13))


def test_same_part_in_parallel_is_one_of_them(server, s3, bucket, folder):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]

    def send(i):
        return connect(server).upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=bytes([i]) * MIB)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    (part,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    complete(s3, bucket, "k", upload, [{"PartNumber": 1, "ETag": part["ETag"]}])
    body = (folder / "k").read_bytes()
    assert len(body) == MIB and len(set(body)) == 1
    assert part["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'


def test_abort_removes_everything(s3, bucket, folder):
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    for call in (
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload),
        lambda: s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x"),
        lambda: complete(s3, bucket, "k", upload, parts),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload),
    ):
        with fails("NoSuchUpload", 404):
            call()
    left = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(folder) for f in fs)
    assert left < MIB, "the parts' bytes are gone"
    s3.delete_bucket(Bucket=bucket)


def test_list_parts(s3, bucket):
    upload, _ = upload_parts(s3, bucket, "k", PARTS)
    page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=3)
    assert [p["PartNumber"] for p in page["Parts"]] == [1, 2, 3]
    assert (page["IsTruncated"], page["NextPartNumberMarker"], page["MaxParts"]) == (True, 3, 3)
    assert [p["Size"] for p in page["Parts"]] == [5 * MIB] * 3
    assert page["Parts"][0]["ETag"] == f'"{hashlib.md5(PARTS[0]).hexdigest()}"'
    page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=3)
    assert [p["PartNumber"] for p in page["Parts"]] == [4] and not page["IsTruncated"]
    assert page["Initiator"]["ID"] and page["Owner"]["ID"] and page["StorageClass"] == "STANDARD"


def test_list_uploads(s3, bucket):
    ids = {}
    for key in ("a/1", "a/2", "b", "c/d/1"):
        ids[key] = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for _ in range(2)]
    listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["Key"] for u in listed] == ["a/1", "a/1", "a/2", "a/2", "b", "b", "c/d/1", "c/d/1"]
    assert {u["UploadId"] for u in listed} == {i for both in ids.values() for i in both}
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [u["Key"] for u in page["Uploads"]] == ["a/1", "a/1", "a/2", "a/2"]
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [u["Key"] for u in page["Uploads"]] == ["b", "b"]
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "c/"]
    found, marker = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=3, **marker)
        found += [(u["Key"], u["UploadId"]) for u in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert sorted(found) == sorted((k, i) for k, both in ids.items() for i in both)


def test_complete_again_gives_the_same_answer(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    first = complete(s3, bucket, "k", upload, parts)
    again = complete(s3, bucket, "k", upload, parts)
    assert (again["ETag"], again["Key"], again["Bucket"]) == (first["ETag"], "k", bucket)


def test_completes_in_parallel_agree(server, s3, bucket):
    """Retries overtake their first try (versitygw#1064)."""
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: complete(connect(server), bucket, "k", upload, parts)["ETag"], range(6)))
    assert set(answers) == {multipart_etag(PARTS)}
    assert read(s3, bucket, "k") == WHOLE


@pytest.mark.parametrize(
    "name, code, change",
    [
        ("wrong etag", "InvalidPart", lambda p: [{**p[0], "ETag": '"00000000000000000000000000000000"'}, *p[1:]]),
        ("missing part", "InvalidPart", lambda p: [*p[:3], {"PartNumber": 9, "ETag": p[0]["ETag"]}]),
        ("descending", "InvalidPartOrder", lambda p: p[::-1]),
        ("twice", "InvalidPartOrder", lambda p: [p[0], *p]),
        ("none", "MalformedXML", lambda p: []),
    ],
)
def test_complete_with_a_bad_list(s3, bucket, name, code, change):
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    with fails(code, 400):
        complete(s3, bucket, "k", upload, change(parts))
    assert keys(s3, bucket) == []
    complete(s3, bucket, "k", upload, parts)


def test_part_too_small(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", [b"small", b"last"])
    with fails("EntityTooSmall", 400):
        complete(s3, bucket, "k", upload, parts)
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)


def test_unquoted_etags_any_order_of_elements_no_namespace(wire, s3, bucket):
    """As s3cmd writes it."""
    upload, parts = upload_parts(s3, bucket, "k", [b"only"])
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{parts[0]['ETag'].strip(chr(34))}</ETag></Part></CompleteMultipartUpload>"
    answer = wire.call("POST", f"/{bucket}/k", [("uploadId", upload)], body=body.encode())
    assert answer.status == 200, answer
    assert answer.xml().findtext("ETag") == multipart_etag([b"only"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<Wrong/>",
        b"<CompleteMultipartUpload>",
        b"x" * 100,
        b'<!DOCTYPE x [<!ENTITY e "1">]><CompleteMultipartUpload><Part><PartNumber>&e;</PartNumber></Part></CompleteMultipartUpload>',
        b"<a>" * 5000,
    ],
)
def test_malformed_complete(wire, s3, bucket, body):
    upload, _ = upload_parts(s3, bucket, "k", [b"only"])
    answer = wire.call("POST", f"/{bucket}/k", [("uploadId", upload)], body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer


@pytest.mark.parametrize("upload", ["none", "../../etc", "a/b", "%00", "x" * 2000, ""])
def test_upload_ids_that_are_none(wire, bucket, upload):
    for method, query in (("PUT", [("partNumber", "1"), ("uploadId", upload)]), ("GET", [("uploadId", upload)]), ("DELETE", [("uploadId", upload)])):
        answer = wire.call(method, f"/{bucket}/k", query, body=b"x" if method == "PUT" else b"")
        assert answer.status in (400, 404), answer
        assert answer.code in ("NoSuchUpload", "InvalidArgument", "InvalidRequest"), answer


def test_upload_belongs_to_its_key(s3, bucket):
    """SEC-42: the id is no authority over another key."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    with fails("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="other", UploadId=upload, PartNumber=1, Body=b"x")
    with fails("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=upload)


@pytest.fixture
def big_source(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=WHOLE)
    return {"Bucket": bucket, "Key": "source"}


def test_copied_parts(s3, bucket, folder, big_source):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    ranges = [(0, 6 * MIB), (6 * MIB, 12 * MIB), (12 * MIB, len(WHOLE))]
    parts = []
    for n, (start, end) in enumerate(ranges, 1):
        result = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, CopySource=big_source, CopySourceRange=f"bytes={start}-{end - 1}"
        )
        assert result["CopyPartResult"]["ETag"] == f'"{hashlib.md5(WHOLE[start:end]).hexdigest()}"'
        parts.append({"PartNumber": n, "ETag": result["CopyPartResult"]["ETag"]})
    complete(s3, bucket, "k", upload, parts)
    assert (folder / "k").read_bytes() == WHOLE


@pytest.mark.parametrize("value", ["bytes=0-99999999999", "bytes=5-2", "bytes=-5", "bytes=5-", "0-5", "x"])
def test_copied_part_with_a_bad_range(s3, bucket, big_source, value):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    with pytest.raises(ClientError) as caught:
        s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource=big_source, CopySourceRange=value)
    assert caught.value.response["Error"]["Code"] in ("InvalidArgument", "InvalidRange", "InvalidRequest")


def test_copied_part_conditions(s3, bucket, big_source):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etag = s3.head_object(**big_source)["ETag"]
    s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource=big_source, CopySourceIfMatch=etag)
    with fails("PreconditionFailed", 412):
        s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource=big_source, CopySourceIfNoneMatch=etag)


def test_reading_by_part_number(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    complete(s3, bucket, "k", upload, parts)
    at = 0
    for n, part in enumerate(PARTS, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=n)
        assert got["Body"].read() == part
        assert (got["PartsCount"], got["ContentRange"]) == (4, f"bytes {at}-{at + len(part) - 1}/{len(WHOLE)}")
        assert s3.head_object(Bucket=bucket, Key="k", PartNumber=n)["ContentLength"] == len(part)
        at += len(part)


# Checksums.


def composite(algorithm, parts):
    return checksum(algorithm, b"".join(checksum_bytes(algorithm, p) for p in parts)) + f"-{len(parts)}"


@pytest.mark.parametrize(
    "algorithm, kind",
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
    ],
)
def test_checksums_composite_and_full(s3, bucket, algorithm, kind):
    upload, parts = upload_parts(s3, bucket, "k", PARTS, [2, 1, 4, 3], ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert parts[0][f"Checksum{algorithm}"] == checksum(algorithm, PARTS[0])
    expected = composite(algorithm, PARTS) if kind == "COMPOSITE" else checksum(algorithm, WHOLE)
    done = complete(s3, bucket, "k", upload, parts, ChecksumType=kind)
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, kind)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, kind)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectParts", "ObjectSize", "ETag"])
    assert attributes["Checksum"][f"Checksum{algorithm}"] == expected
    assert attributes["ObjectParts"]["TotalPartsCount"] == 4
    if kind == "COMPOSITE":
        assert attributes["ObjectParts"]["Parts"][1][f"Checksum{algorithm}"] == checksum(algorithm, PARTS[1])


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
def test_full_object_checksum_given_at_complete(s3, bucket, algorithm):
    upload, parts = upload_parts(s3, bucket, "k", PARTS, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    with fails("BadDigest", 400):
        complete(s3, bucket, "k", upload, parts, ChecksumType="FULL_OBJECT", **{f"Checksum{algorithm}": checksum(algorithm, b"other")})
    complete(s3, bucket, "k", upload, parts, ChecksumType="FULL_OBJECT", **{f"Checksum{algorithm}": checksum(algorithm, WHOLE)})


def test_wrong_part_checksum_at_complete(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", PARTS, ChecksumAlgorithm="SHA256")
    wrong = [{**parts[0], "ChecksumSHA256": checksum("SHA256", b"?")}, *parts[1:]]
    with fails("InvalidPart", 400):
        complete(s3, bucket, "k", upload, wrong)


@pytest.mark.parametrize("algorithm, kind", [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")])
def test_impossible_pairs_of_algorithm_and_type(s3, bucket, algorithm, kind):
    with fails("InvalidRequest", 400):
        s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)


def test_object_size_given_at_complete(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", PARTS)
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, "k", upload, parts, MpuObjectSize=len(WHOLE) + 1)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    complete(s3, bucket, "k", upload, parts, MpuObjectSize=len(WHOLE))


def test_uploads_survive_a_restart(private_server):
    server = private_server("restart")
    s3 = connect(server)
    s3.create_bucket(Bucket="restart")
    upload, parts = upload_parts(s3, "restart", "k", PARTS[:2])
    server.stop()
    server.start()
    s3 = connect(server)
    assert [p["PartNumber"] for p in s3.list_parts(Bucket="restart", Key="k", UploadId=upload)["Parts"]] == [1, 2]
    parts.append({"PartNumber": 3, "ETag": s3.upload_part(Bucket="restart", Key="k", UploadId=upload, PartNumber=3, Body=b"end")["ETag"]})
    complete(s3, "restart", "k", upload, parts)
    assert read(s3, "restart", "k") == PARTS[0] + PARTS[1] + b"end"


def test_old_uploads_expire(private_server):
    server = private_server("expiry", options=["--upload-expiry", "1s"])
    s3 = connect(server)
    s3.create_bucket(Bucket="expiry")
    upload, _ = upload_parts(s3, "expiry", "k", [b"x"])
    server.stop()
    time.sleep(1.5)
    server.start()
    s3 = connect(server)
    deadline = time.monotonic() + 20 * server.slowness
    while s3.list_multipart_uploads(Bucket="expiry").get("Uploads") and time.monotonic() < deadline:
        time.sleep(0.1)
    with fails("NoSuchUpload", 404):
        s3.list_parts(Bucket="expiry", Key="k", UploadId=upload)


def test_delete_bucket_with_an_upload_in_progress(s3, bucket):
    """AWS deletes it: uploads are no objects."""
    upload_parts(s3, bucket, "k", [b"x"])
    s3.delete_bucket(Bucket=bucket)
    with fails("404", 404):
        s3.head_bucket(Bucket=bucket)
