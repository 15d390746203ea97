#!/usr/bin/env python3
"""What real programs do to a filesystem, for minutes: in FOLDER, on a mount of sluice (or anywhere else, to compare).

    build/venv/bin/python tests/soak/programs.py FOLDER [sqlite] [fio] [tree] [fsx] [build] [--rounds 10] [--tree DIR]
                                                        [--fsx PROGRAM] [--operations 1000000] [--git REPOSITORY] [--make COMMAND]

sqlite: databases written by a program that is killed by `kill -9`, in every journal mode; what was committed is there.
fio:    --verify in several shapes.
tree:   DIR packed by tar, unpacked in FOLDER, compared by diff -r.
fsx:    the file system exerciser (`cargo install fsx`), with holes, mappings, fallocate and copy_file_range.
build:  `git clone REPOSITORY`, and COMMAND in it, such as "make -j2 && make test".
Without names: sqlite, fio and tree. Exit code 1 when anything is wrong."""

import argparse
import hashlib
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

FIO = {
    "sequential": "--rw=write --bs=128k --size=96m",
    "sequential, direct": "--rw=write --bs=1m --size=96m --direct=1 --ioengine=libaio --iodepth=8",
    "random 4k": "--rw=randwrite --bs=4k --size=24m",
    "random 4k, direct": "--rw=randwrite --bs=4k --size=16m --direct=1 --ioengine=libaio --iodepth=16",
    "random sizes, 4 jobs, fsync": "--rw=randwrite --bsrange=512-256k --bs_unaligned=1 --size=24m --numjobs=4 --fsync=32",
    "reads and writes": "--rw=randrw --bsrange=1k-64k --size=32m --numjobs=2",
    "mapped": "--rw=randwrite --bs=4k --size=24m --ioengine=mmap",
}
VERIFY = "--verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --randseed=1".split()
FSX = """flen = 1048576
nomsyncafterwrite = true
[opsize]
max = 131072
[weights]
close_open = 1
read = 10
write = 10
mapread = 5
mapwrite = 5
invalidate = 1
truncate = 2
fsync = 0.1
fdatasync = 0.1
posix_fallocate = 2
punch_hole = 2
sendfile = 2
posix_fadvise = 2
copy_file_range = 2
"""
FSX_PORTION = 25_000
# Commits rows and says so; every eleventh transaction also changes and removes old ones.
WRITER = """
import hashlib, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute(f"pragma journal_mode={sys.argv[2]}"), db.execute("pragma synchronous=full")
db.execute("create table if not exists rows (id integer primary key, body blob, digest text)")
start = db.execute("select coalesce(max(id), 0) from rows").fetchone()[0] + 1
for i in range(start, start + 1000000):
    db.execute("begin immediate")
    body = hashlib.sha512(str(i).encode()).digest() * (i % 200)
    db.execute("insert into rows values (?, ?, ?)", (i, body, hashlib.sha256(body).hexdigest()))
    if i % 11 == 0:
        db.execute("update rows set body = substr(body, 1, 10), digest = 'cut' where id % 7 = 0 and id < ?", (i - 500,))
    db.execute("commit")
    print(i, flush=True)
"""


def run(*words, **more):
    done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def check_database(path, committed):
    db = sqlite3.connect(path, timeout=60)
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    ids = [i for (i,) in db.execute("select id from rows order by id")]
    assert ids == list(range(1, len(ids) + 1)) and len(ids) >= committed, f"{committed} rows committed, {len(ids)} there"
    for i, body, digest in db.execute("select * from rows where digest != 'cut'"):
        assert hashlib.sha256(body).hexdigest() == digest, f"row {i}"
    db.close()
    return len(ids)


def sqlite(folder, given):
    generator, said = random.Random(given.seed), []
    for journal in ("wal", "delete", "truncate", "persist"):
        path, count, kills = folder / f"{journal}.db", 0, 0
        for _ in range(given.rounds):
            writer = subprocess.Popen([sys.executable, "-c", WRITER, path, journal], stdout=subprocess.PIPE)
            first = writer.stdout.readline()
            time.sleep(generator.uniform(0.05, 3))
            writer.send_signal(signal.SIGKILL)
            lines = [first, *writer.stdout.read().splitlines()]
            writer.wait()
            kills += 1
            count = check_database(path, int(lines[-1]))
        said.append(f"{journal}: {count} transactions, {kills} kills")
    return "; ".join(said)


def fio(folder, given):
    for words in FIO.values():
        run("fio", "--name=verify", f"--directory={folder}", *words.split(), *VERIFY)
        for path in folder.glob("verify.*"):
            path.unlink()
    return ", ".join(FIO)


def tree(folder, given):
    archive = subprocess.Popen(["tar", "cf", "-", "-C", given.tree, "."], stdout=subprocess.PIPE)
    run("tar", "xf", "-", "-C", folder, stdin=archive.stdout)
    assert archive.wait() == 0
    run("diff", "-r", "--no-dereference", given.tree, folder)
    return f"{sum(1 for _ in folder.rglob('*'))} names of {given.tree}"


def fsx(folder, given):
    """In portions: fsx 0.3.2 keeps every mapping that it has read through, which slows truncation down and ends at vm.max_map_count."""
    (folder / "fsx.toml").write_text(FSX)
    for done in range(0, given.operations, FSX_PORTION):
        count, seed = min(FSX_PORTION, given.operations - done), given.seed + done // FSX_PORTION
        run(given.fsx, "-f", folder / "fsx.toml", "-N", count, "-S", seed, "-P", folder, folder / "file")
    return f"{given.operations} operations"


def build(folder, given):
    run("git", "clone", "-q", given.git, folder / "clone")
    run("sh", "-c", given.make, cwd=folder / "clone")
    run("git", "fsck", "--no-dangling", cwd=folder / "clone")
    return run("git", "log", "-1", "--format=%h", cwd=folder / "clone").strip()


ALL = {f.__name__: f for f in (sqlite, fio, tree, fsx, build)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", choices=[*ALL, []])  # [] is what argparse takes none for
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tree", type=pathlib.Path, default="/usr/include")
    parser.add_argument("--fsx", default="fsx")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--git", help="repository of `build`")
    parser.add_argument("--make", default="make -j2")
    given = parser.parse_args()
    failed = False
    for name in given.names or ("sqlite", "fio", "tree"):
        folder, started = given.folder / f"soak-{name}", time.monotonic()
        folder.mkdir()
        try:
            said = ALL[name](folder, given)
            shutil.rmtree(folder)
        except Exception as e:  # the folder stays, to be looked at
            said, failed = f"FAILED {type(e).__name__}: {e}", True
        print(f"{name}: {said} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
