"""`sluice format`, `status`, `info` as programs: options, environment, exit codes. What the volumes are worth, the official client
says in tests/unit/vfs_meta_official_test.c."""

import json
import os
import sqlite3
import subprocess

import pytest


@pytest.fixture
def run(binary, tmp_path):
    def call(*words, code=0, **environment):
        result = subprocess.run([str(binary), *words], cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
        assert result.returncode == code, result.stderr
        return result.stdout if code == 0 else result.stderr

    return call


def record(tmp_path):
    with sqlite3.connect(tmp_path / "meta.db") as db:
        return json.loads(db.execute("select value from jfs_setting").fetchone()[0])


def test_format_defaults(run, tmp_path):
    shown = json.loads(run("format", "sqlite3://meta.db", "vol", "--bucket", "data"))
    stored = record(tmp_path)
    assert shown == stored
    assert stored["Bucket"] == f"{tmp_path}/data/"
    assert (stored["BlockSize"], stored["TrashDays"], stored["DirStats"]) == (4096, 1, True)
    assert (tmp_path / "data/vol/juicefs_uuid").read_text() == stored["UUID"]


def test_format_options(run, tmp_path):
    out = run(
        "format", "sqlite3://meta.db", "vol", "--bucket=./x/../data", "--block-size", "1000", "--compress", "zstd",
        "--capacity", "10", "--inodes", "99", "--trash-days=0", "--hash-prefix", "--enable-acl",
        SECRET_KEY="very-secret", ACCESS_KEY="open",
    )  # fmt: skip
    stored = record(tmp_path)
    assert "very-secret" not in out and "very-secret" not in json.dumps(stored)
    assert stored["Bucket"] == f"{tmp_path}/data/"
    assert stored["BlockSize"] == 512 and stored["Compression"] == "zstd"
    assert stored["Capacity"] == 10 << 30 and stored["Inodes"] == 99 and stored["TrashDays"] == 0
    assert stored["HashPrefix"] and stored["EnableACL"] and stored["MinClientVersion"] == "1.2.0-A"
    assert stored["AccessKey"] == "open" and stored["KeyEncrypted"]


def test_never_over_another_volume(run, tmp_path):
    run("format", "sqlite3://meta.db", "vol", "--bucket", "data")
    before = record(tmp_path)
    assert "already" in run("format", "sqlite3://meta.db", "vol", "--bucket", "data", code=1)
    run("format", "sqlite3://meta.db", "vol", "--bucket", "data", "--trash-days", "9", "--no-update")
    assert record(tmp_path) == before
    run("format", "sqlite3://meta.db", "vol", "--bucket", "data", "--trash-days", "9", "--force")
    assert record(tmp_path) == {**before, "TrashDays": 9}
    assert "juicefs_uuid" in run("format", "sqlite3://other.db", "vol", "--bucket", "data", code=1)


@pytest.mark.parametrize(
    "words, said",
    [
        (["sqlite3://meta.db", "vol"], "--bucket"),
        (["sqlite3://meta.db", "No", "--bucket", "data"], "name"),
        (["sqlite3://meta.db", "vol", "--bucket", "data", "--compress", "gzip"], "Compression"),
        (["sqlite3://meta.db", "vol", "--bucket", "data", "--storage", "tape"], "tape"),
        (["sqlite3://meta.db", "vol", "--bucket", "data", "--shards", "300"], "Shards"),
        (["sqlite3://nowhere/meta.db", "vol", "--bucket", "data"], "nowhere"),
        (["nosuch://meta", "vol", "--bucket", "data"], "engine"),
    ],
)
def test_refusals(run, tmp_path, words, said):
    assert said in run("format", *words, code=1)
    assert not (tmp_path / "meta.db").exists()


@pytest.mark.parametrize(
    "words",
    [["sqlite3://m.db"], ["a", "b", "c"], ["a", "b", "--nonsense"], ["a", "b", "--inodes", "many"], ["a", "b", "--block-size"]],
)
def test_wrong_use(run, words):
    run("format", *words, code=2)


def test_status_and_info(run):
    run("format", "sqlite3://meta.db", "vol", "--bucket", "data", "--capacity", "1")
    status = json.loads(run("status", "sqlite3://meta.db"))
    assert status["Setting"]["Name"] == "vol" and status["Sessions"] == []
    assert status["Stat"]["UsedSpace"] == 0 and status["Stat"]["AvailableSpace"] == 1 << 30
    assert "inode: 1\n" in run("info", "sqlite3://meta.db", "/")
    assert "No such file" in run("info", "sqlite3://meta.db", "/nothing", code=1)
    run("status", "sqlite3://other.db", code=1)
