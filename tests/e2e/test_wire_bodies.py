"""The shapes in which clients send bodies (clients-and-operations §1.1, A to E), on the wire and byte by byte."""

import base64
import hashlib
import random
import socket

import pytest

from wire import (
    ALGORITHMS,
    EMPTY_SHA256,
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    ChunkSigner,
    aws_chunked,
    aws_chunked_signed,
    checksum,
    http_chunked,
    md5_base64,
    signed_length,
    trailer_lines,
)

DATA = random.Random(3).randbytes(150_001)
CRC = "x-amz-checksum-crc32"


def trailer_request(wire, path, data=DATA, algorithm="CRC32", decoded=None, mode=STREAMING_UNSIGNED_TRAILER, extra=(), length=None):
    """Head of shape B (chunked transfer coding) or, with a length, of the same under Content-Length."""
    framing = [("Transfer-Encoding", "chunked")] if length is None else [("Content-Length", str(length))]
    headers = [
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-trailer", f"x-amz-checksum-{algorithm.lower()}"),
        ("x-amz-decoded-content-length", str(len(data) if decoded is None else decoded)),
        *framing,
        *extra,
    ]
    return wire.request("PUT", path, headers=headers, payload_hash=mode)


def send_in(wire, request, body, piece=None):
    """The whole request; piece cuts what is written to the socket."""
    with wire.connect() as c:
        whole = request.head() + body
        for i in range(0, len(whole), piece or len(whole)):
            c.send(whole[i : i + (piece or len(whole))])
        return c.response(request.method)


def send_b(wire, path, data=DATA, algorithm="CRC32", chunk=65536, http=131072, piece=None, trailers=None, decoded=None, extra=()):
    trailers = [(f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, data))] if trailers is None else trailers
    body = http_chunked(aws_chunked(data, chunk, trailers), http)
    return send_in(wire, trailer_request(wire, path, data, algorithm, decoded, extra=extra), body, piece)


@pytest.fixture
def path(bucket):
    return f"/{bucket}/object"


@pytest.fixture
def stored(folder):
    """What the directory shows, or None."""
    return lambda: (folder / "object").read_bytes() if (folder / "object").exists() else None


def assert_refused(answer, status, code, stored, old=None):
    assert (answer.status, answer.code) == (status, code), answer
    assert stored() == old


# A: the payload's hash in the head.


def test_a_signed_payload(wire, path, stored):
    answer = wire.call("PUT", path, headers=[("x-amz-sdk-checksum-algorithm", "CRC32"), (CRC, checksum("CRC32", DATA))], body=DATA)
    assert answer.status == 200, answer
    assert answer.header("ETag") == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert answer.header(CRC) == checksum("CRC32", DATA)
    assert stored() == DATA


def test_a_wrong_hash(wire, path, stored):
    answer = wire.call("PUT", path, body=DATA, payload_hash=EMPTY_SHA256)
    assert_refused(answer, 400, "XAmzContentSHA256Mismatch", stored)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_header(wire, path, stored, algorithm):
    answer = wire.call("PUT", path, headers=[(f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, DATA + b"!"))], body=DATA)
    assert_refused(answer, 400, "BadDigest", stored)


@pytest.mark.parametrize("value", ["AAAA", "not base64!", "", base64.b64encode(b"12345").decode()])
def test_a_malformed_checksum_header(wire, path, stored, value):
    answer = wire.call("PUT", path, headers=[(CRC, value)], body=DATA)
    assert answer.status == 400 and answer.code in ("InvalidRequest", "InvalidDigest"), answer
    assert stored() is None


def test_a_byte_by_byte(wire, path, stored):
    data = DATA[:700]
    assert send_in(wire, wire.request("PUT", path, body=data), data, piece=1).status == 200
    assert stored() == data


def test_a_short_body_then_closed(wire, path, stored):
    with wire.connect() as c:
        request = wire.request("PUT", path, body=DATA)
        c.send(request.head() + DATA[:1000])
        c.socket.shutdown(socket.SHUT_WR)
        try:
            answer = c.response()
            assert (answer.status, answer.code) == (400, "IncompleteBody")
        except EOFError:
            pass  # the client is gone; a silent end is an answer too
    assert stored() is None


# B: unsigned, trailer, double framing.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_b_every_algorithm(wire, path, stored, s3, bucket, algorithm):
    answer = send_b(wire, path, algorithm=algorithm)
    assert answer.status == 200, answer
    assert stored() == DATA
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == checksum(algorithm, DATA)
    assert head["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert "aws-chunked" not in head.get("ContentEncoding", "")


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 65535, 65536, 65537])
def test_b_sizes(wire, path, stored, size):
    answer = send_b(wire, path, data=DATA[:size])
    assert answer.status == 200, answer
    assert stored() == DATA[:size]


def test_b_empty_as_boto3_sends_it(wire, path, stored):
    """`0\\r\\nx-amz-checksum-crc32:AAAAAA==\\r\\n\\r\\n` in one HTTP chunk."""
    body = b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    assert send_in(wire, trailer_request(wire, path, b""), http_chunked(body, len(body))).status == 200
    assert stored() == b""


@pytest.mark.parametrize("chunk, http", [(65536, 65535), (65536, [7, 100, 65536]), (8192, 131072), (100_000, 1000), (150_001, [1, 2, 3, 70_000])])
def test_b_misaligned_framing(wire, path, stored, chunk, http):
    assert send_b(wire, path, chunk=chunk, http=http).status == 200
    assert stored() == DATA


def test_b_as_the_js_sdk_cuts_it(wire, path, stored):
    """Chunk-size line, data and CRLF of the inner framing are HTTP chunks of their own."""
    outer = b""
    for i in range(0, len(DATA), 65536):
        piece = DATA[i : i + 65536]
        for part in (b"%x\r\n" % len(piece), piece, b"\r\n"):
            outer += b"%x\r\n%s\r\n" % (len(part), part)
    for part in (b"0\r\n", trailer_lines([(CRC, checksum("CRC32", DATA))]), b"\r\n"):
        outer += b"%x\r\n%s\r\n" % (len(part), part)
    assert send_in(wire, trailer_request(wire, path), outer + b"0\r\n\r\n").status == 200
    assert stored() == DATA


def test_b_one_byte_http_chunks_and_writes(wire, path, stored):
    data = DATA[:400]
    assert send_b(wire, path, data=data, chunk=8192, http=1, piece=3).status == 200
    assert stored() == data


def test_b_under_content_length(wire, path, stored):
    body = aws_chunked(DATA, 65536, [(CRC, checksum("CRC32", DATA))])
    assert send_in(wire, trailer_request(wire, path, length=len(body)), body).status == 200
    assert stored() == DATA


def test_b_trailer_with_spaces_and_other_case(wire, path, stored):
    body = b"%x\r\n%s\r\n0\r\n" % (len(DATA), DATA) + f"X-Amz-Checksum-Crc32: {checksum('CRC32', DATA)} \r\n\r\n".encode()
    assert send_in(wire, trailer_request(wire, path), http_chunked(body, 9000)).status == 200
    assert stored() == DATA


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_b_wrong_trailer_value_keeps_the_old_object(wire, path, stored, algorithm):
    assert wire.call("PUT", path, body=b"old").status == 200
    wrong = [(f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, DATA + b"!"))]
    assert_refused(send_b(wire, path, algorithm=algorithm, trailers=wrong), 400, "BadDigest", stored, b"old")


@pytest.mark.parametrize(
    "trailers, code",
    [
        ([], "MalformedTrailerError"),
        ([("x-amz-checksum-sha1", checksum("SHA1", DATA))], "MalformedTrailerError"),
        ([(CRC, "AAAA")], None),
        ([(CRC, checksum("CRC32", DATA)), ("x-amz-checksum-sha1", checksum("SHA1", DATA))], "MalformedTrailerError"),
    ],
    ids=["none", "other than announced", "malformed", "one more"],
)
def test_b_bad_trailers(wire, path, stored, trailers, code):
    answer = send_b(wire, path, trailers=trailers)
    assert answer.status == 400 and code in (None, answer.code), answer
    assert stored() is None


def test_b_unknown_trailer_name(wire, path, stored):
    request = wire.request(
        "PUT",
        path,
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-trailer", "x-amz-checksum-md6"),
            ("x-amz-decoded-content-length", str(len(DATA))),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    answer = send_in(wire, request, http_chunked(aws_chunked(DATA, 65536, [("x-amz-checksum-md6", "AAAA")]), 65536))
    assert answer.status == 400 and answer.code == "InvalidRequest", answer
    assert stored() is None


@pytest.mark.parametrize("decoded", [len(DATA) - 1, len(DATA) + 1, 0])
def test_b_decoded_length_disagrees(wire, path, stored, decoded):
    assert_refused(send_b(wire, path, decoded=decoded), 400, "IncompleteBody", stored)


@pytest.mark.parametrize("decoded", ["-1", "x", "1.5", "99999999999999999999"])
def test_b_decoded_length_malformed(wire, path, stored, decoded):
    answer = send_b(wire, path, decoded=decoded)
    assert answer.status in (400, 411), answer
    assert stored() is None


def test_b_without_decoded_length(wire, path, stored):
    request = wire.request(
        "PUT",
        path,
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[("Content-Encoding", "aws-chunked"), ("x-amz-trailer", CRC), ("Transfer-Encoding", "chunked")],
    )
    answer = send_in(wire, request, http_chunked(aws_chunked(DATA, 65536, [(CRC, checksum("CRC32", DATA))]), 65536))
    assert_refused(answer, 411, "MissingContentLength", stored)


BROKEN = {
    "final CRLF missing": lambda body: body[:-2],
    "final chunk missing": lambda body: body[: body.rindex(b"0\r\nx-amz")],
    "cut within data": lambda body: body[:5000],
    "chunk size not hex": lambda body: b"zz\r\n" + body,
    "chunk size negative": lambda body: b"-5\r\n" + body,
    "no CRLF behind data": lambda body: body.replace(b"\r\n0\r\nx-amz", b"xx0\r\nx-amz"),
    "bytes behind the end": lambda body: body + b"more",
    "chunk of 2^64": lambda body: b"10000000000000000\r\n" + body,
    "endless size line": lambda body: b"0" * 4000 + body,
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("outer", ["chunked", "length"])
def test_b_broken_framing_is_refused(wire, path, stored, name, outer):
    body = BROKEN[name](aws_chunked(DATA, 65536, [(CRC, checksum("CRC32", DATA))]))
    if outer == "chunked":
        answer = send_in(wire, trailer_request(wire, path), http_chunked(body, 70_000))
    else:
        answer = send_in(wire, trailer_request(wire, path, length=len(body)), body)
    assert answer.status == 400, answer
    assert stored() is None


def test_b_for_parts(wire, s3, bucket, stored):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    query = [("partNumber", "1"), ("uploadId", upload)]
    request = wire.request(
        "PUT",
        f"/{bucket}/object",
        query,
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
            ("x-amz-decoded-content-length", str(len(DATA))),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    body = aws_chunked(DATA, 65536, [("x-amz-checksum-crc64nvme", checksum("CRC64NVME", DATA))])
    answer = send_in(wire, request, http_chunked(body, 1000))
    assert answer.status == 200, answer
    assert answer.header("x-amz-checksum-crc64nvme") == checksum("CRC64NVME", DATA)
    s3.complete_multipart_upload(
        Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": answer.header("ETag")}]}
    )
    assert stored() == DATA


def test_content_encoding_beside_aws_chunked_is_kept(wire, path, s3, bucket):
    request = wire.request(
        "PUT",
        path,
        payload_hash=STREAMING_UNSIGNED_TRAILER,
        headers=[
            ("Content-Encoding", "gzip,aws-chunked"),
            ("x-amz-trailer", CRC),
            ("x-amz-decoded-content-length", "3"),
            ("Transfer-Encoding", "chunked"),
        ],
    )
    assert send_in(wire, request, http_chunked(aws_chunked(b"abc", 9, [(CRC, checksum("CRC32", b"abc"))]), 99)).status == 200
    assert s3.head_object(Bucket=bucket, Key="object")["ContentEncoding"] == "gzip"


# C: signed chunks.


def signed_request(wire, path, data=DATA, sizes=65536, extra=(), mode=STREAMING_SIGNED, length=None):
    headers = [
        ("x-amz-decoded-content-length", str(len(data))),
        ("Content-Length", str(signed_length(data, sizes) if length is None else length)),
        *extra,
    ]
    return wire.request("PUT", path, headers=headers, payload_hash=mode)


@pytest.mark.parametrize("size", [0, 1, 65536, 150_001])
@pytest.mark.parametrize("piece", [None, 777])
def test_c_signed_chunks(wire, path, stored, size, piece):
    data = DATA[:size]
    request = signed_request(wire, path, data, extra=[("Content-MD5", md5_base64(data))])
    answer = send_in(wire, request, aws_chunked_signed(request, data, 65536), piece)
    assert answer.status == 200, answer
    assert answer.header("ETag") == f'"{hashlib.md5(data).hexdigest()}"'
    assert stored() == data


def corrupt_data(body):
    at = body.index(b"\r\n") + 100
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def corrupt_signature(body):
    at = body.index(b"chunk-signature=") + 20
    return body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]


def swap_chunks(body):
    size = len(b"2000;chunk-signature=") + 64 + 4 + 8192
    return body[size : 2 * size] + body[:size] + body[2 * size :]


@pytest.mark.parametrize("damage", [corrupt_data, corrupt_signature, swap_chunks], ids=lambda f: f.__name__)
def test_c_damage_is_found_and_the_old_object_stays(wire, path, stored, damage):
    """SEC-04."""
    assert wire.call("PUT", path, body=b"old").status == 200
    request = signed_request(wire, path, sizes=8192)
    answer = send_in(wire, request, damage(aws_chunked_signed(request, DATA, 8192)))
    assert_refused(answer, 403, "SignatureDoesNotMatch", stored, b"old")


def test_c_final_chunk_dropped(wire, path, stored):
    request = signed_request(wire, path, length=signed_length(DATA, 65536) - signed_length(b"", 65536))
    signer = ChunkSigner(request)
    body = b"".join(signer.chunk(DATA[i : i + 65536]) for i in range(0, len(DATA), 65536))
    assert_refused(send_in(wire, request, body), 400, "IncompleteBody", stored)


def test_c_wrong_md5(wire, path, stored):
    request = signed_request(wire, path, extra=[("Content-MD5", md5_base64(b"other"))])
    assert_refused(send_in(wire, request, aws_chunked_signed(request, DATA, 65536)), 400, "BadDigest", stored)


def test_c_chunks_below_8_kib_are_refused(wire, path, stored):
    """AWS's minimum for all but the last chunk (conformance trap 18)."""
    request = signed_request(wire, path, sizes=4096)
    answer = send_in(wire, request, aws_chunked_signed(request, DATA, 4096))
    assert answer.status in (400, 403) and answer.code == "InvalidChunkSizeError", answer
    assert stored() is None


def signed_trailer(wire, path, algorithm="CRC64NVME", value=None, alter=lambda body: body):
    name = f"x-amz-checksum-{algorithm.lower()}"
    request = trailer_request(wire, path, algorithm=algorithm, mode=STREAMING_SIGNED_TRAILER)
    body = aws_chunked_signed(request, DATA, 65536, [(name, value or checksum(algorithm, DATA))])
    return send_in(wire, request, http_chunked(alter(body), 50_000))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_c_signed_trailer(wire, path, stored, algorithm):
    answer = signed_trailer(wire, path, algorithm)
    assert answer.status == 200, answer
    assert stored() == DATA


def test_c_signed_trailer_wrong_value(wire, path, stored):
    assert_refused(signed_trailer(wire, path, "CRC32", checksum("CRC32", b"?")), 400, "BadDigest", stored)


def test_c_signed_trailer_wrong_signature(wire, path, stored):
    def alter(body):
        at = body.index(b"x-amz-trailer-signature:") + 30
        return body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]

    assert_refused(signed_trailer(wire, path, alter=alter), 403, "SignatureDoesNotMatch", stored)


def test_c_signed_trailer_without_signature(wire, path, stored):
    answer = signed_trailer(wire, path, alter=lambda body: body[: body.index(b"x-amz-trailer-signature:")] + b"\r\n")
    assert answer.status in (400, 403) and answer.code in ("MalformedTrailerError", "SignatureDoesNotMatch"), answer
    assert stored() is None


# D: unsigned payload with a digest.


def test_d_unsigned_with_md5(wire, path, stored):
    answer = wire.call("PUT", path, headers=[("Content-MD5", md5_base64(DATA))], body=DATA, payload_hash=UNSIGNED)
    assert answer.status == 200
    assert stored() == DATA


def test_d_wrong_md5(wire, path, stored):
    answer = wire.call("PUT", path, headers=[("Content-MD5", md5_base64(b"?"))], body=DATA, payload_hash=UNSIGNED)
    assert_refused(answer, 400, "BadDigest", stored)


def test_d_objects_of_unknown_length(wire, path, stored):
    """`curl -T -`. AWS answers 411; taking it loses nothing, because the transfer coding shows the end."""
    request = wire.request("PUT", path, headers=[("Transfer-Encoding", "chunked")], payload_hash=UNSIGNED)
    assert send_in(wire, request, http_chunked(DATA, 9999)).status == 200
    assert stored() == DATA
    request = wire.request("PUT", path, headers=[("Transfer-Encoding", "chunked")], payload_hash=UNSIGNED)
    assert send_in(wire, request, http_chunked(b"cut" * 1000, 999).removesuffix(b"0\r\n\r\n") + b"x\r\n").status == 400
    assert stored() == DATA


def test_d_parts_of_unknown_length(wire, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    query = [("partNumber", "1"), ("uploadId", upload)]
    request = wire.request("PUT", f"/{bucket}/object", query, headers=[("Transfer-Encoding", "chunked")], payload_hash=UNSIGNED)
    answer = send_in(wire, request, http_chunked(DATA, 9999))
    assert (answer.status, answer.code) == (411, "MissingContentLength"), answer


# E: presigned.


def test_e_presigned_put(wire, path, stored):
    request = wire.presign("PUT", path).set("Content-Length", str(len(DATA)))
    assert send_in(wire, request, DATA).status == 200
    assert stored() == DATA


def test_e_presigned_with_signed_content_type(wire, path, s3, bucket):
    request = wire.presign("PUT", path, headers=[("content-type", "text/x")]).set("Content-Length", "1")
    assert send_in(wire, request, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="object")["ContentType"] == "text/x"


# Unknown modes.


@pytest.mark.parametrize(
    "mode",
    ["STREAMING-UNSIGNED-PAYLOAD", "streaming-aws4-hmac-sha256-payload", "UNSIGNED", "0" * 63, "Z" * 64, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"],
)
def test_unknown_content_sha256_is_refused(wire, path, stored, mode):
    """SEC-06: framing is never stored as content."""
    answer = wire.call("PUT", path, body=DATA, payload_hash=mode)
    assert answer.status in (400, 501), answer
    assert stored() is None
