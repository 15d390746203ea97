#!/usr/bin/env python3
"""One volume through four doors at once: our S3 gateway, our mount, the official client's gateway and mount. Random operations,
compared with a model; the fsck of both has the last word.

    build/venv/bin/python tests/interop/random_volume.py [--seconds 60] [--seed 1] [--variant NAME]... [--preset dev]

As root, with /dev/fuse and the official client (tests/juicefs-client). Variants are formatted by either side, with every
compression and encryption, trash, hash prefix, shards and block sizes. Whoever holds a key's lock may change it through its own
door, so that the model is exact while all doors work at once, each on what another has just written. In the folder "contested"
there are no locks, and only what a reader sees is judged: whole values that somebody wrote."""

import argparse
import collections
import errno
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "e2e"), str(TOP / "tests" / "interop")]

from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402

from aws import complete, connect, keys, upload_parts  # noqa: E402
from juicefs import CLIENT, Gateway, client, start, wait_for  # noqa: E402
from mounts import Mounts  # noqa: E402
from server import ROOT, PortPool, Server  # noqa: E402

BUCKET = "data"
KEYS = [f"{folder}f{i}" for folder in ("", "a/", "a/deep/er/", "b/") for i in range(8)]
CONTESTED = [f"contested/{i}" for i in range(4)]
SIZES = [0, 1, 100, 4096, 5000, 70_000, 300_000, 1_500_000, 6_000_000]
WEIGHTS = [2, 2, 6, 3, 6, 6, 4, 2, 1]
PART = 5 * 1024 * 1024
ROUND_S = 6  # between looks at the whole volume, with all doors at rest

# name: (who formats, options of `format`). KEY stands for a file with an RSA key.
VARIANTS = {
    "plain": ("ours", ["--trash-days", "0"]),
    "lz4-hash-trash": ("theirs", ["--compress", "lz4", "--hash-prefix", "--trash-days", "1"]),
    "zstd-aes-small": ("ours", ["--compress", "zstd", "--encrypt-rsa-key", "KEY", "--block-size", "64K", "--trash-days", "0"]),
    "chacha-shards": (
        "theirs",
        ["--encrypt-rsa-key", "KEY", "--encrypt-algo", "chacha20-rsa", "--shards", "3", "--block-size", "1M", "--trash-days", "1"],
    ),
    "lz4-aes-trash": ("ours", ["--compress", "lz4", "--encrypt-rsa-key", "KEY", "--trash-days", "1", "--hash-prefix"]),
    "zstd-large": ("theirs", ["--compress", "zstd", "--block-size", "16M", "--trash-days", "0"]),
}


class Wrong(Exception):
    """The volume is not what the model says."""


class Model:
    def __init__(self):
        self.values = {}  # key: bytes
        self.etags = {}  # key: what our gateway must answer; None: a derived one; absent: unknown
        # Put by the official gateway: when a mount changes the file and then its attributes or name, nothing is left that tells.
        self.theirs = set()
        self.locks = {key: threading.Lock() for key in KEYS}
        self.history = {key: collections.deque(maxlen=6) for key in KEYS}  # who did what: for the report of a failure

    def set(self, key, value, etag, theirs=False):
        self.values[key] = value
        self.etags.pop(key, None)
        if etag != "unknown":
            self.etags[key] = etag
        (self.theirs.add if theirs else self.theirs.discard)(key)

    def move(self, source, key):
        self.set(key, self.values[source], self.etags.get(source, "unknown"), source in self.theirs)
        self.drop(source)

    def drop(self, key):
        self.values.pop(key, None)
        self.etags.pop(key, None)
        self.theirs.discard(key)


def md5(data):
    return hashlib.md5(data).hexdigest()


def sealed(rng, who):
    """A value that says whether it is whole."""
    body = rng.randbytes(rng.choice([10, 3000, 200_000]))
    return hashlib.sha256(body).digest() + body


def is_sealed(value):
    return hashlib.sha256(value[32:]).digest() == value[:32]


class Door(threading.Thread):
    """Random operations through one door."""

    name = ""
    is_whole_reader = True

    def __init__(self, world, number):
        super().__init__(name=f"{self.name}-{number}")
        self.world, self.model = world, world.model
        self.rng = random.Random(f"{world.seed} {self.name} {number}")
        self.counts = collections.Counter()

    def run(self):
        try:
            while not self.world.stopping:
                self.world.gate.wait()
                self.turn()
        except Exception as e:  # the first one ends the run
            self.world.fail(self, e)

    def turn(self):
        with self.world.at_work:
            if self.rng.random() < 0.15:
                self.contest()
                return
            key = self.rng.choice(KEYS)
            if not self.model.locks[key].acquire(blocking=False):
                return
            try:
                names = list(self.operations)
                name = self.rng.choices(names, [self.operations[n] for n in names])[0]
                self.counts[name] += 1
                self.do(name, key)
            finally:
                self.model.locks[key].release()

    def do(self, name, key, source=None):
        """The history of a failure's keys is what one wants to know."""
        self.doing = " ".join(filter(None, (name, key, source)))
        for k in filter(None, (key, source)):
            self.model.history[k].append(f"{self.name} {self.doing}")
        if not source:
            getattr(self, name)(key)

    def value(self):
        return self.rng.randbytes(self.rng.choices(SIZES, WEIGHTS)[0])

    def other_key(self, key):
        """Another key that nobody else holds: (key, its lock), or None."""
        other = self.rng.choice(KEYS)
        if other == key or not self.model.locks[other].acquire(blocking=False):
            return None
        return other

    def compare(self, key, got, expected, what="read"):
        if got == expected:
            return
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        raise Wrong(f"{what} of {key}: {len(got)} bytes instead of {len(expected)}, different from {at} on")

    def contest(self):
        key = self.rng.choice(CONTESTED)
        what = self.rng.choice(["write", "write", "read", "read", "read", "remove"])
        self.doing = f"contested {what} {key}"
        self.counts["contested"] += 1
        try:
            if what == "write":
                self.write_whole(key, sealed(self.rng, self.name))
            elif what == "remove":
                self.remove(key)
            else:
                got = self.read_whole(key)
                if got is not None and not is_sealed(got) and self.is_whole_reader:
                    raise Wrong(f"{key} is torn: {len(got)} bytes")
        except (ClientError, BotoCoreError, OSError) as e:
            # Others remove what is being read, and directories on the way to what is being written.
            if not self.is_lost_race(e):
                raise
            self.counts["races lost"] += 1

    def get(self, key):
        expected, got = self.model.values.get(key), self.read_whole(key)
        if (got is None) != (expected is None):
            raise Wrong(f"{key} is {'not ' if got is None else ''}there")
        if got is not None:
            self.compare(key, got, expected)


class S3Door(Door):
    operations = {"put": 6, "multipart": 1, "copy": 3, "move": 1, "delete": 2, "get": 6, "range": 4, "head": 2}
    ours = True

    def __init__(self, world, number, server):
        super().__init__(world, number)
        self.s3 = connect(server, attempts=3)

    def is_lost_race(self, error):
        if not isinstance(error, ClientError):
            return True  # cut short: the bytes have gone meanwhile
        return error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412, 500, 503) or "PrefixAccessDenied" in str(error)

    def write_whole(self, key, value):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=value)

    def read_whole(self, key):
        try:
            return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError as e:
            if e.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None

    def remove(self, key):
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def etag_of(self, etag):
        return etag.strip('"')

    def put(self, key):
        value = self.value()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=value, Metadata={"by": self.name})
        self.model.set(key, value, md5(value), not self.ours)

    def multipart(self, key):
        bodies = [self.rng.randbytes(PART + self.rng.randrange(2) * 70_001), self.value()]
        bodies = [b for b in bodies if b]
        upload, parts = upload_parts(self.s3, BUCKET, key, bodies)
        complete(self.s3, BUCKET, key, upload, parts)
        digest = md5(b"".join(hashlib.md5(b).digest() for b in bodies))
        self.model.set(key, b"".join(bodies), f"{digest}-{len(bodies)}", not self.ours)

    def copy(self, key):
        source = self.other_key(key)
        if not source:
            return
        try:
            if source in self.model.values:
                self.do("copy", key, source)
                self.s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})
                # What a copy's ETag is of an object that a mount has changed is each gateway's own affair.
                self.model.set(key, self.model.values[source], "unknown", not self.ours)
        finally:
            self.model.locks[source].release()

    def move(self, key):
        source = self.other_key(key)
        if not source:
            return
        try:
            if source in self.model.values and self.ours:
                self.do("move", key, source)
                self.s3.rename_object(Bucket=BUCKET, Key=key, RenameSource=source)
                self.model.move(source, key)
        finally:
            self.model.locks[source].release()

    def delete(self, key):
        self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.model.drop(key)

    def range(self, key):
        expected = self.model.values.get(key)
        if expected:
            first = self.rng.randrange(len(expected))
            last = min(len(expected) - 1, first + self.rng.choice([0, 100, 50_000, 5_000_000]))
            got = self.s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last}")["Body"].read()
            self.compare(key, got, expected[first : last + 1], f"bytes {first}-{last}")

    def head(self, key):
        expected = self.model.values.get(key)
        try:
            got = self.s3.head_object(Bucket=BUCKET, Key=key)
        except ClientError as e:
            if e.response["Error"]["Code"] != "404" or expected is not None:
                raise
            return
        if expected is None or got["ContentLength"] != len(expected):
            raise Wrong(f"{key} has {got['ContentLength']} bytes, not {expected and len(expected)}")
        self.check_etag(key, got.get("ETag", "").strip('"'))

    def check_etag(self, key, etag):
        if self.ours and key in self.model.etags:
            expected = self.model.etags[key]
            # The official mount leaves all times of an empty file when it empties it: then its MD5 stays, and is right.
            if expected is None and ("-" in etag or etag == md5(self.model.values[key])):
                return
            if etag != expected:
                raise Wrong(f"{key} has the ETag {etag}, it should be {expected or 'none that an MD5 could be'}")

    def listing(self):
        return {k for k in keys(self.s3, BUCKET) if not k.endswith("/")}


class OurGateway(S3Door):
    name = "our-s3"


class TheirGateway(S3Door):
    name = "their-s3"
    ours = False
    is_whole_reader = False  # it takes the length of one file and opens, by name again, perhaps another


class MountDoor(Door):
    operations = {"write": 5, "append": 3, "patch": 4, "cut": 2, "move": 2, "delete": 2, "get": 6, "range": 3, "chmod": 1}

    def __init__(self, world, number, root):
        super().__init__(world, number)
        self.root = pathlib.Path(root) / BUCKET
        self.number = number

    def is_lost_race(self, error):
        return error.errno in (errno.ENOENT, errno.EIO, errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE)

    def make(self, key, how):
        """Opens a file of a directory that another door may be removing just now, because nothing is in it."""
        path = self.root / key
        for _ in range(100):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                return how(path)
            except FileNotFoundError:
                time.sleep(0.01)
        raise Wrong(f"no directory for {key}")

    def write_whole(self, key, value):
        temporary = self.make(f"{key}.{self.name}", lambda path: self.save(path, value))
        os.rename(temporary, self.root / key)

    @staticmethod
    def save(path, value):
        path.write_bytes(value)
        return path

    def read_whole(self, key):
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, key):
        (self.root / key).unlink(missing_ok=True)

    def changed(self, key, value):
        theirs = key in self.model.theirs
        self.model.set(key, value, "unknown" if theirs or key not in self.model.etags else None, theirs)

    def write(self, key):
        value, known = self.value(), self.model.values.get(key)
        self.make(key, lambda path: self.save(path, value))
        self.changed(key, value) if known is not None else self.model.set(key, value, None)

    def append(self, key):
        if key in self.model.values:
            more = self.value()
            with open(self.root / key, "ab") as f:
                f.write(more)
            if more:
                self.changed(key, self.model.values[key] + more)

    def patch(self, key):
        """Somewhere in the file, or behind its end."""
        value = self.model.values.get(key)
        if value is None:
            return
        more, at = self.value(), self.rng.randrange(len(value) + (100_000 if self.world.has_holes else 1))
        if not more:
            return
        with open(self.root / key, "r+b") as f:
            f.seek(at)
            f.write(more)
        self.changed(key, value[:at].ljust(at, b"\0") + more + value[at + len(more) :])

    def cut(self, key):
        value = self.model.values.get(key)
        if value is not None:
            size = self.rng.randrange((2 if self.world.has_holes else 1) * len(value) + 1)
            os.truncate(self.root / key, size)
            self.changed(key, value[:size].ljust(size, b"\0"))

    def move(self, key):
        source = self.other_key(key)
        if not source:
            return
        try:
            if source in self.model.values:
                self.do("move", key, source)
                self.make(key, lambda path: os.rename(self.root / source, path))
                self.model.move(source, key)
        finally:
            self.model.locks[source].release()

    def delete(self, key):
        if key in self.model.values:
            (self.root / key).unlink()
            self.model.drop(key)

    def range(self, key):
        expected = self.model.values.get(key)
        if expected is not None:
            at, size = self.rng.randrange(len(expected) + 1), self.rng.choice([1, 5000, 200_000])
            with open(self.root / key, "rb") as f:
                f.seek(at)
                got = f.read(size)
            self.compare(key, got, expected[at : at + size], f"bytes from {at}")

    def chmod(self, key):
        if key in self.model.values:
            (self.root / key).chmod(self.rng.choice([0o600, 0o644, 0o640]))

    def listing(self):
        found = {str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()}
        return {p for p in found if not p.startswith("contested/") or p in CONTESTED} | {p for p in found if p in KEYS}


class OurMount(MountDoor):
    name = "our-mount"


class TheirMount(MountDoor):
    name = "their-mount"

    def is_lost_race(self, error):
        # pkg/vfs/vfs.go, Read: of a file that is gone meanwhile it says that the descriptor is none.
        return error.errno == errno.EBADF or super().is_lost_race(error)


class World:
    """A volume, its doors, and those who go through them."""

    def __init__(self, folder, binary, variant, seed, ports=None, say=print):
        self.folder, self.binary, self.variant, self.seed, self.say = pathlib.Path(folder), pathlib.Path(binary), variant, seed, say
        self.model = Model()
        # With zstd the official client shows bytes of a short block again in the hole behind it (docs/juicefs-format-notes.md).
        self.has_holes = "zstd" not in VARIANTS[variant][1]
        self.ports = ports or PortPool()
        self.stopping, self.failures = False, []
        self.gate, self.at_work = threading.Event(), Everybody()
        self.closing = []
        self.looks = 0

    def fail(self, door, error):
        doing = getattr(door, "doing", "?")
        histories = "".join(f"\n    {key}: " + ", ".join(self.model.history[key]) for key in doing.split() if key in self.model.history)
        self.failures.append(f"{door.name}, at {doing}: {type(error).__name__}: {error}{histories}")
        self.stopping = True
        self.gate.set()

    def format(self):
        who, options = VARIANTS[self.variant]
        key = self.folder / "key.pem"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
        options = [str(key) if word == "KEY" else word for word in options]
        shards = "/%d" if "--shards" in options else ""
        (self.folder / "volume").mkdir()
        self.url = f"sqlite3://{self.folder}/volume/meta.db"
        words = ["format", self.url, "volume", "--storage", "file", "--bucket", f"{self.folder}/volume/blocks{shards}/", *options]
        if who == "ours":
            subprocess.run([self.binary, *words], check=True, capture_output=True)
        else:
            client(*words)

    def open(self):
        self.format()
        server = Server(self.binary, self.folder / "s3", self.ports, volume=self.folder / "volume", kind="juicefs-file")
        server.expect_failures = True  # of the contested keys
        server.start()
        self.closing.append(server.stop)
        gateway = Gateway(self.url, self.folder / "s3", self.ports.take(), ROOT)
        self.closing.append(gateway.close)
        mounts = Mounts(self.binary, self.folder)
        self.closing.append(mounts.close)
        caches = [word for name in ("attr", "entry", "dir-entry") for word in (f"--{name}-cache", "0")]
        ours = mounts.mount(self.url, "ours", *caches)
        theirs = self.folder / "theirs"
        theirs.mkdir()
        log = self.folder / "theirs.log"
        process = start("mount", self.url, theirs, log=log)
        self.closing.append(lambda: self.unmount(theirs, process))
        wait_for(process, lambda: os.path.ismount(theirs), log)
        connect(server).create_bucket(Bucket=BUCKET)
        self.doors = [
            *(OurGateway(self, i, server) for i in range(2)),
            TheirGateway(self, 0, gateway),
            *(OurMount(self, i, ours.path) for i in range(1)),
            TheirMount(self, 0, theirs),
        ]

    @staticmethod
    def unmount(path, process):
        subprocess.run(["umount", path], check=True, timeout=120)
        process.wait(timeout=120)

    def close(self):
        errors = []
        while self.closing:
            try:
                self.closing.pop()()
            except Exception as e:
                errors.append(f"{type(e).__name__}: {e}")
        return errors

    def run(self, seconds):
        for door in self.doors:
            door.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopping:
            self.gate.set()
            time.sleep(min(ROUND_S, max(0.1, end - time.monotonic())))
            self.gate.clear()
            self.at_work.wait_for_nobody()
            if not self.stopping:
                self.look()
        self.stopping = True
        self.gate.set()
        for door in self.doors:
            door.join(300)

    def look(self):
        """All doors are at rest: each must show exactly what the model has."""
        self.looks += 1
        for door in self.doors:
            door.doing = "a look at everything"
            try:
                listed = {k for k in door.listing() if not k.startswith("contested/")}
                if listed != set(self.model.values):
                    raise Wrong(
                        f"listed and not there: {sorted(listed - set(self.model.values))}, not listed: {sorted(set(self.model.values) - listed)}"
                    )
                for key in KEYS:
                    door.get(key)
            except Exception as e:
                return self.fail(door, e)

    def judge(self):
        """Both clients' fsck. What ours says of usage is left out: client 1.3.1 miscounts when names are exchanged or replaced."""
        done = subprocess.run([self.binary, "fsck", self.url, "--verify", "--json", "--quiet"], capture_output=True, text=True)
        try:
            problems = json.loads(done.stdout)["problems"]
        except ValueError:
            self.failures.append(f"sluice fsck: {done.returncode} {done.stderr}")
            problems = []
        wrong = [p for p in problems if not p["kind"].endswith(("-space", "-inodes"))]
        if wrong:
            self.failures.append(f"sluice fsck: {wrong[:20]}")
        for words in ([], ["--path", "/", "--recursive"]):
            text = client("fsck", self.url, *words, check=False, timeout=1800)  # what an hour has left in the trash
            wrong = [line for line in text.splitlines() if "ERROR" in line or "FATAL" in line]
            if wrong:
                self.failures.append("\n".join([f"juicefs fsck {' '.join(words)}:", *wrong[:20]]))

    def report(self):
        total = collections.Counter()
        for door in self.doors:
            total += door.counts
            self.say(f"  {door.name}: " + ", ".join(f"{name} {n}" for name, n in sorted(door.counts.items())))
        operations = sum(n for name, n in total.items() if name != "races lost")
        self.say(f"  {operations} operations, {self.looks} looks at the whole volume, {len(self.model.values)} keys at the end")
        return operations


class Everybody:
    """Who is at work; `with` is one turn."""

    def __init__(self):
        self.changed, self.count = threading.Condition(), 0

    def __enter__(self):
        with self.changed:
            self.count += 1

    def __exit__(self, *_):
        with self.changed:
            self.count -= 1
            self.changed.notify_all()

    def wait_for_nobody(self):
        with self.changed:
            self.changed.wait_for(lambda: self.count == 0, timeout=300)


def run_variant(folder, binary, variant, seconds, seed, ports=None, say=print):
    """Failures, and the number of operations."""
    world = World(folder, binary, variant, seed, ports, say)
    try:
        world.open()
        world.run(seconds)
    finally:
        errors = world.close()
    world.failures += errors
    world.judge()
    return world.failures, world.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="altogether, shared out between the variants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    parser.add_argument("--preset", default="dev")
    parser.add_argument("--keep", action="store_true", help="leave the folder of a failed run")
    arguments = parser.parse_args()
    binary = TOP / "build" / arguments.preset / "gateway" / "sluice"
    assert CLIENT, "the official client is missing: tests/juicefs-client builds it"
    failed = False
    for variant in arguments.variant or VARIANTS:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-random-"))
        print(f"{variant}: seed {arguments.seed}, {folder}", flush=True)
        failures, _ = run_variant(folder, binary, variant, arguments.seconds / len(arguments.variant or VARIANTS), arguments.seed)
        for failure in failures:
            print(f"  FAILED {failure}", flush=True)
        failed = failed or bool(failures)
        if not (failures and arguments.keep):
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
