"""The conformance traps of s3-surface.md §6, each by its number. What is a test elsewhere as well is short here."""

import hashlib

import pytest
from botocore.exceptions import ClientError

from aws import complete, connect, fails, put_all, read, status_of, upload_parts
from wire import STREAMING_UNSIGNED_TRAILER, aws_chunked, checksum

PART = b"p" * (5 * 1024 * 1024)
# Numbers whose feature is not in this version, with the reason; test_every_trap_is_here holds the table to 1..40.
LATER = {
    30: "versioning: PutBucketVersioning answers 501 (test_tiers.py)",
    31: "object lock: its operations answer 501 or 'not configured' (test_tiers.py)",
}
ELSEWHERE = {32: "test_cors.py", 38: "test_space.py"}


@pytest.fixture
def parts(s3, bucket):
    upload, listed = upload_parts(s3, bucket, "mp", [PART, b"rest"])
    return upload, listed


@pytest.fixture
def multipart(s3, bucket, parts):
    complete(s3, bucket, "mp", *parts)
    return {"Bucket": bucket, "Key": "mp"}


def test_trap_01_complete_returns_location(s3, bucket, parts, server):
    assert complete(s3, bucket, "mp", *parts)["Location"] == f"http://{server.host}/{bucket}/mp"


def test_trap_02_complete_replayed(s3, bucket, parts):
    assert complete(s3, bucket, "mp", *parts)["ETag"] == complete(s3, bucket, "mp", *parts)["ETag"]


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "99999999999"])
def test_trap_03_part_numbers(wire, s3, bucket, parts, number):
    answer = wire.call("PUT", f"/{bucket}/mp", [("partNumber", number), ("uploadId", parts[0])], body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_trap_04_part_number_on_reads(s3, multipart):
    with fails("InvalidRequest", 400):
        s3.get_object(**multipart, PartNumber=1, Range="bytes=0-1")
    with pytest.raises(ClientError) as caught:
        s3.get_object(**multipart, PartNumber=3)
    assert (caught.value.response["Error"]["Code"], status_of(caught.value.response)) in (("InvalidPartNumber", 416), ("InvalidPart", 416))
    with fails("416", 416):
        s3.head_object(**multipart, PartNumber=3)


def test_trap_05_head_honours_overrides(s3, multipart):
    assert s3.head_object(**multipart, ResponseContentType="a/b")["ContentType"] == "a/b"


def test_trap_06_ranged_head_is_206(s3, multipart):
    assert status_of(s3.head_object(**multipart, Range="bytes=0-0")) == 206


def test_trap_07_location_of_us_east_1_is_null(s3, wire, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert wire.call("GET", f"/{bucket}", [("location", "")]).xml().text is None


@pytest.mark.parametrize("sub", ["versions", "uploads"])
def test_trap_08_bucket_sub_resources_with_a_key(wire, s3, bucket, sub):
    put_all(s3, bucket, ["k"])
    answer = wire.call("GET", f"/{bucket}/k", [(sub, "")])
    assert 400 <= answer.status < 500 and answer.code in ("InvalidRequest", "MethodNotAllowed", "InvalidArgument"), answer


def test_trap_09_region_on_list(wire, bucket):
    assert wire.call("GET", f"/{bucket}", [("list-type", "2")]).header("x-amz-bucket-region") == "us-east-1"
    assert wire.call("HEAD", f"/{bucket}").header("x-amz-bucket-region") == "us-east-1"


def test_trap_10_create_bucket_location_and_arn(wire, bucket):
    name = f"{bucket}-new"
    answer = wire.call("PUT", f"/{name}")
    assert answer.header("Location") == f"/{name}"
    assert answer.header("x-amz-bucket-arn") == f"arn:aws:s3:::{name}"


def test_trap_11_copy_beyond_5_gib(s3, bucket, folder):
    with open(folder / "huge", "wb") as f:
        f.truncate(5 * 1024**3 + 1)
    with fails("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "huge"})
    assert not (folder / "to").exists()


def test_trap_12_etags_quoted_or_not(s3, multipart):
    etag = s3.head_object(**multipart)["ETag"]
    for value in (etag, etag.strip('"')):
        assert status_of(s3.head_object(**multipart, IfMatch=value)) == 200
        with fails("304", 304):
            s3.head_object(**multipart, IfNoneMatch=value)


def test_trap_13_if_match_star(s3, multipart):
    assert status_of(s3.get_object(**multipart, IfMatch="*")) == 200


def test_trap_14_if_match_on_nothing(s3, bucket):
    with fails("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none", IfMatch='"x"')
    with fails("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"", IfMatch='"x"')


def test_trap_15_empty_content_md5(wire, bucket):
    answer = wire.call("PUT", f"/{bucket}/k", headers=[("Content-MD5", "")], body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidDigest")


def test_trap_16_trailer_and_header_checksum(wire, bucket):
    value = checksum("CRC32", b"abc")
    body = aws_chunked(b"abc", 9, [("x-amz-checksum-crc32", value)])
    request = wire.request(
        "PUT",
        f"/{bucket}/k",
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-checksum-crc32", value),
            ("x-amz-decoded-content-length", "3"),
            ("Content-Encoding", "aws-chunked"),
            ("Content-Length", str(len(body))),
        ],
    )
    request.body = body
    answer = wire.send(request)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize("path, query", [("/{bucket}/k", [("tagging", "")]), ("/{bucket}", []), ("/{bucket}", [("delete", "")])])
def test_trap_17_unsigned_trailer_on_objects_and_parts_only(wire, s3, bucket, path, query):
    put_all(s3, bucket, ["k"])
    inner = b"<Tagging><TagSet/></Tagging>"
    body = aws_chunked(inner, 900, [("x-amz-checksum-crc32", checksum("CRC32", inner))])
    request = wire.request(
        "POST" if query == [("delete", "")] else "PUT",
        path.format(bucket=bucket),
        query,
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-decoded-content-length", str(len(inner))), ("Content-Length", str(len(body)))],
    )
    request.body = body
    answer = wire.send(request)
    assert 400 <= answer.status < 500, answer


def test_trap_18_chunks_below_8_kib(wire, bucket, folder):
    data = b"d" * 20_000
    body = aws_chunked(data, 4096, [("x-amz-checksum-crc32", checksum("CRC32", data))])
    request = wire.request(
        "PUT",
        f"/{bucket}/k",
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-decoded-content-length", "20000"), ("Content-Length", str(len(body)))],
    )
    request.body = body
    answer = wire.send(request)
    assert answer.status in (400, 403) and answer.code == "InvalidChunkSizeError", answer
    assert not (folder / "k").exists()


def test_trap_19_decoded_length_mismatch(wire, bucket):
    body = aws_chunked(b"abc", 9, [("x-amz-checksum-crc32", checksum("CRC32", b"abc"))])
    request = wire.request(
        "PUT",
        f"/{bucket}/k",
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-decoded-content-length", "4"), ("Content-Length", str(len(body)))],
    )
    request.body = body
    answer = wire.send(request)
    assert (answer.status, answer.code) == (400, "IncompleteBody")


def test_trap_20_no_date(wire, bucket):
    answer = wire.call("GET", f"/{bucket}", date_header=False)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 ,,,",
    ],
)
def test_trap_21_malformed_authorization(wire, bucket, value):
    answer = wire.send(wire.request("GET", f"/{bucket}").set("Authorization", value))
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed"), answer


def test_trap_22_errors_are_xml(wire, bucket):
    answers = [
        wire.call("GET", f"/{bucket}/none"),
        wire.call("GET", "/no-such-bucket-x"),
        wire.call("PUT", "/B_"),
        wire.send(wire.anonymous("GET", "/")),
        wire.call("POST", f"/{bucket}", [("delete", "")], body=b"x"),
        wire.call("PATCH", f"/{bucket}/k"),
        wire.call("GET", f"/{bucket}", [("abac", "")]),
    ]
    for answer in answers:
        assert 400 <= answer.status < 600
        assert answer.header("Content-Type") == "application/xml", answer
        error = answer.xml()
        assert error.tag == "Error" and error.findtext("Code") and error.findtext("Message")
        assert error.findtext("RequestId") == answer.header("x-amz-request-id")
        assert error.findtext("HostId") == answer.header("x-amz-id-2")


def test_trap_23_head_errors_have_no_body(wire, bucket):
    answer = wire.call("HEAD", f"/{bucket}/none")
    assert (answer.status, answer.body) == (404, b"")


def test_trap_24_delete_of_a_missing_version(s3, bucket):
    assert status_of(s3.delete_object(Bucket=bucket, Key="none", VersionId="null")) == 204
    assert status_of(s3.delete_object(Bucket=bucket, Key="none")) == 204


def test_trap_25_delete_of_more_than_1000(s3, bucket):
    with fails("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{i}"} for i in range(1001)]})


def test_trap_26_no_tags_are_an_empty_set(s3, bucket):
    put_all(s3, bucket, ["k"])
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_trap_27_limits_of_tags_and_metadata(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"k" * 48: "v" * 2000})
    with fails("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"k" * 49: "v" * 2000})
    with fails("InvalidTag", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&a=2")
    # Repeated metadata headers are one value with commas.
    answer = wire.call("PUT", f"/{bucket}/k", headers=[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")], body=b"")
    assert answer.status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"]["a"] in ("1,2", "1, 2")


def test_trap_28_default_content_type(wire, s3, bucket):
    assert wire.call("PUT", f"/{bucket}/page.html", body=b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="page.html")["ContentType"] == "binary/octet-stream"


def test_trap_29_directory_keys_carry_checksum_and_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="d/", Body=b"", ChecksumAlgorithm="CRC32", Tagging="a=1", Metadata={"m": "1"})
    head = s3.head_object(Bucket=bucket, Key="d/", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["Metadata"], head["ETag"]) == (checksum("CRC32", b""), {"m": "1"}, f'"{hashlib.md5().hexdigest()}"')
    assert s3.get_object_tagging(Bucket=bucket, Key="d/")["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_trap_33_expected_bucket_owner(s3, bucket):
    put_all(s3, bucket, ["k"])
    owner = s3.list_buckets()["Owner"]["ID"]
    source = {"Bucket": bucket, "Key": "k"}
    for more in ({"ExpectedBucketOwner": "111122223333"}, {"ExpectedSourceBucketOwner": "111122223333"}):
        with fails("AccessDenied", 403):
            s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **more)
    with fails("AccessDenied", 403):
        s3.get_object(**source, ExpectedBucketOwner="111122223333")
    s3.get_object(**source, ExpectedBucketOwner=owner)


def test_trap_34_uploads_with_delimiter(s3, bucket):
    for key in ("a/1", "a/2", "b"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert ([u["Key"] for u in page["Uploads"]], [p["Prefix"] for p in page["CommonPrefixes"]]) == (["b"], ["a/"])


def test_trap_35_list_parts_after_abort(s3, bucket, parts):
    s3.abort_multipart_upload(Bucket=bucket, Key="mp", UploadId=parts[0])
    with fails("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="mp", UploadId=parts[0])


def test_trap_36_copy_source_with_version_and_question_mark(wire, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a?versionId=null", Body=b"question mark")
    s3.put_object(Bucket=bucket, Key="a", Body=b"plain")
    for source, expected in (
        (f"{bucket}/a?versionId=null", b"plain"),
        (f"{bucket}/a%3FversionId=null", b"question mark"),
        (f"/{bucket}/a", b"plain"),
    ):
        assert wire.call("PUT", f"/{bucket}/to", headers=[("x-amz-copy-source", source)]).status == 200
        assert read(s3, bucket, "to") == expected, source
    answer = wire.call("PUT", f"/{bucket}/to", headers=[("x-amz-copy-source", f"{bucket}/a?versionId=other")])
    assert answer.status in (400, 404), answer


def test_trap_37_early_errors_keep_or_close_cleanly(wire, bucket):
    with wire.connect() as c:
        c.send(wire.request("PUT", "/no-such-bucket-x/k", body=b"b" * 500_000).encode())
        answer = c.response()
        assert (answer.status, answer.code) == (404, "NoSuchBucket")
        if (answer.header("Connection") or "").lower() == "close":
            assert c.ends()
        else:
            c.send(wire.request("HEAD", f"/{bucket}").encode())
            assert c.response("HEAD").status == 200


@pytest.mark.posix
def test_trap_39_read_only_gateway(private_server):
    server = private_server("readonly", options=["--read-only", "on"])
    (server.volume / "sealed").mkdir()
    (server.volume / "sealed/k").write_bytes(b"x")
    s3 = connect(server)
    assert read(s3, "sealed", "k") == b"x"
    refused = [
        lambda: s3.put_object(Bucket="sealed", Key="n", Body=b""),
        lambda: s3.delete_object(Bucket="sealed", Key="k"),
        lambda: s3.create_bucket(Bucket="new-bucket"),
        lambda: s3.delete_bucket(Bucket="sealed"),
        lambda: s3.put_object_tagging(Bucket="sealed", Key="k", Tagging={"TagSet": []}),
        lambda: s3.delete_object_tagging(Bucket="sealed", Key="k"),
        lambda: s3.create_multipart_upload(Bucket="sealed", Key="n"),
        lambda: s3.copy_object(Bucket="sealed", Key="n", CopySource={"Bucket": "sealed", "Key": "k"}),
        lambda: s3.put_bucket_tagging(Bucket="sealed", Tagging={"TagSet": []}),
        lambda: s3.delete_objects(Bucket="sealed", Delete={"Objects": [{"Key": "k"}]}),
    ]
    for call in refused:
        with fails("AccessDenied", 403):
            call()
    assert sorted(p.name for p in (server.volume / "sealed").iterdir()) == ["k"]


def test_trap_40_storage_class(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k"), "AWS leaves STANDARD out"
    with fails("InvalidStorageClass", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass="NONSENSE")


def test_every_trap_is_here():
    here = {int(name[10:12]) for name in globals() if name.startswith("test_trap_")}
    assert here | set(LATER) | set(ELSEWHERE) == set(range(1, 41))
