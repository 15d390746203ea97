"""`sluice mount`: the programs that people run on a filesystem, and what a mount owes them."""

import errno
import itertools
import mmap
import os
import pathlib
import stat
import subprocess

import pytest

from mounts import Mounts, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mounts(binary, tmp_path_factory):
    made = Mounts(binary, tmp_path_factory.mktemp("mount"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def mount(mounts):
    return mounts.mount(mounts.volume("volume", "--trash-days", "0"), "mnt", "--no-sync")


@pytest.fixture
def folder(mount, request):
    path = mount.path / request.node.name
    path.mkdir()
    return path


def sh(script, cwd, timeout=300):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, timeout=timeout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_shell_operations(folder):
    sh(
        """
        echo hello > a; cat a | grep -q hello; cp -a a b; cmp a b; mv b c; ln c d; ln -s c e; test "$(readlink e)" = c
        test "$(stat -c %h c)" = 2; rm c; test "$(cat d)" = hello; ! cat e 2>/dev/null; rm e
        mkdir -p x/y/z; ! rmdir x 2>/dev/null; touch x/y/z/f; chmod 640 x/y/z/f; test "$(stat -c %a x/y/z/f)" = 640
        mv x w; find w -type f | grep -q w/y/z/f; rm -r w; mkfifo p; mknod n c 1 3; test -p p; test -c n; rm p n
        for i in $(seq 200); do echo $i; done > many; echo tail >> many; test "$(wc -l < many)" = 201
        truncate -s 5 many; test "$(stat -c %s many)" = 5; truncate -s 1M many; test "$(tail -c 1000 many | tr -d '\\0')" = ""
        touch -d '2001-02-03 04:05:06.789' many; test "$(stat -c %y many | cut -c1-23)" = "2001-02-03 04:05:06.789"
        """,
        folder,
    )
    assert sorted(os.listdir(folder)) == ["a", "d", "many"]


def test_source_tree(folder):
    """tar, diff and rm -r of a real tree; times as tar set them."""
    names = ["base", "vfs", "tests/unit", "README.md"]
    sh(f"tar -C {TOP} -cf - {' '.join(names)} | tar -xf -", folder)
    for name in names:
        sh(f"diff -r {TOP / name} {name}", folder)
    assert (folder / "README.md").stat().st_mtime == int((TOP / "README.md").stat().st_mtime)
    sh("rm -r base vfs tests", folder)
    assert os.listdir(folder) == ["README.md"]


def test_git_and_make(folder):
    sh(
        """
        mkdir project; cd project; git init -q .; git config user.email t@example.com; git config user.name t
        printf '#include <stdio.h>\\nint f(void);\\nint main(void) { printf("%%d\\\\n", f()); return 0; }\\n' > main.c
        printf 'int f(void) { return 42; }\\n' > f.c
        printf 'p: main.o f.o\\n\\tcc -o p main.o f.o\\n' > Makefile
        git add .; git commit -qm first; git fsck --strict; cd ..; git clone -q project copy; cd copy; make -j2; test "$(./p)" = 42
        sed -i s/42/43/ f.c; make; test "$(./p)" = 43; git commit -qam second; git gc -q; git fsck --strict
        test -z "$(git status --porcelain --untracked-files=no)"
        """,
        folder,
    )


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite(folder, journal):
    """WAL shares memory through a mapped file of the mount."""
    sql = f"""pragma journal_mode={journal}; create table t(a, b);
        with recursive c(i) as (select 1 union all select i+1 from c where i<3000) insert into t select i, hex(randomblob(100)) from c;"""
    sh(f'sqlite3 t.db "{sql}"', folder)
    sh("for i in 1 2 3; do sqlite3 t.db '.timeout 60000' 'update t set a=a+1' & done; wait", folder)
    assert sh("sqlite3 t.db 'pragma integrity_check; select sum(a) from t'", folder).split() == ["ok", str(3000 * 3001 // 2 + 9000)]


def test_fio_verifies(folder):
    out = sh(
        "fio --name=v --directory=. --size=16m --rw=randrw --bsrange=1k-128k --verify=crc32c --numjobs=2 --fallocate=none --minimal",
        folder,
    )
    assert out.count("fio-") >= 2


def test_mapped_files(folder):
    with open(folder / "m", "w+b") as f:
        f.truncate(100_000)
        with mmap.mmap(f.fileno(), 100_000) as m:
            m[50_000:50_004] = b"abcd"
            m.flush()
    assert (folder / "m").read_bytes()[49_999:50_005] == b"\0abcd\0"


def test_large_directory(folder):
    """More entries than one page of the adaptor, read whole, read while they are removed, and by position."""
    count = 1500
    for i in range(count):
        (folder / f"f{i:05}").touch()
    assert sorted(os.listdir(folder)) == [f"f{i:05}" for i in range(count)]
    with os.scandir(folder) as entries:
        for entry in entries:
            os.unlink(entry.path)
    assert os.listdir(folder) == []


def test_a_directory_that_is_emptied_while_it_is_read(folder):
    """Names are read some hundreds at a time, and gone before the next ones: each is seen once. Long ones, so that a page of the
    adaptor takes several answers, some of which the kernel wants with attributes."""
    names = [f"{i:0200}" for i in range(1300)]
    for name in names:
        (folder / name).touch()
    seen = []
    with os.scandir(folder) as entries:
        while some := list(itertools.islice(entries, 600)):
            seen += [entry.name for entry in some]
            for entry in some:
                os.unlink(entry.path)
    assert seen == names


def test_a_listing_takes_no_file_back_in_time(folder):
    """An answer with attributes may come from a page that was read long before. By the names' lengths, the second answer has the
    three hundredth."""
    for i in range(400):
        (folder / f"{i:0200}").touch()
    log = os.open(folder / f"{300:0200}", os.O_RDWR | os.O_APPEND)
    with os.scandir(folder) as entries:
        first = next(entries)
        os.write(log, b"one")
        os.fsync(log)
        for _ in entries:
            os.stat(first.path)  # which makes the kernel want attributes
    os.write(log, b"two")
    assert os.pread(log, 10, 0) == b"onetwo"
    os.close(log)


def test_who_opens_a_file_does_not_shorten_it(folder):
    """What was written is not committed yet when another handle looks at the file's length."""
    written = os.open(folder / "f", os.O_RDWR | os.O_CREAT)
    os.write(written, b"x" * 5000)
    with mmap.mmap(written, 5000, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        other = os.open(folder / "f", os.O_RDONLY)
        assert mapped[4999] == ord("x")  # of a page that the kernel has to read
    os.close(other)
    os.close(written)


def test_holes_and_ranges(folder):
    with open(folder / "f", "w+b", buffering=0) as f:
        f.seek(200 << 20)
        f.write(b"data")
        f.flush()
        os.fsync(f.fileno())
        assert os.lseek(f.fileno(), 0, os.SEEK_DATA) == 200 << 20
        assert os.lseek(f.fileno(), 0, os.SEEK_HOLE) == 0
        assert os.lseek(f.fileno(), 200 << 20, os.SEEK_HOLE) == (200 << 20) + 4
        for offset, whence in (201 << 20, os.SEEK_DATA), (201 << 20, os.SEEK_HOLE), ((200 << 20) + 4, os.SEEK_HOLE):
            with pytest.raises(OSError) as e:
                os.lseek(f.fileno(), offset, whence)
            assert e.value.errno == errno.ENXIO
        with open(folder / "g", "w+b", buffering=0) as g:
            assert os.copy_file_range(f.fileno(), g.fileno(), 100, 200 << 20, 5) == 4  # to the end
            assert os.pread(g.fileno(), 10, 5) == b"data"
        os.posix_fallocate(f.fileno(), 0, 300 << 20)
        assert os.fstat(f.fileno()).st_size == 300 << 20
        sh(f"fallocate --punch-hole --offset {200 << 20} --length 2 f", folder)
        assert os.pread(f.fileno(), 4, 200 << 20) == b"\0\0ta"


def test_xattrs(folder):
    (folder / "f").touch()
    os.setxattr(folder / "f", "user.one", b"1" * 1000)
    os.setxattr(folder / "f", "user.two", b"")
    assert sorted(os.listxattr(folder / "f")) == ["user.one", "user.two"]
    assert os.getxattr(folder / "f", "user.one") == b"1" * 1000
    with pytest.raises(FileExistsError):
        os.setxattr(folder / "f", "user.one", b"2", os.XATTR_CREATE)
    os.removexattr(folder / "f", "user.one")
    with pytest.raises(OSError) as e:
        os.getxattr(folder / "f", "user.one")
    assert e.value.errno == errno.ENODATA


def test_unlinked_while_open(folder):
    with open(folder / "f", "w+b") as f:
        f.write(b"still here")
        f.flush()
        os.unlink(folder / "f")
        f.seek(0)
        assert f.read() == b"still here"
        assert os.fstat(f.fileno()).st_nlink == 0
    assert os.listdir(folder) == []


def test_reads_ahead(mount, folder):
    """A mount of root's: the kernel asks for as much at once as a request may carry."""
    device = os.stat(mount.path).st_dev
    setting = pathlib.Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    if not os.access(setting, os.W_OK):
        pytest.skip("nobody may change it here: /sys is read-only")
    wait_until(lambda: setting.read_text().strip() == "1024")
    before = requests(mount, "read")
    (folder / "f").write_bytes(os.urandom(16 << 20))
    fd = os.open(folder / "f", os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        while os.read(fd, 1 << 17):
            pass
    finally:
        os.close(fd)
    assert 16 <= requests(mount, "read") - before < 40  # of 128 KiB they would be 128


def requests(mount, operation):
    name = f"sluice_fuse_operation_seconds_count_op_{operation} "
    lines = (mount.path / ".stats").read_text().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_virtual_files(mount):
    names = os.listdir(mount.path)
    assert {".accesslog", ".config", ".stats", ".trash"} <= set(names)
    assert mount.server() > 0
    with open(mount.path / ".accesslog") as log:
        (mount.path / "seen-in-the-log").touch()
        wait_until(lambda: "seen-in-the-log" in log.readline())
    assert "sluice_fuse_operation_seconds_count_op_create" in (mount.path / ".stats").read_text()
    for name in (".config", ".trash"):
        with pytest.raises(OSError):
            os.rename(mount.path / name, mount.path / "elsewhere")
    with pytest.raises(OSError):
        (mount.path / ".stats").write_text("no")


def test_other_users_permissions(folder):
    folder.chmod(0o755)
    (folder / "mine").write_text("secret")
    (folder / "mine").chmod(0o600)
    for script in ("cat mine", "touch new", "rm mine", "chmod 777 mine"):
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script], cwd=folder, stderr=subprocess.PIPE)
        assert done.returncode != 0, script
    assert stat.S_IMODE((folder / "mine").stat().st_mode) == 0o600


def test_trash_and_acl(mounts):
    mount = mounts.mount(mounts.volume("other", "--trash-days", "1", "--enable-acl"), "trash")
    (mount.path / "f").write_text("kept")
    os.unlink(mount.path / "f")
    (hour,) = os.listdir(mount.path / ".trash")
    (name,) = os.listdir(mount.path / ".trash" / hour)
    assert name.endswith("-f") and (mount.path / ".trash" / hour / name).read_text() == "kept"
    (mount.path / "g").write_text("shared")
    (mount.path / "g").chmod(0o600)
    sh("setfacl -m u:65534:r g; getfacl -c g | grep -q user:nobody:r--", mount.path)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", "g"], cwd=mount.path, capture_output=True)
    assert done.stdout == b"shared"


def test_read_only(mounts):
    url = mounts.volume("fixed")
    mount = mounts.mount(url, "first")
    (mount.path / "f").write_text("x")
    assert mount.stop() == 0
    mount = mounts.mount(url, "second", "-o", "ro")
    assert (mount.path / "f").read_text() == "x"
    with pytest.raises(OSError) as e:
        (mount.path / "g").touch()
    assert e.value.errno == errno.EROFS


def test_background_and_umount(mounts):
    url = mounts.volume("behind")
    path = mounts.folder / "behind-mnt"
    path.mkdir()
    mounts.run("mount", "-d", url, path, "--log", mounts.folder / "behind.log", "--metrics", "off")
    (path / "f").write_text("x" * 100_000)
    with open(path / "f"):
        done = subprocess.run([mounts.binary, "umount", path], capture_output=True, text=True)
        assert done.returncode == 1 and "in use" in done.stderr
    mounts.run("umount", path)
    assert not os.path.ismount(path)
    mount = mounts.mount(url, "again")
    assert (mount.path / "f").stat().st_size == 100_000


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["mount"], 2, "usage"),
        (["mount", "sqlite3:///nowhere/meta.db", "/nowhere"], 1, "/nowhere"),
        (["mount", "sqlite3:///nowhere/meta.db", "/tmp"], 1, "nowhere"),
        (["mount", "x", "/tmp", "--attr-cache", "soon"], 2, "attr-cache"),
        (["mount", "x", "/tmp", "--frobnicate"], 2, "frobnicate"),
        (["umount", "/proc/self"], 1, "not a mount point"),
        (["umount"], 2, "usage"),
    ],
)
def test_complaints(binary, words, code, says):
    done = subprocess.run([binary, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
