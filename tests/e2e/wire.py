"""Raw HTTP/1.1 over sockets and a small SigV4 signer of our own, so that tests can send what no client library would."""

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import re
import socket
import ssl
import struct
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
import zlib

from awscrt import checksums as crt

from server import REGION, ROOT

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def checksum_bytes(algorithm, data):
    if algorithm == "CRC32":
        return struct.pack(">I", zlib.crc32(data))
    if algorithm == "CRC32C":
        return struct.pack(">I", crt.crc32c(data))
    if algorithm == "CRC64NVME":
        return struct.pack(">Q", crt.crc64nvme(data))
    return hashlib.new(algorithm.lower(), data).digest()


def checksum(algorithm, data):
    return base64.b64encode(checksum_bytes(algorithm, data)).decode()


def md5_base64(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def quote(text, safe="/"):
    """Percent-encoding as SigV4 wants it."""
    return urllib.parse.quote(text, safe=safe + "-_.~")


def encode_query(query):
    return "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in query)


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: list
    body: bytes = b""
    # What the signatures of chunks go on from.
    signature: str = ""
    amz_date: str = ""
    scope: str = ""
    signing_key: bytes = b""

    def head(self, version="HTTP/1.1"):
        lines = [f"{self.method} {self.target} {version}"] + [f"{k}: {v}" for k, v in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def encode(self, version="HTTP/1.1"):
        return self.head(version) + self.body

    def set(self, name, value):
        """Replaces or adds a header without signing it."""
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))
        return self


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def derive_key(secret, day, region, service="s3"):
    key = hmac256(b"AWS4" + secret.encode(), day)
    for word in (region, service, "aws4_request"):
        key = hmac256(key, word)
    return key


def canonical_request(method, path, query, headers, signed, payload_hash):
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(re.sub(r"\s+", " ", value.strip()))
    lines = [method, path, encode_query(sorted(query, key=lambda kv: (quote(kv[0], ""), quote(kv[1], ""))))]
    lines += [f"{name}:{','.join(values.get(name, ['']))}" for name in signed]
    return "\n".join(lines + ["", ";".join(signed), payload_hash])


def string_to_sign(amz_date, scope, canonical):
    return "\n".join(["AWS4-HMAC-SHA256", amz_date, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Wire:
    """Makes and sends requests for one server under one identity."""

    def __init__(self, server, credentials=ROOT, region=REGION):
        self.server, self.credentials, self.region = server, credentials, region
        self.host = server.host

    def request(
        self, method, path, query=(), headers=(), body=b"", payload_hash=None, when=None, unsigned=(), length=True, host=None, date_header=True
    ):
        """A signed request. path: decoded, "/bucket/key". unsigned: names of headers left out of SignedHeaders.
        length: adds Content-Length of body when there is one."""
        query, headers = [(k, v) for k, v in query], list(headers)
        when = when or now()
        amz_date, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
        payload_hash = payload_hash or hashlib.sha256(body).hexdigest()
        all_headers = [("Host", host or self.host), ("x-amz-content-sha256", payload_hash)]
        if date_header:
            all_headers.append(("x-amz-date", amz_date))
        if length and (body or method in ("PUT", "POST")) and not any(k.lower() in ("content-length", "transfer-encoding") for k, _ in headers):
            all_headers.append(("Content-Length", str(len(body))))
        all_headers += headers
        left_out = {"connection", "expect", "transfer-encoding", "content-length", "user-agent"} | {n.lower() for n in unsigned}
        signed = sorted({k.lower() for k, _ in all_headers} - left_out)
        scope = f"{day}/{self.region}/s3/aws4_request"
        canonical = canonical_request(method, quote(path), query, all_headers, signed, payload_hash)
        key = derive_key(self.credentials.secret_key, day, self.region)
        signature = hmac.new(key, string_to_sign(amz_date, scope, canonical).encode(), hashlib.sha256).hexdigest()
        all_headers.append(
            (
                "Authorization",
                f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}",
            )
        )
        target = quote(path) + ("?" + encode_query(query) if query else "")
        return Request(method, target, all_headers, body, signature, amz_date, scope, key)

    def presign(self, method, path, query=(), headers=(), expires=300, when=None, body_hash=UNSIGNED):
        when = when or now()
        amz_date, day = when.strftime("%Y%m%dT%H%M%SZ"), when.strftime("%Y%m%d")
        scope = f"{day}/{self.region}/s3/aws4_request"
        all_headers = [("Host", self.host), *headers]
        signed = sorted(k.lower() for k, _ in all_headers)
        query = list(query) + [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{self.credentials.access_key}/{scope}"),
            ("X-Amz-Date", amz_date),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", ";".join(signed)),
        ]
        canonical = canonical_request(method, quote(path), query, all_headers, signed, body_hash)
        key = derive_key(self.credentials.secret_key, day, self.region)
        signature = hmac.new(key, string_to_sign(amz_date, scope, canonical).encode(), hashlib.sha256).hexdigest()
        target = f"{quote(path)}?{encode_query(query)}&X-Amz-Signature={signature}"
        return Request(method, target, all_headers)

    def anonymous(self, method, target, headers=(), body=b""):
        extra = [("Content-Length", str(len(body)))] if body else []
        return Request(method, target, [("Host", self.host), *extra, *headers], body)

    def connect(self, timeout=20):
        return Connection(self.server, timeout * self.server.slowness)

    def send(self, request):
        """One request on a connection of its own. As good clients do, it looks for an answer also when the peer has stopped
        reading in the middle of the body."""
        with self.connect() as c:
            with contextlib.suppress(Reset):
                c.send(request.encode())
            return c.response(request.method)

    def call(self, method, path, query=(), headers=(), body=b"", **more):
        return self.send(self.request(method, path, query, headers, body, **more))


class Reset(Exception):
    """The peer reset the connection where an answer or a clean end was due."""


class Response:
    def __init__(self, status, reason, headers, body, raw_head):
        self.status, self.reason, self.headers, self.body, self.raw_head = status, reason, headers, body, raw_head

    def header(self, name, default=None):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else default

    def xml(self):
        """The document, namespaces dropped."""
        tree = ElementTree.fromstring(self.body)
        for element in tree.iter():
            element.tag = element.tag.rpartition("}")[2]
        return tree

    @property
    def code(self):
        """S3 error code of the body, or None."""
        if b"<Error" not in self.body:
            return None
        return self.xml().findtext("Code")

    def __repr__(self):
        return f"<{self.status} {self.code or ''} {dict(self.headers)} {self.body[:500]!r}>"


class Connection:
    def __init__(self, server, timeout):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls:
            context = ssl.create_default_context(cafile=server.certificate.cert)
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Reset(str(e)) from e

    def send_slowly(self, data, piece, pause):
        for i in range(0, len(data), piece):
            self.send(data[i : i + piece])
            time.sleep(pause)

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError as e:
            raise Reset(f"after {self.buffer[:200]!r}") from e
        self.buffer += data
        return data

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(f"the connection ended within {self.buffer[:300]!r}")
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self._more():
                raise EOFError(f"the connection ended {count - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _chunked(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):
                    pass
                return body
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"

    def head(self):
        raw = self._until(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        version, status, reason = (lines[0] + "  ").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), lines[0]
        return int(status), reason.strip(), [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]], raw

    def response(self, method="GET", interim=False):
        """The next answer; 100 Continue is skipped unless asked for."""
        status, reason, headers, raw = self.head()
        if status == 100 and not interim:
            return self.response(method)
        lower = {k.lower(): v for k, v in headers}
        body = b""
        if method == "HEAD" or status in (204, 304) or status < 200:
            pass
        elif lower.get("transfer-encoding") == "chunked":
            assert "content-length" not in lower, "both length and chunked coding"
            body = self._chunked()
        elif "content-length" in lower:
            body = self.exactly(int(lower["content-length"]))
        else:
            assert lower.get("connection", "").lower() == "close", f"a body without an end: {headers}"
            while self._more():
                pass
            body, self.buffer = self.buffer, b""
        return Response(status, reason, headers, body, raw)

    def is_silent(self, seconds):
        """Nothing arrives, and the connection stays open, for this long."""
        if self.buffer:
            return False
        old = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return self._more() is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(old)

    def ends(self):
        """The peer closes without a reset, sending nothing more; the time limit is the socket's."""
        while not self.buffer:
            if not self._more():
                return True
        return False


# Body encodings.


def pieces(data, sizes):
    """Cuts data: sizes is one number or a list whose last is repeated."""
    sizes = [sizes] if isinstance(sizes, int) else list(sizes)
    out, at = [], 0
    while at < len(data):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        out.append(data[at : at + size])
        at += size
    return out


def http_chunked(data, sizes):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces(data, sizes)) + b"0\r\n\r\n"


def trailer_lines(trailers):
    return b"".join(f"{k}:{v}\r\n".encode() for k, v in trailers)


def aws_chunked(data, sizes, trailers):
    """STREAMING-UNSIGNED-PAYLOAD-TRAILER."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces(data, sizes)) + b"0\r\n" + trailer_lines(trailers) + b"\r\n"


class ChunkSigner:
    """Rolling signatures of STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER], from a request's seed signature."""

    def __init__(self, request):
        self.request, self.previous = request, request.signature

    def _sign(self, kind, *hashes):
        text = "\n".join([kind, self.request.amz_date, self.request.scope, self.previous, *hashes])
        self.previous = hmac.new(self.request.signing_key, text.encode(), hashlib.sha256).hexdigest()
        return self.previous

    def chunk(self, data):
        signature = self._sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256, hashlib.sha256(data).hexdigest())
        return b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), signature.encode(), data)

    def last(self):
        """The final chunk where trailers follow: no blank line behind it."""
        signature = self._sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256, EMPTY_SHA256)
        return b"0;chunk-signature=%s\r\n" % signature.encode()

    def trailer(self, trailers):
        canonical = "".join(f"{k}:{v}\n" for k, v in trailers)
        signature = self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(canonical.encode()).hexdigest())
        return trailer_lines(trailers) + f"x-amz-trailer-signature:{signature}\r\n\r\n".encode()


def aws_chunked_signed(request, data, sizes, trailers=None):
    signer = ChunkSigner(request)
    body = b"".join(signer.chunk(p) for p in pieces(data, sizes))
    if trailers is None:
        return body + signer.chunk(b"")
    return body + signer.last() + signer.trailer(trailers)


def signed_length(data, sizes):
    """Encoded length of aws_chunked_signed without trailers; needed before there is a signature."""
    overhead = len(";chunk-signature=") + 64 + 4
    return sum(len(f"{len(p):x}") + overhead + len(p) for p in pieces(data, sizes) + [b""])
