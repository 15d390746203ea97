"""`sluice stats` and the official client's, each on its own mount and on the other's."""

import json
import os
import subprocess

import pytest

from conftest import OFFICIAL
from mounts import Mounts, wait_until

SECTIONS = ["usage", "fuse", "meta", "blockcache", "object"]


@pytest.fixture(scope="module")
def mounts(binary, tmp_path_factory):
    made = Mounts(binary, tmp_path_factory.mktemp("stats"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(mounts):
    return mounts.volume("volume", "--trash-days", "0")


@pytest.fixture(scope="module")
def mount(mounts, url):
    return mounts.mount(url, "mnt", "--no-sync")


def watched(binary, path):
    """One line of JSON over a second in which a file is written, and read back."""
    watcher = subprocess.Popen([binary, "stats", path, "--json", "--count", "2"], stdout=subprocess.PIPE, text=True)
    first = json.loads(watcher.stdout.readline())
    (path / "f").write_bytes(os.urandom(3_000_000))
    assert len((path / "f").read_bytes()) == 3_000_000
    line = json.loads(watcher.stdout.readline())
    assert watcher.wait(60) == 0
    assert [key for key in line if isinstance(line[key], dict)] == SECTIONS == [key for key in first if isinstance(first[key], dict)]
    return line


def test_json(mounts, mount):
    line = watched(mounts.binary, mount.path)
    moved = line["fuse"]["write"] * line["seconds"]
    assert abs(moved - 3_000_000) < 5000 and line["fuse"]["ops_ms"] > 0
    assert line["object"]["put"] * line["seconds"] >= 2_999_000 and line["object"]["put_c"] > 0 and line["object"]["put_c_ms"] > 0
    assert line["meta"]["ops"] > 0 and line["meta"]["ops_ms"] > 0 and line["usage"]["mem"] > 1 << 20 and line["usage"]["cpu"] > 0


def test_official_mount(mounts, url, official):
    path = mounts.folder / "official"
    path.mkdir()
    words = [OFFICIAL, "mount", url, path, "--no-usage-report", "--metrics", "127.0.0.1:0", "--cache-size", "0"]
    with open(mounts.folder / "official.log", "ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or os.path.ismount(path))
        line = watched(mounts.binary, path)
    finally:
        subprocess.run(["umount", path], check=True, timeout=60)
        process.wait(60)
    assert line["fuse"]["write"] * line["seconds"] > 2_990_000 and line["fuse"]["ops"] > 0 and line["usage"]["mem"] > 1 << 20
    assert line["meta"]["ops"] > 0 and line["object"]["put"] > 0


def test_lines(mounts, mount):
    def run(*words):
        return subprocess.run([mounts.binary, "stats", mount.path, "--count", "2", *words], check=True, capture_output=True, text=True, timeout=60)

    sections, titles, *lines = run().stdout.splitlines()
    assert len(lines) == 2 and all(len(line) == len(titles) == len(sections) for line in lines)
    assert [part.strip("-") for part in sections.split(" ")] == SECTIONS
    assert titles.split("|")[1].split() == ["ops", "lat", "read", "write"]
    more = run("-l", "1").stdout.splitlines()
    assert len(more[1]) > len(titles) and "get_c" in more[1]


def test_official_stats_on_our_mount(mount, official):
    text = official("stats", mount.path, "--count", "2", "-l", "1", "--no-color").stdout
    assert "WARNING" not in text and len(text.splitlines()) == 4
    memory = text.splitlines()[-1].split("|")[0].split()[1]
    assert memory.endswith(("M", "K")) and int(memory[:-1]) > 0


def test_a_daemon_that_is_replaced(mounts, mount):
    """Counters begin anew; the watcher sees a pause, not the end of it."""
    watcher = subprocess.Popen([mounts.binary, "stats", mount.path, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        watcher.stdout.readline()
        mount.kill()
        lines = [json.loads(watcher.stdout.readline()) for _ in range(3)]
        assert all(line["fuse"]["ops"] >= 0 for line in lines)
    finally:
        watcher.kill()
        watcher.wait()


def test_complaints(mounts, tmp_path):
    for words, code, says in (
        ([], 2, "usage"),
        ([tmp_path], 1, "no mount point"),
        (["/nowhere"], 1, "No such file"),
        (["x", "--count", "-1"], 2, "count"),
    ):
        done = subprocess.run([mounts.binary, "stats", *words], capture_output=True, text=True, timeout=60)
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
