"""Tagging, attributes, copies, deletion of many."""

import concurrent.futures

import pytest

from aws import connect, fails, keys, new_bucket_name, put_all, read, status_of
from wire import checksum, md5_base64

TAGS = [{"Key": "colour", "Value": "grün +=._:/@-"}, {"Key": "empty", "Value": ""}]


def tags(s3, bucket, key="k"):
    return sorted(s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"], key=lambda t: t["Key"])


def test_tags(s3, bucket):
    put_all(s3, bucket, ["k"])
    assert tags(s3, bucket) == []
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    assert tags(s3, bucket) == TAGS
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ETag"] == etag, "tags do not change the object"
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags(s3, bucket) == []


def test_tags_in_the_header(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words&c")
    assert tags(s3, bucket) == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}, {"Key": "c", "Value": ""}]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Tagging="m=1")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert tags(s3, bucket, "m") == [{"Key": "m", "Value": "1"}]


@pytest.mark.parametrize(
    "tag_set, code",
    [
        ([{"Key": f"k{i}", "Value": ""} for i in range(11)], ("BadRequest", "InvalidTag")),
        ([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], ("InvalidTag",)),
        ([{"Key": "k" * 129, "Value": ""}], ("InvalidTag",)),
        ([{"Key": "k", "Value": "v" * 257}], ("InvalidTag",)),
        ([{"Key": "", "Value": "v"}], ("InvalidTag",)),
        ([{"Key": "aws:k", "Value": "v"}], ("InvalidTag",)),
    ],
    ids=["eleven", "twice", "long key", "long value", "empty key", "reserved"],
)
def test_bad_tags(wire, s3, bucket, tag_set, code):
    put_all(s3, bucket, ["k"])
    items = "".join(f"<Tag><Key>{t['Key']}</Key><Value>{t['Value']}</Value></Tag>" for t in tag_set)
    body = f"<Tagging><TagSet>{items}</TagSet></Tagging>".encode()
    answer = wire.call("PUT", f"/{bucket}/k", [("tagging", "")], headers=[("Content-MD5", md5_base64(body))], body=body)
    assert answer.status == 400 and answer.code in code, answer
    assert tags(s3, bucket) == []


def test_ten_full_tags(s3, bucket):
    full = sorted(({"Key": f"{i}" + "k" * 127, "Value": "v" * 256} for i in range(10)), key=lambda t: t["Key"])
    put_all(s3, bucket, ["k"])
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": full})
    assert tags(s3, bucket) == full


def test_tags_of_nothing(s3, bucket):
    with fails("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key="none")
    with fails("NoSuchKey", 404):
        s3.put_object_tagging(Bucket=bucket, Key="none", Tagging={"TagSet": TAGS})


def test_tags_touch_the_addressed_object_only(s3, bucket):
    """SEC-27."""
    put_all(s3, bucket, ["k", "d/k", "d/d/k"])
    s3.put_object_tagging(Bucket=bucket, Key="d/k", Tagging={"TagSet": TAGS})
    assert (tags(s3, bucket, "k"), tags(s3, bucket, "d/k"), tags(s3, bucket, "d/d/k")) == ([], TAGS, [])


def test_tags_of_a_posix_file(s3, bucket, folder):
    (folder / "k").write_bytes(b"posix")
    before = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    assert tags(s3, bucket) == TAGS
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == before


def test_bucket_tags(s3, bucket):
    with fails("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    assert sorted(s3.get_bucket_tagging(Bucket=bucket)["TagSet"], key=lambda t: t["Key"]) == TAGS
    s3.delete_bucket_tagging(Bucket=bucket)
    with fails("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_attributes(s3, wire, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"12345", ChecksumAlgorithm="SHA256")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"])
    assert got["ETag"] == put["ETag"].strip('"')
    assert (got["ObjectSize"], got["StorageClass"]) == (5, "STANDARD")
    assert got["Checksum"]["ChecksumSHA256"] == checksum("SHA256", b"12345")
    assert got["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert "ObjectParts" not in got
    assert got["LastModified"]
    only = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only and "Checksum" not in only
    answer = wire.call("GET", f"/{bucket}/k", [("attributes", "")], headers=[("x-amz-object-attributes", "Nonsense")])
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    answer = wire.call("GET", f"/{bucket}/k", [("attributes", "")])
    assert answer.status == 400
    with fails("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=bucket, Key="none", ObjectAttributes=["ETag"])


# Copies.


@pytest.fixture
def source(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a b+c/ü%41", Body=b"source", ContentType="text/a", CacheControl="no-store", Metadata={"m": "1"}, Tagging="t=1")
    return {"Bucket": bucket, "Key": "a b+c/ü%41"}


def test_copy_keeps_everything(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["ContentType"], got["CacheControl"], got["Metadata"]) == (b"source", "text/a", "no-store", {"m": "1"})
    assert got["ETag"] == s3.head_object(**source)["ETag"]
    assert tags(s3, bucket, "to") == [{"Key": "t", "Value": "1"}]


def test_copy_replaces_metadata_and_tags(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket,
        Key="to",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"n": "2"},
        ContentType="text/b",
        TaggingDirective="REPLACE",
        Tagging="u=2",
    )
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"source", "text/b", {"n": "2"})
    assert "CacheControl" not in got
    assert tags(s3, bucket, "to") == [{"Key": "u", "Value": "2"}]


def test_copy_ignores_metadata_without_the_directive(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, Metadata={"n": "2"}, ContentType="text/b")
    head = s3.head_object(Bucket=bucket, Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/a", {"m": "1"})


def test_copy_onto_itself(s3, source):
    with fails("InvalidRequest", 400):
        s3.copy_object(**source, CopySource=source)
    s3.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"})
    head = s3.head_object(**source)
    assert head["Metadata"] == {"n": "2"} and read(s3, **{"bucket": source["Bucket"], "key": source["Key"]}) == b"source"


@pytest.mark.parametrize("directive", ["COPY!", "replace", ""])
def test_unknown_directive(wire, bucket, source, directive):
    for name in ("x-amz-metadata-directive", "x-amz-tagging-directive"):
        answer = wire.call("PUT", f"/{bucket}/to", headers=[("x-amz-copy-source", f"/{bucket}/a%20b%2Bc/%C3%BC%2541"), (name, directive)])
        assert (answer.status, answer.code) == (400, "InvalidArgument") or directive == "", answer


def test_copy_conditions(s3, bucket, source):
    etag = s3.head_object(**source)["ETag"]
    stamp = s3.head_object(**source)["LastModified"]
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince=stamp)
    for condition in ({"CopySourceIfMatch": '"0"'}, {"CopySourceIfNoneMatch": etag}, {"CopySourceIfModifiedSince": stamp}):
        with fails("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **condition)


def test_copy_between_buckets_and_from_nothing(s3, bucket, source):
    other = new_bucket_name()
    s3.create_bucket(Bucket=other)
    s3.copy_object(Bucket=other, Key="k", CopySource=source)
    assert read(s3, other, "k") == b"source"
    with fails("NoSuchKey", 404):
        s3.copy_object(Bucket=other, Key="k", CopySource={"Bucket": bucket, "Key": "none"})
    with fails("NoSuchBucket", 404):
        s3.copy_object(Bucket=other, Key="k", CopySource={"Bucket": "no-such-bucket-x", "Key": "k"})
    with fails("NoSuchBucket", 404):
        s3.copy_object(Bucket="no-such-bucket-x", Key="k", CopySource=source)


@pytest.mark.parametrize(
    "value", ["", "/", "bucket", "/bucket/", "//x", "%00/%00", "{bucket}/../../etc/passwd", "{bucket}/.sluice/x", "{bucket}/%zz"]
)
def test_copy_sources_that_are_none(wire, bucket, value):
    answer = wire.call("PUT", f"/{bucket}/to", headers=[("x-amz-copy-source", value.format(bucket=bucket))])
    assert 400 <= answer.status < 500, answer


def test_copy_of_a_posix_file(s3, bucket, folder):
    (folder / "posix.txt").write_bytes(b"posix")
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "posix.txt"})
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["ContentType"]) == (b"posix", "text/plain")


def test_copy_of_a_directory_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="d/", Body=b"", Metadata={"m": "1"})
    s3.copy_object(Bucket=bucket, Key="e/", CopySource={"Bucket": bucket, "Key": "d/"})
    assert s3.head_object(Bucket=bucket, Key="e/")["Metadata"] == {"m": "1"}


# Deletion of many.


def test_delete_many(s3, bucket, folder):
    put_all(s3, bucket, ["a", "b/c", "b/d", "stay", "e f+g&<ü>"])
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in ("a", "b/c", "b/d", "none", "e f+g&<ü>")]})
    assert sorted(d["Key"] for d in answer["Deleted"]) == sorted(["a", "b/c", "b/d", "none", "e f+g&<ü>"])
    assert "Errors" not in answer
    assert keys(s3, bucket) == ["stay"] and not (folder / "b").exists()


def test_delete_many_quietly(s3, bucket):
    put_all(s3, bucket, ["a", "b"])
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}], "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer


def test_delete_many_reports_each_failure(s3, bucket):
    put_all(s3, bucket, ["a", "b"])
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "x//y"}, {"Key": "b", "ETag": '"0"'}], "Quiet": True})
    failed = {e["Key"]: e["Code"] for e in answer.get("Errors", [])}
    assert failed.get("b") == "PreconditionFailed"
    assert set(failed) <= {"b", "x//y"}
    assert keys(s3, bucket) == ["b"]


def test_delete_1000_and_1001(s3, bucket, folder):
    for i in range(1001):
        (folder / f"{i}").touch()
    names = [{"Key": f"{i}"} for i in range(1001)]
    with fails("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": names})
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": names[:1000]})["Deleted"]) == 1000
    assert keys(s3, bucket) == ["1000"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete/>",
        b"<Delete></Delete>",
        b"<Delete><Object></Object></Delete>",
        b"<Nope/>",
        b'<!DOCTYPE d [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    ],
)
def test_malformed_delete(wire, bucket, body):
    answer = wire.call("POST", f"/{bucket}", [("delete", "")], headers=[("Content-MD5", md5_base64(body))], body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer


def test_delete_and_put_race_in_one_directory(server, s3, bucket):
    """The last file's delete prunes the directory while another put is under way (versitygw c2601290)."""

    def churn(i):
        client = connect(server)
        for _ in range(30):
            client.put_object(Bucket=bucket, Key=f"d/e/{i}", Body=b"x")
            client.delete_object(Bucket=bucket, Key=f"d/e/{i}")
        return status_of(client.put_object(Bucket=bucket, Key=f"d/e/{i}", Body=b"last"))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(churn, range(8))) == [200] * 8
    assert keys(s3, bucket) == [f"d/e/{i}" for i in range(8)]


# RenameObject.


def rename(wire, bucket, source, target, headers=()):
    return wire.call("PUT", f"/{bucket}/{target}", [("renameObject", "")], headers=[("x-amz-rename-source", source), *headers])


def test_rename(s3, wire, bucket, folder):
    etag = s3.put_object(Bucket=bucket, Key="d/a b", Body=b"moved", Metadata={"m": "1"})["ETag"]
    inode = (folder / "d/a b").stat().st_ino
    assert rename(wire, bucket, "d/a%20b", "e/f/new").status == 200
    assert keys(s3, bucket) == ["e/f/new"]
    head = s3.head_object(Bucket=bucket, Key="e/f/new")
    assert (head["ETag"], head["Metadata"]) == (etag, {"m": "1"})
    assert (folder / "e/f/new").stat().st_ino == inode, "no copy"
    assert not (folder / "d").exists()


def test_rename_conditions(s3, wire, bucket):
    put_all(s3, bucket, ["a", "b"])
    assert rename(wire, bucket, "a", "b", [("If-None-Match", "*")]).status == 412
    assert rename(wire, bucket, "a", "c", [("x-amz-rename-source-if-match", '"0"')]).status == 412
    assert rename(wire, bucket, "none", "c").code == "NoSuchKey"
    assert rename(wire, bucket, "", "c").status == 400
    assert rename(wire, bucket, "../x", "c").status in (400, 404)
    assert keys(s3, bucket) == ["a", "b"]
