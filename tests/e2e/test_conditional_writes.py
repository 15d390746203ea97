"""If-Match and If-None-Match on writes: decided at publish, under concurrency."""

import concurrent.futures
import fcntl
import threading
import time

import pytest
from botocore.exceptions import ClientError

from aws import complete, connect, fails, read, status_of, upload_parts

OTHER = '"00000000000000000000000000000000"'


def put_code(client, **arguments):
    """200, or the S3 code."""
    try:
        return status_of(client.put_object(**arguments))
    except ClientError as e:
        return e.response["Error"]["Code"]


def test_create_only(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert read(s3, bucket, "k") == b"1"


def test_replace_only_what_is_known(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=OTHER)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    assert read(s3, bucket, "k") == b"2"


def test_replace_of_what_is_absent(s3, bucket):
    with fails("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch=OTHER)


def test_conditions_that_aws_does_not_have(s3, bucket):
    """If-None-Match with an ETag: AWS has not implemented it, others do as HTTP says; ignoring it would be wrong."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert put_code(s3, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch=etag) in ("PreconditionFailed", "NotImplemented")
    assert put_code(s3, Bucket=bucket, Key="k", Body=b"2", IfMatch=etag, IfNoneMatch="*") in (
        "PreconditionFailed",
        "NotImplemented",
        "InvalidRequest",
    )
    assert read(s3, bucket, "k") == b"1"


def test_32_creators_of_which_one_wins(server, bucket, s3):
    """Repeated, because a race lost once in ten looks like a pass."""
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        clients = [connect(server) for _ in range(32)]
        for turn in range(5):
            start = threading.Barrier(32)

            def create(i, turn=turn, start=start):
                start.wait()
                return put_code(clients[i], Bucket=bucket, Key=f"race{turn}", Body=f"{i}".encode() * 1000, IfNoneMatch="*")

            codes = list(pool.map(create, range(32)))
            winners = [i for i, code in enumerate(codes) if code == 200]
            assert len(winners) == 1, codes
            assert set(codes) <= {200, "PreconditionFailed", "ConditionalRequestConflict"}
            assert read(s3, bucket, f"race{turn}") == f"{winners[0]}".encode() * 1000


def test_if_match_increments_are_never_lost(server, bucket, s3):
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")
    workers, times = 8, 10

    def increment(_):
        client = connect(server)
        for _ in range(times):
            while True:
                got = client.get_object(Bucket=bucket, Key="counter")
                value = int(got["Body"].read())
                code = put_code(client, Bucket=bucket, Key="counter", Body=str(value + 1).encode(), IfMatch=got["ETag"])
                if code == 200:
                    break
                assert code in ("PreconditionFailed", "ConditionalRequestConflict"), code

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(increment, range(workers)))
    assert read(s3, bucket, "counter") == str(workers * times).encode()


def test_decided_at_publish_not_before_the_body(wire, s3, bucket):
    """The key appears while the body is on its way."""
    with wire.connect() as c:
        request = wire.request("PUT", f"/{bucket}/k", headers=[("If-None-Match", "*")], body=b"late")
        c.send(request.head() + b"la")
        s3.put_object(Bucket=bucket, Key="k", Body=b"first")
        c.send(b"te")
        answer = c.response()
        assert answer.status in (409, 412), answer
    assert read(s3, bucket, "k") == b"first"


def test_posix_creation_counts(s3, bucket, folder):
    (folder / "k").write_bytes(b"posix")
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    (folder / "k").write_bytes(b"changed")
    with fails("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch=s3.head_object(Bucket=bucket, Key="k")["ETag"])


def test_multipart_conditions(s3, bucket):
    upload, parts = upload_parts(s3, bucket, "k", [b"p"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    with fails("PreconditionFailed", 412):
        complete(s3, bucket, "k", upload, parts, IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        complete(s3, bucket, "k", upload, parts, IfMatch=OTHER)
    assert read(s3, bucket, "k") == b"first"
    complete(s3, bucket, "k", upload, parts, IfMatch=s3.head_object(Bucket=bucket, Key="k")["ETag"])
    assert read(s3, bucket, "k") == b"p"


def test_16_completes_of_which_one_wins(server, bucket, s3):
    uploads = [upload_parts(s3, bucket, "k", [f"{i}".encode()]) for i in range(16)]
    start = threading.Barrier(16)

    def finish(i):
        client = connect(server)
        start.wait()
        try:
            return status_of(complete(client, bucket, "k", *uploads[i], IfNoneMatch="*"))
        except ClientError as e:
            return e.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(finish, range(16)))
    winners = [i for i, code in enumerate(codes) if code == 200]
    assert len(winners) == 1, codes
    assert read(s3, bucket, "k") == f"{winners[0]}".encode()


@pytest.mark.timed
@pytest.mark.posix
def test_a_stranger_on_the_lock_holds_nobody_up_for_long(private_server):
    """Who meets the lock of another program waits two seconds for it, all at once and not one after the other."""
    server = private_server("locked")
    server.expect_failures = True
    s3 = connect(server)
    s3.create_bucket(Bucket="locked")
    s3.put_object(Bucket="locked", Key="k", Body=b"1")
    with open(server.volume / "locked" / "k", "rb") as stranger, concurrent.futures.ThreadPoolExecutor(5) as pool:
        fcntl.flock(stranger, fcntl.LOCK_SH)
        clients, start = [connect(server) for _ in range(5)], time.monotonic()
        codes = list(pool.map(lambda c: put_code(c, Bucket="locked", Key="k", Body=b"2", IfMatch="*"), clients))
        took = time.monotonic() - start
    assert codes == ["SlowDown"] * 5
    assert took < 7 * server.slowness
    assert put_code(s3, Bucket="locked", Key="k", Body=b"2", IfMatch="*") == 200


def test_conditional_delete(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with fails("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=OTHER)
    assert read(s3, bucket, "k") == b"1"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    with fails("NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="k")


def test_conditional_copy_target(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"1")
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    with fails("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfMatch=OTHER)


def test_writers_and_readers_at_once_see_whole_objects(server, bucket, s3):
    """16 writers on one key while readers check that no mixture is ever seen."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0" * 300_000)
    stop = threading.Event()

    def write(i):
        client = connect(server)
        for _ in range(8):
            client.put_object(Bucket=bucket, Key="k", Body=(b"%x" % i) * 300_000)

    def look():
        client, seen = connect(server), 0
        while not stop.is_set():
            body = read(client, bucket, "k")
            assert len(body) == 300_000 and len(set(body)) == 1
            seen += 1
        return seen

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        readers = [pool.submit(look) for _ in range(3)]
        list(pool.map(write, range(16)))
        stop.set()
        assert sum(r.result() for r in readers) > 0
