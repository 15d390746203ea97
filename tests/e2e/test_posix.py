"""Two doors, one volume: what POSIX does is seen by S3 at once, and the other way round."""

import grp
import os
import pathlib
import socket
import stat
import threading
import time

import pytest

from aws import complete, connect, fails, keys, put_all, read, upload_parts


def views(s3, bucket, key):
    """ETag and size by HEAD, GET and listing."""
    head = s3.head_object(Bucket=bucket, Key=key)
    got = s3.get_object(Bucket=bucket, Key=key)
    listed = next(o for o in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"] if o["Key"] == key)
    return {(v["ETag"], v.get("ContentLength", v.get("Size"))) for v in (head, got, listed)}


def test_file_is_an_object_at_once(s3, bucket, folder):
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/page.html").write_bytes(b"<p>")
    assert keys(s3, bucket, Prefix="deep/er/p") == ["deep/er/page.html"]
    got = s3.get_object(Bucket=bucket, Key="deep/er/page.html")
    assert got["Body"].read() == b"<p>"
    assert got["ContentType"] == "text/html"
    (etag, size), *rest = views(s3, bucket, "deep/er/page.html")
    assert not rest and size == 3
    assert "-" in etag, "no client may take it for an MD5"


def test_changed_file_has_a_new_dashed_etag(s3, bucket, folder):
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old", Metadata={"a": "b"})["ETag"]
    with open(folder / "k", "r+b") as f:
        f.write(b"NEW")
    (etag, _), *rest = views(s3, bucket, "k")
    assert not rest, "HEAD, GET and the listing agree"
    assert etag != old and "-" in etag
    assert read(s3, bucket, "k") == b"NEW"
    with fails("PreconditionFailed", 412):
        s3.get_object(Bucket=bucket, Key="k", IfMatch=old)
    seen = {etag}
    for i in range(3):
        (folder / "k").write_bytes(b"x" * i)
        (etag, _), *rest = views(s3, bucket, "k")
        assert not rest
        seen.add(etag)
    assert len(seen) == 4


def test_etag_of_an_unchanged_file_is_stable(s3, bucket, folder):
    (folder / "k").write_bytes(b"posix")
    first = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    assert all(s3.head_object(Bucket=bucket, Key="k")["ETag"] == first for _ in range(3))
    got = s3.get_object(Bucket=bucket, Key="k", IfMatch=first, Range="bytes=0-1")
    assert got["Body"].read() == b"po"


def test_stale_checksums_are_not_told(s3, bucket, folder):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", ChecksumAlgorithm="SHA256")
    (folder / "k").write_bytes(b"new")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert not [name for name in head if name.startswith("Checksum")]
    assert read(s3, bucket, "k", ChecksumMode="ENABLED") == b"new"


def test_truncated_and_appended(s3, bucket, folder):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    os.truncate(folder / "k", 4)
    assert read(s3, bucket, "k") == b"0123"
    with open(folder / "k", "ab") as f:
        f.write(b"abc")
    assert read(s3, bucket, "k") == b"0123abc"


def test_rename_outside(s3, bucket, folder):
    etag = s3.put_object(Bucket=bucket, Key="a/k", Body=b"moved", ContentType="text/x", Metadata={"m": "1"})["ETag"]
    os.rename(folder / "a", folder / "b")
    assert keys(s3, bucket) == ["b/k"]
    head = s3.head_object(Bucket=bucket, Key="b/k")
    assert (head["ETag"], head["ContentType"], head["Metadata"]) == (etag, "text/x", {"m": "1"})


def test_removed_outside(s3, bucket, folder):
    put_all(s3, bucket, ["a/k", "a/l"])
    os.unlink(folder / "a/k")
    with fails("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="a/k")
    assert keys(s3, bucket) == ["a/l"]


def test_empty_posix_directory_is_seen(s3, bucket, folder):
    (folder / "kept/inner").mkdir(parents=True)
    listed = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in listed.get("CommonPrefixes", [])] == ["kept/"]
    s3.put_object(Bucket=bucket, Key="kept/inner/k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="kept/inner/k")
    assert (folder / "kept/inner").is_dir(), "made through POSIX: S3 does not remove it"
    (folder / "kept/inner").rmdir()
    (folder / "kept").rmdir()
    assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=bucket, Delimiter="/")


def test_implicit_directories_come_and_go(s3, bucket, folder):
    put_all(s3, bucket, ["x/y/z/k", "x/l"])
    assert (folder / "x/y/z").is_dir()
    assert keys(s3, bucket) == ["x/l", "x/y/z/k"]
    s3.delete_object(Bucket=bucket, Key="x/y/z/k")
    assert not (folder / "x/y").exists() and (folder / "x").exists()
    s3.delete_object(Bucket=bucket, Key="x/l")
    assert not (folder / "x").exists()


def test_explicit_directories_stay(s3, bucket, folder):
    s3.put_object(Bucket=bucket, Key="dir/", Body=b"", Metadata={"why": "kept"}, ContentType="application/x-directory")
    assert (folder / "dir").is_dir()
    assert keys(s3, bucket) == ["dir/"]
    head = s3.head_object(Bucket=bucket, Key="dir/")
    assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (0, {"why": "kept"}, "application/x-directory")
    put_all(s3, bucket, ["dir/k"])
    s3.delete_object(Bucket=bucket, Key="dir/k")
    assert keys(s3, bucket) == ["dir/"]
    put_all(s3, bucket, ["dir/k"])
    s3.delete_object(Bucket=bucket, Key="dir/")
    assert keys(s3, bucket) == ["dir/k"], "the object goes, the directory stays while it holds something"
    s3.delete_object(Bucket=bucket, Key="dir/k")
    assert not (folder / "dir").exists()


def test_implicit_directory_made_explicit(s3, bucket, folder):
    put_all(s3, bucket, ["d/k"])
    with fails("404", 404):
        s3.head_object(Bucket=bucket, Key="d")
    s3.put_object(Bucket=bucket, Key="d/", Body=b"")
    s3.delete_object(Bucket=bucket, Key="d/k")
    assert keys(s3, bucket) == ["d/"] and (folder / "d").is_dir()


def test_directory_is_no_object_without_its_slash(s3, bucket, folder):
    (folder / "d").mkdir()
    put_all(s3, bucket, ["e/k"])
    for name in ("d", "e"):
        with fails("404", 404):
            s3.head_object(Bucket=bucket, Key=name)
        with fails("NoSuchKey", 404):
            s3.get_object(Bucket=bucket, Key=name)
    s3.delete_object(Bucket=bucket, Key="e")
    assert keys(s3, bucket, Prefix="e") == ["e/k"]


def test_directory_key_with_a_body_is_refused(wire, bucket, folder):
    answer = wire.call("PUT", f"/{bucket}/d/", body=b"not empty")
    assert answer.status == 400, answer
    assert not (folder / "d").exists()


def test_file_in_the_way_of_a_prefix(s3, wire, bucket, folder):
    put_all(s3, bucket, ["a"], b"file")
    answer = wire.call("PUT", f"/{bucket}/a/b", body=b"x")
    assert 400 <= answer.status < 500 and answer.code, answer
    assert wire.call("PUT", f"/{bucket}/a/", body=b"").status in (400, 409)
    assert read(s3, bucket, "a") == b"file"
    for key in ("a/b", "a/b/c"):
        with fails("NoSuchKey", 404):
            s3.get_object(Bucket=bucket, Key=key)
        s3.delete_object(Bucket=bucket, Key=key)
    with fails("404", 404):
        s3.head_object(Bucket=bucket, Key="a/")


def test_directory_in_the_way_of_a_file(s3, wire, bucket):
    put_all(s3, bucket, ["a/b"])
    answer = wire.call("PUT", f"/{bucket}/a", body=b"x")
    assert 400 <= answer.status < 500 and answer.code, answer
    assert read(s3, bucket, "a/b") == b"x"


def test_empty_posix_directory_in_the_way_keeps(s3, wire, bucket, folder):
    (folder / "a").mkdir()
    assert 400 <= wire.call("PUT", f"/{bucket}/a", body=b"x").status < 500
    assert (folder / "a").is_dir()


# What must not be opened or left (SEC-22 to SEC-26).


def test_symlinks_do_not_leave_the_bucket(s3, wire, server, bucket, folder, tmp_path):
    """SEC-22, SEC-23."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/inside").write_bytes(b"secret")
    os.symlink(secret, folder / "link")
    os.symlink(tmp_path / "dir", folder / "dirlink")
    os.symlink("../" + os.path.basename(bucket) + "/../../state", folder / "up")
    for key in ("link", "dirlink/inside", "up/master.key"):
        answer = wire.call("GET", f"/{bucket}/{key}")
        assert answer.status in (403, 404), (key, answer)
    answer = wire.call("PUT", f"/{bucket}/dirlink/new", body=b"x")
    assert answer.status in (400, 403, 404, 409), answer
    assert sorted(os.listdir(tmp_path / "dir")) == ["inside"]
    # Overwriting or deleting the link acts on the name.
    s3.put_object(Bucket=bucket, Key="link", Body=b"replaced")
    assert secret.read_bytes() == b"secret" and read(s3, bucket, "link") == b"replaced"
    s3.delete_object(Bucket=bucket, Key="dirlink")
    assert (tmp_path / "dir/inside").exists()


def test_symlink_swapped_during_requests(server, wire, bucket, folder, tmp_path):
    """SEC-23: a directory component flips between a real directory and a link out."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/f").write_bytes(b"secret")
    (folder / "in").mkdir()
    (folder / "in/f").write_bytes(b"public")
    os.symlink(tmp_path / "out", folder / "evil")
    os.symlink("in", folder / "d")
    stop = threading.Event()

    def flip():
        while not stop.is_set():
            for target in ("in", "evil"):
                os.symlink(target, folder / "d.new")
                os.rename(folder / "d.new", folder / "d")

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        with wire.connect() as c:
            for _ in range(500):
                c.send(wire.request("GET", f"/{bucket}/d/f").encode())
                answer = c.response()
                assert answer.body != b"secret"
                assert answer.status in (200, 403, 404, 503), answer
    finally:
        stop.set()
        thread.join()


def test_fifos_sockets_and_devices_are_never_opened(wire, bucket, folder, s3):
    """SEC-25."""
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        short = os.open(folder, os.O_PATH)  # addresses of sockets are short
        s.bind(f"/proc/self/fd/{short}/sock")
        os.close(short)
        names = ["fifo", "sock"]
        if os.geteuid() == 0:
            os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            names.append("null")
        for name in names:
            assert wire.call("GET", f"/{bucket}/{name}").status in (403, 404), name
            assert wire.call("HEAD", f"/{bucket}/{name}").status in (403, 404), name
        assert keys(s3, bucket) == []


@pytest.mark.posix
def test_removed_objects_give_their_space_back(private_server):
    """None is held longer than its inode's number has to be kept from being another's."""
    server = private_server("space", options=["--sync", "none"])
    s3 = connect(server)
    s3.create_bucket(Bucket="space")
    for i in range(5):
        upload, parts = upload_parts(s3, "space", f"{i}", [b"part"])
        complete(s3, "space", f"{i}", upload, parts)
        os.unlink(server.volume / "space" / f"{i}")
        s3.put_object(Bucket="space", Key="young", Body=b"")
        s3.delete_object(Bucket="space", Key="young")
    time.sleep(0.1)
    s3.put_object(Bucket="space", Key="old", Body=b"")
    time.sleep(0.1)
    s3.delete_object(Bucket="space", Key="old")
    s3.delete_object(Bucket="space", Key="none")
    descriptors = pathlib.Path(f"/proc/{server.process.pid}/fd")
    held = [target for target in map(os.readlink, descriptors.iterdir()) if "/space/" in target and target.endswith("(deleted)")]
    assert held == []


def test_hard_links_are_not_written_through(s3, bucket, folder, tmp_path):
    (folder / "k").write_bytes(b"shared")
    os.link(folder / "k", folder / "other")
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert (folder / "other").read_bytes() == b"shared"


def test_reserved_names_are_unreachable(s3, wire, bucket, folder):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")
    assert keys(s3, bucket) == []
    assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    inside = [os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs]
    assert inside, "the upload is kept in the bucket"
    for name in [*inside, ".sluice", ".sluice/"]:
        assert wire.call("GET", f"/{bucket}/{name}").status in (400, 403, 404), name
        assert wire.call("DELETE", f"/{bucket}/{name}").status in (204, 400, 403, 404), name
        assert wire.call("PUT", f"/{bucket}/{name}", body=b"").status in (400, 403), name
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=2, Body=b"part")


@pytest.mark.posix
def test_bucket_folder_made_outside_is_a_bucket(s3, server, bucket):
    (server.volume / "made-outside").mkdir()
    assert "made-outside" in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket="made-outside", Key="k", Body=b"x")
    s3.delete_object(Bucket="made-outside", Key="k")
    s3.delete_bucket(Bucket="made-outside")
    assert not (server.volume / "made-outside").exists()


def test_files_in_the_root_are_no_buckets(s3, server, wire):
    (server.volume / "just-a-file").write_bytes(b"x")
    assert "just-a-file" not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert wire.call("GET", "/just-a-file").status in (400, 404)


def test_setgid_and_modes(s3, bucket, folder):
    """New objects are like files made by an ordinary program: mode by umask, group by a setgid directory."""
    assert stat.S_IMODE((folder).stat().st_mode) & 0o700 == 0o700
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert stat.S_IMODE((folder / "plain").stat().st_mode) == 0o666 & ~current_umask()
    if os.geteuid() == 0:
        group = grp.getgrall()[-1].gr_gid
        (folder / "shared").mkdir()
        os.chown(folder / "shared", -1, group)
        os.chmod(folder / "shared", 0o2775)
        s3.put_object(Bucket=bucket, Key="shared/k", Body=b"x")
        s3.put_object(Bucket=bucket, Key="shared/sub/k", Body=b"x")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="shared/mp")["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key="shared/mp", UploadId=upload, PartNumber=1, Body=b"x")
        s3.complete_multipart_upload(
            Bucket=bucket, Key="shared/mp", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
        for name in ("k", "sub", "sub/k", "mp"):
            assert (folder / "shared" / name).stat().st_gid == group, name


def current_umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "foreign", [{"mtime": "1500000000.5"}, {"mode": "33188", "uid": "0", "gid": "0", "mtime": "1500000000"}], ids=["rclone", "s3fs"]
)
def test_foreign_dialects_reach_the_inode(s3, bucket, folder, foreign):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=foreign)
    assert int((folder / "k").stat().st_mtime) == 1_500_000_000
    head = s3.head_object(Bucket=bucket, Key="k")
    assert float(head["Metadata"]["mtime"]) == float(foreign["mtime"])
    assert "-" not in head["ETag"], "the validator was taken after the time was set"


@pytest.mark.posix
def test_same_through_the_sidecar(private_server):
    """Without extended attributes the same record lives in a sidecar."""
    server = private_server("sidecar", options=["--xattr", "sidecar"])
    s3 = connect(server)
    s3.create_bucket(Bucket="side")
    etag = s3.put_object(Bucket="side", Key="a/k", Body=b"x", Metadata={"m": "1"}, ContentType="text/x")["ETag"]
    assert os.listxattr(server.volume / "side/a/k") == []
    head = s3.head_object(Bucket="side", Key="a/k")
    assert (head["ETag"], head["Metadata"], head["ContentType"]) == (etag, {"m": "1"}, "text/x")
    (server.volume / "side/a/k").write_bytes(b"changed")
    assert "-" in s3.head_object(Bucket="side", Key="a/k")["ETag"]
    assert keys(s3, "side") == ["a/k"]
    s3.delete_object(Bucket="side", Key="a/k")
    s3.delete_bucket(Bucket="side")


@pytest.mark.posix
def test_single_bucket_mode(private_server):
    server = private_server("single", options=["--bucket", "only"])
    (server.volume / "top").write_bytes(b"x")
    s3 = connect(server)
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["only"]
    assert keys(s3, "only") == ["top"]
    s3.put_object(Bucket="only", Key="dir/k", Body=b"y")
    assert (server.volume / "dir/k").read_bytes() == b"y"
