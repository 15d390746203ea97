"""A gateway process under test: starts the binary on free ports with its own volume and state, and checks how it ends."""

import dataclasses
import fcntl
import http.client
import itertools
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

REGION = "us-east-1"
# "dir": a directory. "juicefs-file", "juicefs-s3": metadata in SQLite, blocks in a directory or in a bucket of another gateway.
# "juicefs-mixed": the latter with what else a volume can be: small compressed and encrypted blocks, in several buckets, no trash.
VOLUMES = ("dir", "juicefs-file", "juicefs-s3", "juicefs-mixed")
MIXED = ["--compress", "zstd", "--hash-prefix", "--shards", "3", "--block-size", "256K", "--trash-days", "0"]
PORTS = range(20000, 31000)
SANITIZER_WORDS = (
    "AddressSanitizer",
    "LeakSanitizer",
    "ThreadSanitizer",
    "UndefinedBehaviorSanitizer",
    "runtime error:",
)
# What a healthy run never logs about itself; 501 is an answer, not a failure.
FAILED_STATUS = (500, 502, 503, 504)


@dataclasses.dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str


ROOT = Credentials("SLUICETESTROOT", "root-secret-of-the-end-to-end-tests")


@dataclasses.dataclass(frozen=True)
class Certificate:
    cert: pathlib.Path
    key: pathlib.Path


def make_certificate(folder, name="server"):
    """A self-signed certificate for the loopback addresses."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "7",
            "-subj",
            f"/CN={name}",
            "-addext",
            "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:*.s3.localhost",
            "-keyout",
            made.key,
            "-out",
            made.cert,
        ],
        check=True,
        capture_output=True,
    )
    return made


class PortPool:
    """Ports that no other test run uses. The gateway listens with SO_REUSEPORT, so a clash would go unseen: a port is
    taken by a file lock, held as long as this process lives."""

    def __init__(self, folder="/tmp/sluice-e2e-ports"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o777, exist_ok=True)
        self.held = []
        self.candidates = itertools.cycle(PORTS[os.getpid() * 37 % len(PORTS) :])

    def take(self):
        for port in itertools.islice(self.candidates, len(PORTS)):
            fd = os.open(self.folder / str(port), os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                os.close(fd)
                continue
            self.held.append(fd)
            return port
        raise RuntimeError("no free port")


class Server:
    """One gateway. `start` waits until it is ready; `stop` asserts a clean end."""

    def __init__(
        self, binary, folder, ports, *, certificate=None, options=(), env=None, volume=None, state=None, slowness=1, root=ROOT, kind="dir",
        format=(), store_proxy=None,
    ):  # fmt: skip
        """format: more options of `sluice format`. store_proxy: stands between the gateway and the server of its blocks."""
        self.binary = pathlib.Path(binary)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.volume = pathlib.Path(volume or self.folder / "volume")
        self.state = pathlib.Path(state or self.folder / "state")
        self.volume.mkdir(exist_ok=True)
        self.kind = kind
        self.format_options = list(format)
        self.store_proxy = store_proxy
        self.ports = ports
        self.block_server = None
        self.certificate = certificate
        self.port, self.admin_port = ports.take(), ports.take()
        self.options = list(options)
        self.extra_env = dict(env or {})
        self.slowness = slowness
        self.root = root
        self.expect_failures = False  # a test that provokes 5xx says so
        self.access_log = self.folder / "access.log"
        self.stderr_path = self.folder / "stderr.log"
        self.process = None

    @property
    def tls(self):
        return self.certificate is not None

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self):
        return f"{self.scheme}://{self.host}"

    @property
    def pid(self):
        return self.process.pid

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "AWS_"))}
        env.update(
            ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
            UBSAN_OPTIONS="print_stacktrace=1",
            TSAN_OPTIONS=f"halt_on_error=0:second_deadlock_stack=1:suppressions={pathlib.Path(__file__).with_name('tsan.supp')}",
        )
        if self.root:
            env.update(SLUICE_ROOT_ACCESS_KEY=self.root.access_key, SLUICE_ROOT_SECRET_KEY=self.root.secret_key)
        env.update(self.extra_env)
        return env

    def command(self):
        command = [
            str(self.binary),
            "serve",
            self.location,
            "--state",
            str(self.state),
            "--listen",
            f"127.0.0.1:{self.port}",
            "--admin",
            f"127.0.0.1:{self.admin_port}",
            "--access-log",
            str(self.access_log),
        ]
        if self.tls:
            command += ["--tls-cert", str(self.certificate.cert), "--tls-key", str(self.certificate.key)]
        return command + self.options

    @property
    def location(self):
        return str(self.volume) if self.kind == "dir" else f"sqlite3://{self.volume}/meta.db"

    def prepare(self):
        """Makes the volume when there is none yet, and starts what keeps its blocks."""
        if self.kind == "dir":
            return
        in_buckets = self.kind in ("juicefs-s3", "juicefs-mixed")
        if in_buckets and self.block_server is None:
            self.block_server = Server(self.binary, self.folder / "blocks", self.ports, slowness=self.slowness, options=["--sync", "none"])
        if self.block_server and not self.block_server.is_running():
            self.block_server.start()
        if self.store_proxy:
            self.store_proxy.upstream_port = self.block_server.port
        if (self.volume / "meta.db").exists():
            return
        store = ["--storage", "file", "--bucket", f"{self.volume}/blocks/"]
        if in_buckets:
            keys = ["--access-key", ROOT.access_key, "--secret-key", ROOT.secret_key]
            store = ["--storage", "s3", "--bucket", f"{(self.store_proxy or self.block_server).endpoint}/blocks", *keys]
        if self.kind == "juicefs-mixed":
            key = self.folder / "key.pem"
            subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
            store[3] += "-%d"  # the bucket: one for each shard
            store += [*MIXED, "--encrypt-rsa-key", str(key)]
        words = [str(self.binary), "format", self.location, "volume", *store, *self.format_options]
        subprocess.run(words, check=True, env=self.environment(), capture_output=True)

    def start(self):
        self.prepare()
        with open(self.stderr_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        deadline = time.monotonic() + timeout * self.slowness
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended at start ({self.process.returncode}):\n{self.stderr()}")
            try:
                if self.admin("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.005)
        raise AssertionError(f"the gateway is not ready after {timeout} s:\n{self.stderr()}")

    def admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def stderr(self):
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """The crash test's end: nothing may be asserted of it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout=30, codes=(0,)):
        """SIGTERM; exit code 0, no sanitizer report, no unexpected 5xx."""
        if self.process is None:
            return
        try:
            self.stop_gateway(timeout, codes)
        finally:
            if self.block_server:
                self.block_server.stop()

    def stop_gateway(self, timeout, codes):
        if self.is_running():
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout * self.slowness)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway did not end within {timeout} s of SIGTERM:\n{self.stderr()[-4000:]}") from None
        finally:
            self.process = None
        self.check_end(code, codes)

    def check_end(self, code, codes):
        text = self.stderr()
        reports = [word for word in SANITIZER_WORDS if word in text]
        assert not reports, f"sanitizer report:\n{text[:12000]}"
        assert code in codes, f"exit code {code}:\n{text[-4000:]}"
        if not self.expect_failures:
            failed = [r for r in self.requests() if r["status"] in FAILED_STATUS]
            assert not failed, f"unexpected 5xx: {failed[:5]}"

    def abandon(self):
        """For fixtures' cleanup after a failed test."""
        if self.process and self.is_running():
            self.process.kill()
            self.process.wait()
        if self.block_server:
            self.block_server.abandon()

    # The access log.

    def mark(self):
        """Where the lines of later requests begin. Lines are written in batches, so a request of our own tells."""
        word = f"mark-{time.monotonic_ns()}"
        connection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            if not self.tls
            else http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=ssl._create_unverified_context())
        )
        connection.request("GET", f"/?{word}")
        connection.getresponse().read()
        connection.close()
        assert eventually(lambda: word in self.access_log.read_text(errors="replace"), timeout=5 * self.slowness)
        text = self.access_log.read_bytes()
        return text.index(b"\n", text.index(word.encode())) + 1

    def requests(self, since=0):
        if not self.access_log.exists():
            return []
        with open(self.access_log, "rb") as log:
            log.seek(since)
            *whole, _ = log.read().split(b"\n")  # the last piece is a line still being written, or nothing
            return [json.loads(line) for line in whole]

    def wait_requests(self, since, count, timeout=5):
        """The lines appear shortly after the answers."""
        deadline = time.monotonic() + timeout * self.slowness
        while len(self.requests(since)) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.requests(since)

    # Commands on the same state.

    def run(self, *words, check=True, env=None):
        done = subprocess.run(
            [self.binary, *map(str, words)], capture_output=True, text=True, env={**self.environment(), **(env or {})}, timeout=60 * self.slowness
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def user(self, verb, *words, check=True):
        return self.run("user", verb, *words, "--state", self.state, check=check)

    def add_user(self, name, *options):
        pair = json.loads(self.user("add", name, *options, "--json").stdout)
        return Credentials(pair["access_key"], pair["secret_key"])

    def rss(self):
        """Resident bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


def staging_leftovers(volume):
    """Names that must not survive: staging files anywhere, and what lies in the buckets' temporary folders."""
    found = []
    for folder, _, names in os.walk(volume):
        inside_temporary = "/.sluice/tmp" in folder + "/"
        found += [os.path.join(folder, n) for n in names if inside_temporary or n.startswith(".sluice-")]
    return found


def eventually(condition, timeout=5, interval=0.02):
    """Waits until condition() is true; its last value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(interval)
