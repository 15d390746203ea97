"""`sluice user` on a running gateway; limits of users; POSIX identities."""

import json
import os
import shutil
import stat
import subprocess

import pytest

from aws import connect, fails, keys, put_all, read
from server import Credentials, eventually
from wire import Wire

pytestmark = pytest.mark.timed  # changes take effect within a second or so
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="POSIX identities need a gateway that runs as root")
UID, GID, TEAM = 23401, 23402, 23403


@pytest.fixture
def name(bucket):
    """A user's name of this test."""
    return f"user-{bucket}"


def answers(server, credentials):
    """Status of a listing of buckets."""
    return Wire(server, credentials).call("GET", "/").status


def takes_effect(server, credentials, status):
    """A running gateway notices within a second; a busy machine gets more."""
    return eventually(lambda: answers(server, credentials) == status, timeout=5 * server.slowness)


def test_add_takes_effect(server, name):
    assert takes_effect(server, server.add_user(name), 200)


def test_own_pair(server, name):
    mine = Credentials(f"AK{name[-12:].upper()}", "my/own+secret=with~signs,and;more")
    assert server.add_user(name, "--access-key", mine.access_key, "--secret-key", mine.secret_key) == mine
    assert takes_effect(server, mine, 200)


def test_add_twice_and_taken_keys(server, name):
    first = server.add_user(name)
    again = server.user("add", name, check=False)
    assert again.returncode == 1 and "taken" in again.stderr
    taken = server.user("add", f"{name}-b", "--access-key", first.access_key, "--secret-key", "long enough secret", check=False)
    assert taken.returncode == 1
    assert f"{name}-b" not in server.user("list").stdout, "no half-made user stays"


def test_list(server, name):
    made = server.add_user(name, "--read-only", "on", "--buckets", "one,two", "--display-name", "A Name", "--email", "a@b")
    rows = json.loads(server.user("list", "--json").stdout)
    (row,) = [r for r in rows if r["user"] == name]
    assert (row["access_key"], row["enabled"], row["read_only"], row["admin"]) == (made.access_key, True, True, False)
    assert (row["buckets"], row["display_name"], row["email"]) == (["one", "two"], "A Name", "a@b")
    listing = server.user("list")
    assert made.access_key in listing.stdout
    assert made.secret_key not in listing.stdout + json.dumps(rows)


def test_rotate(server, name):
    old = server.add_user(name)
    assert takes_effect(server, old, 200)
    kept = json.loads(server.user("rotate", name, "--keep-old", "--json").stdout)
    both = Credentials(kept["access_key"], kept["secret_key"])
    assert takes_effect(server, both, 200) and answers(server, old) == 200
    new = json.loads(server.user("rotate", name, "--json").stdout)
    assert takes_effect(server, Credentials(new["access_key"], new["secret_key"]), 200)
    assert takes_effect(server, old, 403) and takes_effect(server, both, 403)


def test_remove(server, name):
    gone = server.add_user(name)
    assert takes_effect(server, gone, 200)
    server.user("remove", name)
    assert takes_effect(server, gone, 403)
    assert server.user("remove", name, check=False).returncode == 1


def test_disabled_keys(server, name):
    key = server.add_user(name)
    second = json.loads(server.user("add-key", name, "--json").stdout)
    second = Credentials(second["access_key"], second["secret_key"])
    assert takes_effect(server, key, 200) and takes_effect(server, second, 200)
    server.user("disable", key.access_key)
    assert takes_effect(server, key, 403)
    assert answers(server, second) == 200
    server.user("enable", key.access_key)
    assert takes_effect(server, key, 200)
    server.user("remove-key", second.access_key)
    assert takes_effect(server, second, 403)


def test_read_only_user(server, s3, bucket, name):
    put_all(s3, bucket, ["k"])
    made = server.add_user(name, "--read-only", "on")
    assert takes_effect(server, made, 200)
    reader = connect(server, made)
    assert read(reader, bucket, "k") == b"x" and keys(reader, bucket) == ["k"]
    for call in (
        lambda: reader.put_object(Bucket=bucket, Key="n", Body=b""),
        lambda: reader.delete_object(Bucket=bucket, Key="k"),
        lambda: reader.create_bucket(Bucket=f"{bucket}-n"),
        lambda: reader.delete_bucket(Bucket=bucket),
        lambda: reader.create_multipart_upload(Bucket=bucket, Key="n"),
        lambda: reader.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": []}),
        lambda: reader.copy_object(Bucket=bucket, Key="n", CopySource={"Bucket": bucket, "Key": "k"}),
        lambda: reader.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}),
    ):
        with fails("AccessDenied", 403):
            call()
    assert keys(s3, bucket) == ["k"]


def test_user_limited_to_buckets(server, s3, bucket, name):
    for other in (f"{bucket}-mine", f"{bucket}-not"):
        s3.create_bucket(Bucket=other)
        put_all(s3, other, ["k"])
    limited = server.add_user(name, "--buckets", f"{bucket}-mine")
    assert takes_effect(server, limited, 200)
    client = connect(server, limited)
    assert [b["Name"] for b in client.list_buckets()["Buckets"]] == [f"{bucket}-mine"]
    client.put_object(Bucket=f"{bucket}-mine", Key="n", Body=b"n")
    for call in (
        lambda: client.get_object(Bucket=f"{bucket}-not", Key="k"),
        lambda: client.list_objects_v2(Bucket=f"{bucket}-not"),
        lambda: client.put_object(Bucket=f"{bucket}-not", Key="n", Body=b""),
        lambda: client.copy_object(Bucket=f"{bucket}-mine", Key="c", CopySource={"Bucket": f"{bucket}-not", "Key": "k"}),
        lambda: client.create_bucket(Bucket=f"{bucket}-new"),
    ):
        with fails("AccessDenied", 403):
            call()
    with fails("403", 403):
        client.head_bucket(Bucket=f"{bucket}-not")
    server.user("set", name, "--buckets", f"{bucket}-mine,{bucket}-not")
    assert eventually(lambda: Wire(server, limited).call("GET", f"/{bucket}-not/k").status == 200)


def test_part_copy_needs_read_of_the_source(server, s3, bucket, name):
    """SEC-31."""
    s3.create_bucket(Bucket=f"{bucket}-mine")
    put_all(s3, bucket, ["secret"])
    limited = server.add_user(name, "--buckets", f"{bucket}-mine")
    assert takes_effect(server, limited, 200)
    client = connect(server, limited)
    upload = client.create_multipart_upload(Bucket=f"{bucket}-mine", Key="k")["UploadId"]
    with fails("AccessDenied", 403):
        client.upload_part_copy(Bucket=f"{bucket}-mine", Key="k", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "secret"})


@pytest.mark.parametrize(
    "words, told",
    [
        (["add"], "a name is needed"),
        (["list", "x"], "takes no name"),
        (["add", "x", "--uid", "abc"], "--uid"),
        (["add", "x", "--nonsense", "1"], "--nonsense"),
        (["add", "x", "--admin", "maybe"], "on, off"),
        (["explode", "x"], "there is no `user explode`"),
        (["add", "x", "--uid", "5"], "both --uid and --gid"),
        (["add", "x", "--gid", "5"], "both --uid and --gid"),
        (["add", "x", "--groups", "5"], "both --uid and --gid"),
        (["add", "x", "--uid", "none", "--gid", "5"], "both --uid and --gid"),
    ],
)
def test_wrong_use(server, words, told):
    done = server.user(*words, check=False)
    assert done.returncode == 2 and told in done.stderr, done


def test_short_secret_is_refused(server, name):
    done = server.user("add", name, "--access-key", "SHORTSECRET", "--secret-key", "short", check=False)
    assert done.returncode != 0 and "short" not in done.stdout
    assert name not in server.user("list").stdout


def test_secrets_on_disk_are_encrypted(server, name):
    made = server.add_user(name)
    for path in server.state.rglob("*"):
        if path.is_file():
            assert made.secret_key.encode() not in path.read_bytes(), path
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"{path} is readable by others"


# POSIX identities.


def identity_of(server, name):
    (row,) = [r for r in json.loads(server.user("list", "--json").stdout) if r["user"] == name]
    return row.get("uid"), row.get("gid"), row.get("groups")


def test_set_keeps_the_rest_of_an_identity(server, name):
    """A part that is not named is kept: without its uid a user would act as the gateway itself, without its gid as root's group."""
    server.add_user(name)
    for half in (["--uid", "5"], ["--gid", "6"], ["--groups", "7"]):
        assert server.user("set", name, *half, check=False).returncode == 2
        assert identity_of(server, name) == (None, None, None)
    server.user("set", name, "--uid", "5", "--gid", "6", "--groups", "7,8")
    for words, expected in (
        (["--gid", "60"], (5, 60, [7, 8])),
        (["--uid", "50"], (50, 60, [7, 8])),
        (["--groups", "70"], (50, 60, [70])),
        (["--groups", ""], (50, 60, [])),
        (["--email", f"{name}@x"], (50, 60, [])),
        (["--uid", "none"], (None, None, None)),
    ):
        server.user("set", name, *words)
        assert identity_of(server, name) == expected, words


@pytest.fixture
def person(server, bucket, name, folder):
    """A user who is uid 23401 in a folder that everybody may write to."""
    os.chmod(folder, 0o777)
    made = server.add_user(name, "--uid", UID, "--gid", GID, "--groups", TEAM)
    assert takes_effect(server, made, 200)
    return connect(server, made)


@needs_root
def test_files_belong_to_the_user(person, bucket, folder):
    put_all(person, bucket, ["a/b/k"])
    for path in ("a", "a/b", "a/b/k"):
        owner = (folder / path).stat()
        assert (owner.st_uid, owner.st_gid) == (UID, GID), path
    upload = person.create_multipart_upload(Bucket=bucket, Key="mp")["UploadId"]
    part = person.upload_part(Bucket=bucket, Key="mp", UploadId=upload, PartNumber=1, Body=b"x")
    person.complete_multipart_upload(Bucket=bucket, Key="mp", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    person.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "mp"})
    for key in ("mp", "copy"):
        assert ((folder / key).stat().st_uid, (folder / key).stat().st_gid) == (UID, GID), key
    person.put_object(Bucket=bucket, Key="d/", Body=b"")
    assert (folder / "d").stat().st_uid == UID


@needs_root
def test_permissions_of_others_hold(person, s3, bucket, folder):
    put_all(s3, bucket, ["private", "shared", "closed/k"])
    os.chmod(folder / "private", 0o600)
    os.chmod(folder / "shared", 0o644)
    os.chmod(folder / "closed", 0o700)
    assert read(person, bucket, "shared") == b"x"
    for call in (
        lambda: person.get_object(Bucket=bucket, Key="private"),
        lambda: person.get_object(Bucket=bucket, Key="closed/k"),
        lambda: person.put_object(Bucket=bucket, Key="closed/n", Body=b""),
        lambda: person.delete_object(Bucket=bucket, Key="closed/k"),
        lambda: person.list_objects_v2(Bucket=bucket, Prefix="closed/"),
        lambda: person.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "private"}),
        lambda: person.put_object_tagging(Bucket=bucket, Key="private", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}),
    ):
        with fails("AccessDenied", 403):
            call()
    assert (folder / "closed/k").exists() and not (folder / "c").exists()
    # Deleting needs the directory's permission, not the file's; the sticky bit counts.
    os.chmod(folder, 0o1777)
    with fails("AccessDenied", 403):
        person.delete_object(Bucket=bucket, Key="private")
    with fails("AccessDenied", 403):
        person.put_object(Bucket=bucket, Key="private", Body=b"stolen")
    assert (folder / "private").read_bytes() == b"x"


@needs_root
def test_groups_count(person, s3, bucket, folder):
    put_all(s3, bucket, ["team/k"])
    os.chown(folder / "team", 0, TEAM)
    os.chmod(folder / "team", 0o770)
    put_all(person, bucket, ["team/n"])
    assert (folder / "team/n").stat().st_uid == UID
    os.chown(folder / "team", 0, TEAM + 1)
    with fails("AccessDenied", 403):
        person.put_object(Bucket=bucket, Key="team/m", Body=b"")


@needs_root
def test_identity_does_not_leak_between_requests(server, person, s3, bucket, folder):
    """The same workers serve both users, in turn."""
    for i in range(40):
        put_all(s3 if i % 2 else person, bucket, [f"{i}"])
    assert [(folder / f"{i}").stat().st_uid for i in range(40)] == [UID, 0] * 20


@needs_root
def test_foreign_owner_is_not_taken_from_metadata(person, bucket, folder):
    """An identity may not give files away, nor take root's."""
    person.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"uid": "0", "gid": "0", "mode": "35309"})
    done = (folder / "k").stat()
    assert (done.st_uid, done.st_gid) == (UID, GID)
    assert not stat.S_IMODE(done.st_mode) & 0o6000


@needs_root
def test_bucket_of_another_is_no_open_door(person, server, s3, bucket):
    s3.create_bucket(Bucket=f"{bucket}-closed")
    os.chmod(server.volume / f"{bucket}-closed", 0o700)
    put_all(s3, f"{bucket}-closed", ["k"])
    with fails("AccessDenied", 403):
        person.list_objects_v2(Bucket=f"{bucket}-closed")
    with fails("AccessDenied", 403):
        person.get_object(Bucket=f"{bucket}-closed", Key="k")


@needs_root
@pytest.mark.parametrize("mode, listing", [(0o700, None), (0o711, None), (0o755, ["k"])])
def test_uploads_are_behind_both_doors(person, server, s3, bucket, mode, listing):
    """Parts are kept by the gateway itself: who may not make the object may not see to its upload either."""
    closed = f"{bucket}-closed"
    s3.create_bucket(Bucket=closed)
    upload = s3.create_multipart_upload(Bucket=closed, Key="k")["UploadId"]
    s3.put_object(Bucket=closed, Key="inner/k", Body=b"")
    s3.create_multipart_upload(Bucket=closed, Key="inner/secret")
    os.chmod(server.volume / closed / "inner", 0o700)
    os.chmod(server.volume / closed, mode)
    for refused in (
        lambda: person.create_multipart_upload(Bucket=closed, Key="n"),
        lambda: person.upload_part(Bucket=closed, Key="k", UploadId=upload, PartNumber=1, Body=b"x"),
        lambda: person.upload_part_copy(Bucket=closed, Key="k", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "own"}),
        lambda: person.list_parts(Bucket=closed, Key="k", UploadId=upload),
        lambda: person.abort_multipart_upload(Bucket=closed, Key="k", UploadId=upload),
    ):
        with fails("AccessDenied", 403):
            refused()
    if listing is None:
        with fails("AccessDenied", 403):
            person.list_multipart_uploads(Bucket=closed)
    else:
        assert [u["Key"] for u in person.list_multipart_uploads(Bucket=closed)["Uploads"]] == listing
    assert "Parts" not in s3.list_parts(Bucket=closed, Key="k", UploadId=upload)
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=closed)["Uploads"]] == ["inner/secret", "k"]


@needs_root
@pytest.mark.posix
def test_gateway_without_root(private_server, binary, tmp_path):
    """Not root: serves under its own identity."""
    top = tmp_path / "plain"
    top.mkdir()
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001:
            os.chmod(parent, 0o755)
    shutil.copy(binary, top / "sluice")
    os.chown(top, UID, GID)
    (top / "volume").mkdir()
    os.chown(top / "volume", UID, GID)
    wrapper = top / "run"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid {UID} --regid {GID} --clear-groups {top}/sluice "$@"\n')
    wrapper.chmod(0o755)
    assert subprocess.run([wrapper, "version"], capture_output=True, check=True).stdout.startswith(b"sluice")
    os.chmod(top, 0o777)
    server = private_server("noroot", volume=top / "volume", state=top / "state", options=["--access-log", str(top / "access.log")], binary=wrapper)
    s3 = connect(server)
    s3.create_bucket(Bucket="noroot")
    put_all(s3, "noroot", ["k"])
    assert (top / "volume/noroot/k").stat().st_uid == UID
