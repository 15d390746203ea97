"""Policies of users and groups: from the command line, in force without a restart."""

import json

import pytest

from aws import connect, connect_new_user, fails, read
from server import eventually


def command(server, *words, check=True):
    """`sluice WORDS` on the server's own store."""
    return server.run(*words, "--state", str(server.state), check=check)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def may(call, **arguments):
    try:
        call(**arguments)
    except call.__self__.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "403"):
            return False
        raise
    return True


@pytest.fixture
def put_policy(server, tmp_path):
    def put(name, text, check=True):
        file = tmp_path / "policy.json"
        file.write_text(text)
        return command(server, "policy", "put", name, str(file), check=check)

    return put


def test_canned_policies(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    client = connect_new_user(server, "policy-canned")
    calls = {
        "read": lambda: may(client.get_object, Bucket=bucket, Key="k"),
        "list": lambda: may(client.list_objects_v2, Bucket=bucket),
        "write": lambda: may(client.put_object, Bucket=bucket, Key="new", Body=b"y"),
        "delete": lambda: may(client.delete_object, Bucket=bucket, Key="new"),
        "rule": lambda: may(client.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": []}),
    }
    expected = {
        "readonly": {"read", "list"},
        "readwrite": {"read", "list", "write", "delete"},
        "writeonly": {"write"},
        "owner": set(),
        "admin": set(calls),
    }
    for policy, allowed in expected.items():
        command(server, "user", "attach", "policy-canned", policy)
        assert eventually(lambda: {name for name, call in calls.items() if call()} == allowed, timeout=10)
        command(server, "user", "detach", "policy-canned", policy)


def test_group_policy_with_variables(server, s3, bucket, put_policy):
    """Everybody's own prefix, by one policy of a group; a change counts without a restart."""
    home = f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*"
    put_policy("homes", document(allow(["s3:GetObject", "s3:PutObject"], home)))
    command(server, "group", "add", "people")
    command(server, "group", "attach", "people", "homes")
    clients = {}
    for name in ("policy-ann", "policy-ben"):
        clients[name] = connect_new_user(server, name)
        command(server, "group", "add-user", "people", name)
    assert eventually(lambda: not may(clients["policy-ben"].put_object, Bucket=bucket, Key="any", Body=b""), timeout=10)
    for name, client in clients.items():
        client.put_object(Bucket=bucket, Key=f"home/{name}/k", Body=name.encode())
        assert read(client, bucket, f"home/{name}/k") == name.encode()
        other = "policy-ben" if name == "policy-ann" else "policy-ann"
        with fails("AccessDenied", 403):
            client.put_object(Bucket=bucket, Key=f"home/{other}/k", Body=b"x")
        with fails("AccessDenied", 403):
            client.list_objects_v2(Bucket=bucket)
        with fails("AccessDenied", 403):  # who may not list is not told what is absent
            client.get_object(Bucket=bucket, Key=f"home/{name}/absent")

    put_policy("homes", document(allow("s3:GetObject", home)))
    assert eventually(lambda: not may(clients["policy-ann"].put_object, Bucket=bucket, Key="home/policy-ann/k", Body=b"policy-ann"), timeout=10)
    assert read(clients["policy-ann"], bucket, "home/policy-ann/k") == b"policy-ann"
    rows = json.loads(command(server, "group", "list", "--json").stdout)
    assert rows == [{"group": "people", "members": ["policy-ann", "policy-ben"], "policies": ["homes"]}]

    command(server, "group", "remove-user", "people", "policy-ben")  # without a policy: as any new user
    assert eventually(lambda: may(clients["policy-ben"].put_object, Bucket=bucket, Key="any", Body=b""), timeout=10)


def test_deny_in_either_wins(server, s3, bucket, put_policy):
    s3.put_object(Bucket=bucket, Key="open", Body=b"x")
    s3.put_object(Bucket=bucket, Key="closed", Body=b"x")
    objects = f"arn:aws:s3:::{bucket}/*"
    put_policy("some", document(allow("s3:*", "*"), {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/closed"}))
    client = connect_new_user(server, "policy-dora")
    command(server, "user", "attach", "policy-dora", "some")
    assert eventually(lambda: not may(client.get_object, Bucket=bucket, Key="closed"), timeout=10)
    assert may(client.get_object, Bucket=bucket, Key="open")
    s3.put_bucket_policy(Bucket=bucket, Policy=document(allow("s3:GetObject", objects, Principal="*")))
    assert not may(client.get_object, Bucket=bucket, Key="closed"), "the user's own refusal stands"
    s3.put_bucket_policy(Bucket=bucket, Policy=document({"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": objects}))
    assert not may(client.get_object, Bucket=bucket, Key="open"), "and so does the bucket's"
    s3.delete_bucket_policy(Bucket=bucket)
    assert may(client.get_object, Bucket=bucket, Key="open")


def test_region_of_a_new_bucket(server, put_policy):
    """It stands in the body, so the verdict waits for that."""
    condition = {"StringEquals": {"s3:LocationConstraint": "us-east-1"}}
    put_policy("regional", document(allow("s3:CreateBucket", "*", Condition=condition)))
    client = connect_new_user(server, "policy-rosa")
    command(server, "user", "attach", "policy-rosa", "regional")
    assert eventually(lambda: not may(client.list_buckets), timeout=10)
    assert not may(client.create_bucket, Bucket="policy-region-none")
    assert may(client.create_bucket, Bucket="policy-region-named", CreateBucketConfiguration={"LocationConstraint": "us-east-1"})
    names = [bucket["Name"] for bucket in connect(server).list_buckets()["Buckets"]]
    assert "policy-region-named" in names and "policy-region-none" not in names


def test_tags_of_a_new_bucket(server, put_policy):
    """They are a permission of their own, and what they are can be a condition; so is who owns what is put into it."""
    red = {"StringEquals": {"aws:RequestTag/team": "red"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
    put_policy("tagging", document(allow("s3:CreateBucket", "*"), allow("s3:TagResource", "*", Condition=red)))
    client = connect_new_user(server, "policy-tina")
    command(server, "user", "attach", "policy-tina", "tagging")
    assert eventually(lambda: not may(client.list_buckets), timeout=10)
    for tags, is_allowed in (([("team", "blue")], False), ([("team", "red"), ("other", "1")], False), ([("team", "red")], True)):
        configuration = {"Tags": [{"Key": key, "Value": value} for key, value in tags]}
        assert may(client.create_bucket, Bucket="policy-tagged", CreateBucketConfiguration=configuration) == is_allowed, tags
    assert connect(server).get_bucket_tagging(Bucket="policy-tagged")["TagSet"] == [{"Key": "team", "Value": "red"}]
    assert not may(client.create_bucket, Bucket="policy-owned", ObjectOwnership="ObjectWriter")
    assert may(client.create_bucket, Bucket="policy-plain")


def test_refused_by_the_command_line(server, put_policy):
    for text, says in (
        ("nonsense", "valid JSON"),
        (document(allow("s3:GetEverything", "*")), "s3:GetEverything"),
        (document(allow("s3:GetObject", "*", Condition={"StringEquals": {"aws:SourceVpc": "v"}})), "aws:SourceVpc"),
        (document(allow("s3:GetObject", "*", Principal="*")), "Principal"),
    ):
        answer = put_policy("bad", text, check=False)
        assert answer.returncode == 1 and says in answer.stderr, answer.stderr
    assert command(server, "policy", "get", "bad", check=False).returncode == 1
    assert command(server, "policy", "put", "readonly", "/dev/null", check=False).returncode == 1
    assert command(server, "policy", "delete", "readonly", check=False).returncode == 1
    assert "s3:Get*" in command(server, "policy", "get", "readonly").stdout
    assert command(server, "policy", "put", "bad", check=False).returncode == 2
    names = [row["policy"] for row in json.loads(command(server, "policy", "list", "--json").stdout) if row["canned"]]
    assert names == ["admin", "owner", "readonly", "readwrite", "writeonly"]


def test_conditions_about_a_bucket_that_is_not_the_expected_one(server, s3, bucket, put_policy):
    """What an upload began with, and which tags an object has, of a bucket that is not looked into."""
    name = f"expects-{bucket}"
    client = connect_new_user(server, name)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")["UploadId"]
    put_policy(
        name,
        document(
            allow("s3:PutObject", "*", Condition={"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}),
            allow("s3:GetObject", "*", Condition={"StringEquals": {"s3:ExistingObjectTag/a": "b"}}),
        ),
    )
    server.user("attach", name, name)
    assert eventually(lambda: not may(client.list_objects_v2, Bucket=bucket), timeout=10)
    for owner in ({}, {"ExpectedBucketOwner": "123456789012"}):
        assert may(client.upload_part, Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x", **owner) == (not owner)
        assert not may(client.get_object, Bucket=bucket, Key="k", **owner)
