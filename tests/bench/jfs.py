"""JuiceFS-format volumes, through S3 and through the mount: the servers, and how their cells are measured."""

import os
import pathlib
import shutil
import subprocess
import tarfile
import time
import urllib.request

from cells import COUNTS, SIZES
from measure import WALK, Bench, Sample
from servers import ACCESS_KEY, SECRET_KEY, Server, Sluice

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
OFFICIAL = TOP / "build/juicefs/juicefs"  # as tools/install-deps leaves it
NAME = "volume"
START_S = 30
# Both clients' disk cache.
CACHE_MIB = 2048
# What `tar x` unpacks: this source tree.
SOURCES = ("auth", "base", "cmake", "docs", "gateway", "s3api", "tests", "tools", "vfs")


def evict(folder):
    """Takes the files' pages from the kernel's memory; those of others stay."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            evict_file(path)


def evict_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)  # pages that are not on disk yet would stay
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


class Volume:
    """A volume that this run made: metadata in SQLite, blocks in a directory or in a bucket of `blocks`."""

    def __init__(self, folder, sluice, blocks=None):
        self.folder, self.sluice, self.blocks = folder, sluice, blocks
        self.url = f"sqlite3://{folder}/meta.db"
        self.cache = folder / "cache"

    def make(self):
        if (self.folder / "meta.db").exists():
            return
        (self.folder / "blocks").mkdir(parents=True)
        store = ["--storage", "file", "--bucket", f"{self.folder}/blocks/"]
        if self.blocks:
            bucket = f"http://127.0.0.1:{self.blocks.port}/{self.folder.name}"
            store = ["--storage", "s3", "--bucket", bucket, "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        # Without a trash: what one turn removes is not to be collected during the next.
        subprocess.run([self.sluice, "format", self.url, NAME, "--trash-days", "0", *store], check=True, capture_output=True)

    def cool(self):
        """Nothing of it is in any cache. No client has it open."""
        shutil.rmtree(self.cache, ignore_errors=True)
        evict(self.blocks.root / self.folder.name if self.blocks else self.folder)

    def official_cache(self):
        return ["--cache-dir", self.cache, "--cache-size", str(CACHE_MIB), "--no-usage-report", "--metrics", "127.0.0.1:0"]

    def our_cache(self):
        """None in front of a local directory, which is our default; the official client's is a cache on disk."""
        return ["--cache-dir", self.cache, "--cache-size", f"{CACHE_MIB}M"] if self.blocks else []


class SluiceGateway(Sluice):
    def __init__(self, name, folder, volume, binary, sync):
        super().__init__(name, folder, volume.folder, binary, sync)
        self.volume = volume

    def start(self):
        self.volume.make()
        super().start()

    def command(self):
        words = super().command()
        words[words.index(self.root)] = self.volume.url
        return words + self.volume.our_cache()


class OfficialGateway(Server):
    def __init__(self, name, folder, volume):
        super().__init__(name, folder, volume.folder)
        self.volume = volume

    def environment(self):
        return {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}

    def command(self):
        words = [OFFICIAL, "gateway", self.volume.url, f"127.0.0.1:{self.port}", "--multi-buckets", "--keep-etag", "--no-banner"]
        return [*words, "--log", self.folder / "gateway.log", *self.volume.official_cache()]

    def start(self):
        self.volume.make()
        super().start()
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/minio/health/live", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not start: {(self.folder / 'log').read_text()[-2000:]}")


class Mount(Server):
    """A mounted volume. It listens nowhere."""

    def __init__(self, name, folder, volume):
        super().__init__(name, folder, volume.folder)
        self.volume = volume
        self.path = folder / "mnt"

    def start(self):
        self.volume.make()
        self.path.mkdir(parents=True, exist_ok=True)
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while not (self.path / ".config").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not mount: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self):
        subprocess.run(["umount", self.path], check=True)
        self.process.wait(START_S)


class SluiceMount(Mount):
    def __init__(self, name, folder, volume, binary, options):
        super().__init__(name, folder, volume)
        self.binary, self.options = binary, options

    def command(self):
        words = [self.binary, "mount", self.volume.url, self.path, "--metrics", "off"]
        return [*words, *self.volume.our_cache(), *self.options]


class OfficialMount(Mount):
    def command(self):
        return [OFFICIAL, "mount", self.volume.url, self.path, "--log", self.folder / "mount.log", *self.volume.official_cache()]


class Directory:
    """The local disk, in the place of a mount."""

    def __init__(self, name, folder):
        self.name, self.path = name, folder
        self.volume = self

    def start(self):
        self.path.mkdir(parents=True, exist_ok=True)

    def stop(self):
        pass

    def cool(self):
        evict(self.path)

    def cpu_seconds(self):
        return 0

    def memory_mib(self):
        return 0


class JfsBench(Bench):
    """A bench that knows these servers, too."""

    def __init__(self, programs, folder, seconds):
        *others, self.program = programs
        super().__init__(others, folder, seconds)
        self.has_official = OFFICIAL.exists()
        self.has_fuse = os.geteuid() == 0 and pathlib.Path("/dev/fuse").exists()
        if self.has_official:
            said = subprocess.run([OFFICIAL, "version"], capture_output=True, text=True, check=False)
            self.peers["juicefs"] = (OfficialGateway, said.stdout.strip())
        else:
            self.missing["juicefs"] = "not installed"
        if not self.has_fuse:
            self.missing["mounts"] = "not root, or no /dev/fuse"

    # Servers

    def available(self, name):
        kind = name.split()[0]
        if " mount" in name and not self.has_fuse:
            return False
        if kind in ("juicefs", "directory"):
            return self.has_official if kind == "juicefs" else self.has_fuse
        return super().available(name)

    def blocks(self):
        """The gateway whose buckets hold blocks."""
        name = "blocks"
        if name not in self.running:
            self.running[name] = Sluice(name, self.folder / name, self.folder / "volumes" / name, self.sluice)
            self.running[name].start()
        return self.running[name]

    def make(self, name):
        kind, *variant = name.split()
        folder = self.folder / name.replace(" ", "-")
        if kind == "directory":
            return Directory(name, folder)
        if kind != "juicefs" and not {"jfs", "mount"} & set(variant):
            return super().make(name)
        volume = Volume(self.folder / "volumes" / name.replace(" ", "-"), self.sluice, self.blocks() if "s3" in variant else None)
        relaxed = "no-sync" in variant or "s3" in variant
        if "mount" in variant:
            options = ["--no-sync"] if relaxed else []
            return OfficialMount(name, folder, volume) if kind == "juicefs" else SluiceMount(name, folder, volume, self.sluice, options)
        if kind == "juicefs":
            return OfficialGateway(name, folder, volume)
        return SluiceGateway(name, folder, volume, self.sluice, "none" if relaxed else "always")

    def server(self, name):
        if name in self.running or not (" mount" in name or name.startswith("directory")):
            return super().server(name)
        self.running[name] = self.make(name)
        self.running[name].start()
        return self.running[name]

    def owner_of(self, name):
        return name if "jfs" in name or name.startswith("juicefs") else super().owner_of(name)

    def cool(self, name, target=None):
        """target: of a directory volume only the objects there, since it has millions of others by now."""
        server = self.server(name)
        server.stop()
        if hasattr(server, "volume"):
            server.volume.cool()
        else:
            evict(server.root / target.removesuffix("/{n}").lstrip("/"))
        server.start()

    # Kinds of cells: S3

    def cold_get(self, cell, name):
        target, count = self.objects(name, cell.size), COUNTS[cell.size]
        self.cool(name, target)
        return self.timed(self.server(name), "--target", target, "--count", count, "--requests", count, "--connections", cell.connections)

    def list_jfs(self, cell, name):
        server, bucket = self.server(name), f"list-{cell.entries}"
        if (name, bucket) not in self.ready:
            self.once(server, "--method", "PUT", "--target", f"/{bucket}")
            words = ["--method", "PUT", "--target", f"/{bucket}/object-{{n}}", "--count", cell.entries, "--requests", cell.entries]
            self.client(server, *words, "--connections", 16)
            self.ready.add((name, bucket))
        sample = self.timed(server, "--target", f"/{bucket}?list-type=2", *WALK, unit="listed")
        sample.cpu_per_gib_s = 0  # the answers' bytes are not what it is about
        return sample

    # Kinds of cells: files

    def act(self, server, *words, unit="requests"):
        cpu = server.cpu_seconds()
        result, _ = self.run(self.program, *words)
        return self.sample(server, result, server.cpu_seconds() - cpu, result[unit], result["bytes"])

    def new_folder(self, server):
        folder = server.path / f"folder-{next(self.numbers)}"
        folder.mkdir()
        return folder

    def create(self, cell, name):
        server = self.server(name)
        folder = self.new_folder(server)
        sync = ["sync"] if name.endswith(" fsync") else []
        return folder, self.act(server, "create", folder, cell.entries, SIZES[cell.size], cell.connections, *sync)

    def files_create(self, cell, name):
        folder, sample = self.create(cell, name)
        shutil.rmtree(folder)
        return sample

    def files_unlink(self, cell, name):
        folder, _ = self.create(cell, name)
        sample = self.act(self.server(name), "unlink", folder, cell.entries, 0, cell.connections)
        folder.rmdir()
        return sample

    def small(self, cell, name):
        """A folder of files for reading."""
        server = self.server(name)
        if (name, "small") not in self.ready:
            folder = server.path / "small"
            folder.mkdir()
            self.act(server, "create", folder, cell.entries, SIZES[cell.size], 1)
            self.ready.add((name, "small"))
        return server.path / "small"

    def files(self, cell, name, verb, cold):
        folder = self.small(cell, name)
        words = [verb, folder] if verb == "list" else [verb, folder, cell.entries, SIZES[cell.size], cell.connections]
        if cold:
            self.cool(name)
        else:
            self.act(self.server(name), *words)
        return self.act(self.server(name), *words)

    def files_read(self, cell, name):
        return self.files(cell, name, "read", cold=False)

    def files_read_cold(self, cell, name):
        return self.files(cell, name, "read", cold=True)

    def files_stat_cold(self, cell, name):
        return self.files(cell, name, "stat", cold=True)

    def files_list_cold(self, cell, name):
        return self.files(cell, name, "list", cold=True)

    def archive(self):
        path = self.folder / "source.tar"
        if not path.exists():
            with tarfile.open(path, "w") as tar:
                for name in SOURCES:
                    tar.add(TOP / name, name, filter=lambda info: None if info.name.endswith("__pycache__") else info)
        return path

    def untar(self, cell, name):
        server, archive = self.server(name), self.archive()
        folder = self.new_folder(server)
        with tarfile.open(archive) as tar:
            count = len(tar.getnames())
        cpu, start = server.cpu_seconds(), time.monotonic()
        subprocess.run(["tar", "xf", archive, "-C", folder, "--no-same-owner"], check=True)
        seconds = time.monotonic() - start
        used = server.cpu_seconds() - cpu
        shutil.rmtree(folder)
        return Sample(count / seconds, 0, used / count * 1e6, 0, server.memory_mib(), 0, 0)

    def large_write(self, cell, name):
        server = self.server(name)
        path = server.path / f"large-{next(self.numbers)}"
        sync = ["sync"] if name.endswith(" fsync") else []
        sample = self.act(server, "write", path, SIZES[cell.size], *sync)
        path.unlink()
        return sample

    def large(self, cell, name):
        """A large file for reading, and all of it read once."""
        server = self.server(name)
        path = server.path / f"large-{cell.size.replace(' ', '')}"
        if (name, cell.size) not in self.ready:
            self.act(server, "write", path, SIZES[cell.size])
            self.ready.add((name, cell.size))
        return path

    def large_read_cold(self, cell, name):
        path = self.large(cell, name)
        self.cool(name)
        return self.act(self.server(name), "scan", path, SIZES[cell.size])

    def large_read(self, cell, name):
        path = self.large(cell, name)
        self.act(self.server(name), "scan", path, SIZES[cell.size])
        return self.act(self.server(name), "scan", path, SIZES[cell.size])

    def large_read_cached(self, cell, name):
        path = self.large(cell, name)
        self.act(self.server(name), "scan", path, SIZES[cell.size])
        evict_file(path)  # from the kernel's memory: the client's is asked
        return self.act(self.server(name), "scan", path, SIZES[cell.size])

    def random_cold(self, cell, name):
        path = self.large(cell, name)
        self.cool(name)
        return self.act(self.server(name), "random", path, 4096, self.seconds, cell.connections)

    def random_cached(self, cell, name):
        path = self.large(cell, name)
        self.act(self.server(name), "scan", path, SIZES[cell.size])
        evict_file(path)
        return self.act(self.server(name), "random", path, 4096, self.seconds, cell.connections)
