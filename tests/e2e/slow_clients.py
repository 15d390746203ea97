"""Load for the memory tests: many slow clients in one process, big objects, and a quick client whose latencies are measured."""

import dataclasses
import json
import socket
import subprocess
import threading
import time

from wire import UNSIGNED, Wire

MIB = 1024 * 1024


@dataclasses.dataclass
class Slow:
    socket: socket.socket
    upload: bool
    due: float
    bytes: int = 0
    failed: str = ""


class SlowClients(threading.Thread):
    """count connections, half of them uploading and half downloading, each at `rate` bytes per second in small steps."""

    def __init__(self, server, bucket, count, rate=10_000, step=0.5):
        super().__init__(daemon=True)
        self.server, self.bucket, self.count, self.rate, self.step = server, bucket, count, rate, step
        self.stopping = threading.Event()
        self.clients = []

    def open(self, i):
        wire, upload = Wire(self.server), i % 2 == 0
        s = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        if upload:
            request = wire.request("PUT", f"/{self.bucket}/slow{i}", payload_hash=UNSIGNED, headers=[("Content-Length", str(100 * MIB))])
        else:
            # A small window, so that the kernel does not take what the client does not read.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            request = wire.request("GET", f"/{self.bucket}/slow-source")
        s.sendall(request.head())
        s.setblocking(False)
        return Slow(s, upload, time.monotonic() + self.step * (i % 100) / 100)

    def run(self):
        self.clients = [self.open(i) for i in range(self.count)]
        amount = int(self.rate * self.step)
        data = b"s" * amount
        while not self.stopping.is_set():
            now = time.monotonic()
            for c in self.clients:
                if c.due > now or c.failed:
                    continue
                c.due += self.step
                try:
                    moved = c.socket.send(data) if c.upload else len(c.socket.recv(amount))
                    if moved == 0 and not c.upload:
                        c.failed = "ended"
                    c.bytes += moved
                except BlockingIOError:
                    pass
                except OSError as e:
                    c.failed = str(e)
            time.sleep(0.01)
        for c in self.clients:
            c.socket.close()

    def stop(self):
        self.stopping.set()
        self.join()


class Sampler(threading.Thread):
    """The highest resident size seen."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.stopping = server, 0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.05):
            self.peak = max(self.peak, self.server.rss())

    def stop(self):
        self.stopping.set()
        self.join()
        return self.peak


def latencies(server, bucket, seconds):
    """Milliseconds of small PUTs and GETs, one after the other on one connection."""
    wire, taken = Wire(server), []
    end = time.monotonic() + seconds
    with wire.connect() as c:
        while time.monotonic() < end:
            for request, body in (
                (wire.request("PUT", f"/{bucket}/quick", body=b"q" * 1000), b""),
                (wire.request("GET", f"/{bucket}/quick"), b"q" * 1000),
            ):
                started = time.monotonic()
                c.send(request.encode())
                answer = c.response()
                taken.append((time.monotonic() - started) * 1000)
                assert answer.status == 200 and answer.body == body
    return sorted(taken)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def stream_up(server, bucket, key, size):
    """A PUT of `size` bytes that are not held anywhere; seconds."""
    wire, piece = Wire(server), bytes(range(256)) * 4096
    started = time.monotonic()
    with wire.connect(timeout=120) as c:
        c.send(wire.request("PUT", f"/{bucket}/{key}", payload_hash=UNSIGNED, headers=[("Content-Length", str(size))]).head())
        for _ in range(size // len(piece)):
            c.send(piece)
        assert c.response().status == 200
    return time.monotonic() - started


def stream_down(server, bucket, key, size):
    wire, piece = Wire(server), bytes(range(256)) * 4096
    buffer = bytearray(len(piece))
    started = time.monotonic()
    with wire.connect(timeout=120) as c:
        c.send(wire.request("GET", f"/{bucket}/{key}").head())
        status, _, headers, _ = c.head()
        assert status == 200 and dict(headers)["Content-Length"] == str(size)
        view, have, seen = memoryview(buffer), len(c.buffer), 0
        view[:have] = c.buffer
        while seen < size:
            while have < len(piece):
                n = c.socket.recv_into(view[have:])
                assert n, "the answer ended early"
                have += n
            assert buffer == piece, f"wrong bytes within the MiB at {seen}"
            seen, have = seen + have, 0
    return time.monotonic() - started


def load(server, *options):
    """What tests/bench/sluice-load, the load of the benchmarks, says of the server."""
    program = server.binary.parents[1] / "tests/bench/sluice-load"
    where = ["--host", "127.0.0.1", "--port", str(server.port), "--access-key", server.root.access_key, "--secret-key", server.root.secret_key]
    done = subprocess.run([program, *where, *options], capture_output=True, text=True, check=True, timeout=280)
    return json.loads(done.stdout)
