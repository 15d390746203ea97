"""kill -9 in the middle of writes: what got a 200 is whole, nothing is torn, leftovers are cleaned, uploads go on."""

import concurrent.futures
import contextlib
import hashlib
import random
import sqlite3
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from aws import complete, connect, keys
from juicefs import CLIENT, client
from server import eventually, staging_leftovers
from wire import Reset, Wire

PART = 5 * 1024 * 1024
GONE = (BotoCoreError, HTTPClientError, ClientError, OSError, EOFError, Reset)


class Writer(threading.Thread):
    """Puts objects until the gateway is gone; remembers what was acknowledged and what was only tried."""

    def __init__(self, server, number):
        super().__init__()
        self.server, self.number = server, number
        self.acknowledged, self.tried, self.uploads = {}, {}, []
        self.generator = random.Random(number)

    def run(self):
        try:
            while True:
                self.step()
        except GONE:
            pass

    def remember(self, key, body, send):
        digest = hashlib.sha256(body).hexdigest()
        self.tried.setdefault(key, set()).add(digest)
        send()
        self.acknowledged[key] = digest

    def step(self):
        raise NotImplementedError


class BotoWriter(Writer):
    """New keys and overwritten ones, small and large."""

    def run(self):
        self.s3 = connect(self.server)
        super().run()

    def step(self):
        for key in (f"w{self.number}/{len(self.tried)}", f"w{self.number}/again"):
            body = self.generator.randbytes(self.generator.choice([0, 100, 70_000, 900_000]))
            self.remember(key, body, lambda key=key, body=body: self.s3.put_object(Bucket="crash", Key=key, Body=body))


class WireWriter(Writer):
    """Chunked bodies on raw sockets, so that the end comes in the middle of one."""

    def step(self):
        wire = Wire(self.server)
        with wire.connect(timeout=5) as c:
            while True:
                key, body = f"w{self.number}/{len(self.tried)}", self.generator.randbytes(200_000)

                def send(key=key, body=body):
                    c.send(wire.request("PUT", f"/crash/{key}", body=body).encode())
                    assert c.response().status == 200

                self.remember(key, body, send)


class MovingWriter(Writer):
    """Copies, renames and deletes. What is acknowledged of a key may be that it is gone (None)."""

    def run(self):
        self.s3 = connect(self.server)
        super().run()

    def step(self):
        n, s3 = len(self.tried), self.s3
        first, copy, moved = (f"v{self.number}/{folder}/{n}" for folder in ("first", "copy", "moved"))
        body = self.generator.randbytes(self.generator.choice([10, 200_000]))
        self.remember(first, body, lambda: s3.put_object(Bucket="crash", Key=first, Body=body))
        self.remember(copy, body, lambda: s3.copy_object(Bucket="crash", Key=copy, CopySource={"Bucket": "crash", "Key": first}))
        self.forget(first)
        self.remember(moved, body, lambda: s3.rename_object(Bucket="crash", Key=moved, RenameSource=first))
        self.acknowledged[first] = None
        self.forget(copy)
        s3.delete_object(Bucket="crash", Key=copy)
        self.acknowledged[copy] = None

    def forget(self, key):
        """From here on it may be there or not."""
        del self.acknowledged[key]


class MultipartWriter(Writer):
    def run(self):
        self.s3 = connect(self.server)
        super().run()

    def step(self):
        key = f"m{self.number}/{len(self.tried)}"
        bodies = [self.generator.randbytes(PART), self.generator.randbytes(1000)]
        upload = self.s3.create_multipart_upload(Bucket="crash", Key=key)["UploadId"]
        parts = []
        self.uploads.append((key, upload, parts, bodies))
        for n, body in enumerate(bodies, 1):
            etag = self.s3.upload_part(Bucket="crash", Key=key, UploadId=upload, PartNumber=n, Body=body)["ETag"]
            parts.append({"PartNumber": n, "ETag": etag})
        self.remember(key, b"".join(bodies), lambda: complete(self.s3, "crash", key, upload, parts))
        self.uploads.pop()


def check_everything(server, writers):
    s3 = connect(server)
    listed = set(keys(s3, "crash"))
    acknowledged = 0
    for writer in writers:
        for key, digests in writer.tried.items():
            path = server.volume / "crash" / key if server.kind == "dir" else None
            if key in writer.acknowledged:
                acknowledged += 1
                assert (key in listed) == (writer.acknowledged[key] is not None), f"what was acknowledged of {key} is not so"
            if key not in listed:
                assert not path or not path.exists()
                continue
            got = s3.get_object(Bucket="crash", Key=key)
            body = got["Body"].read()
            digest = hashlib.sha256(body).hexdigest()
            assert digest in digests, f"{key} is torn: {len(body)} bytes"
            assert not path or hashlib.sha256(path.read_bytes()).hexdigest() == digest
            if "-" not in got["ETag"]:
                assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
            else:
                assert key.startswith("m"), f"{key} lost its metadata"
    assert listed == {k for w in writers for k in w.tried if k in listed}, "a key that nobody wrote"
    return acknowledged


def finish_uploads(server, writers):
    """Uploads that were under way go on where they were."""
    s3 = connect(server)
    finished = 0
    for writer in writers:
        for key, upload, parts, bodies in writer.uploads:
            try:
                known = {p["PartNumber"]: p["ETag"] for p in s3.list_parts(Bucket="crash", Key=key, UploadId=upload).get("Parts", [])}
            except ClientError as e:
                assert e.response["Error"]["Code"] == "NoSuchUpload" and key in keys(s3, "crash", Prefix=key), e
                continue  # completed; the answer was lost
            for part in parts:
                assert known.get(part["PartNumber"]) == part["ETag"], "an acknowledged part is gone"
            rest = []
            for n, body in enumerate(bodies, 1):
                etag = known.get(n) or s3.upload_part(Bucket="crash", Key=key, UploadId=upload, PartNumber=n, Body=body)["ETag"]
                rest.append({"PartNumber": n, "ETag": etag})
            complete(s3, "crash", key, upload, rest)
            assert s3.get_object(Bucket="crash", Key=key)["Body"].read() == b"".join(bodies)
            finished += 1
    return finished


def kill_during_writes(server, makers, turns=4):
    connect(server).create_bucket(Bucket="crash")
    generator, everybody, acknowledged = random.Random(11), [], 0
    for turn in range(turns):
        writers = [make(server, 10 * turn + i) for i, make in enumerate(makers)]
        for writer in writers:
            writer.start()
        time.sleep((0.8 + generator.random()) * server.slowness)
        server.kill()
        for writer in writers:
            writer.join()
        everybody += writers
        started = time.monotonic()
        server.start()
        assert time.monotonic() - started < 10 * server.slowness, "a start takes no time"
        acknowledged = check_everything(server, everybody)
        finish_uploads(server, writers)
        for writer in writers:
            for key, _, _, bodies in writer.uploads:
                writer.tried.setdefault(key, set()).add(hashlib.sha256(b"".join(bodies)).hexdigest())
    assert acknowledged > 40, "the test has written hardly anything"


@pytest.mark.heavy
@pytest.mark.posix
def test_kill_during_writes(private_server):
    server = private_server("crash")
    kill_during_writes(server, [BotoWriter, BotoWriter, WireWriter, WireWriter, MultipartWriter, MultipartWriter, MovingWriter])
    assert eventually(lambda: not staging_leftovers(server.volume), timeout=10 * server.slowness), staging_leftovers(server.volume)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["juicefs-file", "juicefs-s3"])
def test_kill_during_writes_of_blocks(private_server, kind):
    """The same over a JuiceFS-format volume. Blocks that nobody refers to may stay, for gc; nothing else that is amiss."""
    server = private_server("crash", kind=kind, format=["--trash-days", "0", "--block-size", "1M"])
    kill_during_writes(server, [BotoWriter, WireWriter, MultipartWriter, MultipartWriter, MovingWriter, MovingWriter], turns=3)
    if CLIENT:
        client("fsck", server.location)
        assert "should be" not in client("fsck", server.location, "--path", "/", "--recursive", check=False)
    s3 = connect(server)
    for upload in s3.list_multipart_uploads(Bucket="crash").get("Uploads", []):
        s3.abort_multipart_upload(Bucket="crash", Key=upload["Key"], UploadId=upload["UploadId"])
    for key in keys(s3, "crash"):
        s3.delete_object(Bucket="crash", Key=key)
    s3.delete_bucket(Bucket="crash")
    if CLIENT:
        client("fsck", server.location)


def test_killed_between_parts_and_complete(private_server):
    server = private_server("between")
    s3 = connect(server)
    s3.create_bucket(Bucket="between")
    upload = s3.create_multipart_upload(Bucket="between", Key="k", Metadata={"m": "1"})["UploadId"]
    one = random.Random(1).randbytes(PART)
    etag = s3.upload_part(Bucket="between", Key="k", UploadId=upload, PartNumber=1, Body=one)["ETag"]
    server.kill()
    server.start()
    s3 = connect(server)
    two = s3.upload_part(Bucket="between", Key="k", UploadId=upload, PartNumber=2, Body=b"two")["ETag"]
    complete(s3, "between", "k", upload, [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": two}])
    got = s3.get_object(Bucket="between", Key="k")
    assert got["Body"].read() == one + b"two" and got["Metadata"] == {"m": "1"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_replayed_complete_after_a_crash(private_server, when):
    server = private_server(f"replay-{when}")
    s3 = connect(server)
    s3.create_bucket(Bucket="replay")
    upload = s3.create_multipart_upload(Bucket="replay", Key="k")["UploadId"]
    part = {"PartNumber": 1, "ETag": s3.upload_part(Bucket="replay", Key="k", UploadId=upload, PartNumber=1, Body=b"p")["ETag"]}
    if when == "after":
        first = complete(s3, "replay", "k", upload, [part])["ETag"]
    server.kill()
    server.start()
    again = complete(connect(server), "replay", "k", upload, [part])["ETag"]
    if when == "after":
        assert again == first


def rows(server, table):
    """Of the volume's metadata, as it is now."""
    with contextlib.closing(sqlite3.connect(f"file:{server.volume}/meta.db?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_next_start_ends_what_was_killed_with_a_lock(private_server, end):
    """Over a JuiceFS-format volume locks are rows of a session, which expires in a minute: the gateway that is started again with the same
    state folder does not wait for that."""
    server = private_server(f"held-{end}", kind="juicefs-file")
    s3 = connect(server)
    s3.create_bucket(Bucket="held")
    upload = s3.create_multipart_upload(Bucket="held", Key="k")["UploadId"]
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(Bucket="held", Key="k", UploadId=upload, PartNumber=1, Body=b"p")["ETag"]}]
    server.stop()
    server.extra_env["SLUICE_FAULT"] = "vfs.publish:1:kill"
    server.start()
    try:
        complete(connect(server), "held", "k", upload, parts)
        pytest.fail("the gateway was not killed: this build has no fault points")
    except GONE:
        server.process.wait()
    assert len(rows(server, "jfs_session2")) == 1 and rows(server, "jfs_flock")
    del server.extra_env["SLUICE_FAULT"]
    server.start()
    assert len(rows(server, "jfs_session2")) == 1 and rows(server, "jfs_flock") == []
    s3 = connect(server)
    if end == "complete":
        complete(s3, "held", "k", upload, parts)
        assert s3.get_object(Bucket="held", Key="k")["Body"].read() == b"p"
    else:
        s3.abort_multipart_upload(Bucket="held", Key="k", UploadId=upload)
        assert keys(s3, "held") == []


def test_two_gateways_of_one_state_folder_keep_their_sessions(private_server):
    first = private_server("shared", kind="juicefs-file")
    second = private_server("shared-2", kind="juicefs-file", volume=first.volume, state=first.state)
    assert len(rows(first, "jfs_session2")) == 2
    survivor = max(row[0] for row in rows(first, "jfs_session2"))
    first.kill()
    first.start()
    sessions = [row[0] for row in rows(first, "jfs_session2")]
    assert len(sessions) == 2 and survivor in sessions
    connect(second).create_bucket(Bucket="shared")
    second.stop()
    first.stop()
    assert rows(first, "jfs_session2") == []


def test_client_killed_in_the_middle_leaves_nothing(server, wire, s3, bucket, folder):
    """Many cut uploads: no staging file stays, no worker is held."""

    def cut(i):
        with wire.connect() as c:
            c.send(wire.request("PUT", f"/{bucket}/{i}", body=b"x" * 500_000).head() + b"x" * 200_000)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(cut, range(64)))
    assert eventually(lambda: not staging_leftovers(folder), timeout=5 * server.slowness)
    assert keys(s3, bucket) == []
