"""Full volumes: clear errors, nothing torn, and work goes on when there is room again."""

import os
import subprocess

import pytest

from aws import connect, fails, keys, put_all, read
from server import eventually, staging_leftovers
from wire import Wire

MIB = 1024 * 1024
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a small file system has to be mounted")
KINDS = {"tmpfs": ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs"]}


def make_ext4(tmp_path):
    image = tmp_path / "image"
    with open(image, "wb") as f:
        f.truncate(40 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, capture_output=True)
    return ["mount", "-o", "loop", image]


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request, tmp_path, private_server):
    """A gateway whose volume has a few MiB."""
    top = tmp_path / "small"
    top.mkdir()
    mount = KINDS["tmpfs"] if request.param == "tmpfs" else make_ext4(tmp_path)
    done = subprocess.run([*mount, top], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount {request.param} here: {done.stderr.strip()}")
    server = None
    try:
        server = private_server(f"small-{request.param}", volume=top)
        server.expect_failures = True
        yield server
    finally:
        if server:
            server.stop()
        subprocess.run(["umount", top], check=True)


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
