"""JuiceFS volumes whose object store, or metadata database, fails: what was acknowledged stays, errors are S3's, nothing hangs."""

import concurrent.futures
import hashlib
import itertools
import random
import sqlite3
import threading
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, IncompleteReadError, ResponseStreamingError

from aws import complete, connect, fails, keys, read, upload_parts
from faulty_store import FaultyStore
from juicefs import CLIENT, client
from wire import Wire

MIB = 1024 * 1024
NUMBERS = itertools.count()  # of loads: each has keys of its own
PART = 5 * MIB
# What an SDK tries again by itself.
RETRIED = {"InternalError", "SlowDown", "ServiceUnavailable"}
CUT_OFF = (IncompleteReadError, ResponseStreamingError, ConnectionClosedError, HTTPClientError)


@pytest.fixture
def store(ports):
    made = FaultyStore(ports)
    yield made
    made.close()


@pytest.fixture
def faulty(private_server, store):
    """A gateway whose blocks are behind the faulty proxy; its volume must be sound at the end."""
    server = private_server("faulty", kind="juicefs-s3", store_proxy=store, format=["--block-size", "256K", "--trash-days", "0"])
    server.expect_failures = True
    connect(server).create_bucket(Bucket="faulty")
    yield server
    store.fault()
    if CLIENT:
        client("fsck", server.location)


def is_retried(call):
    """True when the call succeeded; False when it failed as an SDK expects it of a store in trouble."""
    try:
        call()
    except ClientError as e:
        error = e.response["Error"]["Code"]
        status = e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (error in RETRIED or error == str(status)) and status in (500, 503), e.response
        return False
    except CUT_OFF:
        return False
    return True


class Load:
    """One thread's writes, overwrites, copies, uploads and deletes of its own keys. A key's value is known once it is acknowledged;
    until then it may be the old or the new one."""

    def __init__(self, server, number):
        self.s3, self.prefix = connect(server), f"l{number}"
        self.random = random.Random(number)
        self.possible = {}  # key: digests of what may be there; None: nothing
        self.failed, self.done = 0, 0
        self.history = []

    def change(self, key, digest, call):
        before = self.possible.get(key, {None})
        ok = is_retried(call)
        self.history.append((key, digest and digest[:6], ok))
        self.possible[key] = {digest} if ok else before | {digest}
        self.done += ok
        self.failed += not ok
        return ok

    def put(self, key):
        body = self.random.randbytes(self.random.choice([1, 1000, 300_000, 1_200_000]))
        self.change(key, digest_of(body), lambda: self.s3.put_object(Bucket="faulty", Key=key, Body=body))

    def multipart(self, key):
        bodies = [self.random.randbytes(PART), self.random.randbytes(100_000)]

        def whole():
            upload, parts = upload_parts(self.s3, "faulty", key, bodies)
            complete(self.s3, "faulty", key, upload, parts)

        self.change(key, digest_of(b"".join(bodies)), whole)

    def copy(self, key):
        known = [(k, next(iter(d))) for k, d in self.possible.items() if k != key and len(d) == 1 and None not in d]
        if known:
            source, digest = self.random.choice(known)
            self.change(key, digest, lambda: self.s3.copy_object(Bucket="faulty", Key=key, CopySource={"Bucket": "faulty", "Key": source}))

    def delete(self, key):
        self.change(key, None, lambda: self.s3.delete_object(Bucket="faulty", Key=key))

    def get(self, key):
        expected = self.possible.get(key, {None})
        try:
            body = read(self.s3, "faulty", key)
        except ClientError as e:
            error = e.response["Error"]["Code"]
            assert error in RETRIED or (error == "NoSuchKey" and None in expected), e.response
        except CUT_OFF:
            pass
        else:
            assert digest_of(body) in expected, f"{key} is not what was written: {[h for h in self.history if h[0] == key]}"

    def run(self, turns):
        for _ in range(turns):
            key = f"{self.prefix}/{self.random.randrange(6)}"
            what = self.random.choices([self.put, self.get, self.copy, self.delete, self.multipart], [6, 4, 2, 1, 1])[0]
            what(key)

    def check(self):
        listed = set(keys(self.s3, "faulty", Prefix=f"{self.prefix}/"))
        for key, digests in self.possible.items():
            if key in listed:
                assert digest_of(read(self.s3, "faulty", key)) in digests, f"{key} is torn"
            else:
                assert None in digests, f"{key} was acknowledged and is gone"
        assert listed <= set(self.possible)


def digest_of(body):
    return hashlib.sha256(body).hexdigest()


def run_loads(server, count, turns):
    loads = [Load(server, next(NUMBERS)) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(load.run, turns) for load in loads]:
            done.result()
    return loads


def test_faults_now_and_then(faulty, store):
    """One request in ten fails somehow: repeats hide nearly all of it, and what they cannot hide is told."""
    run_loads(faulty, 2, 10)
    before = faulty.rss()
    with store.faults("500", "503", "cut-request", "cut-answer", "lost-answer", "corrupt", share=0.1):
        loads = run_loads(faulty, 6, 25)
    for load in loads:
        load.check()
    assert sum(store.done.values()) > 20 and all(store.done[k] for k in ("500", "503", "cut-request", "cut-answer", "lost-answer"))
    done, failed = sum(load.done for load in loads), sum(load.failed for load in loads)
    assert failed <= done / 20, f"{failed} of {done + failed} failed"
    # The volume's blocks (256 MiB) may be cached; beyond them nothing grows. Sanitizers have memory of their own.
    assert faulty.slowness > 1 or faulty.rss() < before + 300 * MIB


def test_outage(faulty, store):
    """Nothing works for a while: everything fails with an error that clients repeat, in bounded time; then all is as before."""
    s3 = connect(faulty)
    s3.put_object(Bucket="faulty", Key="before", Body=b"b" * MIB)
    faulty.kill()  # so that nothing is cached
    faulty.start()
    with store.faults("500", "cut-request"):
        loads = run_loads(faulty, 12, 2)
        assert sum(load.failed for load in loads) > 0
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert not any(pool.map(lambda i: is_retried(lambda: s3.put_object(Bucket="faulty", Key=f"new{i}", Body=b"x")), range(8)))
        assert time.monotonic() - started < 60 * faulty.slowness
        # The error is a whole answer: the next request goes over the same connection.
        with Wire(faulty).connect(timeout=60) as c:
            c.send(Wire(faulty).request("PUT", "/faulty/kept", body=b"x" * 100_000).encode())
            answer = c.response()
            assert (answer.status, answer.code) == (500, "InternalError")
            c.send(Wire(faulty).request("GET", "/faulty/kept").encode())
            assert c.response().status == 404
        # What needs no block works.
        assert "before" in keys(s3, "faulty")
        s3.copy_object(Bucket="faulty", Key="copy", CopySource={"Bucket": "faulty", "Key": "before"})
    for load in loads:
        load.check()
    assert read(s3, "faulty", "before") == read(s3, "faulty", "copy") == b"b" * MIB
    s3.put_object(Bucket="faulty", Key="new0", Body=b"now")
    assert read(s3, "faulty", "new0") == b"now"


@pytest.mark.parametrize("kind", ["corrupt", "short", "cut-answer"])
def test_damaged_on_the_way(faulty, store, kind):
    """A block that comes damaged once is asked for again; one that always does is an error, and never handed out."""
    s3, body = connect(faulty), random.Random(1).randbytes(200_000)
    s3.put_object(Bucket="faulty", Key="k", Body=body)
    s3.put_object(Bucket="faulty", Key="other", Body=body)
    faulty.kill()
    faulty.start()
    if kind != "cut-answer":  # that is tried for half a minute
        with store.faults(kind, methods=("GET",)), fails("InternalError", 500):
            read(s3, "faulty", "k")
    assert read(s3, "faulty", "k") == body
    with store.faults(kind, methods=("GET",), share=0.5):
        assert read(s3, "faulty", "other") == body


@pytest.mark.heavy
def test_store_that_hangs(faulty, store):
    """It takes requests and says nothing: ours end within the time that limits.h gives them."""
    s3 = connect(faulty)
    store.hang_s = 600
    started = time.monotonic()
    with store.faults("hang"), concurrent.futures.ThreadPoolExecutor(16) as pool:
        ended = list(pool.map(lambda i: is_retried(lambda: s3.put_object(Bucket="faulty", Key=f"k{i}", Body=b"x")), range(16)))
        taken = time.monotonic() - started
    assert not any(ended)
    assert taken < 58 * faulty.slowness, taken  # clients give up after 60 s
    s3.put_object(Bucket="faulty", Key="after", Body=b"x")


def lock_database(server, seconds, mode="IMMEDIATE"):
    """Another process' transaction."""
    connection = sqlite3.connect(server.volume / "meta.db", isolation_level=None, timeout=20, check_same_thread=False)
    connection.execute(f"BEGIN {mode}")

    def end():
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["IMMEDIATE", "EXCLUSIVE"])
def test_locked_database(private_server, mode):
    """Writers wait for whoever has it; readers do not."""
    server = private_server("locked", kind="juicefs-file")
    s3 = connect(server)
    s3.create_bucket(Bucket="locked")
    s3.put_object(Bucket="locked", Key="k", Body=b"old")
    holder = lock_database(server, 4, mode)
    assert read(s3, "locked", "k") == b"old"
    assert holder.is_alive(), "reading waited"
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda i: s3.put_object(Bucket="locked", Key=f"new{i}", Body=b"new"), range(20)))
    holder.join()
    assert len(keys(s3, "locked")) == 21
