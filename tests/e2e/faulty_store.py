"""A proxy in front of an S3 server that misbehaves on demand: what an object store at the far end of a bad network does."""

import contextlib
import random
import socket
import threading

HEAD_MAX = 64 * 1024
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
# What can be done to one request: answered with an error; cut in the middle of its body, or of its answer's; the answer lost
# although the request was carried out; the answer's body shorter than it is, consistently, or with a byte changed; nothing for
# some seconds, and then a cut.
KINDS = ("500", "503", "cut-request", "cut-answer", "lost-answer", "short", "corrupt", "hang")


class Cut(Exception):
    """The connection ends here."""


class Stream:
    """Buffered reads of one side."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        got = self.sock.recv(256 * 1024)
        if not got:
            raise Cut
        self.buffer += got

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > HEAD_MAX:
                raise Cut
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return body


def length_of(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def with_length(head, size):
    lines = [line for line in head.rstrip(b"\r\n").split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % size]) + b"\r\n\r\n"


class FaultyStore:
    """`fault(kinds, share)`: from now on that share of the requests meets one of the kinds."""

    def __init__(self, ports, seed=1):
        self.port = ports.take()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.upstream_port = None
        self.random = random.Random(seed)
        self.kinds, self.share, self.methods = (), 0.0, ()
        self.hang_s = 2
        self.done = {kind: 0 for kind in KINDS}
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        threading.Thread(target=self.accept, daemon=True).start()

    def fault(self, kinds=(), share=1.0, methods=("PUT", "GET", "HEAD", "DELETE")):
        with self.lock:
            self.kinds, self.share, self.methods = tuple(kinds), share, methods

    @contextlib.contextmanager
    def faults(self, *kinds, **more):
        self.fault(kinds, **more)
        try:
            yield self
        finally:
            self.fault()

    def close(self):
        """All that hangs is let go."""
        self.fault()
        self.released.set()
        self.listener.close()
        with self.lock:
            for s in self.connections:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def choose(self, method):
        with self.lock:
            if not self.kinds or method not in self.methods or self.random.random() >= self.share:
                return None
            kind = self.random.choice(self.kinds)
            self.done[kind] += 1
            return kind

    def serve(self, client):
        with self.lock:
            self.connections.add(client)
        try:
            with client, socket.create_connection(("127.0.0.1", self.upstream_port), timeout=60) as upstream:
                one, other = Stream(client), Stream(upstream)
                while True:
                    self.exchange(one, other)
        except (Cut, OSError):
            pass
        finally:
            with self.lock:
                self.connections.discard(client)

    def exchange(self, client, upstream):
        head = client.head()
        method = head.split(b" ", 1)[0].decode()
        kind = self.choose(method)
        if b"100-continue" in head.lower():
            client.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
        size = length_of(head)
        body = client.take(size // 2 if kind == "cut-request" else size)
        if kind == "cut-request":
            raise Cut
        if kind == "hang":
            self.released.wait(self.hang_s)
            raise Cut
        if kind in ("500", "503"):
            text = SLOW_DOWN if kind == "503" else BROKEN
            client.sock.sendall(b"HTTP/1.1 %s Failed\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(text)))
            client.sock.sendall(b"" if method == "HEAD" else text)
            return
        upstream.sock.sendall(head + body)
        self.answer(client, upstream, method, kind)

    def answer(self, client, upstream, method, kind):
        head = upstream.head()
        has_body = method != "HEAD" and b" 204 " not in head[:16] and b" 304 " not in head[:16]
        body = upstream.take(length_of(head)) if has_body else b""
        if kind == "lost-answer":
            raise Cut
        if kind == "cut-answer":
            client.sock.sendall((head + body)[: len(head) + len(body) // 2 - 1])
            raise Cut
        if kind == "short" and len(body) > 1:
            body = body[: len(body) // 2]
            head = with_length(head, len(body))
        if kind == "corrupt" and body:
            at = self.random.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        client.sock.sendall(head + body)
