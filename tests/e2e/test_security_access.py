"""The record of others' holes, as far as it is about who may do what; numbers as in the list of requirements."""

import json

import pytest
import requests

from aws import connect, fails
from server import eventually


def policy(bucket, *statements):
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Principal": "*", "Resource": both, **s} for s in statements]})


def person(server, name, *options):
    client = connect(server, credentials=server.add_user(name, *options))

    def is_known():
        try:
            return bool(client.list_buckets())
        except client.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "AccessDenied"

    assert eventually(is_known, timeout=10)
    return client


def test_sec_32_versions_are_another_permission(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    reader = connect(server, signature="s3v4")
    url = f"{server.endpoint}/{bucket}/k"
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy(bucket, {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectTagging"], "Resource": f"arn:aws:s3:::{bucket}/*"}),
    )
    assert requests.get(url, timeout=10).status_code == 200
    for what in ("versionId=null", "tagging&versionId=null", "acl&versionId=null", "attributes&versionId=null"):
        assert requests.get(f"{url}?{what}", headers={"x-amz-object-attributes": "ETag"}, timeout=10).status_code == 403, what
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy(
            bucket, {"Effect": "Allow", "Action": "s3:*"}, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        ),
    )
    with fails("AccessDenied", 403):  # to name the version leads around nothing
        reader.get_object(Bucket=bucket, Key="k", VersionId="null")


@pytest.mark.posix
def test_sec_33_headers_that_do_more_are_asked_for(server, s3, bucket):
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}))
    url = f"{server.endpoint}/{bucket}/k"
    (server.volume / bucket).chmod(0o777)
    assert requests.put(url, data=b"x", timeout=10).status_code == 200
    for headers in (
        {"x-amz-tagging": "a=b"},
        {"x-amz-acl": "bucket-owner-full-control"},
        {"x-amz-grant-read": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'},
    ):
        for ask in (
            lambda: requests.put(url, data=b"y", headers=headers, timeout=10),
            lambda: requests.post(f"{url}?uploads", headers=headers, timeout=10),
        ):
            answer = ask()
            assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True), (headers, answer.text)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_sec_35_a_deny_alone_is_not_an_allow(server, s3, bucket, tmp_path):
    """A user whose only policy refuses something may do nothing else either."""
    client = person(server, "sec-35")
    file = tmp_path / "deny.json"
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}}))
    server.run("policy", "put", "sec-35-deny", file, "--state", server.state)
    server.user("attach", "sec-35", "sec-35-deny")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    def is_refused():
        try:
            client.get_object(Bucket=bucket, Key="k")
        except client.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "AccessDenied"
        return False

    assert eventually(is_refused, timeout=10)
    for call in (
        lambda: client.list_buckets(),
        lambda: client.list_objects_v2(Bucket=bucket),
        lambda: client.put_object(Bucket=bucket, Key="n", Body=b""),
        lambda: client.create_bucket(Bucket=f"{bucket}-new"),
        lambda: client.get_bucket_policy(Bucket=bucket),
    ):
        with fails("AccessDenied", 403):
            call()


def test_sec_36_users_without_anything_are_not_administrators(server, s3, bucket):
    client = person(server, "sec-36")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{bucket}"}))
    block = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    for call in (
        lambda: client.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, {"Effect": "Allow", "Action": "s3:*"})),
        lambda: client.delete_bucket_policy(Bucket=bucket),
        lambda: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block),
        lambda: client.delete_public_access_block(Bucket=bucket),
        lambda: client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
        lambda: client.put_bucket_acl(Bucket=bucket, ACL="private"),
        lambda: client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}),
        lambda: client.delete_bucket_cors(Bucket=bucket),
    ):
        with fails("AccessDenied", 403):
            call()
    assert "DeleteBucket" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


@pytest.mark.parametrize("proxies", [None, "127.0.0.0/8"])
def test_sec_37_source_address_is_the_peer_but_for_proxies(private_server, proxies):
    server = private_server("sec-37", options=["--trusted-proxies", proxies] if proxies else [])
    s3 = connect(server)
    s3.create_bucket(Bucket="where")
    s3.put_object(Bucket="where", Key="k", Body=b"x")
    inside = {"IpAddress": {"aws:SourceIp": "10.9.9.0/24"}}
    s3.put_bucket_policy(
        Bucket="where", Policy=policy("where", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::where/*", "Condition": inside})
    )
    for forwarded, through_proxy in (
        (None, 403),
        ("10.9.9.9", 200),
        ("10.9.9.9, 192.0.2.1", 403),  # what the client claims counts no more than the last hop that nobody vouches for
        ("192.0.2.1, 10.9.9.9", 200),
        ("nonsense", 403),
    ):
        headers = {"X-Forwarded-For": forwarded, "X-Real-Ip": "10.9.9.9", "Forwarded": "for=10.9.9.9"} if forwarded else {}
        answer = requests.get(f"{server.endpoint}/where/k", headers=headers, timeout=10)
        assert answer.status_code == (through_proxy if proxies else 403), forwarded


def test_sec_38_headers_are_not_what_the_gateway_knows(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    claims = {
        "aws:SecureTransport": ("Bool", "true"),
        "aws:username": ("StringEquals", "root"),
        "aws:userid": ("StringLike", "*"),
        "aws:PrincipalArn": ("ArnLike", "arn:aws:iam::*:user/*"),
        "aws:PrincipalType": ("StringEquals", "User"),
        "aws:SourceIp": ("IpAddress", "10.9.9.9"),
        "s3:authType": ("StringEquals", "REST-HEADER"),
        "s3:signatureversion": ("StringEquals", "AWS4-HMAC-SHA256"),
        "s3:ExistingObjectTag/team": ("StringEquals", "red"),
        "sluice:BucketOwner": ("StringEquals", "me"),
        "sluice:UserId": ("StringLike", "*"),
    }
    for key, (operator, value) in claims.items():
        if server.tls and key == "aws:SecureTransport":
            continue
        s3.put_bucket_policy(
            Bucket=bucket,
            Policy=policy(
                bucket, {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*", "Condition": {operator: {key: value}}}
            ),
        )
        word = value.replace("*", "x")
        bare = key.split(":")[1]
        headers = {
            name: word
            for name in (bare, key.replace(":", "-").replace("/", "-"), f"x-amz-{bare.replace('/', '-')}".lower(), "x-amz-tagging", "x-amz-meta-team")
        }
        headers = {name.replace("/", "-"): word for name, word in headers.items()}
        answer = requests.get(f"{server.endpoint}/{bucket}/k", params={key: word, bare: word}, headers=headers, timeout=10)
        assert answer.status_code == 403, (key, answer.text)
    agent = {"StringLike": {"aws:UserAgent": "python-*"}}  # the client's to say
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy(bucket, {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*", "Condition": agent}),
    )
    assert requests.get(f"{server.endpoint}/{bucket}/k", timeout=10).status_code == 200
