"""JuiceFS's own S3 gateway and ours on one volume at once: either reads what the other wrote, and sees what the other changed."""

import hashlib

import pytest
import requests

from aws import complete, connect, fails, keys, new_bucket_name, read, upload_parts
from juicefs import CLIENT, Gateway, client
from server import ROOT

pytestmark = pytest.mark.skipif(CLIENT is None, reason="no official JuiceFS client (tests/juicefs-client)")
PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def sides(make_session_server, ports, tmp_path_factory):
    """Clients of the two gateways."""
    server = make_session_server("beside", kind="juicefs-file").start()
    try:
        with Gateway(server.location, tmp_path_factory.mktemp("official"), ports.take(), ROOT) as theirs:
            yield {"ours": connect(server), "theirs": connect(theirs)}
        server.stop()
    finally:
        server.abandon()
    client("fsck", server.location)


@pytest.fixture(params=["ours", "theirs"])
def pair(sides, request):
    """(who does it, who looks at it): each way round."""
    return sides[request.param], sides["theirs" if request.param == "ours" else "ours"]


@pytest.fixture
def shared(pair):
    name = new_bucket_name()
    pair[0].create_bucket(Bucket=name)
    return name


SAID = {
    "ContentType": "text/x-notes",
    "CacheControl": "max-age=5",
    "ContentDisposition": 'attachment; filename="n.txt"',
    "Metadata": {"colour": '<blue> & "green"', "n": "1"},
}


def tags_of(s3, bucket, key):
    return {t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def tag_set(**tags):
    return {"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]}


def looks(s3, bucket, key, body, etag, said=SAID, tags=None):
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == body
    assert got["ETag"].strip('"') == etag.strip('"')
    assert {k: got.get(k) for k in said} == said
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ContentLength"] == len(body) and head["ETag"] == got["ETag"]
    assert tags_of(s3, bucket, key) == (tags or {})
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"][0]
    assert (listed["Key"], listed["Size"], listed["ETag"]) == (key, len(body), got["ETag"])


def md5(body):
    return hashlib.md5(body).hexdigest()


def test_buckets(pair, shared):
    one, other = pair
    assert shared in [b["Name"] for b in other.list_buckets()["Buckets"]]
    other.head_bucket(Bucket=shared)
    one.put_object(Bucket=shared, Key="deep/k", Body=b"x")
    with fails("BucketNotEmpty", 409):
        other.delete_bucket(Bucket=shared)
    for key in keys(other, shared):
        other.delete_object(Bucket=shared, Key=key)
    for key in keys(other, shared):  # a directory that nobody has marked is a key once it is empty
        other.delete_object(Bucket=shared, Key=key)
    other.delete_bucket(Bucket=shared)
    with fails("404"):
        one.head_bucket(Bucket=shared)


@pytest.mark.parametrize("size", [0, 1, 200_000, 9_000_000])
def test_object(pair, shared, size):
    one, other = pair
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    answer = one.put_object(Bucket=shared, Key="d/k.txt", Body=body, Tagging="a=1&b=two%20words", **SAID)
    assert answer["ETag"] == f'"{md5(body)}"'
    for s3 in (other, one):
        looks(s3, shared, "d/k.txt", body, md5(body), tags={"a": "1", "b": "two words"})
    if size > 1:
        assert read(other, shared, "d/k.txt", Range="bytes=1000-100999") == body[1000:101000]
        with fails("InvalidRange", 416):
            other.get_object(Bucket=shared, Key="d/k.txt", Range=f"bytes={size}-")


def test_multipart(pair, shared):
    one, other = pair
    parts = [b"1" * PART, b"2" * (PART + 1), b"3"]
    upload, done = upload_parts(one, shared, "m/k", parts, **SAID, Tagging="t=m")
    etag = complete(one, shared, "m/k", upload, done)["ETag"]
    assert etag == f'"{md5(b"".join(hashlib.md5(p).digest() for p in parts))}-3"'
    for s3 in (other, one):
        looks(s3, shared, "m/k", b"".join(parts), etag, tags={"t": "m"})
    assert keys(other, shared) == keys(one, shared) == ["m/k"]


def test_overwritten_and_deleted(pair, shared):
    one, other = pair
    for i, s3 in enumerate((one, other, one)):
        s3.put_object(Bucket=shared, Key="k", Body=b"x" * i, **({} if i == 1 else SAID), Tagging=f"i={i}")
        said = {"Metadata": {}} if i == 1 else SAID
        for reader in pair:
            looks(reader, shared, "k", b"x" * i, md5(b"x" * i), said, {"i": str(i)})
    other.delete_object(Bucket=shared, Key="k")
    with fails("404"):
        one.head_object(Bucket=shared, Key="k")
    assert keys(one, shared) == []


def test_tags_changed_by_the_other(pair, shared):
    one, other = pair
    one.put_object(Bucket=shared, Key="k", Body=b"x", Tagging="old=1", **SAID)
    for change, now in [({"new": "a b/c=d"}, other), ({}, other), ({"again": "1"}, one), ({"last": "/+:"}, other)]:
        if change:
            now.put_object_tagging(Bucket=shared, Key="k", Tagging=tag_set(**change))
        else:
            now.delete_object_tagging(Bucket=shared, Key="k")
        for s3 in pair:
            looks(s3, shared, "k", b"x", md5(b"x"), tags=change)


def test_metadata_changed_by_the_other(pair, shared):
    """A copy onto itself; then what the first one changes of that again."""
    one, other = pair
    one.put_object(Bucket=shared, Key="k", Body=b"x", Tagging="t=1", **SAID)
    new = {"ContentType": "image/x-other", "Metadata": {"only": "this"}}
    other.copy_object(Bucket=shared, Key="k", CopySource={"Bucket": shared, "Key": "k"}, MetadataDirective="REPLACE", **new)
    for s3 in pair:
        looks(s3, shared, "k", b"x", md5(b"x"), {**new, "CacheControl": None, "ContentDisposition": None}, {"t": "1"})
    one.put_object_tagging(Bucket=shared, Key="k", Tagging=tag_set(t="2"))
    for s3 in pair:
        looks(s3, shared, "k", b"x", md5(b"x"), {**new, "CacheControl": None}, {"t": "2"})


def test_copied_by_the_other(pair, shared):
    one, other = pair
    body = b"c" * 300_000
    one.put_object(Bucket=shared, Key="k", Body=body, Tagging="t=1", **SAID)
    other.copy_object(Bucket=shared, Key="d/copy", CopySource={"Bucket": shared, "Key": "k"})
    for s3 in pair:
        looks(s3, shared, "d/copy", body, md5(body), tags={"t": "1"})
    one.delete_object(Bucket=shared, Key="k")
    assert read(other, shared, "d/copy") == body


def test_directory_objects(pair, shared):
    one, other = pair
    one.put_object(Bucket=shared, Key="explicit/")
    one.put_object(Bucket=shared, Key="explicit/k", Body=b"x")
    one.put_object(Bucket=shared, Key="implicit/k", Body=b"x")
    assert other.head_object(Bucket=shared, Key="explicit/")["ContentLength"] == 0
    with fails("404"):
        other.head_object(Bucket=shared, Key="explicit")
    for s3 in pair:
        assert "explicit/" in keys(s3, shared)
        folders = [p["Prefix"] for p in s3.list_objects_v2(Bucket=shared, Delimiter="/").get("CommonPrefixes", [])]
        assert folders == ["explicit/", "implicit/"]
    other.delete_object(Bucket=shared, Key="explicit/k")
    other.delete_object(Bucket=shared, Key="implicit/k")
    for s3 in pair:
        s3.head_object(Bucket=shared, Key="explicit/")
    other.delete_object(Bucket=shared, Key="explicit/")
    for s3 in pair:
        assert "explicit/" not in keys(s3, shared)
        with fails("404"):
            s3.head_object(Bucket=shared, Key="explicit/")


def test_directory_made_explicit_by_the_other(pair, shared):
    """What one made on the way, the other makes an object: it stays when it is empty."""
    one, other = pair
    one.put_object(Bucket=shared, Key="d/k", Body=b"x")
    other.put_object(Bucket=shared, Key="d/")
    for s3 in pair:
        assert keys(s3, shared) == ["d/", "d/k"]
    one.delete_object(Bucket=shared, Key="d/k")
    for s3 in pair:
        assert keys(s3, shared) == ["d/"]


def test_directory_object_deleted_by_the_other(pair, shared):
    """With something below it the directory stays as a prefix, and goes with its last object."""
    one, other = pair
    one.put_object(Bucket=shared, Key="d/")
    one.put_object(Bucket=shared, Key="d/k", Body=b"x")
    other.delete_object(Bucket=shared, Key="d/")
    for s3 in pair:
        assert keys(s3, shared) == ["d/k"]
        with fails("404"):
            s3.head_object(Bucket=shared, Key="d/")
    one.delete_object(Bucket=shared, Key="d/k")
    for s3 in pair:
        assert keys(s3, shared) == []
        assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=shared, Delimiter="/")


def test_presigned(pair, shared):
    one, other = pair
    url = one.generate_presigned_url("put_object", Params={"Bucket": shared, "Key": "p"})
    assert requests.put(url, data=b"presigned", timeout=30).status_code == 200
    assert read(other, shared, "p") == b"presigned"


def test_own_state_is_nobodys_object(pair, shared):
    """Neither shows the other's uploads in progress, nor is kept from removing the bucket by what they leave."""
    one, other = pair
    parts = [b"x" * PART, b"y"]
    upload, done = upload_parts(one, shared, "k", parts)
    aborted, _ = upload_parts(one, shared, "other", parts[:1])
    assert keys(other, shared) == [] and "CommonPrefixes" not in other.list_objects_v2(Bucket=shared, Delimiter="/")
    complete(one, shared, "k", upload, done)
    one.abort_multipart_upload(Bucket=shared, Key="other", UploadId=aborted)
    assert keys(other, shared) == ["k"]
    other.delete_object(Bucket=shared, Key="k")
    other.delete_bucket(Bucket=shared)


def test_bucket_configuration_goes_with_the_bucket(sides):
    bucket = new_bucket_name()
    ours, theirs = sides["ours"], sides["theirs"]
    ours.create_bucket(Bucket=bucket)
    ours.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(team="blue"))
    theirs.delete_bucket(Bucket=bucket)
    theirs.create_bucket(Bucket=bucket)
    with fails("NoSuchTagSet", 404):
        ours.get_bucket_tagging(Bucket=bucket)
