"""Operations that sluice does not have: each gives its tier's honest answer, after the bucket's existence was checked."""

import pytest

from aws import put_all

# (method, sub-resource) of a bucket: status and code. s3-surface.md §1; a default answer is a 200.
NOT_IMPLEMENTED = (501, "NotImplemented")
BUCKET = (
    {
        ("GET", "policy"): (404, "NoSuchBucketPolicy"),
        ("GET", "policyStatus"): (200, None),
        ("GET", "cors"): (404, "NoSuchCORSConfiguration"),
        ("GET", "lifecycle"): (404, "NoSuchLifecycleConfiguration"),
        ("GET", "website"): (404, "NoSuchWebsiteConfiguration"),
        ("GET", "replication"): (404, "ReplicationConfigurationNotFoundError"),
        ("GET", "object-lock"): (404, "ObjectLockConfigurationNotFoundError"),
        ("GET", "publicAccessBlock"): (404, "NoSuchPublicAccessBlockConfiguration"),
        ("GET", "encryption"): (404, "ServerSideEncryptionConfigurationNotFoundError"),
        ("GET", "versioning"): (200, None),
        ("GET", "accelerate"): (200, None),
        ("GET", "logging"): (200, None),
        ("GET", "notification"): (200, None),
        ("GET", "requestPayment"): (200, None),
        ("GET", "ownershipControls"): (200, None),
        ("GET", "acl"): (200, None),
        ("GET", "analytics"): (200, None),
        ("GET", "inventory"): (200, None),
        ("GET", "metrics"): (200, None),
        ("GET", "intelligent-tiering"): (200, None),
        ("GET", "abac"): NOT_IMPLEMENTED,
        ("GET", "metadataConfiguration"): NOT_IMPLEMENTED,
        ("GET", "metadataTable"): NOT_IMPLEMENTED,
        ("GET", "session"): NOT_IMPLEMENTED,
        ("POST", "metadataConfiguration"): NOT_IMPLEMENTED,
        ("POST", "metadataTable"): NOT_IMPLEMENTED,
    }
    | {
        ("PUT", sub): NOT_IMPLEMENTED
        for sub in (
            "lifecycle",
            "website",
            "replication",
            "object-lock",
            "encryption",
            "versioning",
            "accelerate",
            "logging",
            "notification",
            "requestPayment",
            "analytics",
            "inventory",
            "metrics",
            "intelligent-tiering",
            "abac",
            "metadataInventoryTable",
            "metadataJournalTable",
            "metadataAnnotationTable",
        )
    }
    | {
        ("DELETE", sub): (204, None)
        for sub in ("policy", "cors", "lifecycle", "website", "replication", "encryption", "publicAccessBlock", "ownershipControls", "tagging")
    }
)
OBJECT = {
    ("GET", "torrent"): NOT_IMPLEMENTED,
    ("GET", "annotation"): NOT_IMPLEMENTED,
    ("PUT", "annotation"): NOT_IMPLEMENTED,
    ("PUT", "encryption"): NOT_IMPLEMENTED,
    ("POST", "restore"): NOT_IMPLEMENTED,
    ("POST", "select"): NOT_IMPLEMENTED,
    ("GET", "acl"): (200, None),
}


def name(row):
    return f"{row[0]} {row[1]}"


@pytest.mark.parametrize("row", BUCKET, ids=name)
def test_bucket_level(wire, bucket, row):
    method, sub = row
    answer = wire.call(method, f"/{bucket}", [(sub, "")])
    assert (answer.status, answer.code) == BUCKET[row], answer
    missing = wire.call(method, "/no-such-bucket-xyz", [(sub, "")])
    assert (missing.status, missing.code) == (404, "NoSuchBucket"), missing


@pytest.mark.parametrize("row", OBJECT, ids=name)
def test_object_level(wire, s3, bucket, row):
    put_all(s3, bucket, ["k"], b"kept")
    method, sub = row
    answer = wire.call(method, f"/{bucket}/k", [(sub, "")])
    assert (answer.status, answer.code) == OBJECT[row], answer
    assert wire.call("GET", f"/{bucket}/k").body == b"kept"


@pytest.mark.parametrize("sub", ["analytics", "inventory", "metrics", "intelligent-tiering"])
def test_named_configurations_do_not_exist(wire, bucket, sub):
    answer = wire.call("GET", f"/{bucket}", [("id", "x"), (sub, "")])
    assert (answer.status, answer.code) == (404, "NoSuchConfiguration")


@pytest.mark.parametrize("sub", ["legal-hold", "retention"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_locks_on_a_bucket_without_object_lock(wire, s3, bucket, sub, method):
    put_all(s3, bucket, ["k"])
    answer = wire.call(method, f"/{bucket}/k", [(sub, "")])
    assert answer.status in (400, 404, 501) and answer.code, answer


def test_versioning_is_off_and_says_so(s3, bucket):
    answer = s3.get_bucket_versioning(Bucket=bucket)
    assert "Status" not in answer


def test_version_id_null_is_the_object(s3, wire, bucket):
    """rclone asks for it after a multipart upload."""
    put_all(s3, bucket, ["k"])
    assert wire.call("HEAD", f"/{bucket}/k", [("versionId", "null")]).status == 200
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"x"
    answer = wire.call("GET", f"/{bucket}/k", [("versionId", "3HL4kqtJvjVBH40Nrjfkd")])
    assert answer.status in (400, 404), answer
    assert "x-amz-version-id" not in dict(wire.call("GET", f"/{bucket}/k").headers)


def test_acl_answers(s3, bucket):
    put_all(s3, bucket, ["k"])
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        (grant,) = acl["Grants"]
        assert grant["Permission"] == "FULL_CONTROL" and grant["Grantee"]["ID"] == acl["Owner"]["ID"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="bucket-owner-full-control")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")


@pytest.mark.parametrize("acl", ["public-read", "public-read-write"])
def test_public_acls_are_refused_not_ignored(wire, s3, bucket, acl):
    put_all(s3, bucket, ["k"])
    for path, query in ((f"/{bucket}/k", [("acl", "")]), (f"/{bucket}", [("acl", "")]), (f"/{bucket}/new", [])):
        answer = wire.call("PUT", path, query, headers=[("x-amz-acl", acl)])
        assert answer.status in (400, 501) and answer.code in ("AccessControlListNotSupported", "NotImplemented"), answer


@pytest.mark.parametrize(
    "headers",
    [
        [("x-amz-server-side-encryption", "aws:kms")],
        [("x-amz-server-side-encryption-customer-algorithm", "AES256")],
        [("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "2040-01-01T00:00:00Z")],
        [("x-amz-object-lock-legal-hold", "ON")],
    ],
    ids=lambda h: h[0][0],
)
def test_promises_that_cannot_be_kept_are_refused(wire, bucket, folder, headers):
    """Never claim encryption or retention and store plain bytes."""
    answer = wire.call("PUT", f"/{bucket}/k", headers=headers, body=b"x")
    assert answer.status in (400, 501) and answer.code, answer
    assert not (folder / "k").exists()


def test_post_object_is_refused_for_now(wire, bucket, folder):
    body = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    answer = wire.send(wire.anonymous("POST", f"/{bucket}", [("Content-Type", "multipart/form-data; boundary=b")], body))
    assert answer.status in (403, 501), answer
    assert not (folder / "k").exists()


@pytest.mark.parametrize(
    "method, path, query",
    [
        ("DELETE", "/", []),
        ("PUT", "/", []),
        ("PUT", "/{bucket}/k", [("attributes", "")]),
        ("POST", "/{bucket}", [("list-type", "2")]),
        ("POST", "/{bucket}/k", []),
    ],
)
def test_wrong_methods(wire, bucket, method, path, query):
    answer = wire.call(method, path.format(bucket=bucket), query)
    assert answer.status in (400, 405, 501) and answer.code, answer
