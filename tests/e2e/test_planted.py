"""What a POSIX user who may write a bucket's directory puts there to speak for the gateway: folders of documents, the record of the
bucket's owner (SEC-24)."""

import json
import os
import shutil
import subprocess

import pytest
import requests

from aws import connect, connect_new_user, fails, new_bucket_name, read
from server import Credentials

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")

PLANTER = 23701
RECORD, TRUSTED, MARK = "user.sluice.bucket", "trusted.sluice.bucket", "trusted.sluice.records"


def public(bucket):
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def shell(folder, script, **env):
    subprocess.run(["sh", "-ec", script], cwd=folder, user=PLANTER, group=PLANTER, extra_groups=[], env={"PATH": "/usr/bin:/bin", **env}, check=True)


@pytest.fixture
def gateway(private_server):
    return private_server("planted")


@pytest.fixture
def planted(gateway):
    """A bucket whose directory everybody may write, with one object."""
    s3 = connect(gateway)
    bucket = new_bucket_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    os.chmod(gateway.volume / bucket, 0o777)
    return bucket


def anonymous(gateway, bucket, key="k"):
    return requests.get(f"{gateway.endpoint}/{bucket}/{key}", timeout=10).status_code


def by_hand(gateway, s3, bucket):
    shell(gateway.volume / bucket, 'mkdir -p .sluice/config; printf %s "$POLICY" > .sluice/config/policy', POLICY=public(bucket))


def by_hand_closed(gateway, s3, bucket):
    by_hand(gateway, s3, bucket)
    shell(gateway.volume / bucket, "chmod 0700 .sluice")


def by_renaming(gateway, s3, bucket):
    """Everything in it is the gateway's: it was an object's key."""
    s3.put_object(Bucket=bucket, Key="d/config/policy", Body=public(bucket).encode())
    shell(gateway.volume / bucket, "mv d .sluice")


def by_renaming_closed(gateway, s3, bucket):
    """And of the mode that the gateway gives its own."""
    s3.put_object(Bucket=bucket, Key="d/", Metadata={"mode": str(0o40700), "uid": "0", "gid": "0", "mtime": "1"})
    s3.put_object(Bucket=bucket, Key="d/config/policy", Body=public(bucket).encode())
    assert os.stat(gateway.volume / bucket / "d").st_mode & 0o777 == 0o700
    shell(gateway.volume / bucket, "mv d .sluice")


def by_link(gateway, s3, bucket):
    s3.put_object(Bucket=bucket, Key="d/config/policy", Body=public(bucket).encode())
    shell(gateway.volume / bucket, "ln -s d .sluice")


@pytest.mark.parametrize("plant", [by_hand, by_hand_closed, by_renaming, by_renaming_closed, by_link])
def test_planted_policy(gateway, planted, plant):
    """Nobody is let in by it, nobody at all until the policy is replaced; the log says so once."""
    s3 = connect(gateway)
    plant(gateway, s3, planted)
    for _ in range(3):
        assert anonymous(gateway, planted) == 403
        with fails("AccessDenied", 403):
            read(s3, planted, "k")
    assert gateway.stderr().count("bucket.foreign-documents ") == 1
    s3.put_bucket_policy(Bucket=planted, Policy=json.dumps({**json.loads(public(planted)), "Id": "ours"}))
    assert anonymous(gateway, planted) == 200
    assert json.loads(s3.get_bucket_policy(Bucket=planted)["Policy"])["Id"] == "ours"
    aside = list((gateway.volume / ".sluice").glob("foreign.*"))
    assert len(aside) == 1
    s3.delete_bucket_policy(Bucket=planted)
    assert anonymous(gateway, planted) == 403 and read(s3, planted, "k") == b"secret"


def test_planted_policy_is_deleted(gateway, planted):
    s3 = connect(gateway)
    by_hand(gateway, s3, planted)
    with fails("AccessDenied", 403):
        read(s3, planted, "k")
    s3.delete_bucket_policy(Bucket=planted)
    assert read(s3, planted, "k") == b"secret" and anonymous(gateway, planted) == 403
    assert not (gateway.volume / planted / ".sluice/config/policy").exists()


def test_other_planted_documents(gateway, planted):
    """CORS rules, ownership with a list that gives everything to everybody."""
    s3 = connect(gateway)
    s3.put_bucket_cors(Bucket=planted, CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["https://ours.example"], "AllowedMethods": ["GET"]}]})
    cors = (gateway.volume / planted / ".sluice/config/cors").read_text().replace("ours.example", "evil.example")
    s3.delete_bucket_cors(Bucket=planted)
    (gateway.volume / planted / ".sluice/config").rmdir()
    (gateway.volume / planted / ".sluice").rmdir()
    script = 'mkdir -p .sluice/config; printf %s "$CORS" > .sluice/config/cors; printf ObjectWriter > .sluice/config/ownership'
    shell(gateway.volume / planted, script, CORS=cors)
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = requests.options(f"{gateway.endpoint}/{planted}/k", headers=preflight, timeout=10)
    assert answer.status_code == 403 and "Access-Control-Allow-Origin" not in answer.headers
    assert anonymous(gateway, planted) == 403


def test_planted_upload(gateway, planted):
    """A copy of a true one, byte for byte, in somebody's own folder."""
    s3 = connect(gateway)
    upload = s3.create_multipart_upload(Bucket=planted, Key="m")["UploadId"]
    part = s3.upload_part(Bucket=planted, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    folder = gateway.volume / planted
    shutil.copytree(folder / ".sluice", folder / "copy")
    for path in (folder / "copy", *(folder / "copy").rglob("*")):
        os.chown(path, PLANTER, PLANTER)
    (folder / ".sluice").rename(folder / "true")
    shell(folder, "mv copy .sluice; chmod 0700 .sluice")
    with fails("NoSuchUpload", 404):
        s3.complete_multipart_upload(Bucket=planted, Key="m", UploadId=upload, MultipartUpload=listed)
    with fails("NoSuchUpload", 404):
        s3.upload_part(Bucket=planted, Key="m", UploadId=upload, PartNumber=2, Body=b"y")
    shutil.rmtree(folder / ".sluice")
    (folder / "true").rename(folder / ".sluice")
    s3.complete_multipart_upload(Bucket=planted, Key="m", UploadId=upload, MultipartUpload=listed)
    assert read(s3, planted, "m") == b"x"


def test_documents_of_the_gateway_stay_in_force(gateway, planted):
    """Restarts, uploads and everybody's writing around them do not make them foreign."""
    s3 = connect(gateway)
    upload = s3.create_multipart_upload(Bucket=planted, Key="m")["UploadId"]
    s3.put_bucket_policy(Bucket=planted, Policy=public(planted))
    gateway.stop()
    gateway.start()
    assert anonymous(gateway, planted) == 200
    s3 = connect(gateway)
    part = s3.upload_part(Bucket=planted, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(Bucket=planted, Key="m", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert anonymous(gateway, planted, "m") == 200
    assert "foreign" not in gateway.stderr()


# The record of the bucket's owner.


@pytest.fixture
def thief(gateway):
    """A user of the gateway, who has a shell too."""
    return connect_new_user(gateway, "thief", "--id", "id-of-the-thief")


def steal(folder):
    shell(folder, f"setfattr -n {RECORD} -v '1 1700000000000000000 id-of-the-thief' .")


def test_planted_owner(gateway, planted, thief):
    """Buckets that S3 made, and directories that came by POSIX."""
    (gateway.volume / "by-posix").mkdir()
    os.chmod(gateway.volume / "by-posix", 0o777)
    for bucket in (planted, "by-posix"):
        steal(gateway.volume / bucket)
        with fails("AccessDenied", 403):
            thief.put_bucket_policy(Bucket=bucket, Policy=public(bucket))
        assert anonymous(gateway, bucket) == 403
    # What is his stays his, also over a restart.
    thief.create_bucket(Bucket="of-the-thief")
    gateway.stop()
    gateway.start()
    thief = connect(gateway, credentials=gateway_credentials(thief))
    thief.put_bucket_policy(Bucket="of-the-thief", Policy=public("of-the-thief"))
    with fails("AccessDenied", 403):
        thief.put_bucket_policy(Bucket=planted, Policy=public(planted))


def gateway_credentials(client):
    found = client._request_signer._credentials
    return Credentials(found.access_key, found.secret_key)


def test_records_are_taken_over_once(gateway, thief):
    """A volume of a gateway that did not know the trusted ones: owners stay, and from then on nobody becomes one."""
    thief.create_bucket(Bucket="his-own")
    connect(gateway).create_bucket(Bucket="of-others")
    gateway.stop()
    os.removexattr(gateway.volume, MARK)
    for bucket in ("his-own", "of-others"):
        os.removexattr(gateway.volume / bucket, TRUSTED)
        os.chmod(gateway.volume / bucket, 0o777)
    gateway.start()
    assert os.getxattr(gateway.volume / "his-own", TRUSTED) == os.getxattr(gateway.volume / "his-own", RECORD)
    steal(gateway.volume / "of-others")
    thief = connect(gateway, credentials=gateway_credentials(thief))
    thief.put_bucket_policy(Bucket="his-own", Policy=public("his-own"))
    with fails("AccessDenied", 403):
        thief.put_bucket_policy(Bucket="of-others", Policy=public("of-others"))
