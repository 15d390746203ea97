"""Objects: what is stored with them, ranges, conditional reads, overrides, names that POSIX cannot hold."""

import datetime
import hashlib
from email.header import decode_header, make_header

import pytest

from aws import fails, keys, put_all, read, status_of

BODY = bytes(range(256)) * 40
HEADERS = {
    "CacheControl": "max-age=3600, private",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "ContentType": "text/html; charset=utf-8",
}


@pytest.fixture
def stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=BODY, **HEADERS)
    return {"Bucket": bucket, "Key": "object"}


def test_headers_come_back(s3, stored):
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    s3.put_object(**stored, Body=BODY, Expires=expires, Metadata={"A": "1", "b-c": "zwei"}, **HEADERS)
    for got in (s3.get_object(**stored), s3.head_object(**stored)):
        assert {k: got[k] for k in HEADERS} == HEADERS
        assert got["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"
        assert got["Metadata"] == {"a": "1", "b-c": "zwei"}
        assert got["AcceptRanges"] == "bytes"
        assert got["ContentLength"] == len(BODY)


def test_overwrite_replaces_everything(s3, stored):
    s3.put_object(**stored, Body=b"new", Metadata={"only": "this"})
    got = s3.get_object(**stored)
    assert got["Body"].read() == b"new"
    assert got["Metadata"] == {"only": "this"}
    assert "CacheControl" not in got and got["ContentType"] == "binary/octet-stream"


def test_etag_is_the_md5(s3, stored):
    assert s3.head_object(**stored)["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'


def test_last_modified_agrees(s3, stored, bucket):
    head = s3.head_object(**stored)["LastModified"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    assert head == listed.replace(microsecond=0)
    assert abs(head - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(seconds=60)


def test_utf8_metadata_by_rfc_2047(wire, stored, s3):
    """AWS answers values that are not ASCII RFC 2047-encoded; whatever the spelling, a client can tell the text."""
    path = f"/{stored['Bucket']}/meta"
    assert wire.call("PUT", path, headers=[("x-amz-meta-word", "=?UTF-8?B?w7xtbMOkdXQ=?=")], body=b"x").status == 200
    value = s3.head_object(Bucket=stored["Bucket"], Key="meta")["Metadata"]["word"]
    assert str(make_header(decode_header(value))) == "ümläut"


# Ranges.

N = len(BODY)
RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=0-99": (0, 100),
    "bytes=100-": (100, N),
    "bytes=-1": (N - 1, N),
    "bytes=-500": (N - 500, N),
    f"bytes=-{N + 5}": (0, N),
    f"bytes={N - 1}-": (N - 1, N),
    f"bytes=5-{N + 100}": (5, N),
    "bytes=0-99999999999999999999": (0, N),
}


@pytest.mark.parametrize("value", RANGES)
def test_ranges(s3, stored, value):
    start, end = RANGES[value]
    got = s3.get_object(**stored, Range=value)
    assert status_of(got) == 206
    assert got["Body"].read() == BODY[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/{N}"
    assert got["ContentLength"] == end - start
    head = s3.head_object(**stored, Range=value)
    assert (status_of(head), head["ContentRange"], head["ContentLength"]) == (206, got["ContentRange"], end - start)


@pytest.mark.parametrize("value", [f"bytes={N}-", f"bytes={N + 10}-{N + 20}", "bytes=-0"])
def test_unsatisfiable_ranges(s3, stored, wire, value):
    with fails("InvalidRange", 416):
        s3.get_object(**stored, Range=value)
    answer = wire.call("GET", f"/{stored['Bucket']}/object", headers=[("Range", value)])
    assert answer.header("Content-Range") in (f"bytes */{N}", None)
    assert answer.xml().findtext("ActualObjectSize") == str(N)


@pytest.mark.parametrize("value", ["bytes=5-2", "bytes=", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "0-5", "bytes=--5"])
def test_ranges_that_are_ignored(s3, stored, value):
    """RFC 9110: what is not understood is not there; AWS also ignores several ranges."""
    got = s3.get_object(**stored, Range=value)
    assert status_of(got) == 200
    assert got["Body"].read() == BODY


def test_ranges_of_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    with fails("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-0")
    with fails("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=-1")
    assert read(s3, bucket, "empty") == b""


def test_if_range(wire, stored, s3):
    etag = s3.head_object(**stored)["ETag"]
    path = f"/{stored['Bucket']}/object"
    assert wire.call("GET", path, headers=[("Range", "bytes=0-4"), ("If-Range", etag)]).status == 206
    assert wire.call("GET", path, headers=[("Range", "bytes=0-4"), ("If-Range", '"other"')]).status == 200


def test_large_object_ranges(s3, bucket):
    big = hashlib.sha256(b"seed").digest() * 320_000
    s3.put_object(Bucket=bucket, Key="big", Body=big)
    for start in (0, 1, 65_535, 65_536, 5_000_000, len(big) - 1):
        got = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={start}-{start + 1_000_000}")
        assert got["Body"].read() == big[start : start + 1_000_001]
    assert read(s3, bucket, "big") == big


# Conditional reads.

PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
FUTURE = datetime.datetime(2090, 1, 1, tzinfo=datetime.timezone.utc)
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
OTHER = '"00000000000000000000000000000000"'
CONDITIONS = [
    ({"IfMatch": ETAG}, 200),
    ({"IfMatch": ETAG.strip('"')}, 200),
    ({"IfMatch": "*"}, 200),
    ({"IfMatch": f"{OTHER}, {ETAG}"}, 200),
    ({"IfMatch": OTHER}, 412),
    ({"IfNoneMatch": OTHER}, 200),
    ({"IfNoneMatch": ETAG}, 304),
    ({"IfNoneMatch": ETAG.strip('"')}, 304),
    ({"IfNoneMatch": f"W/{ETAG}"}, 304),
    ({"IfNoneMatch": "*"}, 304),
    ({"IfModifiedSince": PAST}, 200),
    ({"IfUnmodifiedSince": PAST}, 412),
    ({"IfUnmodifiedSince": FUTURE}, 200),
    ({"IfMatch": ETAG, "IfUnmodifiedSince": PAST}, 200),
    ({"IfNoneMatch": OTHER, "IfModifiedSince": FUTURE}, 200),
    ({"IfNoneMatch": ETAG, "IfModifiedSince": PAST}, 304),
]


@pytest.mark.parametrize("conditions, status", CONDITIONS, ids=str)
def test_conditional_reads(s3, stored, conditions, status):
    for call in (s3.get_object, s3.head_object):
        if status == 200:
            assert status_of(call(**stored, **conditions)) == 200
            continue
        code = "PreconditionFailed" if status == 412 and call == s3.get_object else str(status)
        with fails(code, status):
            call(**stored, **conditions)


def test_not_modified_since_last_modified(s3, stored):
    stamp = s3.head_object(**stored)["LastModified"]
    with fails("304", 304):
        s3.get_object(**stored, IfModifiedSince=stamp)
    assert status_of(s3.get_object(**stored, IfUnmodifiedSince=stamp)) == 200


def test_malformed_dates_are_ignored(wire, stored):
    path = f"/{stored['Bucket']}/object"
    assert wire.call("GET", path, headers=[("If-Modified-Since", "yesterday")]).status == 200
    assert wire.call("GET", path, headers=[("If-Unmodified-Since", "yesterday")]).status == 200


# Overrides.


def test_response_overrides(s3, stored):
    overrides = {
        "ResponseContentType": "x/y",
        "ResponseContentDisposition": "inline",
        "ResponseContentEncoding": "br",
        "ResponseContentLanguage": "fr",
        "ResponseCacheControl": "no-cache",
    }
    for got in (s3.get_object(**stored, **overrides), s3.head_object(**stored, **overrides)):
        assert got["ContentType"] == "x/y"
        assert got["ContentDisposition"] == "inline"
        assert got["ContentEncoding"] == "br"
        assert got["ContentLanguage"] == "fr"
        assert got["CacheControl"] == "no-cache"


def test_overrides_cannot_inject_headers(wire, stored):
    answer = wire.call("GET", f"/{stored['Bucket']}/object", [("response-content-type", "a\r\nX-Injected: 1")])
    assert answer.status == 400 or answer.header("X-Injected") is None
    assert b"X-Injected" not in answer.raw_head


# Names.

UNTENABLE = [
    "a//b",
    "/a",
    "a/./b",
    "a/../b",
    "..",
    ".",
    "../x",
    "a/..",
    "./a",
    "x" * 256,
    "a/" + "y" * 300,
    "nul\0byte",
    ".sluice/x",
    ".sluice",
    "a/.sluice/x",
    ".minio.sys/x",
]


@pytest.mark.parametrize("key", UNTENABLE, ids=lambda k: k[:20].replace("\0", "NUL"))
def test_names_that_cannot_be_are_refused(wire, bucket, folder, key):
    """Never normalised, never reached, never a 5xx."""
    before = sorted(p for p in folder.rglob("*"))
    answer = wire.call("PUT", f"/{bucket}/{key}", body=b"x")
    assert answer.status in (400, 403), answer
    for method in ("GET", "DELETE", "HEAD"):
        assert wire.call(method, f"/{bucket}/{key}").status in (204, 400, 403, 404), method
    assert sorted(p for p in folder.rglob("*")) == before


def test_key_too_long(wire, bucket):
    """SEC-55: an answer, not a failure."""
    answer = wire.call("PUT", f"/{bucket}/" + "/".join(["k" * 200] * 6), body=b"x")
    assert (answer.status, answer.code) == (400, "KeyTooLongError")


@pytest.mark.parametrize("target", ["/{bucket}/%ff%fe", "/{bucket}/a%c0%afb", "/{bucket}/%zz", "/{bucket}/%2", "/{bucket}/a%00b"])
def test_targets_that_are_no_text(wire, bucket, folder, target):
    answer = wire.send(wire.anonymous("PUT", target.format(bucket=bucket), body=b"x"))
    assert answer.status in (400, 403), answer
    assert not [p for p in folder.iterdir() if p.name != ".sluice"]


def test_encoded_dots_and_slashes_do_not_walk(wire, bucket, s3):
    """SEC-20: what was decoded once is what is checked and opened; %252e stays text."""
    s3.put_object(Bucket=bucket, Key="%2e%2e", Body=b"literal")
    assert read(s3, bucket, "%2e%2e") == b"literal"
    answer = wire.send(wire.anonymous("GET", f"/{bucket}/%2e%2e/%2e%2e/etc/passwd"))
    assert answer.status in (400, 403, 404)


def test_delete(s3, bucket, folder):
    put_all(s3, bucket, ["d/e/f", "d/g"])
    s3.delete_object(Bucket=bucket, Key="d/e/f")
    assert keys(s3, bucket) == ["d/g"]
    assert not (folder / "d/e").exists()
    s3.delete_object(Bucket=bucket, Key="d/e/f")  # once more: 204 as well
    s3.delete_object(Bucket=bucket, Key="d/g")
    assert not (folder / "d").exists()
    with fails("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="d/g")


def test_reader_in_flight_keeps_the_old_bytes(wire, s3, bucket):
    old, new = b"o" * 8_000_000, b"n" * 8_000_000
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    with wire.connect() as c:
        c.send(wire.request("GET", f"/{bucket}/k").encode())
        status, _, headers, _ = c.head()
        s3.put_object(Bucket=bucket, Key="k", Body=new)
        assert c.exactly(len(old)) == old
    assert read(s3, bucket, "k") == new
