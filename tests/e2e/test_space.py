"""Full volumes: clear errors, nothing torn, and work goes on when there is room again."""

import contextlib
import os
import subprocess

import pytest

from aws import connect, fails, keys, put_all, read
from server import eventually, staging_leftovers
from wire import Wire

MIB = 1024 * 1024
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a small file system has to be mounted")
TMPFS = ["mount", "-t", "tmpfs", "-o"]


def make_ext4(tmp_path):
    image = tmp_path / "image"
    with open(image, "wb") as f:
        f.truncate(40 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, capture_output=True)
    return ["mount", "-o", "loop", image]


@contextlib.contextmanager
def mounted(words, path):
    path.mkdir()
    done = subprocess.run([*words, path], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {words}: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@contextlib.contextmanager
def full_some_day(server):
    server.expect_failures = True
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request, tmp_path, private_server):
    """A gateway whose volume has a few MiB."""
    words = [*TMPFS, "size=24m", "tmpfs"] if request.param == "tmpfs" else make_ext4(tmp_path)
    with mounted(words, tmp_path / "small") as top, full_some_day(private_server(f"small-{request.param}", volume=top)) as server:
        yield server


@needs_root
@pytest.mark.posix
def test_full_volume(small):
    wire, s3 = Wire(small), connect(small)
    s3.create_bucket(Bucket="full")
    put_all(s3, "full", ["before"], b"whole")
    stored = 0
    while stored < 100:
        answer = wire.call("PUT", f"/full/{stored}", body=b"f" * 3 * MIB)
        if answer.status != 200:
            break
        stored += 1
    # Trap 38: ENOSPC is no InternalError and no reset.
    assert (answer.status, answer.code) == (507, "InsufficientStorage"), answer
    assert 1 < stored < 40
    assert keys(s3, "full") == sorted([f"{i}" for i in range(stored)] + ["before"])
    assert eventually(lambda: not staging_leftovers(small.volume)), "what was not stored takes no room"
    # An overwrite that does not fit keeps the old object.
    answer = wire.call("PUT", "/full/before", body=b"n" * 20 * MIB)
    assert answer.status == 507 and read(s3, "full", "before") == b"whole"
    upload = s3.create_multipart_upload(Bucket="full", Key="mp")["UploadId"]
    with fails("InsufficientStorage", 507):
        for n in range(1, 9):
            s3.upload_part(Bucket="full", Key="mp", UploadId=upload, PartNumber=n, Body=b"p" * 5 * MIB)
    s3.abort_multipart_upload(Bucket="full", Key="mp", UploadId=upload)
    # Deleting works on a full volume, and then there is room.
    s3.delete_objects(Bucket="full", Delete={"Objects": [{"Key": f"{i}"} for i in range(stored)]})
    assert wire.call("PUT", "/full/after", body=b"a" * 3 * MIB).status == 200
    assert keys(s3, "full") == ["after", "before"]


@needs_root
def test_early_answer_to_a_large_body_on_a_full_volume(small):
    """The error comes while the client is still sending, and is seen."""
    wire = Wire(small)
    wire.call("PUT", "/full")
    for _ in range(3):
        assert wire.call("PUT", "/full/k", body=b"f" * 60 * MIB).status == 507


@pytest.fixture
def small_metadata(tmp_path, private_server):
    """A gateway of a volume whose metadata have a few MiB, its blocks all they want; and what takes some of that room."""
    blocks = tmp_path / "blocks"
    blocks.mkdir()
    more = {"kind": "juicefs-file", "format": ["--bucket", f"{blocks}/", "--trash-days", "0"]}
    with mounted([*TMPFS, "size=6m", "tmpfs"], tmp_path / "metadata") as disk:
        (disk / "ballast").write_bytes(bytes(MIB))
        with full_some_day(private_server("small-metadata", volume=disk, **more)) as server:
            yield server, disk / "ballast"


@needs_root
def test_full_metadata(small_metadata):
    """What changes something says so, what only reads goes on; with room again, all does."""
    server, ballast = small_metadata
    wire, s3 = Wire(server), connect(server)
    s3.create_bucket(Bucket="full")
    notes = [("x-amz-meta-notes", "n" * 2000)]
    stored, refused = [], 0
    for i in range(5000):
        answer = wire.call("PUT", f"/full/{i}", body=b"content", headers=notes)
        if answer.status == 200:
            stored.append(str(i))
            continue
        assert (answer.status, answer.code) == (507, "InsufficientStorage"), answer
        refused += 1
        if refused == 20:
            break
    assert refused == 20 and len(stored) > 50
    for words in (
        ("PUT", "/another"),
        ("POST", "/full/upload", [("uploads", "")]),
        ("PUT", "/full/directory/"),
        ("PUT", "/full/a/b/c/d"),
        ("DELETE", f"/full/{stored[0]}"),
    ):
        answer = wire.call(*words, headers=notes if words[0] != "DELETE" else [])
        print(words, answer.status)
        assert answer.status in (200, 204, 507), (words, answer)
        if words[0] == "DELETE" and answer.status == 204:
            stored.pop(0)
    assert set(stored) <= set(keys(s3, "full")) and read(s3, "full", stored[-1]) == b"content"
    ballast.unlink()
    assert wire.call("PUT", "/full/after", body=b"room", headers=notes).status == 200
    s3.delete_objects(Bucket="full", Delete={"Objects": [{"Key": key} for key in stored[:20]]})
    assert set(stored[20:] + ["after"]) <= set(keys(s3, "full")) and not set(stored[:20]) & set(keys(s3, "full"))
    server.stop()
    server.run("fsck", server.location)
    server.start()
    assert read(connect(server), "full", "after") == b"room"
