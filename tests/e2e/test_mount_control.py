"""Commands through .control: the official client's on our mount, and what broken requests get."""

import errno
import json
import os
import struct
import subprocess
import time

import pytest

from mounts import Mounts, wait_until

RMR, COMPACT, INFO, CLONE, SUMMARY = 1002, 1001, 1005, 1006, 1007


@pytest.fixture(scope="module")
def mounts(binary, tmp_path_factory):
    made = Mounts(binary, tmp_path_factory.mktemp("control"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def mount(mounts):
    return mounts.mount(mounts.volume("volume", "--trash-days", "1"), "mnt", "--no-sync")


@pytest.fixture
def folder(mount, request):
    path = mount.path / request.node.name
    path.mkdir()
    return path


@pytest.fixture
def tree(folder):
    top = folder / "tree"
    (top / "a/b").mkdir(parents=True)
    for i in range(600):  # more than a page
        (top / "a/b" / str(i)).write_text(str(i))
    (top / "large").write_bytes(os.urandom(5_000_000))
    os.setxattr(top / "large", "user.note", b"kept")
    os.link(top / "large", top / "a/link")
    os.symlink("large", top / "symlink")
    os.mkfifo(top / "fifo")
    (top / "a").chmod(0o2750)
    return top


def names(path):
    return sorted(os.path.relpath(os.path.join(at, name), path) for at, below, files in os.walk(path) for name in below + files)


def test_info(official, tree):
    whole = official("info", "-r", tree).stdout
    assert "files: 604" in whole and "dirs: 3" in whole
    entries = official("info", tree).stdout
    assert "files: 3" in entries and "dirs: 2" in entries
    one = official("info", tree / "large").stdout
    assert f"inode: {(tree / 'large').stat().st_ino}" in one and "length: 4.77 MiB (5000000 Bytes)" in one
    assert f"{tree.parent.name}/tree/a/link" in one and f"{tree.parent.name}/tree/large" in one
    blocks = [line.split("|")[2].strip() for line in one.splitlines() if "volume/chunks/" in line]
    assert [name.rsplit("_", 1)[1] for name in blocks] == ["4194304", "805696"]
    raw = official("info", "--raw", tree / "large").stdout
    assert "5000000" in raw.split("chunks:")[1]


def test_info_names_locks(official, tree):
    import fcntl

    with open(tree / "large", "r+b") as f, open(tree / "a/link", "rb") as g:
        fcntl.lockf(f, fcntl.LOCK_EX, 100, 50)
        fcntl.flock(g, fcntl.LOCK_SH)
        text = official("info", tree / "large").stdout
        assert " flocks:" in text and " plocks:" in text
        row = next(line for line in text.split(" plocks:")[1].splitlines() if str(os.getpid()) in line)
        assert [word.strip() for word in row.split("|")[3:7]] == ["W", str(os.getpid()), "50", "149"]


def test_summary(official, tree):
    rows = {}
    for line in official("summary", "--csv", "--depth", "2", "--entries", "3", tree).stdout.splitlines()[1:]:
        path, *numbers = line.split(",")
        rows[path] = tuple(map(int, numbers))
    large, small = 5_001_216, 4096
    assert rows["/"] == (2 * large + 605 * small, 3, 604)
    assert rows["a/"] == (large + 602 * small, 2, 601) and rows["large"] == (large, 0, 1)
    assert rows["a/b/"] == (601 * small, 1, 600)
    assert rows["..."] == (small, 0, 1)  # the fifo, or the symlink


def test_clone(official, mount, mounts, tree):
    before = os.umask(0o027)
    try:
        official("clone", tree, tree.parent / "copy")
    finally:
        os.umask(before)
    copy = tree.parent / "copy"
    assert names(copy) == names(tree)
    assert (copy / "large").read_bytes() == (tree / "large").read_bytes() and os.readlink(copy / "symlink") == "large"
    assert os.getxattr(copy / "large", "user.note") == b"kept"
    assert (copy / "large").stat().st_nlink == 1 and copy.stat().st_nlink == 3
    assert (copy / "a").stat().st_mode & 0o7777 == 0o2750 and (copy / "a/b/7").stat().st_mode & 0o7777 == 0o640
    # Each has bytes of its own from now on.
    with open(copy / "large", "r+b") as f:
        f.write(b"changed")
    assert (tree / "large").read_bytes()[:7] != b"changed"
    os.truncate(tree / "large", 0)
    assert (copy / "large").stat().st_size == 5_000_000
    official("clone", "--preserve", tree / "a/b/7", tree.parent / "one")
    assert (tree.parent / "one").stat().st_mtime == (tree / "a/b/7").stat().st_mtime
    # Statistics are written a second later.
    wait_until(lambda: official("fsck", mount.url, "--path", f"/{tree.parent.name}", "-r", "--sync-dir-stat", check=False).returncode == 0)


def test_rmr(official, mount, tree):
    official("rmr", tree)
    assert not tree.exists()
    hours = mount.path / ".trash"
    kept = [name for hour in os.listdir(hours) for name in os.listdir(hours / hour)]
    assert any(name.endswith("-tree") for name in kept)
    again = tree.parent / "again"
    again.mkdir()
    (again / "f").write_text("x")
    official("rmr", "--skip-trash", again)
    assert not again.exists() and not any(name.endswith("-again") for hour in os.listdir(hours) for name in os.listdir(hours / hour))
    done = official("rmr", tree, check=False)
    assert done.returncode != 0 and "no such file" in done.stdout + done.stderr


def test_what_is_not_there_is_said(official, tree):
    for words in ("warmup", tree / "large"), ("compact", tree):
        done = official(*words, check=False)
        assert "not supported" in done.stdout + done.stderr


def test_callers_rights(mount, tree):
    """A command can do what its caller can."""
    tree.parent.chmod(0o755)
    (tree / "a").chmod(0o700)
    secret = request(RMR, struct.pack(">QB", (tree / "a").stat().st_ino, 1) + b"b" + bytes(2))
    listing = request(SUMMARY, struct.pack(">QBB", (tree / "a").stat().st_ino, 2, 10))
    clone = clone_request(tree, tree.parent, b"stolen")
    script = (
        "import os,sys,time\nf=os.open(sys.argv[1],os.O_RDWR)\nos.write(f,bytes.fromhex(sys.argv[2]))\nfor i in range(500):\n"
        " d=os.read(f,65536)\n if d: print(d.hex()); break\n time.sleep(0.02)"
    )

    def as_nobody(message):
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script, ".control", message.hex()]
        return bytes.fromhex(subprocess.run(words, check=True, cwd=tree.parent, capture_output=True, text=True, timeout=60).stdout)

    assert as_nobody(secret) == bytes([errno.EACCES])
    assert json.loads(as_nobody(listing)[5:])["Errno"] == errno.EACCES
    assert as_nobody(clone) == bytes([errno.EACCES])
    assert (tree / "a/b/7").exists() and not (tree.parent / "stolen").exists()


def request(command, body):
    return struct.pack(">II", command, len(body)) + body


def clone_request(source, parent, name):
    inodes = struct.pack(">QQQB", source.stat().st_ino, source.parent.stat().st_ino, parent.stat().st_ino, len(name))
    return request(CLONE, inodes + name + struct.pack(">HBB", 0o022, 0, 4))


def answer(f, timeout=60):
    got = bytearray()

    def more():
        got.extend(os.read(f, 1 << 20))
        return len(got) > 0

    wait_until(more, timeout)
    return bytes(got)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (request(9, b""), errno.EINVAL),
        (request(COMPACT, bytes(20)), errno.EINVAL),
        (request(RMR, b"\0"), errno.EIO),
        (request(INFO, bytes(8)) + b"more", errno.EIO),
        (request(RMR, struct.pack(">QB", 1, 200) + b"short"), errno.ENOENT),
        (request(RMR, struct.pack(">QB", 1, 6) + b".trash" + b"\0"), errno.EPERM),
        (request(RMR, struct.pack(">QB", 1, 3) + b"a/b" + b"\0"), errno.EINVAL),
        (request(CLONE, bytes(29)), errno.ENOENT),
    ],
)
def test_broken_requests(mount, message, says):
    f = os.open(mount.path / ".control", os.O_RDWR)
    try:
        os.write(f, message[:5])
        assert os.read(f, 100) == b""
        os.write(f, message[5:])
        assert answer(f) == bytes([says])
    finally:
        os.close(f)


def test_a_closed_request_ends(mount, folder):
    """Who does not wait for the end gets none: rmr stops on its way."""
    for i in range(3000):
        (folder / str(i)).touch()
    f = os.open(folder / ".control", os.O_RDWR)
    os.write(f, request(RMR, struct.pack(">QB", mount.path.stat().st_ino, len(folder.name)) + folder.name.encode() + b"\1\1"))
    os.close(f)
    time.sleep(0.5)
    count = len(os.listdir(folder)) if folder.exists() else 0
    time.sleep(0.5)
    assert count > 0 and len(os.listdir(folder)) == count


def test_a_killed_daemon_forgets_requests(mount, folder):
    f = os.open(folder / ".control", os.O_RDWR)
    try:
        mount.kill()
        with pytest.raises(OSError) as e:
            os.read(f, 1)
        assert e.value.errno == errno.EBADF
    finally:
        os.close(f)
    assert (folder / ".control").stat().st_ino == (mount.path / ".control").stat().st_ino
