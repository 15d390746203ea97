"""Ownership controls and access control lists with real clients, where lists count: users are accounts, and need grants."""

import json

import pytest
from botocore import UNSIGNED

from aws import complete, connect, fails, keys, new_bucket_name, read, upload_parts
from clients import AwsCliCurrent, AwsCliDebian
from server import eventually

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


class People:
    """Two users and nobody in particular of one gateway."""

    def __init__(self, server):
        self.server = server
        self.credentials = {name: server.add_user(name, "--email", f"{name}@example.org", "--display-name", name.title()) for name in ("ann", "bob")}
        self.ann, self.bob = (connect(server, credentials) for credentials in self.credentials.values())
        self.nobody = connect(server, signature=UNSIGNED)
        eventually(lambda: self.id(self.ann) and self.id(self.bob), timeout=10 * server.slowness)

    @staticmethod
    def id(client):
        try:
            return client.list_buckets()["Owner"]["ID"]
        except client.exceptions.ClientError:
            return None


@pytest.fixture
def people(private_server):
    return People(private_server("acl", options=["--object-ownership", "ObjectWriter"]))


@pytest.fixture
def mine(people):
    """A bucket of Ann's with one object."""
    name = new_bucket_name()
    people.ann.create_bucket(Bucket=name)
    people.ann.put_object(Bucket=name, Key="k", Body=b"content")
    return name


def test_grants_open_and_close(people, mine):
    for client in (people.bob, people.nobody):
        with fails("AccessDenied", 403):
            read(client, mine, "k")
    assert people.bob.list_buckets()["Buckets"] == []
    people.ann.put_object_acl(Bucket=mine, Key="k", ACL="public-read")
    people.ann.put_bucket_acl(Bucket=mine, GrantRead='emailAddress="BOB@example.org"')
    assert read(people.nobody, mine, "k") == read(people.bob, mine, "k") == b"content"
    assert keys(people.bob, mine) == ["k"]
    with fails("AccessDenied", 403):
        people.nobody.list_objects_v2(Bucket=mine)
    with fails("NoSuchKey", 404):
        read(people.bob, mine, "absent")
    with fails("AccessDenied", 403):
        read(people.nobody, mine, "absent")
    people.ann.put_object(Bucket=mine, Key="k", Body=b"new")  # a new object, a new list
    with fails("AccessDenied", 403):
        read(people.nobody, mine, "k")


def test_lists_as_documents(people, mine):
    acl = people.ann.get_object_acl(Bucket=mine, Key="k")
    owner = {"DisplayName": "Ann", "ID": people.id(people.ann)}
    assert acl["Owner"] == owner
    assert acl["Grants"] == [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
    grants = acl["Grants"] + [
        {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
        {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "bob@example.org"}, "Permission": "READ_ACP"},
    ]
    people.ann.put_object_acl(Bucket=mine, Key="k", AccessControlPolicy={"Grants": grants, "Owner": owner})
    got = people.bob.get_object_acl(Bucket=mine, Key="k")["Grants"]
    assert [g["Grantee"].get("URI") or g["Grantee"]["DisplayName"] for g in got] == [ALL_USERS, "Ann", "Bob"]
    assert read(people.nobody, mine, "k") == b"content"
    with fails("AccessDenied", 403):
        people.bob.put_object_acl(Bucket=mine, Key="k", ACL="private")
    with fails("UnresolvableGrantByEmailAddress", 400):
        people.ann.put_object_acl(Bucket=mine, Key="k", GrantRead='emailAddress="no@one"')


def test_writers_own_what_they_write(people, mine):
    people.ann.put_bucket_acl(Bucket=mine, GrantWrite=f'id="{people.id(people.bob)}"')
    people.bob.put_object(Bucket=mine, Key="bobs", Body=b"b")
    upload, parts = upload_parts(people.bob, mine, "mp", [b"only part"])
    complete(people.bob, mine, "mp", upload, parts)
    for key in ("bobs", "mp"):
        assert people.bob.get_object_acl(Bucket=mine, Key=key)["Owner"]["DisplayName"] == "Bob"
        with fails("AccessDenied", 403):
            read(people.ann, mine, key)
    listed = people.ann.list_objects_v2(Bucket=mine, FetchOwner=True)["Contents"]
    assert [(o["Key"], o["Owner"]["DisplayName"]) for o in listed] == [("bobs", "Bob"), ("k", "Ann"), ("mp", "Bob")]
    people.bob.put_object(Bucket=mine, Key="bobs", Body=b"b", ACL="bucket-owner-full-control")
    assert read(people.ann, mine, "bobs") == b"b"
    people.ann.delete_object(Bucket=mine, Key="mp")


def test_deny_goes_before_lists(people, mine):
    people.ann.put_object_acl(Bucket=mine, Key="k", ACL="public-read")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{mine}/*"}
    people.ann.put_bucket_policy(Bucket=mine, Policy=json.dumps({"Version": "2012-10-17", "Statement": deny}))
    with fails("AccessDenied", 403):
        read(people.nobody, mine, "k")


def test_controls(people, mine):
    with fails("OwnershipControlsNotFoundError", 404):
        people.ann.get_bucket_ownership_controls(Bucket=mine)
    people.ann.put_bucket_acl(Bucket=mine, ACL="public-read")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with fails("InvalidBucketAclWithObjectOwnership", 400):
        people.ann.put_bucket_ownership_controls(Bucket=mine, OwnershipControls=enforced)
    people.ann.put_bucket_acl(Bucket=mine, ACL="private")
    people.ann.put_object_acl(Bucket=mine, Key="k", ACL="public-read")
    people.ann.put_bucket_ownership_controls(Bucket=mine, OwnershipControls=enforced)
    assert people.ann.get_bucket_ownership_controls(Bucket=mine)["OwnershipControls"] == enforced
    with fails("AccessDenied", 403):
        read(people.nobody, mine, "k")
    with fails("AccessControlListNotSupported", 400):
        people.ann.put_object_acl(Bucket=mine, Key="k", ACL="public-read")
    assert read(people.bob, mine, "k") == b"content", "members of one account again"


def test_lists_survive_a_restart(people, mine):
    people.ann.put_object_acl(Bucket=mine, Key="k", ACL="public-read")
    people.server.stop()
    people.server.start()
    assert read(people.nobody, mine, "k") == b"content"
    with fails("AccessDenied", 403):
        people.bob.get_object_acl(Bucket=mine, Key="k")


@pytest.mark.parametrize("cli", [AwsCliCurrent, AwsCliDebian], ids=lambda c: c.name)
def test_aws_cli(people, mine, tmp_path, cli):
    aws = cli(people.server, tmp_path, people.credentials["ann"])
    (tmp_path / "file").write_bytes(b"by cli")
    aws.cp("--acl", "public-read", tmp_path / "file", f"s3://{mine}/cli")
    assert read(people.nobody, mine, "cli") == b"by cli"
    grants = json.loads(aws.aws("s3api", "get-object-acl", "--output", "json", "--bucket", mine, "--key", "cli"))["Grants"]
    assert {g["Permission"] for g in grants} == {"READ", "FULL_CONTROL"}
    aws.aws("s3api", "put-object-acl", "--bucket", mine, "--key", "cli", "--grant-read", "emailaddress=bob@example.org")
    assert read(people.bob, mine, "cli") == b"by cli"
    with fails("AccessDenied", 403):
        read(people.nobody, mine, "cli")
