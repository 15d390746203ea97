#!/usr/bin/env python3
"""The long form of tests/e2e/test_memory.py, beside CI: a 20 GB PUT and GET, and 500 slow clients at 10 KB/s each way, while
another client's small requests are timed. Prints a table; exit code 1 when a limit is broken.

    build/venv/bin/python tests/soak/soak.py [--binary build/release/gateway/sluice] [--size-gb 20] [--clients 500]
                                             [--seconds 120] [--folder DIR]
"""

import argparse
import pathlib
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))

from aws import connect  # noqa: E402
from server import PortPool, Server  # noqa: E402
from slow_clients import MIB, Sampler, SlowClients, latencies, percentile, stream_down, stream_up  # noqa: E402

LIMIT = 128 * MIB
P99_LIMIT_MS = 100


def big_object(server, size):
    sampler = Sampler(server)
    sampler.start()
    up = stream_up(server, "soak", "big", size)
    down = stream_down(server, "soak", "big", size)
    peak = sampler.stop()
    (server.volume / "soak/big").unlink()
    print(
        f"PUT {size / 1e9:.0f} GB  {size / 1e6 / up:8.0f} MB/s\nGET {size / 1e9:.0f} GB  {size / 1e6 / down:8.0f} MB/s\npeak RSS   {peak / MIB:8.0f} MiB"
    )
    return peak < LIMIT


def slow_clients(server, count, seconds):
    stream_up(server, "soak", "slow-source", 100 * MIB)
    quiet = latencies(server, "soak", 5)
    slow, sampler = SlowClients(server, "soak", count), Sampler(server)
    slow.start()
    sampler.start()
    taken = latencies(server, "soak", seconds)
    peak = sampler.stop()
    failed = [c.failed for c in slow.clients if c.failed]
    rates = sorted(c.bytes / seconds for c in slow.clients)
    slow.stop()
    for name, values in (("alone", quiet), (f"beside {count} slow clients", taken)):
        print(f"small requests {name}: p50 {percentile(values, 0.5):.2f} ms, p99 {percentile(values, 0.99):.2f} ms, max {values[-1]:.2f} ms")
    print(
        f"slow clients: {len(failed)} failed {failed[:3]}, slowest {rates[0]:.0f} B/s, fastest {rates[-1]:.0f} B/s\npeak RSS   {peak / MIB:8.0f} MiB"
    )
    return peak < LIMIT and not failed and percentile(taken, 0.99) < P99_LIMIT_MS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=TOP / "build/release/gateway/sluice")
    parser.add_argument("--size-gb", type=int, default=20)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--folder", help="where the volume is made (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        server = Server(given.binary, folder, PortPool()).start()
        connect(server).create_bucket(Bucket="soak")
        fine = big_object(server, given.size_gb * 1000 * MIB)
        fine = slow_clients(server, given.clients, given.seconds) and fine
        server.stop()
    print("within the limits" if fine else "A LIMIT IS BROKEN")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
