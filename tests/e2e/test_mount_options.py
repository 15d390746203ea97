"""Options of `sluice mount`: a directory of the volume as the root, what mount(8) and fstab say, modes of new files."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

from mounts import ENVIRONMENT, START_S, is_mounted

HELPER = pathlib.Path("/sbin/mount.sluice")


@pytest.fixture
def url(mounts):
    return mounts.volume()


def test_subdir(mounts, url):
    whole = mounts.mount(url, "whole")
    (whole.path / "team").mkdir()
    (whole.path / "secret").write_text("not below")
    part = mounts.mount(url, "part", "--subdir", "/team/new/")
    assert stat.S_IMODE((whole.path / "team/new").stat().st_mode) == 0o777
    assert part.path.stat().st_ino == 1 and whole.path.stat().st_ino == 1
    (part.path / "d").mkdir()
    (part.path / "f").write_text("x")
    os.rename(part.path / "f", part.path / "d/f")
    os.rename(part.path / "d/f", part.path / "g")
    os.link(part.path / "g", part.path / "d/h")
    os.symlink("../secret", part.path / "out")
    assert sorted(p.name for p in part.path.rglob("*") if p.name[0] != ".") == ["d", "g", "h", "out"]
    assert (whole.path / "team/new/d/h").read_text() == "x"
    # Nothing above: neither by a link of the volume, nor by the trash, whose name is free there.
    assert not (part.path / "out").exists()
    assert {".config", ".stats"} <= set(os.listdir(part.path)) and ".trash" not in os.listdir(part.path)
    (part.path / ".trash").write_text("an ordinary file")
    assert (whole.path / "team/new/.trash").read_text() == "an ordinary file"
    os.unlink(part.path / "g")
    assert any(name.endswith("-g") for hour in os.listdir(whole.path / ".trash") for name in os.listdir(whole.path / ".trash" / hour))


def test_subdir_survives_its_daemon(mounts, url):
    part = mounts.mount(url, "part", "--subdir", "team")
    with open(part.path / "f", "w+b", buffering=0) as f:
        f.write(b"before")
        os.fsync(f.fileno())
        part.kill()
        assert os.pread(f.fileno(), 6, 0) == b"before"
        assert os.listdir(part.path / ".") and (part.path / "f").exists()
    assert part.path.stat().st_ino == 1


def test_subdir_shows_its_quota(mounts, url, official):
    whole = mounts.mount(url, "whole")
    (whole.path / "team").mkdir()
    official("quota", "set", url, "--path", "/team", "--capacity", "1", "--inodes", "100")
    part = mounts.mount(url, "part", "--subdir", "team")
    space = os.statvfs(part.path)
    assert (space.f_blocks * space.f_frsize, space.f_files) == (1 << 30, 100)
    assert os.statvfs(whole.path).f_blocks * space.f_frsize > 1 << 40


def test_subdir_that_cannot_be(mounts, url):
    mounts.mount(url, "whole").path.joinpath("file").write_text("x")
    for options, says in (["--subdir", "/file"], "not a directory"), (["--subdir", "/none", "--read-only"], "no such directory"):
        done = subprocess.run([mounts.binary, "mount", url, mounts.folder, *options], capture_output=True, text=True, timeout=START_S)
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr


def test_umask_and_labels(mounts, url):
    mount = mounts.mount(url, "mnt", "--umask", "027", "--enable-cap")
    before = os.umask(0)
    try:
        (mount.path / "f").touch(0o666)
        (mount.path / "d").mkdir(0o777)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((mount.path / name).stat().st_mode) for name in "fd"] == [0o640, 0o750]
    shutil.copy("/bin/true", mount.path / "program")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service+p, version 2
    os.setxattr(mount.path / "program", "security.capability", capability)
    assert os.getxattr(mount.path / "program", "security.capability") == capability


@pytest.fixture
def helper(binary):
    """mount(8) looks for helpers in /sbin only."""
    assert not HELPER.exists(), f"{HELPER} is there already"
    HELPER.unlink(missing_ok=True)
    HELPER.symlink_to(binary)
    yield
    HELPER.unlink()


def test_mount_by_type(mounts, url, helper):
    path, log = mounts.folder / "mnt", mounts.folder / "mnt.log"
    path.mkdir()
    options = f"noauto,_netdev,nofail,x-systemd.automount,metrics=off,log={log}"
    fstab = mounts.folder / "fstab"
    fstab.write_text(f"{url} {path} sluice {options},subdir=/part,max-uploads=50,heartbeat=12s 0 0\n")

    def mount(*words):
        return subprocess.run(["mount", "--fstab", fstab, *words], capture_output=True, text=True, timeout=START_S, env=ENVIRONMENT)

    refused = mount("-t", "sluice", "-o", f"{options},writeback", url, path)
    assert refused.returncode == 1 and "--writeback" in refused.stderr
    failed = mount("-t", "sluice", "-o", options, "sqlite3:///nowhere/meta.db", path)
    assert failed.returncode == 32 and "nowhere" in failed.stderr
    done = mount(path)
    try:
        assert done.returncode == 0, done.stderr
        assert is_mounted(path)
        (path / "f").write_text("x")
    finally:
        mounts.run("umount", path)
    assert (mounts.mount(url, "whole").path / "part/f").read_text() == "x"
