"""Listings: order, delimiters, pages, encodings, in all three dialects."""

import random
import urllib.parse

import pytest

from aws import fails, keys, put_all, status_of

# A file "a" and a prefix "a/" cannot both be; the rest of the neighbourhood can.
NEIGHBOURS = [
    "a!",
    "a-",
    "a.",
    "a.b/c",
    "a/b",
    "a/b-",
    "a/b.",
    "a/b.c/d",
    "a/b0",
    "a/c/d",
    "a0",
    "a00/b",
    "ab",
    "b/",
    "z/é",
    "z/日",
    "z/😀",
    "Z",
    "_",
]


def in_order(names):
    return sorted(names, key=lambda k: k.encode())


@pytest.fixture
def filled(s3, bucket):
    put_all(s3, bucket, random.Random(5).sample(NEIGHBOURS, len(NEIGHBOURS)), b"")
    return bucket


def pages_v1(s3, bucket, size, **more):
    """(keys, prefixes) of each page, by the rules of v1."""
    marker = ""
    while True:
        page = s3.list_objects(Bucket=bucket, MaxKeys=size, Marker=marker, **more)
        yield [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            return
        last = [o["Key"] for o in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        new = page.get("NextMarker") or max(last, key=str.encode)
        assert new.encode() > marker.encode(), "the marker goes on"
        marker = new


def pages_v2(s3, bucket, size, **more):
    seen, token = set(), {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=size, **token, **more)
        found = [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(found[0]) + len(found[1]) <= size
        yield found
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            return
        assert page["KeyCount"] > 0
        token = {"ContinuationToken": page["NextContinuationToken"]}
        assert token["ContinuationToken"] not in seen, "the same token twice"
        seen.add(token["ContinuationToken"])


def pages_versions(s3, bucket, size, **more):
    marker = {}
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=size, **marker, **more)
        assert all(v["VersionId"] == "null" and v["IsLatest"] for v in page.get("Versions", []))
        assert not page.get("DeleteMarkers")
        yield [v["Key"] for v in page.get("Versions", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            return
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            marker["VersionIdMarker"] = page["NextVersionIdMarker"]


DIALECTS = {"v1": pages_v1, "v2": pages_v2, "versions": pages_versions}


@pytest.fixture(params=DIALECTS)
def pages(request):
    return DIALECTS[request.param]


def whole(pages):
    """All pages put together; nothing twice, both lists in order."""
    names, prefixes = [], []
    for page_names, page_prefixes in pages:
        names += page_names
        prefixes += page_prefixes
    assert names == in_order(set(names)) and prefixes == in_order(set(prefixes))
    return names, prefixes


def rolled_up(names, prefix="", delimiter=""):
    """The reference: what S3 shows of these keys."""
    found, prefixes = [], set()
    for name in in_order(n for n in names if n.startswith(prefix)):
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            found.append(name)
        else:
            prefixes.add(name[: at + len(delimiter)])
    return found, in_order(prefixes)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_byte_order_whatever_the_page(s3, filled, pages, size):
    """A directory sorts as its name with the slash: 'a-' 'a.' 'a/' 'a0'."""
    assert whole(pages(s3, filled, size))[0] == in_order(NEIGHBOURS)


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize(
    "prefix, delimiter",
    [
        ("", "/"),
        ("a", "/"),
        ("a/", "/"),
        ("a/b", "/"),
        ("a/b.c/", "/"),
        ("b/", "/"),
        ("", "."),
        ("a/", "."),
        ("", "a"),
        ("", "/b"),
        ("a", "b"),
        ("", "é"),
        ("z/", "/"),
        ("nothing", "/"),
        ("a/c/d", "/"),
        ("", "a/"),
        ("z", "/\u65e5"),
        ("", "0"),
    ],
)
def test_delimiters(s3, filled, pages, size, prefix, delimiter):
    assert whole(pages(s3, filled, size, Prefix=prefix, Delimiter=delimiter)) == rolled_up(NEIGHBOURS, prefix, delimiter)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b.", "b", "b/", "b/x", "z/", "/", "a//", "../", "é"])
def test_prefixes(s3, filled, pages, prefix):
    assert whole(pages(s3, filled, 1000, Prefix=prefix))[0] == rolled_up(NEIGHBOURS, prefix)[0]


@pytest.mark.parametrize("after", ["", "a", "a.", "a.b", "a.b/c", "a/", "a/b", "a/b.c/", "a/b/zzz", "b", "b/", "zz", "a/c", "z/日", "\x01"])
def test_start_after(s3, filled, after):
    expected = in_order(n for n in NEIGHBOURS if n.encode() > after.encode())
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=filled, StartAfter=after).get("Contents", [])] == expected
    assert [o["Key"] for o in s3.list_objects(Bucket=filled, Marker=after).get("Contents", [])] == expected
    assert [o["Key"] for o in s3.list_object_versions(Bucket=filled, KeyMarker=after).get("Versions", [])] == expected


def test_start_after_with_delimiter(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, StartAfter="a/zzz", Delimiter="/")
    assert "a/" not in [p["Prefix"] for p in page["CommonPrefixes"]]
    page = s3.list_objects(Bucket=filled, Marker="a/", Delimiter="/")
    assert "a/" not in [p["Prefix"] for p in page["CommonPrefixes"]], "v1: a prefix as marker is behind us"


def test_no_prefix_twice_over_pages(s3, bucket):
    put_all(s3, bucket, [f"d{i}/{j}" for i in range(5) for j in range(5)])
    for pages in DIALECTS.values():
        assert whole(pages(s3, bucket, 1, Delimiter="/")) == ([], [f"d{i}/" for i in range(5)])


def test_fields(s3, bucket):
    put_all(s3, bucket, ["k"], b"12345")
    page = s3.list_objects_v2(Bucket=bucket, Prefix="k", Delimiter="/", MaxKeys=7, StartAfter="a", FetchOwner=True)
    assert (page["Name"], page["Prefix"], page["Delimiter"], page["MaxKeys"], page["StartAfter"]) == (bucket, "k", "/", 7, "a")
    (item,) = page["Contents"]
    assert (item["Size"], item["StorageClass"]) == (5, "STANDARD")
    assert item["ETag"] == s3.head_object(Bucket=bucket, Key="k")["ETag"]
    assert item["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"] == item["Owner"]["ID"]
    assert s3.list_object_versions(Bucket=bucket)["Versions"][0]["Owner"]["ID"] == item["Owner"]["ID"]


def test_empty_bucket(s3, bucket):
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"], page.get("Contents")) == (0, False, None)
    assert s3.list_objects(Bucket=bucket)["IsTruncated"] is False
    assert s3.list_object_versions(Bucket=bucket)["IsTruncated"] is False


def test_max_keys_zero(s3, filled):
    for call in (s3.list_objects_v2, s3.list_objects, s3.list_object_versions):
        page = call(Bucket=filled, MaxKeys=0)
        assert (page["IsTruncated"], page["MaxKeys"], page.get("Contents", page.get("Versions"))) == (False, 0, None)


def test_max_keys_is_capped_at_1000(s3, bucket, folder):
    for i in range(1005):
        (folder / f"{i:04d}").touch()
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert (len(page["Contents"]), page["MaxKeys"], page["IsTruncated"]) == (1000, 1000, True)
    assert len(keys(s3, bucket)) == 1005


@pytest.mark.parametrize("value", ["-1", "x", "", "1.5", "99999999999"])
def test_bad_max_keys(wire, bucket, value):
    answer = wire.call("GET", f"/{bucket}", [("list-type", "2"), ("max-keys", value)])
    assert (answer.status == 200 and value in ("", "99999999999")) or (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_bad_token(s3, filled):
    with fails("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=filled, ContinuationToken="not a token")


def test_token_survives_changes_and_deletes(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=4)
    shown = [o["Key"] for o in page["Contents"]]
    s3.delete_object(Bucket=filled, Key=shown[-1])
    put_all(s3, filled, ["!first", "~last"])
    rest = s3.list_objects_v2(Bucket=filled, ContinuationToken=page["NextContinuationToken"])
    assert [o["Key"] for o in rest["Contents"]] == in_order([n for n in NEIGHBOURS if n not in shown] + ["~last"])


def test_start_after_counts_on_the_first_page_only(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=1, StartAfter="a/")
    again = s3.list_objects_v2(Bucket=filled, MaxKeys=1, StartAfter="zzz", ContinuationToken=page["NextContinuationToken"])
    assert again["Contents"]


ODD = ["a b", "a+b", "a%b", "a&b<c>", 'a"b', "a\tb", "é/日", "a\x01b", "a\x7fb"]


def test_url_encoding(wire, s3, bucket, folder):
    for name in ODD:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    assert keys(s3, bucket) == in_order(ODD), "boto3 asks for url encoding and decodes it"
    for query in ([("list-type", "2")], [], [("versions", "")]):
        answer = wire.call("GET", f"/{bucket}", [*query, ("encoding-type", "url"), ("prefix", "a "), ("delimiter", " ")])
        document = answer.xml()
        assert document.findtext("EncodingType") == "url"
        assert document.findtext("Prefix") in ("a+", "a%20")
        assert document.findtext("Delimiter") in ("+", "%20")
        assert urllib.parse.unquote_plus(document.findtext(".//Key")) == "a b"


def test_without_url_encoding_the_xml_is_well_formed(wire, bucket, folder):
    for name in ODD:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    for query in ([("list-type", "2")], [], [("versions", "")]):
        answer = wire.call("GET", f"/{bucket}", query)
        assert answer.status == 200
        found = [e.text for e in answer.xml().iter("Key")]
        assert {n for n in ODD if "\x01" not in n} <= set(found)


def test_unknown_encoding_type(wire, bucket):
    answer = wire.call("GET", f"/{bucket}", [("encoding-type", "base64")])
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_directories_in_listings(s3, bucket, folder):
    """Explicit ones are keys, implicit ones are not, empty POSIX ones are visible somehow."""
    put_all(s3, bucket, ["i/k"])
    s3.put_object(Bucket=bucket, Key="e/", Body=b"")
    put_all(s3, bucket, ["e/k"])
    assert keys(s3, bucket) == ["e/", "e/k", "i/k"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["e/", "i/"] and "Contents" not in page
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="e/")
    assert [o["Key"] for o in page["Contents"]] == ["e/", "e/k"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="i/")
    assert [o["Key"] for o in page["Contents"]] == ["i/k"], "MLflow would show the marker as a file"


def test_no_such_bucket(s3):
    for call in (s3.list_objects_v2, s3.list_objects, s3.list_object_versions, s3.list_multipart_uploads):
        with fails("NoSuchBucket", 404):
            call(Bucket="no-such-bucket-at-all")


def test_read_after_write_in_listings(s3, bucket):
    """No cache of a directory's order may show the past."""
    for i in range(30):
        put_all(s3, bucket, [f"d/{i:02d}"])
        assert len(keys(s3, bucket, Prefix="d/")) == i + 1
    for i in range(30):
        s3.delete_object(Bucket=bucket, Key=f"d/{i:02d}")
        assert len(keys(s3, bucket, Prefix="d/")) == 29 - i


def test_listing_while_it_changes(server, s3, bucket, folder):
    """Keys that are there all the time are listed once each, whatever else comes and goes."""
    for i in range(500):
        (folder / f"stay{i:03d}").touch()
    for turn in range(5):
        found, token = [], {}
        while True:
            page = s3.list_objects_v2(Bucket=bucket, MaxKeys=50, **token)
            found += [o["Key"] for o in page["Contents"] if o["Key"].startswith("stay")]
            (folder / f"come{turn}-{len(found)}").touch()
            for gone in list(folder.glob("come*"))[:-2]:
                gone.unlink()
            if not page["IsTruncated"]:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        assert found == [f"stay{i:03d}" for i in range(500)]


@pytest.mark.heavy
def test_large_flat_directory(s3, bucket, folder):
    for i in range(20_000):
        (folder / f"{i:05d}").touch()
    assert len(keys(s3, bucket)) == 20_000
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="19990")
    assert len(page["Contents"]) == 9 and status_of(page) == 200


def test_list_buckets(s3, wire, bucket):
    listed = {b["Name"]: b["CreationDate"] for b in s3.list_buckets()["Buckets"]}
    assert bucket in listed
    names, token = [], {}
    while True:
        page = s3.list_buckets(MaxBuckets=2, **token)
        names += [b["Name"] for b in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert set(names) >= {bucket} and names == sorted(names)
    assert [b["Name"] for b in s3.list_buckets(Prefix=bucket)["Buckets"]] == [bucket]
    assert s3.list_buckets()["Owner"]["ID"]
