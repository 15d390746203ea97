"""Runs cells: prepares the data once for each server, then measures the servers in turn."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from cells import COUNTS, GIB, KIB, MIB, SIZES
from servers import Nginx, Sluice, Versitygw, find_peers

PART = 64 * MIB
FLOORS = {"sendfile": "sendfile", "read": "read", "one sync per PUT": "put", "one core's MD5": "md5", "write": "write"}
# No turn takes so long, unless something hangs.
TURN_MAX_S = 900
# Some peers would take half an hour for 10⁶ keys; a part of the listing has their rate, too.
WALK = ("--walk", "--time", "10s")
# More uploads a second than any server takes, and what a turn may take of the disk.
PUTS_PER_S, PUT_BYTES_MAX = 40_000, 4 * GIB
# Objects from here on are removed when their turn is over, so that the disk does not fill.
LARGE_BYTES = 128 * KIB


@dataclasses.dataclass
class Sample:
    rate: float  # requests (listings: keys) a second
    bytes_per_s: float
    cpu_per_unit_us: float  # the server's processor time for one of them
    cpu_per_gib_s: float
    memory_mib: float
    p99_ms: float
    client_share: float  # of the time that the client's thread was busy


class Bench:
    def __init__(self, programs, folder, seconds):
        self.load, self.floor, self.sluice = programs
        self.folder, self.seconds = folder, seconds
        self.peers, self.missing = find_peers()
        self.running = {}
        self.ready = set()
        self.numbers = itertools.count()  # of new names; not for each server, as some share a volume

    # Servers

    def certificate(self):
        cert, key = self.folder / "server.crt", self.folder / "server.key"
        if not cert.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7"]
                + ["-subj", "/CN=bench", "-keyout", key, "-out", cert],
                check=True,
                capture_output=True,
            )
        return cert, key

    def make(self, name):
        plain, _, variant = name.partition(" ")
        tls = self.certificate() if variant == "https" else None
        folder, volume = self.folder / name.replace(" ", "-"), self.folder / "volumes"
        if plain == "sluice":
            return Sluice(name, folder, volume / "sluice", self.sluice, "always" if variant == "durable" else "none", tls)
        if plain == "nginx":
            return Nginx(name, folder, volume / "sluice", tls)
        if plain == "versitygw":
            return Versitygw(name, folder, volume / plain, tls)
        return self.peers[plain][0](name, folder, volume / plain)

    def available(self, name):
        return name in FLOORS or name.split()[0] == "sluice" or name.split()[0] in self.peers

    def server(self, name):
        if name not in self.running:
            self.running[name] = self.make(name)
            self.running[name].start()
            if self.running[name].signed:
                self.once(self.running[name], "--method", "PUT", "--target", "/bench", check=False)
        return self.running[name]

    def stop(self):
        # The last first, since others may need what was started before; each, whatever becomes of the others.
        with contextlib.ExitStack() as stack:
            for server in self.running.values():
                stack.callback(server.stop)

    # The client

    def run(self, *words):
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, timeout=TURN_MAX_S)
        try:
            return json.loads(done.stdout), done.returncode
        except ValueError:
            raise SystemExit(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}") from None

    def client(self, server, *words):
        result, code = self.run(self.load, *server.client_arguments(), *words)
        if code:
            print(f"  {server.name}: {result['failures']} of {result['requests']} requests failed", file=sys.stderr)
        result["requests"] -= result["failures"]  # a refusal is soon said, and no result
        if result["requests"] <= 0:
            raise SystemExit(f"{server.name} does not serve this: {' '.join(map(str, words))}")
        return result

    def once(self, server, *words, check=True):
        done = subprocess.run(
            [str(w) for w in (self.load, *server.client_arguments(), "--once", *words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TURN_MAX_S,
        )
        if check and done.returncode:
            raise SystemExit(f"{server.name}: {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def timed(self, server, *words, unit="requests"):
        cpu = server.cpu_seconds()
        result = self.client(server, *words)
        cpu = server.cpu_seconds() - cpu
        return self.sample(server, result, cpu, result[unit], result["bytes"])

    def sample(self, server, result, cpu, units, size):
        return Sample(
            rate=units / result["seconds"],
            bytes_per_s=size / result["seconds"],
            cpu_per_unit_us=cpu / max(units, 1) * 1e6,
            cpu_per_gib_s=cpu / size * GIB if size else 0,
            memory_mib=server.memory_mib(),
            p99_ms=result["p99_us"] / 1000,
            client_share=result["client_cpu"] / result["seconds"],
        )

    # Data

    def owner_of(self, name):
        """The server through which what that one serves is written."""
        return name.split()[0].replace("nginx", "sluice")

    def objects(self, name, size):
        """The objects of that size, uploaded through the server that owns the volume."""
        owner = self.server(self.owner_of(name))
        if (owner.name, size) not in self.ready:
            count, folder = COUNTS[size], size.replace(" ", "")
            words = ["--method", "PUT", "--target", f"/bench/{folder}/{{n}}", "--count", count, "--requests", count]
            self.client(owner, *words, "--body-size", SIZES[size], "--connections", 1 if size == "1 GiB" else 4)
            # Who is measured first shall not pay for what the disk still has to write, nor read what nobody has read yet.
            os.sync()
            self.client(owner, "--target", f"/bench/{folder}/{{n}}", "--count", count, "--requests", count)
            self.ready.add((owner.name, size))
        return f"/bench/{size.replace(' ', '')}/{{n}}"

    def tree(self, name, kind, entries):
        """A bucket that was made in the file system."""
        server = self.server(name)
        bucket = f"{'flat' if kind == 'list_flat' else 'deep'}-{entries}"
        root = server.root / bucket
        if not root.exists():
            self.once(server, "--method", "PUT", "--target", f"/{bucket}")
            for i in range(entries):
                folder = root if kind == "list_flat" else root / f"directory-{i:07}"
                folder.mkdir(exist_ok=True)
                os.close(os.open(folder / f"object-{i:07}", os.O_CREAT | os.O_WRONLY, 0o644))
        return bucket

    def discard(self, server, target, count=1):
        """Gives back what a turn's objects take of the disk. Who keeps them as files keeps them empty: an ext4 without a journal, when it
        makes a file, looks at all inodes that were freed in the last minutes."""
        path = server.root / target.removesuffix("/{n}").lstrip("/")
        if not path.exists():
            self.client(server, "--method", "DELETE", "--target", target, "--count", count, "--requests", count)
            return
        for file in (path, *path.rglob("*")):
            if file.is_file():
                os.truncate(file, 0)

    # Kinds of cells

    def get(self, cell, name):
        target = self.objects(name, cell.size)
        words = ["--target", target, "--count", COUNTS[cell.size], "--connections", cell.connections]
        return self.timed(self.server(name), *words, "--time", f"{self.seconds * 1000:.0f}ms")

    def head(self, cell, name):
        target = self.objects(name, cell.size)
        words = ["--method", "HEAD", "--target", target, "--count", COUNTS[cell.size], "--connections", cell.connections]
        return self.timed(self.server(name), *words, "--time", f"{self.seconds * 1000:.0f}ms")

    def range(self, cell, name):
        if name in FLOORS:
            self.objects("sluice", cell.size)
            return self.floor_sample(name, self.server("sluice").root / "bench/1GiB/00000000", 8 * MIB)
        target = self.objects(name, cell.size).replace("{n}", "00000000")
        words = ["--target", target, "--count", 128, "--range-size", 8 * MIB, "--object-size", SIZES[cell.size]]
        return self.timed(self.server(name), *words, "--connections", cell.connections, "--time", f"{self.seconds * 1000:.0f}ms")

    def floor_sample(self, name, path, size):
        result, _ = self.run(self.floor, FLOORS[name], path, size, self.seconds)
        rate = result["requests"] / result["seconds"]
        used = result["cpu"] / max(result["requests"], 1)
        return Sample(rate, rate * size, used * 1e6, used / size * GIB, 0, 0, 0)

    def put(self, cell, name):
        size = SIZES[cell.size]
        if name in FLOORS:
            return self.floor_sample(name, self.folder / "volumes" / "floor", size)
        server = self.server(name)
        # A folder of new names for each turn, every one used once: overwriting is another thing.
        count = max(min(int(self.seconds * PUTS_PER_S), PUT_BYTES_MAX // size), cell.connections)
        target = f"/bench/put-{next(self.numbers)}/{{n}}"
        words = ["--method", "PUT", "--target", target, "--count", count, "--requests", count, "--body-size", size]
        os.sync()  # what others have written is not for this one to wait for
        sample = self.timed(server, *words, "--connections", cell.connections, "--time", f"{self.seconds * 1000:.0f}ms")
        if size >= LARGE_BYTES:
            self.discard(server, target, count)
        sample.bytes_per_s = sample.rate * size
        sample.cpu_per_gib_s = sample.cpu_per_unit_us / 1e6 / size * GIB
        return sample

    def upload_parts(self, cell, server, target):
        """Begins an upload and sends its parts: the client's result, and what completes it."""
        begun = self.once(server, "--method", "POST", "--target", f"{target}?uploads")
        upload = re.search("<UploadId>(.*?)</UploadId>", begun)[1]
        parts = SIZES[cell.size] // PART
        words = ["--method", "PUT", "--target", f"{target}?partNumber={{n}}&uploadId={upload}", "--first", 1]
        result = self.client(server, *words, "--count", parts, "--requests", parts, "--body-size", PART, "--connections", cell.connections)
        listed = self.once(server, "--target", f"{target}?uploadId={upload}")
        tags = re.findall("<ETag>(.*?)</ETag>", listed)
        body = self.folder / "complete.xml"
        items = "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{t}</ETag></Part>" for i, t in enumerate(tags, 1))
        body.write_text(f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>")
        return result, ("--method", "POST", "--target", f"{target}?uploadId={upload}", "--body-file", body)

    def multipart(self, cell, name):
        server = self.server(name)
        size, target = SIZES[cell.size], f"/bench/multipart-{next(self.numbers)}"
        cpu, start = server.cpu_seconds(), time.monotonic()
        result, completion = self.upload_parts(cell, server, target)
        self.once(server, *completion)
        result["seconds"] = time.monotonic() - start
        sample = self.sample(server, result, server.cpu_seconds() - cpu, 1, size)
        self.discard(server, target)
        return sample

    def complete(self, cell, name):
        server = self.server(name)
        target = f"/bench/multipart-{next(self.numbers)}"
        _, completion = self.upload_parts(cell, server, target)
        sample = self.timed(server, *completion, "--requests", 1)
        self.discard(server, target)
        return sample

    def copy(self, cell, name):
        server = self.server(name)
        source = self.objects(name, cell.size).replace("{n}", "00000000")
        target = f"/bench/copy-{next(self.numbers)}"
        words = ["--method", "PUT", "--target", target, "--requests", 1]
        sample = self.timed(server, *words, "--header-name", "x-amz-copy-source", "--header-value", source)
        self.discard(server, target)
        size = SIZES[cell.size]
        sample.bytes_per_s, sample.cpu_per_gib_s = sample.rate * size, sample.cpu_per_unit_us / 1e6 / size * GIB
        return sample

    def delete(self, cell, name):
        server = self.server(name)
        count = int(self.seconds * 5000)
        words = ["--target", f"/bench/delete-{next(self.numbers)}/{{n}}", "--count", count, "--requests", count]
        words += ["--connections", cell.connections]
        self.client(server, "--method", "PUT", "--body-size", SIZES[cell.size], *words)
        return self.timed(server, "--method", "DELETE", *words)

    def listing(self, cell, name, query=""):
        server, bucket = self.server(name), self.tree(name, cell.kind, cell.entries)
        sample = self.timed(server, "--target", f"/{bucket}?list-type=2{query}", *WALK, unit="listed")
        sample.cpu_per_gib_s = 0  # the answers' bytes are not what it is about
        return sample

    def list_flat(self, cell, name):
        return self.listing(cell, name)

    def list_deep(self, cell, name):
        return self.listing(cell, name)

    def list_delimiter(self, cell, name):
        return self.listing(cell, name, "&delimiter=%2F")

    def memory(self, cell, name):
        return self.get(cell, name)

    # All of it

    def measure(self, cell, rounds):
        """{server: [sample, …]}, the servers in turn in each round."""
        names = [n for n in cell.servers if self.available(n)]
        samples = {name: [] for name in names}
        for _ in range(min(rounds, cell.rounds_max)):
            for name in names:
                samples[name].append(getattr(self, cell.kind)(cell, name))
        return samples


def others_load(seconds):
    """Threads that want a processor, on average, while nothing of ours does. The kernel's load average tells of a minute in which this run
    may have compiled, or measured, and counts who waits for a disk."""
    counts, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        running = pathlib.Path("/proc/loadavg").read_text().split()[3]
        counts.append(int(running.partition("/")[0]) - 1)  # this process is one
        time.sleep(0.02)
    return sum(counts) / len(counts)


def machine():
    cpu = re.search("model name\\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} × {cpu[1] if cpu else 'processor'}, Linux {os.uname().release}"
