#!/usr/bin/env python3
"""The long form of the tests that kill: one JuiceFS-format volume behind a gateway and a mount, with a cache on disk that both share.
Under load either is killed by `kill -9` at random moments, for minutes. What fsync or a 200 confirmed is there, the mount works
again by itself, fsck of both clients has nothing left to say, gc finds what leaked, and nothing else.

    build/venv/bin/python tests/soak/kills.py [--binary build/dev/gateway/sluice] [--seconds 300] [--seed 1]
                                              [--kind juicefs-file|juicefs-s3|juicefs-mixed] [--folder DIR]

As root, with /dev/fuse. Exit code 1 when something is lost or wrong."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/e2e"), str(TOP / "tests/interop")]

from aws import connect, keys  # noqa: E402
from juicefs import CLIENT, client  # noqa: E402
from mounts import Mounts  # noqa: E402
from server import VOLUMES, PortPool, Server  # noqa: E402
from test_crash import BotoWriter, MovingWriter, MultipartWriter, WireWriter, check_everything, finish_uploads  # noqa: E402
from test_mount_failures import run_appenders, write_synced  # noqa: E402

MAKERS = [BotoWriter, BotoWriter, WireWriter, MultipartWriter, MovingWriter]
# The dead's sessions expire a minute after their last heartbeat; until then what they held is in use.
EXPIRY_S = 90


class Replacer(threading.Thread):
    """Replaces files as careful programs do: a new file is synced, renamed over the old one, and the directory is synced."""

    def __init__(self, folder, number, stopping):
        super().__init__()
        self.folder, self.stopping, self.error = folder / f"replaced{number}", stopping, None
        self.random = random.Random(number)
        self.confirmed, self.tried, self.count, self.lost = {}, {}, 0, 0

    def step(self):
        name, body = f"f{self.random.randrange(20)}", self.random.randbytes(self.random.choice([10, 5000, 300_000]))
        self.tried[name] = digest(body)
        try:
            write_synced(self.folder / "new", body)
        except OSError:  # the bytes went with the process: the old file stays
            self.lost += 1
            return
        os.rename(self.folder / "new", self.folder / name)
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        self.confirmed[name] = self.tried[name]
        self.count += 1

    def run(self):
        try:
            self.folder.mkdir()
            while not self.stopping.is_set():
                self.step()
        except Exception as e:
            self.error = e

    def check(self, folder):
        assert self.error is None, self.error
        for name, expected in self.confirmed.items():
            got = digest((folder / self.folder.name / name).read_bytes())
            assert got in (expected, self.tried[name]), f"{self.folder.name}/{name} is not what was synced"


def digest(body):
    return hashlib.sha256(body).hexdigest()


class MountKiller(threading.Thread):
    """Kills the process that serves a mount. Of a row of short lives the keeper would conclude that a request is what kills it, and fail
    what is unanswered: after two of them one is long."""

    SHORT_S, LONG_S = (0.1, 4), (5.5, 8)

    def __init__(self, mount, seed):
        super().__init__()
        self.mount, self.random, self.stopping = mount, random.Random(seed), threading.Event()
        self.count, self.error = 0, None

    def run(self):
        try:
            served = self.mount.server()
            while not self.stopping.wait(self.random.uniform(*(self.LONG_S if self.count % 3 == 2 else self.SHORT_S))):
                self.mount.kill()
                self.count += 1
                killed, served = served, self.mount.server()  # answered by the next one, however long it takes
                assert served != killed, "a dead process answers"
        except Exception as e:
            self.error = e


class Soak:
    def __init__(self, given, folder):
        self.given, self.random = given, random.Random(given.seed)
        cache = ["--cache-dir", f"{folder}/cache", "--cache-size", "1G", "--free-space-ratio", "0.0001"]
        self.server = Server(given.binary, folder, PortPool(), kind=given.kind, format=["--trash-days", "0", "--block-size", "1M"], options=cache)
        self.server.expect_failures = True  # locks of the dead are waited for
        self.server.start()
        connect(self.server).create_bucket(Bucket="crash")
        self.mounts = Mounts(given.binary, folder)
        self.mount = self.mounts.mount(self.server.location, "mnt", *cache)
        self.turns = self.acknowledged = self.finished = 0

    def run(self):
        stop = threading.Event()
        killer = MountKiller(self.mount, self.given.seed)
        replacers = [Replacer(self.mount.path, i, stop) for i in range(2)]
        for t in (killer, *replacers):
            t.start()
        try:
            appenders = run_appenders(self.mount.path, 3, self.kill_gateways)
        finally:
            stop.set()
            killer.stopping.set()
            for t in (killer, *replacers):
                t.join(120)
        assert killer.error is None, killer.error
        for folder in (self.mount.path, self.again()):
            for a in appenders:
                a.path = folder / a.path.name
                a.check()
            for r in replacers:
                r.check(folder)
        records, replaced = sum(a.confirmed for a in appenders), sum(r.count for r in replacers)
        print(f"  killed: {killer.count} mounts, {self.turns} gateways")
        print(
            f"  confirmed: {records} records by fsync, {replaced} files replaced, {self.acknowledged} keys by S3, {self.finished} uploads continued"
        )
        print(f"  bytes lost before their fsync, and told: {sum(t.lost for t in (*appenders, *replacers))} times", flush=True)
        assert records and replaced and self.acknowledged, "hardly anything was written"

    def again(self):
        """A new mount of the same volume, which remembers nothing."""
        return self.mounts.mount(self.server.location, "again").path

    def kill_gateways(self):
        end = time.monotonic() + self.given.seconds
        while time.monotonic() < end:
            self.turn()

    def turn(self):
        writers = [make(self.server, 10 * self.turns + i) for i, make in enumerate(MAKERS)]
        self.turns += 1
        for w in writers:
            w.start()
        time.sleep(self.random.uniform(0.3, 4))
        self.server.kill()
        for w in writers:
            w.join()
        self.server.start()
        self.acknowledged += check_everything(self.server, writers)
        self.finished += finish_uploads(self.server, writers)
        s3 = connect(self.server)
        for upload in s3.list_multipart_uploads(Bucket="crash").get("Uploads", []):
            s3.abort_multipart_upload(Bucket="crash", Key=upload["Key"], UploadId=upload["UploadId"])
        for key in keys(s3, "crash"):
            s3.delete_object(Bucket="crash", Key=key)

    def judge(self):
        """What crashes leave (docs/juicefs-crashes.md), and that it goes."""
        print(f"  waiting {EXPIRY_S} s for the sessions of the dead to expire", flush=True)
        time.sleep(EXPIRY_S)
        found = {}
        for problem in self.command("fsck", "--verify", "--repair")["problems"]:
            found[problem["kind"]] = found.get(problem["kind"], 0) + 1
        print(f"  fsck mended: {found or 'nothing'}", flush=True)
        strange = {k for k in found if not k.endswith(("-space", "-inodes"))}
        assert not strange, f"more than counters is wrong: {strange}"
        assert not self.command("fsck", "--verify")["problems"]
        report = self.command("gc", "--age", "0", codes=(0, 1))["summary"]
        print(f"  gc: {report['leaked_objects']} leaked objects of {report['leaked_bytes']} bytes, {report['used_objects']} used", flush=True)
        self.command("gc", "--age", "0", "--delete")
        assert self.command("gc", "--age", "0")["summary"]["leaked_objects"] == 0
        assert not self.command("fsck", "--verify")["problems"]
        if CLIENT:
            client("fsck", self.server.location)
            client("fsck", self.server.location, "--path", "/", "--recursive", "--sync-dir-stat")
            print("  juicefs fsck: clean", flush=True)

    def command(self, name, *words, codes=(0,)):
        words = [self.given.binary, name, self.server.location, "--quiet", "--json", *words]
        done = subprocess.run(words, capture_output=True, text=True, env=self.server.environment())
        assert done.returncode in codes, done.stdout[-4000:] + done.stderr
        return json.loads(done.stdout)

    def close(self):
        self.mounts.close()
        self.server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=TOP / "build/dev/gateway/sluice", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=VOLUMES[1:], default="juicefs-file")
    parser.add_argument("--folder", help="where the volume is made (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="sluice-kills-") as folder:
        print(f"{given.kind}, seed {given.seed}, {folder}", flush=True)
        soak = Soak(given, pathlib.Path(folder))
        try:
            soak.run()
            soak.judge()
        finally:
            soak.close()
    print("nothing was lost")


if __name__ == "__main__":
    main()
