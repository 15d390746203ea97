"""Mounts in trouble: daemons killed under load, object stores that stall, disks that fill up, programs that lose patience."""

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from faulty_store import FaultyStore
from mounts import ENVIRONMENT, is_mounted, wait_until
from server import ROOT, Server

MIB = 1 << 20
YAML = pathlib.Path(__file__).resolve().parents[2] / "docker/kubernetes-mount.yaml"
# What one request to the store may take in these tests; what follows is for a busy machine.
PATIENCE_S = 4
SLACK_S = 30


@pytest.fixture
def blocks(binary, tmp_path, ports, slowness):
    """A server of blocks, which can be stopped as a stalled network stops one."""
    server = Server(binary, tmp_path / "store", ports, slowness=slowness, options=["--sync", "none"]).start()
    yield server
    server.signal(signal.SIGCONT)
    server.stop()


def format_volume(mounts, store):
    keys = ["--access-key", ROOT.access_key, "--secret-key", ROOT.secret_key]
    (mounts.folder / "volume").mkdir()
    url = f"sqlite3://{mounts.folder}/volume/meta.db"
    mounts.run("format", url, "volume", "--storage", "s3", "--bucket", f"{store.endpoint}/blocks", "--trash-days", "0", *keys)
    return url


@pytest.fixture
def url(mounts, blocks):
    return format_volume(mounts, blocks)


def is_stopped(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in tasks)


@contextlib.contextmanager
def stalled(server):
    server.signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(server.process.pid))
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


def failure(action):
    """The errno that it ends with, and how long that took."""
    started = time.monotonic()
    try:
        action()
    except OSError as e:
        return e.errno, time.monotonic() - started
    return 0, time.monotonic() - started


def write_synced(path, content):
    with open(path, "wb", buffering=0) as f:
        f.write(content)
        os.fsync(f.fileno())


def test_a_store_that_stalls(mounts, url, blocks, slowness):
    """Errors come in time, names are not concerned, and when the store is back all is well."""
    first = mounts.mount(url, "first")
    content = os.urandom(3 * MIB)
    write_synced(first.path / "f", content)
    assert first.stop() == 0
    mount = mounts.mount(url, "mnt", "--get-timeout", str(PATIENCE_S), "--no-bgjob")
    with stalled(blocks):
        code, took = failure((mount.path / "f").read_bytes)
        assert code == errno.EIO and took < 3 * PATIENCE_S + SLACK_S * slowness
        code, took = failure(lambda: write_synced(mount.path / "g", content))
        assert code == errno.EIO and took < 3 * PATIENCE_S + SLACK_S * slowness
        (mount.path / "d").mkdir()
        assert sorted(p for p in os.listdir(mount.path) if p[0] != ".") == ["d", "f", "g"]
    assert (mount.path / "f").read_bytes() == content
    write_synced(mount.path / "h", content)
    assert (mount.path / "h").read_bytes() == content


def test_mapped_pages_do_not_come_after_what_was_written_later(mounts, blocks, ports):
    """Those of a file that nobody has open any more, held up by the store."""
    store = FaultyStore(ports)
    store.upstream_port = blocks.port
    url = format_volume(mounts, store)
    mount = mounts.mount(url, "mnt")
    write_synced(mount.path / "f", b"0" * 4096)
    # Python's own mapping keeps a descriptor, whose closing commits.
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with open(mount.path / "f", "r+b") as f:
        mapped = libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, f.fileno(), 0)
    with store.faults("500", methods=("PUT",)):
        ctypes.memset(mapped, ord("1"), 4096)
        assert libc.munmap(mapped, 4096) == 0
        time.sleep(2)  # so that it is some time until the next attempt
    with open(mount.path / "f", "r+b") as f:
        f.write(b"2" * 4096)
    assert mount.stop() == 0
    again = mounts.mount(url, "again")
    assert set((again.path / "f").read_bytes()) == {ord("2")}
    store.close()


WRITER = "import os,sys\nf=os.open(sys.argv[1],os.O_WRONLY|os.O_CREAT)\nos.write(f,b'x'*100000)\nprint('now',flush=True)\nos.fsync(f)"


def heed_interrupts():
    """A shell has its background jobs, and what they start, ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_waits_for_a_stalled_store_can_be_ended(mounts, url, blocks, slowness, number):
    first = mounts.mount(url, "first")
    write_synced(first.path / "f", b"content" * 1000)
    assert first.stop() == 0
    mount = mounts.mount(url, "mnt", "--no-bgjob")
    with stalled(blocks):
        words = [sys.executable, "-S", "-c", WRITER, mount.path / "g"]
        reader = subprocess.Popen(["cat", mount.path / "f"], stdout=subprocess.DEVNULL, preexec_fn=heed_interrupts)
        writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=heed_interrupts)
        writer.stdout.readline()
        time.sleep(1)
        for process in reader, writer:
            assert process.poll() is None
            process.send_signal(number)
        started = time.monotonic()
        for process in reader, writer:
            process.wait(SLACK_S * slowness)
        assert time.monotonic() - started < 10 * slowness
    assert (mount.path / "f").read_bytes() == b"content" * 1000


def test_bytes_that_an_upgrade_could_not_store_are_told(mounts, url, blocks):
    """By the process that comes after: the one that took them has nobody to tell any more."""
    mount = mounts.mount(url, "mnt", "--get-timeout", str(PATIENCE_S), "--no-bgjob")
    f = open(mount.path / "f", "wb", buffering=0)
    f.write(b"never stored")
    server = mount.server()
    with stalled(blocks):
        mount.process.send_signal(signal.SIGHUP)
        wait_until(lambda: mount.server() != server)
    assert failure(lambda: os.fsync(f.fileno()))[0] == errno.EIO
    assert failure(f.close)[0] == errno.EIO
    write_synced(mount.path / "f", b"again")
    assert (mount.path / "f").read_bytes() == b"again"


def test_writers_wait_for_memory(mounts, url, blocks):
    """What does not fit into --memory waits in the program that writes it, for as long as the store takes."""
    mount = mounts.mount(url, "mnt", "--memory", "48M")
    content = os.urandom(MIB) * 160
    writer = threading.Thread(target=write_synced, args=(mount.path / "f", content))
    with stalled(blocks):
        writer.start()
        time.sleep(5)
        assert writer.is_alive()
        status = pathlib.Path(f"/proc/{mount.server()}/status").read_text()
        resident_kib = int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))
        assert (mount.path / "f").stat().st_size < 100 * MIB and ("asan" in str(mounts.binary) or resident_kib < 130 * 1024)
    writer.join(300)
    assert hashlib.md5((mount.path / "f").read_bytes()).digest() == hashlib.md5(content).digest()


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def fill(folder, size=0):
    """Makes files until one fails; its errno and how many there are."""
    for i in range(100_000):
        code, _ = failure(lambda i=i: write_synced(folder / str(i), bytes(size)))
        if code:
            return code, i
    raise AssertionError("it does not fill up")


@pytest.mark.parametrize("disk", ["metadata", "blocks"])
def test_a_disk_that_fills_up(mounts, disk):
    """ENOSPC, what was confirmed is there, and with room again it goes on."""
    where = {"metadata": mounts.folder / "volume", "blocks": mounts.folder / "volume/blocks"}[disk]
    with small_disk(where, "2m"):
        for folder in "volume", "volume/blocks":
            (mounts.folder / folder).mkdir(exist_ok=True)
        url = f"sqlite3://{mounts.folder}/volume/meta.db"
        mounts.run("format", url, "volume", "--bucket", f"{mounts.folder}/volume/blocks/", "--trash-days", "0")
        mount = mounts.mount(url, "mnt", "--no-bgjob")
        # Empty files take no blocks, and blocks in memory would take none of the metadata's disk.
        code, count = fill(mount.path, 0 if disk == "metadata" else 100_000)
        assert code == errno.ENOSPC and count > 0
        subprocess.run(["mount", "-o", "remount,size=20m", where], check=True)
        write_synced(mount.path / "again", b"room")
        names = set(os.listdir(mount.path))
        assert {str(i) for i in range(count)} <= names and (mount.path / "again").read_bytes() == b"room"
        assert mount.stop() == 0
        mounts.run("fsck", url)


class Appender(threading.Thread):
    """Appends records to a file and remembers which of them fsync confirmed."""

    def __init__(self, path, stop):
        super().__init__()
        self.path, self.stopping, self.confirmed, self.lost, self.error = path, stop, 0, 0, None
        self.f = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def record(self, i):
        return f"{self.path.name} {i:08} {'.' * (i % 4000)}\n".encode()

    def size(self, count):
        return sum(len(self.record(i)) for i in range(count))

    def step(self):
        """After a failure the file ends somewhere behind what was confirmed: it goes on from there."""
        i, at = self.confirmed, self.size(self.confirmed)
        try:
            os.ftruncate(self.f, at)
            for k in range(3):
                os.write(self.f, self.record(i + k))
            os.fsync(self.f)
            self.confirmed += 3
        except OSError as e:
            # What was written and not synced is lost with the process; requests on their way may be cut off on older kernels.
            if e.errno not in (errno.EIO, errno.ECONNABORTED, errno.EBADF):
                raise
            self.lost += 1
            failure(lambda: os.close(self.f))  # says once more that something was lost
            self.f = os.open(self.path, os.O_RDWR | os.O_APPEND)

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
        except BaseException as e:
            self.error = e

    def check(self):
        assert self.error is None, self.error
        with open(self.path, "rb") as f:
            whole = f.read()
        expected = b"".join(self.record(i) for i in range(self.confirmed))
        assert whole[: len(expected)] == expected, f"{self.path.name}: {self.confirmed} records confirmed"


def run_appenders(folder, count, disturb):
    stop = threading.Event()
    appenders = [Appender(folder / f"log{i}", stop) for i in range(count)]
    for a in appenders:
        a.start()
    try:
        disturb()
    finally:
        stop.set()
        for a in appenders:
            a.join(120)
    return appenders


@pytest.mark.heavy
def test_daemons_killed_under_load(mounts):
    """Each time another one goes on; open files work, what fsync confirmed is there."""
    url = mounts.volume("volume", "--trash-days", "0")
    mount = mounts.mount(url, "mnt")
    held = open(mount.path / "held", "w+b", buffering=0)
    held.write(b"held open")
    os.fsync(held.fileno())
    os.unlink(mount.path / "held")

    def disturb():
        for i in range(8):
            # Short lives make the pauses between them grow: every other one is long enough.
            time.sleep(0.5 if i % 2 else 5.5)
            mount.kill()
            # Also a request of that very moment, which a dying process may have taken, is answered.
            assert os.pread(held.fileno(), 9, 0) == b"held open"

    appenders = run_appenders(mount.path, 4, disturb)
    assert os.pread(held.fileno(), 9, 0) == b"held open"
    held.close()
    assert all(a.confirmed > 0 for a in appenders)
    for a in appenders:
        a.check()
    assert mount.stop() == 0
    again = mounts.mount(url, "again")
    for a in appenders:
        a.path = again.path / a.path.name
        a.check()


def test_all_processes_killed(mounts):
    """Programs get an error at once; the next mount takes the place of the dead one, and what was confirmed is there."""
    url = mounts.volume()
    mount = mounts.mount(url, "mnt")

    def disturb():
        time.sleep(1)
        server = mount.server()
        mount.process.send_signal(signal.SIGSTOP)  # so that it starts no other one
        os.kill(server, signal.SIGKILL)
        mount.process.kill()
        mount.process.wait()

    appenders = run_appenders(mount.path, 2, disturb)
    for a in appenders:
        assert a.error is None or a.error.errno in (errno.ENOTCONN, errno.ECONNABORTED), a.error
        a.error = None
    code, took = failure(lambda: os.listdir(mount.path))
    assert code == errno.ENOTCONN and took < SLACK_S
    mount.start()
    for a in appenders:
        a.check()
    write_synced(mount.path / "new", b"x")


def test_the_container_of_a_daemon_set_starts_again(mounts, binary):
    """The command of docker/kubernetes-mount.yaml, over what a container that was killed has left."""
    url = mounts.volume()
    mount = mounts.mount(url, "mnt")
    server = mount.server()
    mount.process.send_signal(signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    mount.process.kill()
    mount.process.wait()
    wait_until(lambda: failure(lambda: os.listdir(mount.path))[0] == errno.ENOTCONN)
    script = re.search(r"args: \['(.*)'\]", YAML.read_text()).group(1)
    script = script.replace("/host/volume", str(mount.path)).replace("0.0.0.0:9567", "off").replace("/cache", str(mounts.folder / "cache"))
    environment = {**ENVIRONMENT, "META_URL": url, "PATH": f"{binary.parent}:{os.environ['PATH']}"}
    with open(mount.log, "ab") as log:
        mount.process = subprocess.Popen(["/bin/sh", "-c", script], stderr=log, env=environment)
    wait_until(lambda: mount.process.poll() is not None or is_mounted(mount.path))
    assert mount.process.poll() is None, mount.text()
    write_synced(mount.path / "new", b"x")
