"""Every client writes, every client reads, and the directory, or the mount, shows the same bytes; over http and https."""

import hashlib
import os
import random

import pytest
import requests

from aws import connect, keys, new_bucket_name
from clients import CLIENTS, AwsCliCurrent, AwsCliDebian, AwsSdkJs, Boto3, Curl, DebianBoto3, MinioJs, Rclone, S3cmd

MIB = 1024 * 1024
METADATA = {"colour": "green", "long-name": "x" * 200}
CONTENT = {
    "empty": b"",
    "one": b"1",
    "text.txt": "grüße\n".encode() * 50,
    "binary.bin": random.Random(1).randbytes(200_003),
    "with space/and+plus/ünï.dat": random.Random(2).randbytes(70_001),
}
TYPED = "text.txt"
CONTENT_TYPE = "text/x-sluice"
NAMES = [c.name for c in CLIENTS]
http_only = pytest.mark.parametrize("scheme", ["http"])

# Everything that a URL, a signature, XML or a shell could get wrong; each is one POSIX name per segment.
ODD_KEYS = [
    "with space",
    " leading and trailing ",
    "plus+plus",
    "percent%41%2F%",
    "ümläut/日本語/😀",
    "e\u0301 combining",
    "quote'\"both",
    "amp&lt<gt>;",
    "tilde~dash-dot.under_",
    "eq=uals",
    "hash#q?mark",
    "semi;colon,comma:",
    "at@dollar$bang!star*(paren)",
    "brackets[x]{y}|^`",
    "back\\slash",
    "double..dots/...",
    "x" * 255,
    "/".join(["y" * 200] * 5) + "é" * 10,
]


@pytest.fixture
def drivers(clients, any_server):
    return {c.name: c for c in clients(any_server)}


@pytest.fixture
def shop(any_server, as_directory):
    """A bucket of this test on the server of the scheme: (boto3 client, name, folder)."""
    s3 = connect(any_server)
    name = new_bucket_name()
    s3.create_bucket(Bucket=name)
    return s3, name, as_directory(any_server) / name


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """The files to upload."""
    top = tmp_path_factory.mktemp("local")
    for name, data in CONTENT.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    return top


def upload_all(client, bucket, prefix, local):
    for name in CONTENT:
        typed = {"content_type": CONTENT_TYPE, "metadata": METADATA} if name == TYPED else {}
        client.put(bucket, prefix + name, local / name, **typed)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


filled_buckets = {}


@pytest.fixture
def filled(keepers, scheme, clients, local):
    """A bucket into which every client has uploaded CONTENT below its own name; once per process and scheme."""
    server = keepers[scheme].get()
    if server.endpoint not in filled_buckets:
        bucket = new_bucket_name()
        connect(server).create_bucket(Bucket=bucket)
        for client in clients(server):
            upload_all(client, bucket, f"{client.name}/", local)
        filled_buckets[server.endpoint] = bucket
    return filled_buckets[server.endpoint]


@pytest.mark.parametrize("writer", NAMES)
def test_directory_shows_what_was_written(any_server, as_directory, filled, writer):
    assert tree(as_directory(any_server) / filled / writer) == CONTENT


@pytest.mark.parametrize("reader", NAMES)
def test_every_client_reads_what_every_client_wrote(drivers, filled, tmp_path, reader):
    drivers[reader].get_tree(filled, "", tmp_path)
    assert tree(tmp_path) == {f"{writer}/{name}": data for writer in NAMES for name, data in CONTENT.items()}


@http_only
@pytest.mark.parametrize("reader", NAMES)
def test_every_client_lists_what_was_written(drivers, filled, reader):
    assert sorted(drivers[reader].keys(filled)) == sorted(f"{writer}/{name}" for writer in NAMES for name in CONTENT)


@pytest.mark.parametrize("writer", NAMES)
def test_types_metadata_and_etags(any_server, filled, writer):
    s3 = connect(any_server)
    head = s3.head_object(Bucket=filled, Key=f"{writer}/{TYPED}")
    assert head["ContentType"] == CONTENT_TYPE
    assert METADATA.items() <= head["Metadata"].items()
    for name, data in CONTENT.items():
        head = s3.head_object(Bucket=filled, Key=f"{writer}/{name}")
        assert head["ContentLength"] == len(data)
        assert head["ETag"] == f'"{hashlib.md5(data).hexdigest()}"', name


@pytest.mark.parametrize("reader", [c.name for c in CLIENTS if hasattr(c, "head")])
def test_clients_see_types_and_metadata(drivers, filled, reader):
    head = drivers[reader].head(filled, f"aws-sdk-js/{TYPED}")
    assert head["type"] == CONTENT_TYPE
    assert METADATA.items() <= head["metadata"].items()
    assert head["size"] == len(CONTENT[TYPED])
    assert head["etag"] == f'"{hashlib.md5(CONTENT[TYPED]).hexdigest()}"'


@http_only
@pytest.mark.parametrize("name", NAMES)
def test_odd_keys(drivers, shop, tmp_path, name):
    client, (_, bucket, folder) = drivers[name], shop
    expected = {key: key.encode() for key in ODD_KEYS}
    for key, data in expected.items():
        path = tmp_path / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    client.put_tree(bucket, "", tmp_path / "in")
    assert tree(folder) == expected
    assert sorted(client.keys(bucket)) == sorted(ODD_KEYS)
    (tmp_path / "out").mkdir()
    client.get_tree(bucket, "", tmp_path / "out")
    assert tree(tmp_path / "out") == expected


@pytest.mark.parametrize("name", NAMES)
def test_one_odd_key_by_name(drivers, shop, tmp_path, name):
    client, (_, bucket, folder) = drivers[name], shop
    key = "dir with space/ü+%41&=~'q\"#日本?"
    (tmp_path / "in").write_bytes(b"one")
    client.put(bucket, key, tmp_path / "in")
    assert tree(folder) == {key: b"one"}
    client.get(bucket, key, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"one"


@http_only
def test_key_of_1024_bytes(any_server, shop):
    s3, bucket, folder = shop
    key = "/".join(["z" * 255, "z" * 255, "z" * 255, "z" * 254, "z"])
    assert len(key) == 1024
    s3.put_object(Bucket=bucket, Key=key, Body=b"1024")
    assert keys(s3, bucket) == [key]
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"1024"
    assert (folder / key).read_bytes() == b"1024"


@http_only
@pytest.mark.parametrize("name", NAMES)
def test_remove_recursively(drivers, shop, name):
    s3, bucket, folder = shop
    for i in range(12):
        s3.put_object(Bucket=bucket, Key=f"tree/{i % 3}/{i}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="treetop", Body=b"stays")
    drivers[name].remove_tree(bucket, "tree/")
    assert keys(s3, bucket) == ["treetop"]
    assert tree(folder) == {"treetop": b"stays"}


@http_only
@pytest.mark.parametrize("name", NAMES)
def test_copy(drivers, shop, name):
    s3, bucket, _ = shop
    key, to = "from/a b+ü&%41", "to/a b+ü&%41 (copy)"
    s3.put_object(Bucket=bucket, Key=key, Body=b"copied", ContentType=CONTENT_TYPE, Metadata=METADATA)
    drivers[name].copy(bucket, key, to)
    got = s3.get_object(Bucket=bucket, Key=to)
    assert got["Body"].read() == b"copied"
    assert got["ContentType"] == CONTENT_TYPE
    assert METADATA.items() <= got["Metadata"].items()


@http_only
@pytest.mark.parametrize("name", [c.name for c in CLIENTS if hasattr(c, "move")])
def test_move(drivers, shop, name):
    s3, bucket, _ = shop
    s3.put_object(Bucket=bucket, Key="old/name", Body=b"moved", Metadata=METADATA)
    drivers[name].move(bucket, "old/name", "new/name")
    assert keys(s3, bucket) == ["new/name"]
    got = s3.get_object(Bucket=bucket, Key="new/name")
    assert got["Body"].read() == b"moved"
    assert METADATA.items() <= got["Metadata"].items()


@http_only
@pytest.mark.parametrize("name", [c.name for c in CLIENTS if hasattr(c, "sync_up")])
def test_sync_both_ways(drivers, shop, local, tmp_path, name):
    client, (s3, bucket, folder) = drivers[name], shop
    client.sync_up(local, bucket, "sync/")
    assert tree(folder / "sync") == CONTENT
    # A second run finds nothing to do: the stamps that HEAD and listings show are those the client expects.
    stamps = {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    client.sync_up(local, bucket, "sync/")
    assert {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]} == stamps
    down = tmp_path / "down"
    down.mkdir()
    client.sync_down(bucket, "sync/", down)
    assert tree(down) == CONTENT


@pytest.mark.parametrize("name", [c.name for c in CLIENTS if hasattr(c, "presign_get") or hasattr(c, "presign")])
def test_presigned_get(drivers, shop, any_server, name):
    s3, bucket, _ = shop
    key = "dir/pre signed+ü.txt"
    s3.put_object(Bucket=bucket, Key=key, Body=b"presigned", ContentType=CONTENT_TYPE)
    client = drivers[name]
    url = client.presign_get(bucket, key) if hasattr(client, "presign_get") else client.presign(bucket, key, "get")
    if any_server.tls and url.startswith("http://"):
        url = url.replace("http://", "https://", 1)  # s3cmd's signurl always says http
    answer = requests.get(url, verify=any_server.certificate.cert if any_server.tls else None, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.content == b"presigned"
    assert answer.headers["Content-Type"] == CONTENT_TYPE


@pytest.mark.parametrize("name", ["boto3", "debian-boto3", "minio-js"])
def test_presigned_put(drivers, shop, any_server, name):
    s3, bucket, folder = shop
    url = drivers[name].presign(bucket, "put/me", "put")
    answer = requests.put(url, data=b"by url", verify=any_server.certificate.cert if any_server.tls else None, timeout=30)
    assert answer.status_code == 200, answer.text
    assert (folder / "put/me").read_bytes() == b"by url"


def test_presigned_by_default_signature(shop, any_server):
    """boto3 with a custom endpoint and without a word about signatures presigns by SigV2."""
    s3, bucket, folder = shop
    default = connect(any_server, signature=None)
    verify = any_server.certificate.cert if any_server.tls else None
    put = default.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "v2 key+&"}, ExpiresIn=60)
    assert "AWSAccessKeyId=" in put
    assert requests.put(put, data=b"v2", verify=verify, timeout=30).status_code == 200
    got = requests.get(default.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "v2 key+&"}), verify=verify, timeout=30)
    assert (got.status_code, got.content) == (200, b"v2")
    overridden = default.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "v2 key+&", "ResponseContentType": "text/plain; x=1"})
    assert requests.get(overridden, verify=verify, timeout=30).headers["Content-Type"] == "text/plain; x=1"
    bad = requests.get(put.replace("Signature=", "Signature=A"), verify=verify, timeout=30)
    assert bad.status_code == 403
    expired = default.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "v2 key+&"}, ExpiresIn=-10)
    assert requests.get(expired, verify=verify, timeout=30).status_code == 403


@http_only
def test_js_presigned_put_with_the_empty_checksum_is_refused(drivers, shop, any_server):
    """JS v3 puts the CRC32 of nothing into the URL; storing the body under it would be a lie."""
    s3, bucket, folder = shop
    url = drivers["aws-sdk-js"].presign(bucket, "js", "put")
    assert "x-amz-checksum-crc32=AAAAAA" in url
    verify = any_server.certificate.cert if any_server.tls else None
    refused = requests.put(url, data=b"body", verify=verify, timeout=30)
    assert refused.status_code == 400, refused.text
    assert not (folder / "js").exists()
    assert requests.put(url, data=b"", verify=verify, timeout=30).status_code == 200


BIG = 100 * MIB


@pytest.fixture(scope="session")
def big_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("big") / "big"
    generator = random.Random(7)
    with open(path, "wb") as out:
        for _ in range(BIG // MIB):
            out.write(generator.randbytes(MIB))
    return path


BIG_RUNS = [("http", n) for n in ("boto3", "debian-boto3", "aws-cli-1", "aws-cli-2", "rclone", "s3cmd", "minio-js")] + [
    ("https", n) for n in ("boto3", "aws-cli-1", "aws-cli-2")
]


@pytest.mark.heavy
@pytest.mark.parametrize("scheme, name", BIG_RUNS)
def test_100_mb(drivers, shop, big_file, tmp_path, name):
    """Multipart up, ranged reads down, as each client does it by default."""
    client, (s3, bucket, folder) = drivers[name], shop
    client.put(bucket, "big", big_file)
    digest = hashlib.sha256(big_file.read_bytes()).hexdigest()
    assert hashlib.sha256((folder / "big").read_bytes()).hexdigest() == digest
    client.get(bucket, "big", tmp_path / "back")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == digest
    (tmp_path / "back").unlink()
    client.copy(bucket, "big", "copy")
    assert hashlib.sha256((folder / "copy").read_bytes()).hexdigest() == digest
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "big"}, {"Key": "copy"}]})


@http_only
def test_js_upload_in_parts(drivers, shop, big_file, tmp_path):
    """lib-storage: unsigned trailers in double framing, part by part."""
    s3, bucket, folder = shop
    part = tmp_path / "part"
    part.write_bytes(big_file.read_bytes()[: 17 * MIB + 5])
    drivers["aws-sdk-js"].op("upload", bucket=bucket, key="js", file=str(part), part_size=5 * MIB)
    assert (folder / "js").read_bytes() == part.read_bytes()
    drivers["aws-sdk-js"].op("put", bucket=bucket, key="stream", file=str(part), stream=True)
    assert (folder / "stream").read_bytes() == part.read_bytes()


@pytest.fixture(scope="session")
def many_keys():
    return sorted(f"{i % 7}/k{i:04d}" if i % 3 else f"k{i:04d}-é" for i in range(3000))


listed_buckets = {}


@pytest.fixture
def many(any_server, as_directory, many_keys):
    """3,000 objects, made through the directory, which is quicker; they are objects at once."""
    if any_server.endpoint not in listed_buckets:
        bucket = new_bucket_name()
        top = as_directory(any_server) / bucket
        for key in many_keys:
            (top / key).parent.mkdir(parents=True, exist_ok=True)
            (top / key).write_bytes(b"")
        listed_buckets[any_server.endpoint] = bucket
    return listed_buckets[any_server.endpoint]


@http_only
@pytest.mark.parametrize("name", NAMES)
def test_3000_keys_in_pages(drivers, many, many_keys, name):
    assert sorted(drivers[name].keys(many)) == sorted(many_keys)


@http_only
@pytest.mark.parametrize("make", [DebianBoto3, AwsSdkJs], ids=lambda c: c.name)
def test_pages_of_97(drivers, many, many_keys, make):
    found = drivers[make.name].op("keys", bucket=many, prefix="", page_size=97)
    assert found == sorted(many_keys, key=str.encode)


def test_the_clients_are_those_the_readme_names():
    """A guard: leaving one out above must be noticed."""
    assert {Boto3, DebianBoto3, AwsCliCurrent, AwsCliDebian, Rclone, S3cmd, Curl, AwsSdkJs, MinioJs} == set(CLIENTS)


@http_only
def test_aws_cli_presigned_by_default(drivers, shop, any_server):
    s3, bucket, _ = shop
    s3.put_object(Bucket=bucket, Key="k", Body=b"cli")
    verify = any_server.certificate.cert if any_server.tls else None
    for name in ("aws-cli-1", "aws-cli-2"):
        assert requests.get(drivers[name].presign_get(bucket, "k"), verify=verify, timeout=30).content == b"cli", name


@http_only
def test_s3cmd_info_and_modify(drivers, shop):
    """s3cmd asks for location, policy, cors, lifecycle, acl and more; each needs its proper answer."""
    s3, bucket, _ = shop
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    client = drivers["s3cmd"]
    assert "ERROR" not in client.s3cmd("info", f"s3://{bucket}")
    assert "text/plain" in client.s3cmd("info", f"s3://{bucket}/k")
    client.s3cmd("modify", "--add-header=x-amz-meta-new:1", f"s3://{bucket}/k")
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"]["new"] == "1"


@http_only
def test_rclone_keeps_modification_times(drivers, shop, local, tmp_path):
    s3, bucket, folder = shop
    source = tmp_path / "old"
    source.write_bytes(b"old")
    os.utime(source, ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    drivers["rclone"].put(bucket, "old", source)
    assert float(s3.head_object(Bucket=bucket, Key="old")["Metadata"]["mtime"]) == pytest.approx(1_500_000_000.123456789)
    assert (folder / "old").stat().st_mtime_ns == 1_500_000_000_123_456_789
    drivers["rclone"].get(bucket, "old", tmp_path / "back")
    assert (tmp_path / "back").stat().st_mtime_ns == 1_500_000_000_123_456_789


@http_only
def test_minio_js_probes_the_region(drivers, shop, any_server):
    """restic, Argo and KFP do as well: GetBucketLocation before everything else."""
    client, (s3, bucket, _) = drivers["minio-js"], shop
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    environment = client.environment() | {"S3_PROBE_REGION": "1"}
    client.environment = lambda: environment
    mark = any_server.mark()
    assert client.keys(bucket) == ["k"]
    assert "GetBucketLocation" in [r["op"] for r in any_server.wait_requests(mark, 2)]
