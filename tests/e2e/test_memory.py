"""Bounded memory: the short form of tests/soak/soak.py."""

import os
import pathlib
import time

import pytest

from aws import connect
from slow_clients import MIB, Sampler, SlowClients, latencies, load, percentile, stream_down, stream_up
from wire import Wire

LIMIT = 128 * MIB
# What a gateway has beside --memory: itself, a thousand connections, and what the allocator is about to give back.
BESIDE = 64 * MIB
pytestmark = [pytest.mark.plain, pytest.mark.heavy]


@pytest.fixture
def roomy(private_server):
    server = private_server("memory")
    connect(server).create_bucket(Bucket="memory")
    return server


@pytest.fixture
def volume(private_server):
    """A gateway of a JuiceFS-format volume, with 256 MiB."""
    server = private_server("volume-memory", kind="juicefs-file", options=["--memory", "256M", "--sync", "none"])
    connect(server).create_bucket(Bucket="memory")
    return server


def test_allocator(roomy):
    """The limits below hold with jemalloc, and a linker can leave it out without a word."""
    assert "/libjemalloc.so" in (pathlib.Path("/proc") / str(roomy.process.pid) / "maps").read_text()


def test_1000_cold_ranges_of_a_volume(volume):
    """8 MiB each, of an object that was never read: blocks, read-ahead and answers stay inside --memory, and nobody waits in vain."""
    stream_up(volume, "memory", "big", 2048 * MIB)
    volume.stop()
    volume.start()
    sampler = Sampler(volume)
    sampler.start()
    ranges = ["--range-size", "8M", "--object-size", "2G", "--count", "256"]
    done = load(volume, "--target", "/memory/big", *ranges, "--connections", "1000", "--requests", "1000")
    assert sampler.stop() < 256 * MIB + BESIDE
    assert (done["failures"], done["status"], done["bytes"]) == (0, 206, 1000 * 8 * MIB)
    metrics = volume.admin("/metrics")[1]
    read = next(int(line.split()[-1]) for line in metrics.splitlines() if line.startswith("sluice_store_read_bytes_total"))
    assert read < 3 * 1000 * 8 * MIB  # no block is fetched for one piece of it, over and over


def lent_bytes(server):
    return next(float(line.split()[-1]) for line in server.admin("/metrics")[1].splitlines() if line.startswith("sluice_data_lent_bytes "))


def test_stuck_downloads_of_a_volume(private_server):
    """Who asks for more than they take keep at most half of the memory of blocks. Others get all of what they ask for meanwhile."""
    server = private_server("stuck", kind="juicefs-file", options=["--memory", "64M", "--sync", "none"])
    s3, body = connect(server), os.urandom(64 * MIB)
    s3.create_bucket(Bucket="stuck")
    s3.put_object(Bucket="stuck", Key="big", Body=body)
    wire, sampler = Wire(server), Sampler(server)
    sampler.start()
    held = [wire.connect() for _ in range(60)]
    for i, c in enumerate(held):
        c.send(wire.request("GET", "/stuck/big", headers=[("Range", f"bytes={i * MIB}-")]).encode())
    for i, c in enumerate(held):
        assert c.head()[0] == 206
        assert c.exactly(1000) == body[i * MIB : i * MIB + 1000]
    assert 0 < lent_bytes(server) <= 24 * MIB
    assert s3.get_object(Bucket="stuck", Key="big")["Body"].read() == body
    assert 0 < lent_bytes(server) <= 24 * MIB
    tail = held[0].exactly(40 * MIB)
    assert tail == body[1000 : 1000 + 40 * MIB]
    for c in held:
        c.close()
    assert sampler.stop() < 64 * MIB + BESIDE
    deadline = time.monotonic() + 20
    while lent_bytes(server) > 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_writers_of_a_volume(volume):
    sampler = Sampler(volume)
    sampler.start()
    done = load(
        volume, "--method", "PUT", "--target", "/memory/w{n}", "--count", "200", "--body-size", "8M", "--connections", "200", "--requests", "200"
    )
    assert sampler.stop() < 256 * MIB + BESIDE
    assert (done["failures"], done["status"]) == (0, 200)


@pytest.mark.posix
def test_1_gb_up_and_down(roomy):
    sampler = Sampler(roomy)
    sampler.start()
    stream_up(roomy, "memory", "big", 1024 * MIB)
    stream_down(roomy, "memory", "big", 1024 * MIB)
    assert sampler.stop() < LIMIT
    os.unlink(roomy.volume / "memory/big")


def test_100_slow_clients(roomy):
    """Others' small requests stay quick meanwhile, and nobody who is slow but steady is dropped."""
    stream_up(roomy, "memory", "slow-source", 20 * MIB)
    slow, sampler = SlowClients(roomy, "memory", 100), Sampler(roomy)
    slow.start()
    sampler.start()
    taken = latencies(roomy, "memory", 10)
    assert sampler.stop() < LIMIT
    failed = [c.failed for c in slow.clients if c.failed]
    moved = [c.bytes for c in slow.clients]
    slow.stop()
    assert not failed, failed[:3]
    assert min(moved) > 20_000
    assert percentile(taken, 0.99) < 250, f"p99 {percentile(taken, 0.99):.0f} ms"


@pytest.mark.posix
def test_listing_many_and_large_xml_do_not_grow(roomy):
    """Requests that make large answers or take large documents, many times: memory comes back."""
    folder = roomy.volume / "memory"
    for i in range(5000):
        (folder / f"{'n' * 150}{i}").touch()
    wire = Wire(roomy)
    for _ in range(20):
        assert wire.call("GET", "/memory", [("list-type", "2")]).status == 200
    before = roomy.rss()
    with wire.connect() as c:
        for _ in range(300):
            c.send(wire.request("GET", "/memory", [("list-type", "2")]).encode())
            assert c.response().status == 200
    assert roomy.rss() < before + 16 * MIB


def test_many_downloads_at_once(roomy):
    stream_up(roomy, "memory", "big", 64 * MIB)
    wire, sampler = Wire(roomy), Sampler(roomy)
    sampler.start()
    held = [wire.connect() for _ in range(300)]
    for c in held:
        c.send(wire.request("GET", "/memory/big").encode())
    for c in held:
        c.exactly(100_000)
    for c in held:
        c.close()
    assert sampler.stop() < LIMIT
