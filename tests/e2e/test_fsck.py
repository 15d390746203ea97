"""`sluice fsck` and `sluice gc` as programs, beside a gateway that serves the volume: lost and damaged blocks, leaked ones after kill -9,
no false alarms under load, over both object stores. What metadata can suffer is planted in tests/unit/vfs_meta_check_test.c."""

import hashlib
import json
import os
import pty
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from aws import connect
from server import eventually

MIB = 1024 * 1024
GONE = (BotoCoreError, HTTPClientError, ClientError, OSError)


class Volume:
    """A gateway, its volume, and the commands on it."""

    def __init__(self, server):
        self.server, self.s3 = server, connect(server)
        self.s3.create_bucket(Bucket="data")

    def put(self, key, size, seed=0):
        body = random.Random(f"{key}{seed}").randbytes(size)
        self.s3.put_object(Bucket="data", Key=key, Body=body)
        return hashlib.sha256(body).hexdigest()

    def digest(self, key):
        return hashlib.sha256(self.s3.get_object(Bucket="data", Key=key)["Body"].read()).hexdigest()

    def run(self, command, *words, code=0, **environment):
        done = subprocess.run(
            [str(self.server.binary), command, self.server.location, "--quiet", *words],
            capture_output=True, text=True, timeout=200, env={**self.server.environment(), **environment},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def check(self, *words, code=0):
        return json.loads(self.run("fsck", "--json", *words, code=code))

    def gc(self, *words, code=0, **environment):
        return json.loads(self.run("gc", "--json", *words, code=code, **environment))

    def sql(self, text):
        with sqlite3.connect(f"{self.server.volume}/meta.db", timeout=20) as db:
            return db.execute(text).fetchall()


class FileBlocks:
    def __init__(self, server):
        self.top = server.volume / "blocks/volume"

    def keys(self):
        return sorted(str(p.relative_to(self.top)) for p in self.top.rglob("chunks/*/*/*"))

    def get(self, key):
        return (self.top / key).read_bytes()

    def put(self, key, body):
        (self.top / key).parent.mkdir(parents=True, exist_ok=True)
        (self.top / key).write_bytes(body)

    def delete(self, key):
        (self.top / key).unlink()


class S3Blocks:
    def __init__(self, server):
        self.s3 = connect(server.block_server)

    def keys(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="blocks", Prefix="volume/chunks/")
        return sorted(o["Key"].removeprefix("volume/") for page in pages for o in page.get("Contents", []))

    def get(self, key):
        return self.s3.get_object(Bucket="blocks", Key=f"volume/{key}")["Body"].read()

    def put(self, key, body):
        self.s3.put_object(Bucket="blocks", Key=f"volume/{key}", Body=body)

    def delete(self, key):
        self.s3.delete_object(Bucket="blocks", Key=f"volume/{key}")


@pytest.fixture(params=["juicefs-file", "juicefs-s3"])
def volume(request, private_server):
    v = Volume(private_server(kind=request.param))
    v.blocks = (FileBlocks if request.param == "juicefs-file" else S3Blocks)(v.server)
    return v


@pytest.fixture
def file_volume(private_server):
    v = Volume(private_server(kind="juicefs-file"))
    v.blocks = FileBlocks(v.server)
    return v


def kinds(report):
    return sorted((p["kind"], p.get("path")) for p in report["problems"])


def test_a_volume_in_use_is_sound(volume):
    volume.put("a/b", 5 * MIB)
    volume.put("empty", 0)
    volume.put("gone", 100)
    volume.s3.delete_object(Bucket="data", Key="gone")  # into the trash, which is looked at too
    report = volume.check()
    assert report["problems"] == [] and report["summary"]["complete"]
    assert (report["summary"]["slices"], report["summary"]["blocks"]) == (2, 3)
    assert report["summary"]["bytes"] == 5 * MIB + 100
    assert volume.check("--verify")["summary"]["blocks"] == 3
    assert volume.check("--path", "/data/a", "-r")["summary"]["blocks"] == 2
    assert volume.check("--path", "/data/a")["summary"]["blocks"] == 0
    found = volume.gc("--age", "0")["summary"]
    assert (found["used_objects"], found["leaked_objects"], found["new_objects"]) == (3, 0, 0)


def test_lost_and_damaged_blocks_are_told_with_their_files(volume):
    volume.put("dir/lost", 5 * MIB)
    volume.put("dir/short", 100)
    volume.put("dir/fine", 3000)
    lost, short = ([k for k in volume.blocks.keys() if k.endswith(e)] for e in ("_1_1048576", "_0_100"))
    assert len(lost) == len(short) == 1
    volume.blocks.delete(lost[0])
    volume.blocks.put(short[0], b"x" * 99)
    report = volume.check(code=1)
    assert kinds(report) == [("block-size", "/data/dir/short"), ("lost-block", "/data/dir/lost")]
    assert {p["object"] for p in report["problems"]} == {lost[0], short[0]}
    assert report["summary"]["broken_files"] == 2 and report["summary"]["lost_blocks"] == 2
    assert "/data/dir/lost: lost block " + lost[0] in volume.run("fsck", "--path=/data/dir/lost", code=1)
    assert volume.check("--path", "/data/dir/fine")["problems"] == []
    assert kinds(volume.check("--verify", code=1)) == [("damaged-block", "/data/dir/short"), ("lost-block", "/data/dir/lost")]
    # Both go with their files, but for the trash's hold on them.
    for key in "lost", "short":
        volume.s3.delete_object(Bucket="data", Key=f"dir/{key}")
    assert all(p["path"].startswith("/.trash/") for p in volume.check(code=1)["problems"])


def test_the_official_client_sees_the_same(file_volume, official):
    v = file_volume
    v.put("lost", 100)
    v.put("fine", 5 * MIB)
    official("fsck", v.server.location)
    assert v.check()["problems"] == []
    v.blocks.delete(next(k for k in v.blocks.keys() if k.endswith("_0_100")))
    told = official("fsck", v.server.location, check=False)
    assert told.returncode != 0 and "/data/lost" in told.stdout + told.stderr
    assert kinds(v.check(code=1)) == [("lost-block", "/data/lost")]
    # Damage to the metadata that both know: found by both, mended by us.
    v.sql("update jfs_node set nlink = 9 where type = 2 and inode = (select inode from jfs_edge where name = cast('data' as blob))")
    assert official("fsck", v.server.location, "--path", "/", "-r", check=False).returncode != 0
    assert ("links", "/data") in kinds(v.check("--repair", code=1))
    v.s3.delete_object(Bucket="data", Key="lost")
    # Statistics follow within a second, for which the official client does not wait.
    eventually(lambda: official("fsck", v.server.location, "--path", "/", "-r", "--sync-dir-stat", check=False).returncode == 0)


def test_counters_are_repaired_under_a_gateway(file_volume):
    v = file_volume
    v.put("a", 5000)
    eventually(lambda: v.sql("select value from jfs_counter where name = 'totalInodes'")[0][0] == 2)
    v.sql("update jfs_counter set value = value + 7 where name = 'totalInodes'")
    v.sql("update jfs_dir_stats set used_inodes = used_inodes + 3")
    report = v.check(code=1)
    assert {p["kind"] for p in report["problems"]} == {"volume-inodes", "directory-inodes"}
    assert not any(p["repaired"] for p in report["problems"])
    report = v.check("--repair")
    assert all(p["repaired"] for p in report["problems"]) and report["summary"]["repaired"] == report["summary"]["problems"]
    assert v.check()["problems"] == []
    v.put("b", 10)  # goes on counting from there
    eventually(lambda: v.sql("select value from jfs_counter where name = 'totalInodes'")[0][0] == 3)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True, capture_output=True)
    return path


def flip_a_bit(path):
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


ENCRYPTED = ["--encrypt-rsa-key", "KEY"]
LAYOUTS = [
    ["--hash-prefix"],
    ["--compress", "lz4"],
    ["--compress", "zstd", "--hash-prefix"],
    ["--shards", "3"],
    ENCRYPTED,
    [*ENCRYPTED, "--compress", "lz4"],
]


@pytest.mark.parametrize("options", LAYOUTS, ids="-".join)
def test_every_layout(private_server, binary, tmp_path, key_file, options):
    folder = tmp_path / "volume"
    folder.mkdir()
    bucket = f"{folder}/blocks%d/" if "--shards" in options else f"{folder}/blocks/"
    options = [key_file if word == "KEY" else word for word in options]
    made = subprocess.run(
        [str(binary), "format", f"sqlite3://{folder}/meta.db", "volume", "--bucket", bucket, "--block-size", "64K", *options],
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    v = Volume(private_server(kind="juicefs-file", volume=folder))
    for i in range(20):
        v.put(f"{i}", 100_000)
    assert v.check("--verify")["problems"] == []
    report = v.check()
    assert report["problems"] == [] and report["summary"]["blocks"] == 40
    assert v.gc("--age=0")["summary"]["used_objects"] == 40
    paths = sorted(folder.glob("blocks*/volume/chunks/*/*/*_0_*"))
    paths[0].unlink()
    paths[1].write_bytes(b"")
    assert [kind for kind, _ in kinds(v.check(code=1))] == ["block-size", "lost-block"]
    assert [kind for kind, _ in kinds(v.check("--verify", code=1))] == ["damaged-block", "lost-block"]
    if key_file not in options:
        return
    # What is sealed tells of every bit; of what leaked only the name is looked at.
    flip_a_bit(paths[2])
    assert [kind for kind, _ in kinds(v.check("--verify", code=1))] == ["damaged-block", "damaged-block", "lost-block"]
    leaked = paths[2].with_name("999_0_100")
    leaked.write_bytes(b"not even sealed")
    os.utime(leaked, (0, 0))
    assert v.gc("--delete")["summary"]["deleted_objects"] == 1 and not leaked.exists()


def test_leaked_blocks_are_found_by_age_and_deleted(volume):
    kept = {f"k{i}": volume.put(f"k{i}", 3000 + i) for i in range(20)}
    for slice_id in (5_000_001, 5_000_002, 7_123_456):
        volume.blocks.put(f"chunks/{slice_id // 1000000}/{slice_id // 1000}/{slice_id}_0_1234", b"x" * 1234)
    first = volume.blocks.keys()[0]
    volume.blocks.put(f"chunks/0/0/{first.split('/')[-1].split('_')[0]}_7_1", b"x")  # of a slice that has no such block
    volume.blocks.put("chunks/0/0/readme", b"not ours")
    before = volume.blocks.keys()
    time.sleep(2)  # S3's times are whole seconds
    assert volume.gc()["summary"]["new_objects"] == 4  # an hour is what uploads have
    report = volume.gc("--age", "0s", code=1)
    assert report["summary"]["leaked_objects"] == 4 and report["summary"]["leaked_bytes"] == 3 * 1234 + 1
    assert report["summary"]["unknown_objects"] == 1
    assert volume.gc(JFS_GC_SKIPPEDTIME="0", code=1)["summary"]["leaked_objects"] == 4
    assert volume.blocks.keys() == before
    report = volume.gc("--age", "0s", "--delete")
    assert report["summary"]["deleted_objects"] == 4 and len(report["problems"]) == 4
    assert len(volume.blocks.keys()) == 21
    assert {k: volume.digest(k) for k in kept} == kept
    assert volume.check("--verify")["problems"] == []


def test_the_official_gc_counts_the_same(file_volume, official, monkeypatch):
    v = file_volume
    monkeypatch.setenv("JFS_GC_SKIPPEDTIME", "0")
    for i in range(5):
        v.put(f"{i}", 100)
    v.s3.delete_object(Bucket="data", Key="0")  # in the trash: in use
    for i in range(3):
        v.blocks.put(f"chunks/0/3/300{i}_0_100", b"x" * 100)

    def leaked():
        told = official("gc", v.server.location)
        return int(re.search(r"(\d+) leaked", told.stdout + told.stderr).group(1))

    assert leaked() == v.gc(code=1)["summary"]["leaked_objects"] == 3
    assert v.gc("--delete")["summary"]["deleted_objects"] == 3
    assert leaked() == v.gc()["summary"]["leaked_objects"] == 0
    assert len(v.blocks.keys()) == 5


def test_slices_that_nothing_mentions_go(file_volume):
    v = file_volume
    v.put("a", 100)
    v.blocks.put("chunks/0/3/3000_0_1000", b"x" * 1000)
    v.sql("insert into jfs_chunk_ref values (3000, 1000, 1)")
    assert [p["kind"] for p in v.check(code=1)["problems"]] == ["slice-unused"]
    assert v.gc(code=1)["summary"]["unused_slices"] == 1
    v.gc("--delete")
    assert v.sql("select count(*) from jfs_chunk_ref where chunkid = 3000") == [(0,)]
    assert len(v.blocks.keys()) == 1
    assert v.check()["problems"] == []


def test_clones_that_nobody_finishes_go_after_a_day(file_volume):
    """What a client leaves that dies while it clones a directory: a tree without a name, noted as such."""
    v = file_volume
    v.put("dir/below/f", 5000)
    v.put("kept", 100)
    (directory,) = v.sql("select inode from jfs_edge where name = cast('dir' as blob)")[0]
    v.sql(f"delete from jfs_edge where inode = {directory}")
    v.sql(f"insert into jfs_detached_node (inode, added) values ({directory}, {time.time() - 23 * 3600:.0f})")
    v.check("--repair")  # the bucket has one directory less
    nodes = v.sql("select count(*) from jfs_node")[0][0]
    v.gc("--delete")
    assert v.sql("select count(*) from jfs_node") == [(nodes,)] and v.check()["problems"] == []
    v.sql("update jfs_detached_node set added = added - 7200")
    v.gc()
    assert v.sql("select count(*) from jfs_node") == [(nodes,)]
    v.gc("--delete")
    assert v.sql("select count(*) from jfs_node") == [(nodes - 3,)] and v.sql("select count(*) from jfs_detached_node") == [(0,)]
    assert v.check("--verify")["problems"] == []


def test_a_count_that_is_too_low_takes_nothing_with_it(file_volume):
    v = file_volume
    body = v.put("a", 100)
    v.s3.copy_object(Bucket="data", Key="b", CopySource="data/a")  # one slice, mentioned twice
    v.sql("update jfs_chunk_ref set refs = 0")
    assert [p["kind"] for p in v.check(code=1)["problems"]] == ["slice-count"]
    assert [(p["kind"], p["repaired"]) for p in v.gc("--delete")["problems"]] == [("slice-count", True)]
    assert v.digest("a") == v.digest("b") == body
    assert v.check("--verify")["problems"] == []


def test_unreadable_lists_keep_gc_from_deleting(file_volume):
    v = file_volume
    v.put("a", 100)
    v.blocks.put("chunks/0/3/3000_0_1000", b"x" * 1000)
    v.sql("update jfs_chunk set slices = substr(slices, 1, 20)")
    report = v.gc("--age=0", "--delete", code=1)
    assert report["summary"]["damaged_lists"] == 1 and report["summary"]["deleted_objects"] == 0
    assert len(v.blocks.keys()) == 2


class Putter(threading.Thread):
    def __init__(self, volume, number):
        super().__init__()
        self.volume, self.number, self.stop, self.done = volume, number, False, {}

    def run(self):
        generator = random.Random(self.number)
        s3 = connect(self.volume.server)
        try:
            for i in range(100000):
                if self.stop:
                    return
                key, body = f"{self.number}/{i % 40}", generator.randbytes(generator.choice([10, 70_000, 5 * MIB]))
                self.done.pop(key, None)
                s3.put_object(Bucket="data", Key=key, Body=body)
                self.done[key] = hashlib.sha256(body).hexdigest()
                if i % 5 == 4:
                    self.done.pop(key)
                    s3.delete_object(Bucket="data", Key=key)
        except GONE:
            pass


def start_putters(volume, count=4):
    putters = [Putter(volume, n) for n in range(count)]
    for p in putters:
        p.start()
    return putters


@pytest.mark.heavy
def test_no_false_alarms_under_load(volume):
    putters = start_putters(volume)
    try:
        report = volume.check()
        assert report["problems"] == [] and report["summary"]["complete"], report
        assert volume.check("--repair")["problems"] == []
        assert volume.gc()["summary"]["leaked_objects"] == 0
        assert volume.gc("--delete", "--compact")["summary"]["leaked_objects"] == 0
    finally:
        for p in putters:
            p.stop = True
        for p in putters:
            p.join()
    assert all(p.done for p in putters)
    for p in putters:
        assert {k: volume.digest(k) for k in p.done} == p.done
    assert volume.check("--verify")["problems"] == []


@pytest.mark.heavy
def test_what_kill_9_leaves(volume):
    leftover = "chunks/6/6001/6001001_0_77"
    volume.blocks.put(leftover, b"x" * 77)  # as of an upload that was cut off
    for turn in range(3):
        putters = start_putters(volume)
        time.sleep(1 + turn / 2)
        volume.server.kill()
        for p in putters:
            p.join()
        # Uploads' nodes are kept for the dead session, whose record is there; usage that was gathered is lost.
        report = volume.check("--repair")
        assert {p["kind"] for p in report["problems"]} <= {"volume-space", "volume-inodes", "directory-space", "directory-inodes"}
        volume.server.start()
        volume.s3 = connect(volume.server)
    # By S3 a store tells its time in seconds: blocks that were uploaded within the last one count as new.
    time.sleep(1.5)
    two = [subprocess.Popen([str(volume.server.binary), "gc", volume.server.location, "--age=0", "--delete", "--quiet"],
                            env=volume.server.environment(), stdout=subprocess.DEVNULL) for _ in range(2)]  # fmt: skip
    assert [p.wait(200) for p in two] == [0, 0]
    assert leftover not in volume.blocks.keys()
    assert volume.gc("--age=0")["summary"]["leaked_objects"] == 0
    for p in putters:
        assert {k: volume.digest(k) for k in p.done} == p.done
    assert volume.check("--verify")["problems"] == []


def test_compaction(file_volume, binary):
    v = file_volume
    upload = v.s3.create_multipart_upload(Bucket="data", Key="parts")["UploadId"]
    parts = []
    for n in range(1, 5):
        body = random.Random(n).randbytes(5 * MIB + n)
        tag = v.s3.upload_part(Bucket="data", Key="parts", UploadId=upload, PartNumber=n, Body=body)["ETag"]
        parts.append({"PartNumber": n, "ETag": tag})
    v.s3.complete_multipart_upload(Bucket="data", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    before = v.digest("parts")
    records = "select max(length(cast(slices as blob))) / 24 from jfs_chunk"
    many = v.sql(records)[0][0]
    assert many > 1
    found = v.gc("--compact")["summary"]
    assert found["chunks"] >= 1 and found["compact_failed"] == 0
    assert v.digest("parts") == before
    assert v.check("--verify")["problems"] == []


def test_a_sample(file_volume):
    v = file_volume
    for i in range(60):
        v.put(f"{i}", 50)
    seen = [v.check("--sample", "20%", "--verify")["summary"]["blocks"] for _ in range(4)]
    assert all(s < 60 for s in seen) and sum(seen) > 0
    assert v.check("--sample=100")["summary"]["blocks"] == 60


@pytest.mark.parametrize("words", [["fsck"], ["fsck", "URL", "--what"], ["fsck", "URL", "x"], ["fsck", "URL", "--sample", "0"],
                                   ["fsck", "URL", "--sample", "101%"], ["fsck", "URL", "--path", "data"], ["gc"],
                                   ["gc", "URL", "--age", "soon"], ["gc", "URL", "--threads", "0"]], ids="-".join)  # fmt: skip
def test_wrong_use(binary, words):
    done = subprocess.run([str(binary), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_no_volume(binary, tmp_path):
    for command in "fsck", "gc":
        done = subprocess.run([str(binary), command, f"sqlite3://{tmp_path}/none.db"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "none.db" in done.stderr and done.stdout == ""
        assert subprocess.run([str(binary), command, "--help"], capture_output=True, timeout=60).returncode == 0


def start_slow_check(v, **more):
    """A check that waits, since a statistic is off."""
    v.put("a", 100)
    v.sql("update jfs_counter set value = value + 7 where name = 'totalInodes'")
    return subprocess.Popen([str(v.server.binary), "fsck", v.server.location], env=v.server.environment(), **more)


def test_it_can_be_interrupted(file_volume):
    process = start_slow_check(file_volume, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "run it again" in err and "so far" in out


def test_progress_on_a_terminal(file_volume):
    ours, theirs = pty.openpty()
    process = start_slow_check(file_volume, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"waiting for what other clients count" not in shown:
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(20) == 130
    os.close(ours)
    assert shown.startswith(b"\rfsck: ") and b"\x1b[K" in shown and b"\n" not in shown
