"""Fixtures: one http and one https gateway per test process, started when first asked for; private gateways for tests that
stop, reload or limit theirs. Options: --preset (whose binary), --binary."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "interop"))

from aws import connect, new_bucket_name  # noqa: E402
from clients import make_clients  # noqa: E402
from mounts import Mounts  # noqa: E402
from server import VOLUMES, PortPool, Server, make_certificate  # noqa: E402
from wire import Wire  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
SANITIZED = ("asan", "tsan")
# Built by tests/juicefs-client.
OFFICIAL = TOP / "build" / "juicefs" / "juicefs"


def pytest_addoption(parser):
    parser.addoption("--preset", default=os.environ.get("SLUICE_E2E_PRESET", "dev"), help="whose binary is tested")
    parser.addoption("--volume", default=os.environ.get("SLUICE_E2E_VOLUME", "dir"), choices=VOLUMES, help="kind of the volumes served")
    parser.addoption("--binary", default=None, help="path of the binary, instead of build/PRESET/gateway/sluice")


def pytest_configure(config):
    config.addinivalue_line("markers", "plain: times or measures memory; not run under sanitizers")
    config.addinivalue_line("markers", "timed: depends on the clock; tried once more when it fails, as plain ones are")
    config.addinivalue_line("markers", "posix: looks at the volume as a directory too; not run over other kinds")
    config.addinivalue_line("markers", "heavy: long; only in the full run of the dev build")


def pytest_collection_modifyitems(config, items):
    sanitized = config.getoption("--preset") in SANITIZED
    directory = config.getoption("--volume") == "dir"
    can_mount = os.path.exists("/dev/fuse")
    if not can_mount:
        print("no /dev/fuse here: the tests of the mount are left out")
    if not OFFICIAL.exists():
        print("no official JuiceFS client: the tests against it are left out")

    def is_wanted(item):
        needs_directory = item.get_closest_marker("posix") or "folder" in getattr(item, "fixturenames", ())
        # The kernel puts a mount's requests in order, one thread's open before another's write; ThreadSanitizer does not see that.
        if item.path.stem.startswith("test_mount") and (not can_mount or config.getoption("--preset") == "tsan"):
            return False
        if not can_mount and not directory and "as_directory" in getattr(item, "fixturenames", ()):
            return False
        if not OFFICIAL.exists() and "official" in getattr(item, "fixturenames", ()):
            return False
        return not (sanitized and item.get_closest_marker("plain")) and (directory or not needs_directory)

    kept = [i for i in items if is_wanted(i)]
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept
    for item in items:
        # Only what looks at the clock may be tried again: a race lost once in a while, a sanitizer's report or a dead gateway
        # must stay visible.
        if item.get_closest_marker("plain") or item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=["sanitizer report", "the gateway died"]))
        # A file's tests share fixtures, so they go to one process; http and https halves may go to two.
        params = getattr(getattr(item, "callspec", None), "params", {})
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{params.get('scheme', '')}"))


@pytest.fixture(scope="session")
def slowness(request):
    return 5 if request.config.getoption("--preset") in SANITIZED else 1


@pytest.fixture(scope="session")
def binary(request):
    given = request.config.getoption("--binary")
    path = pathlib.Path(given) if given else TOP / "build" / request.config.getoption("--preset") / "gateway" / "sluice"
    assert path.exists(), f"{path} is missing: build it first"
    return path.resolve()


@pytest.fixture(scope="session")
def official():
    """The official client's commands: official("info", path)."""

    def run(*words, check=True):
        done = subprocess.run([OFFICIAL, *words], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def mounts(binary, tmp_path):
    """Volumes and mounts of one test; modules that share theirs have a fixture of this name of their own."""
    made = Mounts(binary, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def ports():
    return PortPool()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def make_session_server(binary, ports, tmp_path_factory, slowness, request):
    kind = request.config.getoption("--volume")

    def make(name, *, binary=binary, **more):
        folder = tmp_path_factory.mktemp(name)
        os.chmod(folder, 0o755)
        return Server(binary, folder, ports, slowness=slowness, **{"kind": kind, **more})

    return make


class Keeper:
    """A session's gateway; started anew, after a complaint, when a test has made it crash."""

    def __init__(self, make):
        self.make, self.server = make, None

    def get(self):
        if self.server is None:
            self.server = self.make().start()
        return self.server

    def check_alive(self):
        if self.server is not None and not self.server.is_running():
            dead, self.server = self.server, None
            pytest.fail(f"the gateway died ({dead.process.returncode}):\n{dead.stderr()[-6000:]}")

    def stop(self):
        if self.server is not None:
            self.server.stop()


# The client address is that of the tests, so the session's gateways have the options of production but for the log.
@pytest.fixture(scope="session")
def keepers(make_session_server, certificate):
    made = {
        "http": Keeper(lambda: make_session_server("http", options=["--domain", "s3.localhost"])),
        "https": Keeper(lambda: make_session_server("https", certificate=certificate, options=["--domain", "s3.localhost"])),
    }
    yield made
    errors = []
    for keeper in made.values():
        try:
            keeper.stop()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture(autouse=True)
def gateways_survive(request):
    yield
    if "keepers" in request.fixturenames:
        for keeper in request.getfixturevalue("keepers").values():
            keeper.check_alive()


@pytest.fixture
def server(keepers):
    return keepers["http"].get()


@pytest.fixture
def tls_server(keepers):
    return keepers["https"].get()


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def any_server(keepers, scheme):
    return keepers[scheme].get()


@pytest.fixture
def private_server(make_session_server):
    """private_server(**Server's) starts a gateway for one test; it must end cleanly unless the test stopped it."""
    started = []

    def start(name="private", **more):
        server = make_session_server(name, **more)
        started.append(server)
        return server.start()

    yield start
    try:
        for server in started:
            server.stop()
    finally:
        for server in started:
            server.abandon()


@pytest.fixture
def s3(server):
    return connect(server)


@pytest.fixture
def wire(server):
    return Wire(server)


@pytest.fixture
def bucket(s3):
    name = new_bucket_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def folder(server, bucket):
    """The bucket through the other door."""
    return server.volume / bucket


@pytest.fixture
def short_path():
    """A folder for sockets, whose addresses hold 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        yield pathlib.Path(folder)


@pytest.fixture(scope="session")
def as_directory(binary, tmp_path_factory):
    """as_directory(server): its volume through the other door, which is a mount where the volume is no directory."""
    mounts, paths = Mounts(binary, tmp_path_factory.mktemp("doors")), {}

    def path(server):
        if server.kind == "dir":
            return server.volume
        if server.location not in paths:
            paths[server.location] = mounts.mount(server.location, str(len(paths)), "--no-bgjob").path
        return paths[server.location]

    yield path
    mounts.close()


@pytest.fixture(scope="session")
def clients(tmp_path_factory):
    """clients(server) lists one driver of every client."""
    return lambda server: make_clients(server, tmp_path_factory.mktemp("clients"))
