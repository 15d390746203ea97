"""Bounded memory: the short form of tests/soak/soak.py."""

import os

import pytest

from aws import connect
from slow_clients import MIB, Sampler, SlowClients, latencies, percentile, stream_down, stream_up
from wire import Wire

LIMIT = 128 * MIB
pytestmark = [pytest.mark.plain, pytest.mark.heavy]


@pytest.fixture
def roomy(private_server):
    server = private_server("memory")
    connect(server).create_bucket(Bucket="memory")
    return server


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
