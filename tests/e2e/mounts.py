"""Mounts under test: a volume with metadata in SQLite and blocks in a directory, mounted by the binary."""

import json
import os
import pathlib
import signal
import subprocess
import time

from server import SANITIZER_WORDS

SUPPRESSIONS = pathlib.Path(__file__).with_name("lsan.supp")
ENVIRONMENT = {**os.environ, "LSAN_OPTIONS": f"suppressions={SUPPRESSIONS}:print_suppressions=0"}
# Longer than any stall that a busy machine makes of a start.
START_S = 60


class Mounts:
    """Makes volumes and mounts of them; close() unmounts what is left and looks at how it ended."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.mounts = []

    def volume(self, name="volume", *options):
        folder = self.folder / name
        (folder / "blocks").mkdir(parents=True)
        url = f"sqlite3://{folder}/meta.db"
        bucket = f"{folder}/blocks/"
        self.run("format", url, name, "--bucket", bucket, *options)
        return url

    def run(self, *words, **more):
        return subprocess.run([self.binary, *words], check=True, timeout=START_S, capture_output=True, text=True, env=ENVIRONMENT, **more)

    def mount(self, url, name="mnt", *options):
        assert pathlib.Path("/dev/fuse").exists(), "tests of the mount need /dev/fuse (docker run --device /dev/fuse --cap-add SYS_ADMIN)"
        (self.folder / name).mkdir(exist_ok=True)
        mount = Mount(self, url, self.folder / name, options)
        self.mounts.append(mount)
        return mount.start()

    def close(self):
        errors = []
        for mount in self.mounts:
            errors += mount.finish()
        assert not errors, "\n".join(errors)


class Mount:
    def __init__(self, mounts, url, path, options):
        self.binary, self.url, self.path, self.options = mounts.binary, url, path, options
        self.log = path.with_suffix(".log")
        self.process = None

    def start(self):
        words = [self.binary, "mount", self.url, self.path, "--metrics", "off", *self.options]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stderr=log, env=ENVIRONMENT)
        wait_until(lambda: self.process.poll() is not None or is_mounted(self.path))
        assert self.process.poll() is None, self.text()
        return self

    def text(self):
        return self.log.read_text(errors="replace")

    def server(self):
        """The process that does the work, by the mount's own word."""
        return json.loads((self.path / ".config").read_text())["Pid"]

    def kill(self):
        os.kill(self.server(), signal.SIGKILL)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)

    def finish(self):
        errors = []
        if self.process.poll() is None:
            try:
                code = self.stop()
            except subprocess.TimeoutExpired:
                code = "no end"
                self.process.kill()
            if code != 0:
                errors.append(f"{self.path} ended with {code}:\n{self.text()[-4000:]}")
        if f" {self.path} " in pathlib.Path("/proc/mounts").read_text():
            errors.append(f"{self.path} is still mounted")
            subprocess.run(["umount", "-l", self.path])
        errors += [f"sanitizer report:\n{self.text()[-6000:]}" for word in SANITIZER_WORDS if word in self.text()][:1]
        return errors


def is_mounted(path):
    """Served, not only known to the kernel: .config is there as long as a process answers."""
    return os.path.exists(path / ".config")


def wait_until(condition, timeout=START_S):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
