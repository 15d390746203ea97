"""The volume's settings as other clients write them: those that are honoured are, others are refused by name."""

import json
import os
import sqlite3
import subprocess
import time

import pytest

from aws import connect, fails, keys, read
from server import eventually

MIB = 1024 * 1024


def change(server, **members):
    """As `juicefs config` does it. None takes the member out."""
    with sqlite3.connect(server.volume / "meta.db", timeout=20) as db:
        record = json.loads(db.execute("SELECT value FROM jfs_setting WHERE name = 'format'").fetchone()[0])
        record = {k: v for k, v in {**record, **members}.items() if v is not None}
        db.execute("UPDATE jfs_setting SET value = ? WHERE name = 'format'", (json.dumps(record),))
    db.close()


@pytest.fixture
def configured(private_server):
    """configured(kind, options of format, **settings): a gateway that finds those."""

    def start(kind="juicefs-file", format=(), **settings):
        server = private_server("configured", kind=kind, format=format)
        if settings:
            server.stop_gateway(30, (0,))
            change(server, **settings)
            server.start()
        connect(server).create_bucket(Bucket="set")
        return server

    return start


def seconds(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_bandwidth(configured):
    """Megabits per second, of all transfers together; changed while it runs."""
    server = configured(UploadLimit=16, DownloadLimit=32)
    s3, body = connect(server), os.urandom(6 * MIB)
    assert seconds(lambda: s3.put_object(Bucket="set", Key="k", Body=body)) > 0.9  # all but the last block of 4 MiB have been paid for
    assert seconds(lambda: s3.put_object(Bucket="set", Key="k2", Body=body)) > 2
    server.stop_gateway(30, (0,))  # nothing is cached
    server.start()
    assert seconds(lambda: (read(s3, "set", "k"), read(s3, "set", "k2"))) > 1.5
    change(server, UploadLimit=None, DownloadLimit=None)
    assert eventually(lambda: seconds(lambda: s3.put_object(Bucket="set", Key="k", Body=body)) < 1, timeout=40)


def blocks_in(folder):
    return len([p for p in folder.rglob("chunks/*/*/*") if p.is_file()])


@pytest.mark.heavy
def test_the_bucket_moves_while_it_runs(configured, tmp_path):
    """As for official clients: who moves the blocks tells the settings, and everybody goes on there."""
    server = configured()
    s3, moved = connect(server), tmp_path / "moved"
    s3.put_object(Bucket="set", Key="before", Body=b"x" * MIB)
    old = server.volume / "blocks"
    subprocess.run(["cp", "-a", old, moved], check=True)
    before = blocks_in(old)
    change(server, Bucket=f"{moved}/")

    def is_moved():
        s3.put_object(Bucket="set", Key="probe", Body=b"probe")
        return blocks_in(moved) > before

    assert eventually(is_moved, timeout=40 * server.slowness, interval=0.5)
    subprocess.run(["rm", "-r", old], check=True)
    s3.put_object(Bucket="set", Key="after", Body=b"y" * MIB)
    server.kill()  # nothing is cached
    server.start()
    assert read(s3, "set", "before") == b"x" * MIB and read(s3, "set", "after") == b"y" * MIB
    # A bucket that cannot be is told, and changes nothing.
    change(server, Bucket="nowhere")
    assert eventually(lambda: "store_not_changed" in server.stderr() or "nowhere" in server.stderr(), timeout=40 * server.slowness)
    s3.put_object(Bucket="set", Key="later", Body=b"z" * MIB)
    change(server, Bucket=f"{moved}/")


@pytest.mark.heavy
def test_keys_are_exchanged_while_it_runs(configured):
    server = configured(kind="juicefs-s3")
    s3, blocks = connect(server), server.block_server
    fresh = blocks.add_user("fresh")
    change(server, AccessKey=fresh.access_key, SecretKey=fresh.secret_key, KeyEncrypted=False)

    def is_exchanged():
        s3.put_object(Bucket="set", Key="probe", Body=b"probe")
        return any(r["op"] == "PutObject" and r.get("access_key") == fresh.access_key for r in blocks.requests())

    assert eventually(is_exchanged, timeout=40 * server.slowness, interval=0.5)
    assert read(s3, "set", "probe") == b"probe"


@pytest.mark.parametrize("settings", [{"StorageClass": "STANDARD_IA"}, {"Tiers": {"0": {"ID": 0, "StorageClass": "STANDARD_IA", "Tag": ""}}}])
def test_storage_class(configured, settings):
    server = configured(kind="juicefs-s3", **settings)
    connect(server).put_object(Bucket="set", Key="k", Body=b"x")
    blocks = connect(server.block_server)
    (block,) = [k for k in keys(blocks, "blocks") if "/chunks/" in k]
    assert blocks.head_object(Bucket="blocks", Key=block)["StorageClass"] == "STANDARD_IA"


def test_layout_of_blocks(configured, tmp_path):
    """Hash prefix, shards, block size, compression: what they mean for the objects."""
    server = configured(
        format=["--hash-prefix", "--block-size", "64K", "--compress", "lz4", "--force", "--bucket", f"{tmp_path}/%d/", "--shards", "3"]
    )
    connect(server).put_object(Bucket="set", Key="k", Body=b"x" * MIB)
    found = [p.relative_to(tmp_path) for p in tmp_path.rglob("chunks/*/*/*") if p.is_file()]
    assert len(found) == 16 and len({p.parts[0] for p in found}) > 1
    assert all(len(p.parts[3]) == 2 and (tmp_path / p).stat().st_size < 2000 for p in found), found


def test_capacity_and_inodes(configured):
    server = configured(Capacity=8 * MIB, Inodes=20)
    server.expect_failures = True
    s3 = connect(server)
    s3.put_object(Bucket="set", Key="k", Body=b"x" * MIB)
    with fails("InsufficientStorage", 507):
        s3.put_object(Bucket="set", Key="large", Body=b"x" * 9 * MIB)
    with fails("InsufficientStorage", 507):
        for i in range(30):
            s3.put_object(Bucket="set", Key=f"n{i}", Body=b"x")
    for key in keys(s3, "set"):
        s3.delete_object(Bucket="set", Key=key)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"ChangeLog": True}, "ChangeLog"),
        ({"Compression": "brotli"}, "Compression"),
        ({"MetaVersion": 2}, "MetaVersion"),
        ({"MinClientVersion": "99.0.0"}, "MinClientVersion"),
        ({"MaxClientVersion": "1.0.0"}, "MaxClientVersion"),
        ({"BlockSize": 100}, "BlockSize"),
        ({"EncryptKey": "removed"}, "EncryptKey"),
        ({"Storage": "tape"}, "tape"),
        ({"SomethingNew": "on"}, "SomethingNew"),
    ],
)
def test_refused_by_name(configured, settings, said):
    server = configured()
    server.stop_gateway(30, (0,))
    change(server, **settings)
    ran = subprocess.run(server.command(), env=server.environment(), capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0 and said in ran.stderr, ran.stderr
    usual = {"BlockSize": 4096, "Storage": "file", "Compression": "none", "MetaVersion": 1, "MinClientVersion": "1.1.0-A"}
    change(server, **{name: usual.get(name) for name in settings})
    server.start()
