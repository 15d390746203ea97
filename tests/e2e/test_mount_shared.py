"""Several mounts of one volume, and mounts whose process dies."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from aws import connect, read
from mounts import wait_until


@pytest.fixture
def pair(mounts):
    url = mounts.volume()
    return mounts.mount(url, "a").path, mounts.mount(url, "b").path


def test_close_to_open(pair):
    a, b = pair
    for i in range(20):
        (a / "f").write_text(f"{i} " * 1000 * i)
        assert (b / "f").read_text() == f"{i} " * 1000 * i
        with open(b / "f", "a") as f:
            f.write("more")
        assert (a / "f").read_text().endswith("more")


def test_a_file_held_open_is_seen_to_grow(pair):
    a, b = pair
    (a / "f").write_text("one")
    with open(b / "f", "rb", buffering=0) as early:
        assert early.read() == b"one"
        with open(a / "f", "a") as f:
            f.write("two")
        wait_until(lambda: os.pread(early.fileno(), 100, 0) == b"onetwo")


def test_gateway_sees_what_a_mount_changes(mounts, private_server):
    """In place, and read through S3 within the second for which a file's slices are remembered."""
    server = private_server("beside-mount", kind="juicefs-file")
    s3 = connect(server)
    s3.create_bucket(Bucket="shared")
    path = mounts.mount(server.location).path / "shared" / "f"
    expected = b"first"
    s3.put_object(Bucket="shared", Key="f", Body=expected)
    for i in range(20):
        assert read(s3, "shared", "f") == expected
        with open(path, "r+b") as f:
            f.seek(i * 100)
            f.write(b"%d" % i * 50)
        expected = expected[: i * 100].ljust(i * 100, b"\0") + b"%d" % i * 50 + expected[i * 100 + len(b"%d" % i * 50) :]
    assert read(s3, "shared", "f") == expected
    os.truncate(path, 10)
    assert read(s3, "shared", "f") == expected[:10]


# In a process of its own: record locks belong to processes.
HOLDER = """
import fcntl, sys
f = open(sys.argv[1], "r+")
getattr(fcntl, sys.argv[2])(f, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.readline()
"""


class Holder:
    def __init__(self, path, kind):
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, path, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.process.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_):
        self.process.communicate("\n", timeout=60)


def is_free(path, kind):
    with open(path, "r+") as f:
        try:
            getattr(fcntl, kind)(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_locks_between_mounts(pair, kind):
    a, b = pair
    (a / "f").write_text("x")
    with Holder(a / "f", kind):
        assert not is_free(b / "f", kind)
        waiting = threading.Thread(target=lambda: Holder(b / "f", kind).__enter__().__exit__())
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive() and is_free(b / "f", kind)


def test_waiting_for_a_lock_can_be_interrupted(pair):
    a, b = pair
    (a / "f").write_text("x")
    with Holder(a / "f", "flock"):
        waiting = subprocess.Popen([sys.executable, "-c", HOLDER, b / "f", "flock"], stdin=subprocess.PIPE)
        time.sleep(0.5)
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(60) == -signal.SIGTERM


class Load:
    """Threads that write, sync, read, rename and remove. A file that was synced must read back; what a dead server had only
    accepted may be lost, but never silently: then fsync says so."""

    def __init__(self, path, threads=4):
        self.path, self.stopping, self.errors, self.done, self.lost = path, False, [], 0, 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]

    def run(self, index):
        turn = 0
        while not self.stopping:
            turn += 1
            try:
                self.turn(self.path / f"{index}-{turn % 20}", os.urandom(5000))
                self.done += 1
            except Exception as e:
                self.errors.append(f"{index} {turn} {e!r}")

    def turn(self, name, data):
        with open(name, "wb", buffering=0) as f:
            f.write(data)
            try:
                os.fsync(f.fileno())
            except OSError:
                self.lost += 1
                return self.forgive(f)
        assert name.read_bytes() == data, "synced data is lost"
        moved = name.with_suffix(".moved")
        os.rename(name, moved)
        os.unlink(moved)

    def forgive(self, f):
        try:
            f.close()
        except OSError:
            pass

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join(120)
        assert self.errors == []


def replace_server(mount, how, load):
    before, server = load.done, mount.server()
    if how == signal.SIGKILL:
        os.kill(server, how)
    else:
        mount.process.send_signal(how)
    wait_until(lambda: mount.server() != server and load.done > before + 4)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_another_server_takes_over(mounts, how):
    """kill -9 of the server, and an upgrade: programs stall, open files, locks and unlinked files stay."""
    mount = mounts.mount(mounts.volume(), "mnt")
    path = mount.path
    (path / "locked").write_text("x")
    held = open(path / "held", "w+b", buffering=0)
    held.write(b"committed")
    os.fsync(held.fileno())
    gone = open(path / "gone", "w+b", buffering=0)
    gone.write(b"unlinked")
    os.fsync(gone.fileno())
    os.unlink(path / "gone")
    listing = os.scandir(path)
    names = {next(listing).name}
    with Holder(path / "locked", "flock"), Load(path) as load:
        for _ in range(3):
            replace_server(mount, how, load)
        assert not is_free(path / "locked", "flock")
    assert load.lost == 0 or how == signal.SIGKILL
    assert is_free(path / "locked", "flock")
    assert os.pread(held.fileno(), 100, 0) == b"committed"
    held.write(b", and more")
    os.fsync(held.fileno())
    assert (path / "held").read_bytes() == b"committed, and more"
    assert os.pread(gone.fileno(), 100, 0) == b"unlinked"
    more = {entry.name for entry in listing}
    assert "held" in names | more
    gone.close()
    held.close()


def is_program(pid, path):
    return os.path.samestat(os.stat(f"/proc/{pid}/exe"), os.stat(path))


def replace_program(path, text):
    new = path.with_suffix(".new")
    new.write_bytes(text)
    new.chmod(0o755)
    new.rename(path)


@pytest.mark.parametrize("readers", [(), ("--read-only",)], ids=["writable", "read-only"])
def test_upgrade(mounts, readers):
    """SIGHUP goes on with the program of that name, keeper and server alike, if that one can. A server that dies meanwhile is
    followed by one of its own kind, whatever has its name."""
    url = mounts.volume()
    program = mounts.folder / "sluice"
    ours = pathlib.Path(mounts.binary).read_bytes()
    replace_program(program, ours)
    mounts.binary = program
    mount = mounts.mount(url, "mnt", *readers)
    path, keeper = mount.path, mount.process.pid

    for stranger in (b"#!/bin/sh\nexit 2\n", b"#!/bin/sh\nexit 0\n", b"not a program"):
        replace_program(program, stranger)
        server, lines = mount.server(), mount.text().count("upgrade_refused")
        mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: mount.text().count("upgrade_refused") > lines)
        assert mount.server() == server
    mount.kill()
    wait_until(lambda: mount.server() != server)
    assert is_program(mount.server(), f"/proc/{keeper}/exe") and not is_program(keeper, program)

    for _ in range(2):
        replace_program(program, ours)
        server = mount.server()
        held = None if readers else open(path / "held", "w+b", buffering=0)
        mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: mount.server() != server)
        assert is_program(keeper, program) and is_program(mount.server(), program)
        assert pathlib.Path(f"/proc/{mount.server()}/comm").read_text() == "sluice\n"
        if held:
            held.write(b"written on")
            held.close()
            assert (path / "held").read_bytes() == b"written on"
        # What was taken over can be handed on again, by a death too.
        server = mount.server()
        mount.kill()
        wait_until(lambda: mount.server() != server)
    assert mount.stop() == 0


def test_lost_bytes_are_told(mounts):
    """What was written and not synced goes with the server; the program hears of it."""
    mount = mounts.mount(mounts.volume(), "mnt")
    f = open(mount.path / "f", "wb", buffering=0)
    f.write(b"never synced")
    mount.kill()
    with pytest.raises(OSError):
        os.fsync(f.fileno())
    with pytest.raises(OSError):
        f.close()
    (mount.path / "f").write_bytes(b"again")
    assert (mount.path / "f").read_bytes() == b"again"


def test_stop_in_use(mounts):
    """SIGTERM of a mount in use: what was written is committed, and the process ends."""
    url = mounts.volume()
    mount = mounts.mount(url, "mnt")
    f = open(mount.path / "f", "wb", buffering=0)
    f.write(b"written before the end")
    assert mount.stop() == 0
    with pytest.raises(OSError):
        f.write(b"too late")
    with pytest.raises(OSError):
        f.close()
    again = mounts.mount(url, "again")
    assert (again.path / "f").read_bytes() == b"written before the end"


def test_without_keeper(mounts):
    """A server whose keeper was killed goes on; a mount point whose processes are all dead can be mounted again."""
    url = mounts.volume()
    mount = mounts.mount(url, "mnt")
    server = mount.server()
    mount.process.kill()
    mount.process.wait()
    (mount.path / "f").write_text("still served")
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not is_served(mount.path))
    mount.start()
    assert (mount.path / "f").read_text() == "still served"


def is_served(path):
    try:
        os.listdir(path)
    except OSError:
        return False
    return True
