"""The two sides of the interoperability tests: the official client (its FUSE mount, its S3 gateway and its tools), and ours
(meta_tool). Mount and Tool have the same vocabulary, so that one program can be run through either."""

import ctypes
import errno
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILT = TOP / "build" / "juicefs" / "juicefs"  # by tests/juicefs-client
CLIENT = os.environ.get("JUICEFS") or (str(BUILT) if BUILT.exists() else shutil.which("juicefs"))
TOOL = os.environ.get("META_TOOL") or str(TOP / "build" / "dev" / "tests" / "interop" / "meta_tool")
VIRTUAL = {".accesslog", ".config", ".stats", ".control", ".trash"}
TRASH = 0x7FFFFFFF10000000
FILE, DIRECTORY, SYMLINK, FIFO = 1, 2, 3, 4

libc = ctypes.CDLL(None, use_errno=True)


def client(*arguments, check=True, timeout=120):
    assert CLIENT, "the official client is missing: put `juicefs` into PATH, or its path into JUICEFS"
    done = subprocess.run([CLIENT, *arguments], capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Volume:
    """A volume made by the official client, with its objects in a folder beside the database."""

    def __init__(self, folder, *options):
        folder.mkdir()
        self.folder = folder
        self.database = folder / "meta.db"
        self.url = f"sqlite3://{self.database}"
        client("format", self.url, "vol", "--storage", "file", "--bucket", f"{folder}/objects/", *options)

    def sql(self, query):
        with sqlite3.connect(self.database, timeout=20) as connection:
            rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def fsck(self, statistics=True):
        """Counts of links and statistics of directories, as the official client sees them. Client 1.3.1 miscounts the latter
        itself when names are exchanged or replaced."""
        options = ["--sync-dir-stat"] if statistics else []
        text = client("fsck", self.url, "--path", "/", "--recursive", *options, check=False)
        wrong = [line for line in text.splitlines() if "ERROR" in line or "should be" in line]
        if not statistics:
            wrong = [line for line in wrong if "usage stat" not in line and "Stat of path" not in line]
        assert not wrong, "\n".join(wrong)

    def check_counters(self):
        space = "CASE WHEN type = 1 AND length > 0 THEN (length + 4095) / 4096 * 4096 ELSE 4096 END"
        truth = self.sql(f"SELECT TOTAL({space}), COUNT(*) FROM jfs_node WHERE inode NOT IN (1, {TRASH})")[0]
        counters = dict(self.sql("SELECT name, value FROM jfs_counter"))
        assert (counters["usedSpace"], counters["totalInodes"]) == truth


def start(command, *options, log, env=None):
    """A process of the official client that keeps nothing to itself."""
    assert CLIENT, "the official client is missing: put `juicefs` into PATH, or its path into JUICEFS"
    caches = [word for name in ("attr", "entry", "dir-entry") for word in (f"--{name}-cache", "0")]
    words = [CLIENT, command, *caches, "--cache-size", "0", "--no-usage-report", *map(str, options)]
    with open(log, "ab") as out:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})})


def wait_for(process, is_up, log, timeout=60):
    end = time.monotonic() + timeout
    while not is_up():
        assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.05)


class Gateway:
    """The official client's S3 gateway: the volume's directories as buckets."""

    scheme, tls, slowness = "http", False, 1

    def __init__(self, url, folder, port, credentials, *options):
        self.endpoint = f"http://127.0.0.1:{port}"
        self.log = folder / "gateway.log"
        env = {"MINIO_ROOT_USER": credentials.access_key, "MINIO_ROOT_PASSWORD": credentials.secret_key, "HOME": str(folder)}
        options = ["--multi-buckets", "--keep-etag", "--object-meta", "--object-tag", "--no-banner", "--log", folder / "minio.log", *options]
        self.process = start("gateway", *options, url, f"127.0.0.1:{port}", log=self.log, env=env)
        wait_for(self.process, lambda: self.answers(port), self.log)

    @staticmethod
    def answers(port):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(b"GET /minio/health/live HTTP/1.0\r\n\r\n")
                return b" 200 " in s.recv(100)
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Mount:
    """The official client, through FUSE."""

    def __init__(self, volume, *options):
        self.root = volume.folder / "mnt"
        self.root.mkdir(exist_ok=True)
        log = volume.folder / "mount.log"
        self.process = start("mount", "--enable-xattr", *options, volume.url, self.root, log=log)
        wait_for(self.process, lambda: os.path.ismount(self.root), log)

    def close(self):
        subprocess.run(["umount", str(self.root)], check=True, timeout=60)
        self.process.wait(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def at(self, path):
        return os.fsencode(self.root) + b"/" + os.fsencode(path)

    def run(self, command, *words):
        try:
            getattr(self, f"do_{command}")(*words)
        except OSError as error:
            return errno.errorcode[error.errno]
        return "ok"

    def do_mknod(self, path, kind, mode):
        if int(kind) == DIRECTORY:
            os.mkdir(self.at(path), int(mode))
        else:
            os.mknod(self.at(path), int(mode) | {FILE: 0o100000, FIFO: 0o010000}[int(kind)])

    def do_symlink(self, path, target):
        os.symlink(os.fsencode(target), self.at(path))

    def do_link(self, path, new):
        os.link(self.at(path), self.at(new), follow_symlinks=False)

    def do_unlink(self, path):
        os.unlink(self.at(path))

    def do_rmdir(self, path):
        os.rmdir(self.at(path))

    def do_rename(self, path, new, flags):
        if libc.renameat2(-100, self.at(path), -100, self.at(new), int(flags)) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    def do_setattr(self, path, mode, uid, gid, mtime_ns):
        os.chown(self.at(path), int(uid), int(gid))
        os.chmod(self.at(path), int(mode))
        os.utime(self.at(path), ns=(0, int(mtime_ns)))

    def do_setxattr(self, path, name, value):
        os.setxattr(self.at(path), name, os.fsencode(value))

    def do_removexattr(self, path, name):
        os.removexattr(self.at(path), name)

    def do_truncate(self, path, size):
        os.truncate(self.at(path), int(size))

    def tree(self):
        found = {}
        for folder, folders, files in os.walk(os.fsencode(self.root)):
            top = folder == os.fsencode(self.root)
            for name in folders + files:
                if not (top and os.fsdecode(name) in VIRTUAL):
                    found[os.path.relpath(os.path.join(folder, name), os.fsencode(self.root))] = self.node(folder, name)
            if top:
                folders[:] = [n for n in folders if os.fsdecode(n) not in VIRTUAL]
        return found

    @staticmethod
    def node(folder, name):
        path = os.path.join(folder, name)
        st = os.lstat(path)
        kind = {0o040000: DIRECTORY, 0o100000: FILE, 0o120000: SYMLINK, 0o010000: FIFO}[st.st_mode & 0o170000]
        target = os.readlink(path) if kind == SYMLINK else b""
        names = os.listxattr(path, follow_symlinks=False)
        xattrs = {n: os.getxattr(path, n, follow_symlinks=False) for n in names if n.startswith("user.")}
        return (st.st_ino, kind, st.st_mode & 0o7777, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_mtime_ns, target, xattrs)


class Tool:
    """Ours."""

    def __init__(self, volume):
        self.process = subprocess.Popen([TOOL, volume.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.close()

    def ask(self, command, *words):
        """Lines before the answer, and the answer."""
        self.process.stdin.write(b"\t".join([command.encode(), *(os.fsencode(str(w)) for w in words)]) + b"\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if b"= " in line and (line.startswith(b"= ") or b"\t= " in line):
                return lines + ([line.split(b"\t= ")[0]] if b"\t= " in line else []), line.split(b"= ")[-1].strip().decode()
            lines.append(line.rstrip(b"\n"))
        raise AssertionError("meta_tool ended")

    def run(self, command, *words):
        return self.ask(command, *words)[1]

    def tree(self):
        lines, answer = self.ask("tree", "")
        assert answer == "ok"
        found = {}
        for line in lines:
            path, ino, kind, mode, uid, gid, nlink, size, mtime, target, *xattrs = line.split(b"\t")
            pairs = [x.rpartition(b"=") for x in xattrs]
            found[bytes.fromhex(path.decode())] = (
                int(ino),
                int(kind),
                int(mode, 8),
                int(uid),
                int(gid),
                int(nlink),
                int(size),
                int(mtime),
                bytes.fromhex(target.decode()),
                {os.fsdecode(name): bytes.fromhex(value.decode()) for name, _, value in pairs},
            )
        return found
