"""Buckets."""

import pytest

from aws import connect, fails, keys, new_bucket_name, put_all, status_of
from server import REGION, eventually
from wire import Wire


@pytest.mark.posix
def test_life_of_a_bucket(s3, server):
    name = new_bucket_name()
    with fails("404", 404):
        s3.head_bucket(Bucket=name)
    made = s3.create_bucket(Bucket=name)
    assert made["Location"] == f"/{name}"
    assert (server.volume / name).is_dir()
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == REGION
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
    s3.delete_bucket(Bucket=name)
    assert not (server.volume / name).exists()
    with fails("NoSuchBucket", 404):
        s3.delete_bucket(Bucket=name)


def test_created_again(s3, bucket):
    """us-east-1 answers 200 to its owner."""
    assert status_of(s3.create_bucket(Bucket=bucket)) == 200


def test_delete_of_a_full_bucket(s3, bucket, folder):
    put_all(s3, bucket, ["d/k"])
    with fails("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="d/k")
    s3.delete_bucket(Bucket=bucket)
    assert not folder.exists()


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "UPPER", "under_score", "-start", "end-", "a..b", ".start", "192.168.1.1", "sp ace", "a.-b", "xn--a", ".sluice", "a\\b", "ü"],
)
def test_bad_names(wire, server, name):
    answer = wire.call("PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer
    assert name == ".sluice" or not (server.volume / name).exists()


def test_good_names(s3):
    for name in ("abc", "a-b.c", "0start", "a" * 63, "a.b.c"):
        s3.create_bucket(Bucket=name)
        s3.delete_bucket(Bucket=name)


def test_location_constraints(wire):
    name = new_bucket_name()
    body = b"<CreateBucketConfiguration><LocationConstraint>eu-mars-7</LocationConstraint></CreateBucketConfiguration>"
    answer = wire.call("PUT", f"/{name}", body=body)
    assert answer.status == 400 and answer.code in ("InvalidLocationConstraint", "IllegalLocationConstraintException"), answer
    assert wire.call("HEAD", f"/{name}").status == 404


def test_malformed_configuration(wire):
    answer = wire.call("PUT", f"/{new_bucket_name()}", body=b"<CreateBucketConfiguration><Loc")
    assert (answer.status, answer.code) == (400, "MalformedXML")


@pytest.mark.parametrize("sub", ["acl", "versioning", "location", "policy", "cors", "lifecycle", "tagging", "encryption", "website", "logging"])
def test_sub_resources_of_no_bucket(wire, sub):
    answer = wire.call("GET", "/no-such-bucket-here", [(sub, "")])
    assert (answer.status, answer.code) == (404, "NoSuchBucket"), answer


def test_bucket_paths_with_and_without_slash(wire, bucket):
    assert wire.call("HEAD", f"/{bucket}").status == wire.call("HEAD", f"/{bucket}/").status == 200
    for path in (f"/{bucket}", f"/{bucket}/"):
        assert wire.call("GET", path, [("list-type", "2")]).status == 200


def test_another_region(private_server):
    server = private_server("region", options=["--region", "eu-mars-7"])
    wire = Wire(server, region="eu-mars-7")
    assert wire.call("PUT", "/elsewhere").status == 200
    assert wire.call("GET", "/elsewhere", [("location", "")]).xml().text == "eu-mars-7"
    wrong = Wire(server).call("GET", "/elsewhere")
    assert (wrong.status, wrong.code) == (400, "AuthorizationHeaderMalformed")
    assert wrong.xml().findtext("Region") == "eu-mars-7"


def test_users_share_buckets(server, s3, bucket):
    """Without policies, who may write may write everywhere."""
    credentials = server.add_user(f"user-{bucket}")
    assert eventually(lambda: Wire(server, credentials).call("GET", "/").status == 200, timeout=5 * server.slowness)
    other = connect(server, credentials)
    assert bucket in [b["Name"] for b in other.list_buckets()["Buckets"]]
    put_all(other, bucket, ["k"])
    assert keys(s3, bucket) == ["k"]
