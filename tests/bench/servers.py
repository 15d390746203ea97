"""The servers that are measured: how each is found, started on a volume, and what it costs."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

ACCESS_KEY, SECRET_KEY = "BENCHACCESSKEY", "bench-secret-bench-secret"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stat_fields(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid):
    """The process and all below it."""
    below = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        try:
            below += [int(p) for p in (task / "children").read_text().split()]
        except OSError:
            pass  # the thread has ended meanwhile
    return [pid, *(p for child in below for p in family(child))]


class Server:
    """One process, or one with children, that serves `root`; `signed`: as S3, else plain files."""

    signed = True
    tls = False

    def __init__(self, name, folder, root):
        self.name, self.folder, self.root = name, folder, root
        self.port = free_port()
        self.process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        log = open(self.folder / "log", "ab")
        # In a session of its own: a ^C is for the run, which then stops its servers.
        environment = os.environ | self.environment()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.name} does not start: {(self.folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pids(self):
        return family(self.process.pid)

    def cpu_seconds(self):
        return sum(int(f[11]) + int(f[12]) for f in map(stat_fields, self.pids())) / TICKS

    def memory_mib(self):
        return sum(int(f[21]) for f in map(stat_fields, self.pids())) * PAGE / 2**20

    def client_arguments(self):
        words = ["--port", str(self.port)]
        if self.signed:
            words += ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        return words + (["--tls"] if self.tls else [])


class Sluice(Server):
    def __init__(self, name, folder, root, binary, sync="none", certificate=None):
        super().__init__(name, folder, root)
        self.binary, self.sync, self.certificate = binary, sync, certificate
        self.tls = certificate is not None

    def environment(self):
        return {"SLUICE_ROOT_ACCESS_KEY": ACCESS_KEY, "SLUICE_ROOT_SECRET_KEY": SECRET_KEY}

    def command(self):
        words = [self.binary, "serve", self.root, "--state", self.folder / "state", "--admin", "off"]
        words += ["--listen", f"127.0.0.1:{self.port}", "--sync", self.sync]
        if self.certificate:
            words += ["--tls-cert", self.certificate[0], "--tls-key", self.certificate[1]]
        return words


class Nginx(Server):
    """Static files, without authentication: the limit for anything that serves files over HTTP."""

    signed = False

    def __init__(self, name, folder, root, certificate=None):
        super().__init__(name, folder, root)
        self.certificate = certificate
        self.tls = certificate is not None

    def command(self):
        tls = " ssl" if self.certificate else ""
        keys = f"ssl_certificate {self.certificate[0]}; ssl_certificate_key {self.certificate[1]};" if tls else ""
        ktls = "ssl_conf_command Options KTLS;" if tls else ""
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; {user} worker_processes auto; pid {self.folder}/pid; error_log {self.folder}/error;
            events {{ worker_connections 4096; }}
            http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
                {temporary} server {{ listen 127.0.0.1:{self.port}{tls} reuseport; root {self.root}; {keys} {ktls} }} }}"""
        )
        return ["nginx", "-e", self.folder / "error", "-c", self.folder / "nginx.conf"]


class Versitygw(Server):
    def __init__(self, name, folder, root, certificate=None):
        super().__init__(name, folder, root)
        self.certificate = certificate
        self.tls = certificate is not None

    def environment(self):
        return {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}

    def command(self):
        keys = ["--cert", self.certificate[0], "--key", self.certificate[1]] if self.certificate else []
        return ["versitygw", "--port", f"127.0.0.1:{self.port}", "--quiet", *keys, "posix", self.root]


class Rclone(Server):
    def command(self):
        key = f"{ACCESS_KEY},{SECRET_KEY}"
        return ["rclone", "serve", "s3", "--auth-key", key, "--addr", f"127.0.0.1:{self.port}", self.root]


class Minio(Server):
    def environment(self):
        return {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"}

    def command(self):
        return ["minio", "server", "--quiet", "--address", f"127.0.0.1:{self.port}", self.root]


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def version_of(name, command):
    """As the program says itself; those that `go install` made may not know it, but Go does."""
    said = output_of(*command)
    text = said.stdout + said.stderr
    if shutil.which("go") and not VERSION.search(text):
        text = next((line for line in output_of("go", "version", "-m", shutil.which(name)).stdout.splitlines() if line.split()[:1] == ["mod"]), "")
    number = VERSION.search(text)
    return f"{name} {number[0]}" if number else name


def find_peers():
    """What is installed: {name: (class, version)}; what was looked for and is of no use: {name: reason}."""
    found, missing = {}, {}
    os.environ["PATH"] += os.pathsep + str(pathlib.Path.home() / "go/bin")  # where `go install` leaves them
    looked_for = {
        "nginx": (Nginx, ("nginx", "-v")),
        "versitygw": (Versitygw, ("versitygw", "--version")),
        "rclone": (Rclone, ("rclone", "version")),
        "minio": (Minio, ("minio", "--version")),
    }
    for name, (kind, version) in looked_for.items():
        if not shutil.which(name):
            missing[name] = "not installed"
        elif name == "rclone" and "--auth-key" not in output_of("rclone", "serve", "s3", "--help").stdout:
            missing[name] = "too old for `serve s3`"
        else:
            found[name] = (kind, version_of(name, version))
    return found, missing
