"""What is measured. A cell is one table row: a kind of request, a size, a number of connections."""

import dataclasses

KIB, MIB, GIB = 1024, 1024**2, 1024**3
SIZES = {
    "1 KiB": KIB,
    "4 KiB": 4 * KIB,
    "128 KiB": 128 * KIB,
    "1 MiB": MIB,
    "10 MiB": 10 * MIB,
    "64 MiB": 64 * MIB,
    "256 MiB": 256 * MIB,
    "1 GiB": GIB,
}
# Objects of each size that requests go around: few enough to stay in memory, many enough not to be one.
COUNTS = {"1 KiB": 1000, "4 KiB": 1000, "128 KiB": 256, "1 MiB": 64, "10 MiB": 16, "1 GiB": 1}
ALL = ("sluice", "nginx", "versitygw", "rclone", "minio")
S3 = ("sluice", "versitygw", "rclone", "minio")


@dataclasses.dataclass(frozen=True)
class Cell:
    group: str
    name: str
    kind: str  # the method of Bench that measures it
    servers: tuple
    connections: int = 1
    size: str = ""
    entries: int = 0
    smoke: bool = False  # part of the smoke test

    @property
    def rounds_max(self):
        """Turns that take many seconds whatever they are given are not repeated as often as others."""
        return 3 if self.entries >= 100_000 or (self.size == "1 GiB" and self.kind != "range") else 100


def request_cells(group, kind, servers, smoke=None):
    for size in ("1 KiB", "4 KiB", "128 KiB", "1 MiB", "10 MiB"):
        for connections in (1, 16, 64, 512):
            yield Cell(group, f"{size}, {connections} connections", kind, servers, connections, size, smoke=(size, connections) == smoke)


def all_cells():
    yield from request_cells("GET", "get", ALL, ("1 KiB", 16))
    # What a HEAD costs does not depend on the size: one large object shows that.
    for size, connections in (("1 KiB", 1), ("1 KiB", 16), ("1 KiB", 64), ("1 KiB", 512), ("10 MiB", 16)):
        yield Cell("HEAD", f"{size}, {connections} connections", "head", ALL, connections, size)
    for connections in (1, 16, 64, 512):
        yield Cell("Ranged GET", f"8 MiB of 1 GiB, {connections} connections", "range", (*ALL, "sendfile", "read"), connections, "1 GiB")
    yield from request_cells("PUT, --sync=none", "put", S3, ("1 KiB", 64))
    yield from request_cells("PUT, durable", "put", ("sluice durable", "one sync per PUT"), ("1 KiB", 64))
    yield Cell("Large objects", "PUT 1 GiB", "put", (*S3, "one core's MD5", "write"), 1, "1 GiB")
    yield Cell("Large objects", "multipart upload of 1 GiB, 64-MiB parts, 4 connections", "multipart", S3, 4, "1 GiB")
    yield Cell("Large objects", "CompleteMultipartUpload of 1 GiB", "complete", S3, 4, "1 GiB")
    yield Cell("Large objects", "CopyObject 1 GiB", "copy", S3, 1, "1 GiB")
    yield Cell("DELETE", "1 KiB, 16 connections", "delete", S3, 16, "1 KiB")
    yield Cell("Listing", "10⁴ keys, flat", "list_flat", S3, entries=10_000, smoke=True)
    yield Cell("Listing", "10⁶ keys, flat", "list_flat", S3, entries=1_000_000)
    yield Cell("Listing", "10⁵ directories, one key each", "list_deep", S3, entries=100_000)
    yield Cell("Listing", "10⁵ directories by delimiter", "list_delimiter", S3, entries=100_000)
    tls = ("sluice https", "nginx https", "versitygw https")
    for size, connections in (("1 KiB", 16), ("1 KiB", 64), ("128 KiB", 16)):
        yield Cell("https", f"GET {size}, {connections} connections", "get", tls, connections, size)
    yield Cell("https", "8 MiB of 1 GiB, 16 connections", "range", tls, 16, "1 GiB")
    yield Cell("Memory", "after 1,000 connections of 128-KiB GETs", "memory", ALL, 1000, "128 KiB")
