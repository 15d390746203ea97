"""The metadata of one volume through the official client and through ours, in turns and at once: either sees exactly what the
other did, answers the same, and leaves a volume that the official fsck finds nothing wrong with.

    JUICEFS=/path/to/juicefs python3 -m pytest tests/interop/test_meta.py     (as root: it mounts through FUSE)
"""

import os
import random
import time

import pytest

from juicefs import DIRECTORY, FIFO, FILE, TRASH, Mount, Tool, Volume, client

NAMES = ["a", "b", "c", "d", "e"]


def random_path(rng):
    return "/".join(rng.choice(NAMES) for _ in range(rng.choice([1, 1, 2, 2, 3])))


def random_step(rng):
    path, other = random_path(rng), random_path(rng)
    value = "".join(rng.choices("xyz", k=rng.randrange(5)))
    mtime = rng.randrange(10**18, 2 * 10**18)
    return rng.choice(
        [
            ("mknod", path, DIRECTORY, 0o755),
            ("mknod", path, DIRECTORY, 0o777),
            ("mknod", path, FILE, 0o644),
            ("mknod", path, FIFO, 0o666),
            ("symlink", path, f"to/{other}"),
            ("link", path, other),
            ("unlink", path),
            ("rmdir", path),
            ("rename", path, other, 0),
            ("rename", path, other, 0),
            ("rename", path, other, 1),
            ("rename", path, other, 2),
            ("setattr", path, rng.randrange(0o1000), rng.randrange(3), rng.randrange(3), mtime),
            ("setxattr", path, f"user.{rng.choice('ab')}", value),
            ("removexattr", path, f"user.{rng.choice('ab')}"),
            ("truncate", path, rng.randrange(20000)),
        ]
    )


def allowed(tree, step):
    """What the kernel would decide by itself on the way to the official client is left out: links that are followed, user
    attributes of what may have none, what is renamed to the directory that it is in."""
    nodes = [tree.get(os.fsencode(word)) for word in step[1:2]]
    if any(tree.get(os.fsencode(p), (0, 0))[1] == 3 for p in prefixes(step[1])):
        return False
    if step[0] in ("link", "rename") and any(tree.get(os.fsencode(p), (0, 0))[1] == 3 for p in prefixes(step[2])):
        return False
    if step[0] == "rename" and step[1].startswith(step[2] + "/"):
        return False
    kind = nodes[0][1] if nodes[0] else None
    if step[0] in ("setattr", "truncate"):
        return kind in (None, FILE, DIRECTORY) and not (step[0] == "truncate" and kind == DIRECTORY)
    if step[0] in ("setxattr", "removexattr"):
        return kind in (None, FILE, DIRECTORY)
    return True


def prefixes(path):
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def without_identity(tree):
    """Inode numbers and the times that the two sides took at different moments are each side's own."""
    return {path: node[1:7] + node[8:] for path, node in tree.items()}


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path / "vol", "--trash-days", "0")


@pytest.fixture
def trash_volume(tmp_path):
    return Volume(tmp_path / "vol", "--trash-days", "1")


def test_same_program_same_result(tmp_path):
    theirs, ours = Volume(tmp_path / "theirs", "--trash-days", "0"), Volume(tmp_path / "ours", "--trash-days", "0")
    rng = random.Random(1)
    answers = {}
    with Mount(theirs) as mount, Tool(ours) as tool:
        for _ in range(1500):
            step = random_step(rng)
            if allowed(tool.tree(), step):
                expected, got = mount.run(*step), tool.run(*step)
                answers[expected] = answers.get(expected, 0) + 1
                assert got == expected, step
        assert without_identity(mount.tree()) == without_identity(tool.tree())
    assert answers["ok"] > 200 and len(answers) > 5, answers
    theirs.fsck(statistics=False)
    ours.fsck()
    for volume in (theirs, ours):
        volume.check_counters()


@pytest.mark.parametrize("trash", ["0", "1"])
def test_one_volume_in_turns(tmp_path, trash):
    volume = Volume(tmp_path / "vol", "--trash-days", trash)
    rng = random.Random(2)
    with Mount(volume) as mount, Tool(volume) as tool:
        done = 0
        for _ in range(1500):
            step = random_step(rng)
            if allowed(tool.tree(), step):
                done += rng.choice([mount, tool]).run(*step) == "ok"
        assert done > 150
        assert mount.tree() == tool.tree()
    volume.fsck(statistics=False)
    volume.check_counters()


def test_ours_is_read_by_theirs_after_restart(volume):
    with Tool(volume) as tool:
        assert tool.run("mknod", "dir", DIRECTORY, 0o755) == "ok"
        for i in range(300):
            assert tool.run("mknod", f"dir/{i}", FILE, 0o644) == "ok"
        assert tool.run("symlink", "dir/link", "x" * 4095) == "ok"
        assert tool.run("setxattr", "dir/7", "user.k", "v") == "ok"
        assert tool.run("setattr", "dir/8", 0o4711, 4000000000, 12, 1234567890123456789) == "ok"
        assert tool.run("put", "dir/9", 0o666) == "ok"
        tree = tool.tree()
    volume.fsck()
    volume.check_counters()
    with Mount(volume) as mount:
        assert mount.tree() == tree
    with Tool(volume) as tool:
        assert tool.tree() == tree
    client("dump", volume.url, str(volume.folder / "dump.json"))
    client("load", f"sqlite3://{volume.folder}/loaded.db", str(volume.folder / "dump.json"))


def test_trash_goes_both_ways(trash_volume):
    with Mount(trash_volume) as mount, Tool(trash_volume) as tool:
        for name in ("ours", "theirs"):
            assert tool.run("mknod", name, FILE, 0o644) == "ok"
        assert tool.run("unlink", "ours") == "ok"
        assert mount.run("unlink", "theirs") == "ok"
        (hour,) = os.listdir(mount.root / ".trash")
        assert sorted(n.split("-", 2)[2] for n in os.listdir(mount.root / ".trash" / hour)) == ["ours", "theirs"]
        client("restore", trash_volume.url, hour, "--put-back")
        assert sorted(tool.tree()) == [b"ours", b"theirs"]
        assert mount.tree() == tool.tree()
    assert trash_volume.sql("SELECT value FROM jfs_counter WHERE name = 'nextTrash'") == [(1,)]
    trash_volume.fsck()
    trash_volume.check_counters()


def test_what_a_killed_client_of_ours_leaves_is_removed_by_theirs(volume):
    with Tool(volume) as tool:
        assert tool.run("mknod", "open", FILE, 0o644) == "ok"
        assert tool.run("stage", "staged") == "ok"
        assert tool.run("open", "open") == "ok"
        assert tool.run("unlink", "open") == "ok"
        assert tool.tree() == {}
        tool.kill()
    assert len(volume.sql("SELECT * FROM jfs_sustained")) == 2
    volume.fsck(statistics=False)
    volume.sql("UPDATE jfs_session2 SET expire = 1")
    volume.sql("UPDATE jfs_counter SET value = 0 WHERE name = 'lastCleanupSessions'")
    with Mount(volume, "--heartbeat", "2"):
        end = time.monotonic() + 40
        while volume.sql("SELECT * FROM jfs_sustained"):
            assert time.monotonic() < end, "the session was not cleaned up"
            time.sleep(0.5)
    assert volume.sql(f"SELECT inode FROM jfs_node WHERE inode NOT IN (1, {TRASH})") == []


def test_acls_go_both_ways(tmp_path):
    volume = Volume(tmp_path / "vol", "--trash-days", "0", "--enable-acl")
    rule = bytes.fromhex("0200000001000700ffffffff02000600d007000004000500ffffffff10000700ffffffff20000100ffffffff")
    with Mount(volume) as mount, Tool(volume) as tool:
        for name in ("ours", "theirs"):
            assert tool.run("mknod", name, DIRECTORY, 0o755) == "ok"
        for kind in ("access", "default"):
            assert tool.run("setacl", "ours", kind, rule.hex()) == "ok"
            os.setxattr(mount.root / "theirs", f"system.posix_acl_{kind}", rule)
            assert os.getxattr(mount.root / "ours", f"system.posix_acl_{kind}") == rule
            assert tool.ask("getacl", "theirs", kind) == ([rule.hex().encode()], "ok")
        for name in ("ours", "theirs"):
            assert tool.run("mknod", f"{name}/by-us", FILE, 0o666) == "ok"
            os.mknod(mount.root / name / "by-them", 0o100666)
            inherited = os.getxattr(mount.root / name / "by-them", "system.posix_acl_access")
            assert os.getxattr(mount.root / name / "by-us", "system.posix_acl_access") == inherited
        modes = {path: node[2] for path, node in mount.tree().items()}
        assert modes[b"ours/by-us"] == modes[b"ours/by-them"] == modes[b"theirs/by-us"]
        assert mount.tree() == tool.tree()
    everything = "owner, `group`, mask, other, named_users, named_groups"
    assert len(volume.sql(f"SELECT DISTINCT {everything} FROM jfs_acl")) == 2  # the official client stores some twice
