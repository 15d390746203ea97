"""What is measured of JuiceFS-format volumes: through S3, and through the mount."""

from cells import Cell

# "sluice jfs": metadata in SQLite, blocks in a directory, a 200 when both are on disk; "… no-sync" waits for no disk, as the official
# client does; "… s3": blocks in a bucket of another sluice. "juicefs" is the official gateway. "sluice" serves a directory.
JFS, RELAXED, OVER_S3 = "sluice jfs", "sluice jfs no-sync", "sluice jfs s3"
GATEWAYS = (RELAXED, "juicefs", "sluice")
OVER = (OVER_S3, "juicefs s3")
WRITERS = (RELAXED, "juicefs", "sluice", JFS)
# The same volumes mounted; "directory" is the local disk, the floor, "directory fsync" with an fsync of each file.
MOUNTS = ("sluice mount no-sync", "juicefs mount", "directory")
MOUNT_WRITERS = ("sluice mount no-sync", "juicefs mount", "sluice mount", "directory", "directory fsync")
SMALL_FILES = 1000


def s3_cells():
    group = "JuiceFS volume: reads"
    for connections in (1, 16, 64):
        name = f"GET 1 KiB, warm, {connections} connections"
        yield Cell(group, name, "get", GATEWAYS, connections, "1 KiB", smoke=connections == 16)
    yield Cell(group, "GET 1 KiB, cold, 16 connections", "cold_get", GATEWAYS, 16, "1 KiB")
    yield Cell(group, "GET 10 MiB, warm, 16 connections", "get", GATEWAYS, 16, "10 MiB")
    yield Cell(group, "GET 10 MiB, cold, 4 connections", "cold_get", GATEWAYS, 4, "10 MiB")
    yield Cell(group, "8 MiB of 1 GiB, 16 connections", "range", GATEWAYS, 16, "1 GiB")
    # The official gateway would take minutes to be given more.
    yield Cell(group, "list 10⁴ keys", "list_jfs", GATEWAYS, entries=10_000)
    group = "JuiceFS volume: writes"
    for connections in (1, 64):
        yield Cell(group, f"PUT 1 KiB, {connections} connections", "put", WRITERS, connections, "1 KiB")
    yield Cell(group, "PUT 10 MiB, 4 connections", "put", WRITERS, 4, "10 MiB")
    yield Cell(group, "multipart upload of 1 GiB, 64-MiB parts, 4 connections", "multipart", (RELAXED, "juicefs", "sluice"), 4, "1 GiB")
    yield Cell(group, "CopyObject 1 GiB", "copy", (RELAXED, "juicefs"), 1, "1 GiB")
    group = "JuiceFS volume over S3"
    yield Cell(group, "GET 1 KiB, warm, 16 connections", "get", OVER, 16, "1 KiB")
    yield Cell(group, "GET 10 MiB, cold, 4 connections", "cold_get", OVER, 4, "10 MiB")
    yield Cell(group, "PUT 1 KiB, 16 connections", "put", OVER, 16, "1 KiB")
    yield Cell(group, "PUT 10 MiB, 4 connections", "put", OVER, 4, "10 MiB")


def mount_cells():
    group = "Mount: 1-KiB files"
    for threads in (1, 16):
        who = "1 thread" if threads == 1 else f"{threads} threads"
        yield Cell(group, f"create, {who}", "files_create", MOUNT_WRITERS, threads, "1 KiB", SMALL_FILES)
        yield Cell(group, f"read, cold, {who}", "files_read_cold", MOUNTS, threads, "1 KiB", SMALL_FILES)
        yield Cell(group, f"read, warm, {who}", "files_read", MOUNTS, threads, "1 KiB", SMALL_FILES, smoke=threads == 1)
    yield Cell(group, "stat, cold", "files_stat_cold", MOUNTS, 1, "1 KiB", SMALL_FILES)
    yield Cell(group, "list with attributes, cold", "files_list_cold", MOUNTS, 1, "1 KiB", SMALL_FILES)
    yield Cell(group, "unlink", "files_unlink", MOUNT_WRITERS[:4], 1, "1 KiB", SMALL_FILES)
    yield Cell(group, "tar x of this source tree", "untar", MOUNT_WRITERS[:4])
    group = "Mount: one large file"
    yield Cell(group, "write 256 MiB", "large_write", MOUNT_WRITERS, 1, "256 MiB")
    yield Cell(group, "read 256 MiB, cold", "large_read_cold", MOUNTS, 1, "256 MiB")
    yield Cell(group, "read 64 MiB, from the client's cache", "large_read_cached", MOUNTS, 1, "64 MiB")
    yield Cell(group, "read 64 MiB, from the kernel's cache", "large_read", MOUNTS, 1, "64 MiB")
    yield Cell(group, "4 KiB anywhere in 256 MiB, cold, 1 thread", "random_cold", MOUNTS, 1, "256 MiB")
    yield Cell(group, "4 KiB anywhere in 64 MiB, from the client's cache, 16 threads", "random_cached", MOUNTS[:2], 16, "64 MiB")


def all_cells():
    yield from s3_cells()
    yield from mount_cells()
