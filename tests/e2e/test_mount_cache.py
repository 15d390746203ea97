"""The cache on disk: shared by mount and gateway of one host, of use without the object store, no harm when it fails."""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import threading

import pytest

from aws import connect
from mounts import is_mounted, wait_until
from slow_clients import load, stream_up

MIB = 1 << 20


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "sluice-test", folder], capture_output=True).returncode != 0:
        pytest.skip("cannot mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def with_cache(folder, *more):
    return "--cache-dir", str(folder), "--cache-size", "1G", "--free-space-ratio", "0.0001", "--no-sync", *more


def stat(mount, name):
    return float(re.search(rf"^{name} (\S+)$", (mount.path / ".stats").read_text(), re.M).group(1))


def make_file(path, size, seed=1):
    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return data


def blocks_of(url):
    return os.path.dirname(url.removeprefix("sqlite3://")) + "/blocks"


def test_cache_is_shared_and_needs_no_store(mounts, cache, private_server):
    url = mounts.volume("volume", "--block-size", "1M")
    writer = mounts.mount(url, "writer", "--no-sync")
    (writer.path / "bucket").mkdir()
    large, small = make_file(writer.path / "bucket/large", 20 * MIB + 5), make_file(writer.path / "bucket/small", 3000, 2)
    reader = mounts.mount(url, "reader", *with_cache(cache))
    assert (reader.path / "bucket/large").read_bytes() == large
    assert (reader.path / "bucket/small").read_bytes() == small
    assert stat(reader, "juicefs_blockcache_miss_bytes") > 0
    wait_until(lambda: stat(reader, "juicefs_blockcache_blocks") == 22)
    assert reader.stop() == 0

    # Without the store: another mount, and a gateway beside it.
    os.rename(blocks_of(url), blocks_of(url) + ".away")
    try:
        again = mounts.mount(url, "again", *with_cache(cache))
        assert (again.path / "bucket/large").read_bytes() == large
        with open(again.path / "bucket/large", "rb") as f:
            f.seek(7 * MIB + 11)
            assert f.read(1000) == large[7 * MIB + 11 :][:1000]
        assert stat(again, "juicefs_blockcache_miss") == 0
        assert stat(again, "juicefs_blockcache_hit_bytes") >= len(large)
        options = ["--cache-dir", str(cache), "--cache-size", "1G", "--free-space-ratio", "0.0001"]
        volume = os.path.dirname(url.removeprefix("sqlite3://"))
        gateway = private_server("gateway", kind="juicefs-file", volume=volume, options=options)
        s3 = connect(gateway)
        assert s3.get_object(Bucket="bucket", Key="large")["Body"].read() == large
        assert s3.get_object(Bucket="bucket", Key="small")["Body"].read() == small
        metrics = gateway.admin("/metrics")[1]
        assert re.search(r"^juicefs_blockcache_miss 0$", metrics, re.M)
        assert re.search(r"^juicefs_blockcache_blocks 22$", metrics, re.M)
    finally:
        os.rename(blocks_of(url) + ".away", blocks_of(url))
    # Removed files leave the cache with their blocks.
    config = (again.path / ".config").read_text()
    assert f'"CacheDir": "{cache}"' in config and '"CacheSize": 1073741824' in config


def test_killed_while_it_fills(mounts, cache):
    url = mounts.volume("volume", "--block-size", "256K")
    mount = mounts.mount(url, "mnt", *with_cache(cache, "--cache-size", "24M"))
    wanted = {}
    for i in range(16):
        wanted[i] = hashlib.sha256(make_file(mount.path / f"f{i}", 3 * MIB + i, i)).digest()
    wrong, ending = [], threading.Event()

    def read():
        choice = random.Random()
        while not ending.is_set():
            i = choice.randrange(16)
            try:
                subprocess.run(["dd", f"if={mount.path}/f{i}", "of=/dev/null", "bs=1M", "iflag=direct", "status=none"], capture_output=True)
                if hashlib.sha256((mount.path / f"f{i}").read_bytes()).digest() != wanted[i]:
                    wrong.append(i)
            except OSError:
                pass  # a request that the killed process had, on kernels that do not hand it out again

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(4):  # five in a row would be taken for a request that kills
        ending.wait(random.uniform(0.5, 1.5))
        mount.kill()
        wait_until(lambda: is_mounted(mount.path))
    ending.set()
    for reader in readers:
        reader.join()
    assert not wrong
    for i, digest in wanted.items():
        assert hashlib.sha256((mount.path / f"f{i}").read_bytes()).digest() == digest
    wait_until(lambda: 0 < stat(mount, "juicefs_blockcache_bytes") <= 24 * MIB)
    assert "cache_block_damaged" not in mount.text()
    assert stat(mount, "sluice_cache_disks_off") == 0


def test_full_and_lost_disks_fail_nobody(mounts, small_disk):
    url = mounts.volume("volume", "--block-size", "1M")
    writer = mounts.mount(url, "writer", "--no-sync")
    data = make_file(writer.path / "file", 60 * MIB)
    mount = mounts.mount(url, "mnt", "--cache-dir", str(small_disk), "--cache-size", "1G", "--free-space-ratio", "0.2", "--no-sync")
    for _ in range(2):
        assert (mount.path / "file").read_bytes() == data
        subprocess.run(["sh", "-c", "echo 1 > /proc/sys/vm/drop_caches"], check=False)
    wait_until(lambda: stat(mount, "juicefs_blockcache_blocks") > 5)
    free = os.statvfs(small_disk)
    assert free.f_bavail >= 0.2 * free.f_blocks
    # Somebody else fills it: the cache makes way.
    (small_disk / "others").write_bytes(bytes(int(free.f_bavail * free.f_frsize * 0.9)))
    wait_until(lambda: os.statvfs(small_disk).f_bavail >= 0.2 * free.f_blocks or stat(mount, "sluice_cache_disks_off") == 1)
    assert (mount.path / "file").read_bytes() == data
    # It goes altogether.
    shutil.rmtree(small_disk / os.listdir(small_disk)[0], ignore_errors=True)
    assert (mount.path / "file").read_bytes() == data


class Warmup:
    """The command, by its result as JSON."""

    def __init__(self, binary):
        self.binary = binary

    def __call__(self, *words, code=0):
        done = subprocess.run([self.binary, "warmup", *map(str, words), "--json"], capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def warmup(binary):
    return Warmup(binary)


def test_warmup_by_paths_of_a_mount(mounts, cache, warmup, tmp_path):
    url = mounts.volume("volume", "--block-size", "1M", "--compress", "lz4")
    writer = mounts.mount(url, "writer", "--no-sync")
    (writer.path / "set/deep/er").mkdir(parents=True)
    data = {f"set/deep/er/f{i}": make_file(writer.path / f"set/deep/er/f{i}", 2 * MIB + i, i) for i in range(5)}
    data["set/small"] = make_file(writer.path / "set/small", 10, 9)
    os.symlink("small", writer.path / "set/link")
    (writer.path / "other").write_bytes(b"other")
    mount = mounts.mount(url, "mnt", *with_cache(cache))

    assert warmup(mount.path / "set", "--check", code=1)["cached_blocks_before"] == 0
    done = warmup(mount.path / "set")
    assert (done["files"], done["blocks"], done["done_blocks"], done["failed"], done["complete"]) == (6, 15, 15, 0, True)
    assert done["bytes"] == sum(map(len, data.values())) == done["done_bytes"]
    again = warmup(mount.path / "set/deep", mount.path / "set/small")
    assert (again["done_blocks"], again["cached_blocks_before"]) == (0, 15)
    assert warmup(mount.path / "set", "--check")["cached_blocks_before"] == 15

    # The mount's own cache: nothing is asked of the store.
    os.rename(blocks_of(url), blocks_of(url) + ".away")
    try:
        for name, expected in data.items():
            assert (mount.path / name).read_bytes() == expected
        assert stat(mount, "juicefs_blockcache_miss") == 0
    finally:
        os.rename(blocks_of(url) + ".away", blocks_of(url))

    # A list, eviction, and what is wrong use.
    listed = tmp_path / "list"
    listed.write_text(f"{mount.path}/set/small\n\n  {mount.path}/set/deep/er/f0  \n")
    assert warmup("--evict", "--file", listed)["done_blocks"] == 3
    left = warmup("--check", mount.path / "set", code=1)
    assert (left["blocks"], left["cached_blocks_before"]) == (15, 12)
    assert "no sluice mount" in warmup(tmp_path, code=2)
    assert "without --cache-dir" in warmup(writer.path, code=2)
    assert "another mount" in warmup(mount.path, writer.path, code=2)
    assert "not understood" in warmup("--check", "--evict", mount.path, code=2)
    assert "No such file" in warmup(mount.path / "absent", code=2)


def test_warmup_by_paths_of_a_volume(mounts, cache, warmup):
    url = mounts.volume("volume", "--block-size", "1M")
    writer = mounts.mount(url, "writer", "--no-sync")
    (writer.path / "a/b").mkdir(parents=True)
    make_file(writer.path / "a/b/file", 3 * MIB)
    make_file(writer.path / "a/sparse", 10)
    os.truncate(writer.path / "a/sparse", 100 * MIB)
    assert "--cache-dir" in warmup(url, "/a", code=2)
    options = with_cache(cache)[:-1]
    done = warmup(url, "/a", "absent", *options, code=1)
    assert (done["files"], done["blocks"], done["done_blocks"], done["failed"]) == (2, 4, 4, 1)
    # As a mount of a part of it sees it.
    mount = mounts.mount(url, "mnt", *with_cache(cache, "--subdir", "a"))
    assert warmup(mount.path / "b", "--check")["blocks"] == 3
    assert warmup(mount.path, "--check")["blocks"] == 4
    # No block, no cache: it says so and ends.
    os.rename(blocks_of(url), blocks_of(url) + ".away")
    try:
        assert warmup(mount.path / "b", "--evict")["done_blocks"] == 3
        assert warmup(mount.path / "b", code=1)["failed"] == 3
    finally:
        os.rename(blocks_of(url) + ".away", blocks_of(url))
    assert warmup(url, "/", "--cache-dir", "/proc/no/such", code=1)["done_blocks"] == 0


# In a cgroup of 512 MiB, as in a pod: page cache, blocks and buffers together.

CONTROLLER = "/sys/fs/cgroup/memory"
POD = 512 * MIB


@pytest.fixture
def pod():
    """Limits a process and its children; at the end, says whether the kernel has killed any of them."""
    if not os.access(f"{CONTROLLER}/cgroup.procs", os.W_OK) or not os.path.exists(f"{CONTROLLER}/memory.limit_in_bytes"):
        pytest.skip("no memory controller (cgroup v1) to be used here")
    made = []

    def limit(process):
        folder = f"{CONTROLLER}/sluice-test-{process.pid}"
        os.mkdir(folder)
        made.append((folder, process))
        with open(f"{folder}/memory.limit_in_bytes", "w") as f:
            f.write(str(POD))
        pids = [process.pid] + [int(p) for p in subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()]
        for pid in pids:
            with open(f"{folder}/cgroup.procs", "w") as f:
                f.write(str(pid))

    yield limit
    for folder, _ in made:
        control = open(f"{folder}/memory.oom_control").read()
        peak = int(open(f"{folder}/memory.max_usage_in_bytes").read())
        for pid in open(f"{folder}/cgroup.procs").read().split():
            with open(f"{CONTROLLER}/cgroup.procs", "w") as f:
                f.write(pid)
        wait_until(lambda folder=folder: not open(f"{folder}/cgroup.procs").read())
        os.rmdir(folder)
        assert "oom_kill 0" in control, control
        assert POD / 2 < peak <= POD  # it was put to the test


@pytest.mark.plain
@pytest.mark.heavy
def test_fio_in_a_small_pod(mounts, cache, pod):
    """20 jobs × 40 files, written and read back at random, with a cache that fills meanwhile."""
    mount = mounts.mount(mounts.volume("volume"), "mnt", *with_cache(cache))
    pod(mount.process)
    for how in ("write", "randread", "randrw"):
        words = ["fio", "--name=j", f"--directory={mount.path}", "--numjobs=20", "--nrfiles=40", "--filesize=1m", f"--rw={how}", "--bs=64k"]
        done = subprocess.run([*words, "--ioengine=psync", "--fallocate=none", "--group_reporting"], capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert " err= 0" in done.stdout
    assert "server_died" not in mount.text()


@pytest.mark.plain
@pytest.mark.heavy
def test_1000_ranges_in_a_small_pod(private_server, cache, pod):
    options = ["--cache-dir", str(cache), "--cache-size", "4G", "--free-space-ratio", "0.0001", "--sync", "none"]
    gateway = private_server("pod", kind="juicefs-file", options=options)
    connect(gateway).create_bucket(Bucket="memory")
    stream_up(gateway, "memory", "big", 2048 * MIB)
    gateway.stop()
    gateway.start()
    pod(gateway.process)
    ranges = ["--range-size", "8M", "--object-size", "2G", "--count", "256"]
    for _ in range(2):  # the second time from the disk, as far as it has kept up
        done = load(gateway, "--target", "/memory/big", *ranges, "--connections", "1000", "--requests", "1000")
        assert (done["failures"], done["status"], done["bytes"]) == (0, 206, 1000 * 8 * MIB)
    metrics = gateway.admin("/metrics")[1]
    assert int(re.search(r"^juicefs_blockcache_blocks (\d+)$", metrics, re.M).group(1)) > 0
