"""Two gateways on one directory: nothing lost or torn, create-only stays atomic."""

import concurrent.futures
import hashlib
import threading

import pytest
from botocore.exceptions import ClientError

from aws import complete, connect, keys, put_all, read, status_of, upload_parts


@pytest.fixture
def pair(private_server):
    first = private_server("first-gateway")
    second = private_server("second-gateway", volume=first.volume)
    connect(first).create_bucket(Bucket="shared")
    return first, second


def test_parallel_creates(pair):
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        clients = [connect(pair[i % 2]) for i in range(24)]
        for turn in range(10):
            start = threading.Barrier(24)

            def create(i, turn=turn, start=start):
                start.wait()
                try:
                    return status_of(clients[i].put_object(Bucket="shared", Key=f"k{turn}", Body=f"{i}".encode() * 500, IfNoneMatch="*"))
                except ClientError as e:
                    assert e.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"), e
                    return None

            winners = [i for i, code in enumerate(pool.map(create, range(24))) if code == 200]
            assert len(winners) == 1
            assert read(clients[0], "shared", f"k{turn}") == read(clients[1], "shared", f"k{turn}") == f"{winners[0]}".encode() * 500


def test_writes_are_seen_by_the_other_at_once(pair):
    first, second = (connect(server) for server in pair)
    for i in range(20):
        writer, reader = (first, second) if i % 2 else (second, first)
        writer.put_object(Bucket="shared", Key="d/k", Body=f"{i}".encode(), Metadata={"i": f"{i}"})
        got = reader.get_object(Bucket="shared", Key="d/k")
        assert (got["Body"].read(), got["Metadata"]) == (f"{i}".encode(), {"i": f"{i}"})
        writer.put_object(Bucket="shared", Key=f"d/{i}", Body=b"")
        assert f"d/{i}" in keys(reader, "shared")
        writer.delete_object(Bucket="shared", Key=f"d/{i}")
        assert f"d/{i}" not in keys(reader, "shared")


def test_overwrites_are_never_torn(pair):
    clients = [connect(server) for server in pair]
    put_all(clients[0], "shared", ["k"], b"0" * 200_000)
    stop = threading.Event()

    def write(i):
        for _ in range(20):
            connect(pair[i % 2]).put_object(Bucket="shared", Key="k", Body=b"%x" % i * 200_000, Metadata={"writer": f"{i}"})

    def look():
        seen = 0
        while not stop.is_set():
            got = clients[seen % 2].get_object(Bucket="shared", Key="k")
            body = got["Body"].read()
            assert len(set(body)) == 1 and got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
            seen += 1
        return seen

    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        reader = pool.submit(look)
        list(pool.map(write, range(8)))
        stop.set()
        assert reader.result() > 0


def test_upload_by_both(pair):
    first, second = (connect(server) for server in pair)
    part = b"p" * (5 * 1024 * 1024)
    upload, parts = upload_parts(first, "shared", "mp", [part])
    parts.append({"PartNumber": 2, "ETag": second.upload_part(Bucket="shared", Key="mp", UploadId=upload, PartNumber=2, Body=b"two")["ETag"]})
    assert [p["PartNumber"] for p in first.list_parts(Bucket="shared", Key="mp", UploadId=upload)["Parts"]] == [1, 2]
    complete(second, "shared", "mp", upload, parts)
    assert read(first, "shared", "mp") == part + b"two"


def test_churn_in_one_directory(pair):
    """One prunes what the other is about to use."""

    def churn(i):
        client = connect(pair[i % 2])
        for _ in range(20):
            client.put_object(Bucket="shared", Key=f"x/y/{i}", Body=b"")
            client.delete_object(Bucket="shared", Key=f"x/y/{i}")
        client.put_object(Bucket="shared", Key=f"x/y/{i}", Body=b"last")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(churn, range(8)))
    assert keys(connect(pair[0]), "shared") == [f"x/y/{i}" for i in range(8)]
