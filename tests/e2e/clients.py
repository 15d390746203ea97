"""Real clients behind one interface: put, get, get_tree, keys, remove_tree, copy, and what else a client can do."""

import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree

import boto3
from boto3.s3.transfer import TransferConfig

from aws import connect, keys
from server import REGION, ROOT
from wire import EMPTY_SHA256, UNSIGNED, encode_query, quote

HERE = pathlib.Path(__file__).parent
TOP = HERE.parents[1]
MIB = 1024 * 1024


def files_in(folder):
    return [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]


class Client:
    """name: in test ids. Folders and files are local paths; a prefix ends in '/'."""

    name = ""

    def __init__(self, server, folder, credentials=ROOT):
        self.server, self.credentials = server, credentials
        self.folder = pathlib.Path(folder) / f"{self.name}-{server.scheme}"
        self.folder.mkdir(exist_ok=True)

    def __repr__(self):
        return self.name

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_", "S3_"))}
        env.update(HOME=str(self.folder), LANG="C.UTF-8", LC_ALL="C.UTF-8")
        return env

    def run(self, *words, **more):
        done = subprocess.run([str(w) for w in words], capture_output=True, env=self.environment(), timeout=180 * self.server.slowness, **more)
        assert done.returncode == 0, (
            f"{self.name}: {words} ended with {done.returncode}:\n{done.stdout.decode()[-2000:]}{done.stderr.decode()[-3000:]}"
        )
        return done.stdout.decode()

    def put_tree(self, bucket, prefix, folder):
        for path in files_in(folder):
            self.put(bucket, prefix + str(path.relative_to(folder)), path)

    @property
    def ca(self):
        return str(self.server.certificate.cert) if self.server.tls else ""


class Boto3(Client):
    name = "boto3"

    def __init__(self, *args):
        super().__init__(*args)
        self.s3 = connect(self.server, self.credentials)

    def put(self, bucket, key, path, content_type=None, metadata=None):
        extra = {"ContentType": content_type} if content_type else {}
        self.s3.upload_file(str(path), bucket, key, ExtraArgs={**extra, "Metadata": metadata or {}})

    def get(self, bucket, key, path):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(bucket, key, str(path), Config=TransferConfig(num_download_attempts=1))

    def get_tree(self, bucket, prefix, folder):
        for key in self.keys(bucket, prefix):
            self.get(bucket, key, os.path.join(folder, key[len(prefix) :]))

    def keys(self, bucket, prefix=""):
        return keys(self.s3, bucket, Prefix=prefix)

    def head(self, bucket, key):
        h = self.s3.head_object(Bucket=bucket, Key=key)
        return {"type": h["ContentType"], "metadata": h["Metadata"], "size": h["ContentLength"], "etag": h["ETag"]}

    def remove_tree(self, bucket, prefix):
        boto3.resource(
            "s3",
            endpoint_url=self.server.endpoint,
            region_name=REGION,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            verify=self.ca or None,
        ).Bucket(bucket).objects.filter(Prefix=prefix).delete()

    def copy(self, bucket, key, to):
        self.s3.copy({"Bucket": bucket, "Key": key}, bucket, to)

    def presign(self, bucket, key, method):
        return self.s3.generate_presigned_url(f"{method}_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=300)


class Driver(Client):
    """A client that one of drivers/ runs: an operation and its arguments as JSON."""

    program = ()

    def environment(self):
        env = super().environment()
        env.update(
            S3_ENDPOINT=self.server.endpoint,
            S3_ACCESS_KEY=self.credentials.access_key,
            S3_SECRET_KEY=self.credentials.secret_key,
            NODE_PATH=str(TOP / "build/npm/node_modules"),
        )
        if self.ca:
            env.update(S3_CA=self.ca, NODE_EXTRA_CA_CERTS=self.ca)
        return env

    def op(self, op, **arguments):
        return json.loads(self.run(*self.program, json.dumps({"op": op, **arguments})))

    def put(self, bucket, key, path, content_type=None, metadata=None):
        self.op("put", bucket=bucket, key=key, file=str(path), content_type=content_type, metadata=metadata or {})

    def get(self, bucket, key, path):
        self.op("get", bucket=bucket, key=key, file=str(path))

    def put_tree(self, bucket, prefix, folder):
        self.op("put_tree", bucket=bucket, prefix=prefix, folder=str(folder))

    def get_tree(self, bucket, prefix, folder):
        self.op("get_tree", bucket=bucket, prefix=prefix, folder=str(folder))

    def keys(self, bucket, prefix=""):
        return self.op("keys", bucket=bucket, prefix=prefix)

    def head(self, bucket, key):
        return self.op("head", bucket=bucket, key=key)

    def remove_tree(self, bucket, prefix):
        self.op("remove_tree", bucket=bucket, prefix=prefix)

    def copy(self, bucket, key, to):
        self.op("copy", bucket=bucket, key=key, to=to)

    def presign(self, bucket, key, method):
        return self.op("presign", bucket=bucket, key=key, method=method)


class DebianBoto3(Driver):
    name = "debian-boto3"
    program = ("/usr/bin/python3", HERE / "drivers/boto3_driver.py")


class AwsSdkJs(Driver):
    name = "aws-sdk-js"
    program = ("node", HERE / "drivers/aws_sdk.cjs")


class MinioJs(Driver):
    name = "minio-js"
    program = ("node", HERE / "drivers/minio.cjs")


class AwsCli(Client):
    program = ""

    def environment(self):
        env = super().environment()
        env.update(
            AWS_ACCESS_KEY_ID=self.credentials.access_key,
            AWS_SECRET_ACCESS_KEY=self.credentials.secret_key,
            AWS_DEFAULT_REGION=REGION,
            AWS_MAX_ATTEMPTS="1",
            AWS_EC2_METADATA_DISABLED="true",
            AWS_PAGER="",
        )
        if self.ca:
            env["AWS_CA_BUNDLE"] = self.ca
        return env

    def aws(self, *words):
        return self.run(self.program, "--endpoint-url", self.server.endpoint, *words)

    def cp(self, *words):
        return self.aws("s3", "cp", "--no-progress", *words)

    def put(self, bucket, key, path, content_type=None, metadata=None):
        extra = ["--content-type", content_type] if content_type else []
        if metadata:
            extra += ["--metadata", ",".join(f"{k}={v}" for k, v in metadata.items())]
        self.cp(path, f"s3://{bucket}/{key}", *extra)

    def get(self, bucket, key, path):
        self.cp(f"s3://{bucket}/{key}", path)

    def get_tree(self, bucket, prefix, folder):
        self.cp("--recursive", f"s3://{bucket}/{prefix}", folder)

    def keys(self, bucket, prefix=""):
        answer = self.aws("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--output", "json")
        return [o["Key"] for o in json.loads(answer or "{}").get("Contents", [])]

    def head(self, bucket, key):
        h = json.loads(self.aws("s3api", "head-object", "--bucket", bucket, "--key", key, "--output", "json"))
        return {"type": h["ContentType"], "metadata": h["Metadata"], "size": h["ContentLength"], "etag": h["ETag"]}

    def remove_tree(self, bucket, prefix):
        self.aws("s3", "rm", "--recursive", f"s3://{bucket}/{prefix}")

    def copy(self, bucket, key, to):
        self.cp(f"s3://{bucket}/{key}", f"s3://{bucket}/{to}")

    def move(self, bucket, key, to):
        self.aws("s3", "mv", f"s3://{bucket}/{key}", f"s3://{bucket}/{to}")

    def put_tree(self, bucket, prefix, folder):
        self.cp("--recursive", folder, f"s3://{bucket}/{prefix}")

    def sync_up(self, folder, bucket, prefix):
        return self.aws("s3", "sync", "--no-progress", folder, f"s3://{bucket}/{prefix}")

    def sync_down(self, bucket, prefix, folder):
        return self.aws("s3", "sync", "--no-progress", f"s3://{bucket}/{prefix}", folder)

    def presign_get(self, bucket, key):
        return self.aws("s3", "presign", f"s3://{bucket}/{key}").strip()


class AwsCliCurrent(AwsCli):
    name = "aws-cli-1"
    program = TOP / "build/venv/bin/aws"


class AwsCliDebian(AwsCli):
    name = "aws-cli-2"
    program = "/usr/bin/aws"


class Rclone(Client):
    name = "rclone"

    def environment(self):
        env = super().environment()
        env.update(
            RCLONE_CONFIG=str(self.folder / "rclone.conf"),
            RCLONE_CONFIG_SL_TYPE="s3",
            RCLONE_CONFIG_SL_PROVIDER="Other",
            RCLONE_CONFIG_SL_ENDPOINT=self.server.endpoint,
            RCLONE_CONFIG_SL_REGION=REGION,
            RCLONE_CONFIG_SL_ACCESS_KEY_ID=self.credentials.access_key,
            RCLONE_CONFIG_SL_SECRET_ACCESS_KEY=self.credentials.secret_key,
            RCLONE_RETRIES="1",
            RCLONE_LOW_LEVEL_RETRIES="1",
        )
        return env

    def rclone(self, *words):
        (self.folder / "rclone.conf").touch()
        return self.run("rclone", *(["--ca-cert", self.ca] if self.ca else []), *words)

    def put(self, bucket, key, path, content_type=None, metadata=None):
        headers = [f"Content-Type: {content_type}"] if content_type else []
        headers += [f"x-amz-meta-{k}: {v}" for k, v in (metadata or {}).items()]
        self.rclone("copyto", *(w for h in headers for w in ("--header-upload", h)), path, f"sl:{bucket}/{key}")

    def get(self, bucket, key, path):
        self.rclone("copyto", f"sl:{bucket}/{key}", path)

    def get_tree(self, bucket, prefix, folder):
        self.rclone("copy", f"sl:{bucket}/{prefix}", folder)

    def keys(self, bucket, prefix=""):
        return [prefix + line for line in self.rclone("lsf", "-R", "--files-only", f"sl:{bucket}/{prefix}").splitlines()]

    def remove_tree(self, bucket, prefix):
        self.rclone("delete", f"sl:{bucket}/{prefix}")

    def copy(self, bucket, key, to):
        self.rclone("copyto", f"sl:{bucket}/{key}", f"sl:{bucket}/{to}")

    def move(self, bucket, key, to):
        self.rclone("moveto", f"sl:{bucket}/{key}", f"sl:{bucket}/{to}")

    def put_tree(self, bucket, prefix, folder):
        self.rclone("copy", folder, f"sl:{bucket}/{prefix}")

    def sync_up(self, folder, bucket, prefix):
        return self.rclone("sync", "-v", folder, f"sl:{bucket}/{prefix}")

    def sync_down(self, bucket, prefix, folder):
        return self.rclone("sync", "-v", f"sl:{bucket}/{prefix}", folder)

    def presign_get(self, bucket, key):
        return self.rclone("link", "--expire", "5m", f"sl:{bucket}/{key}").strip()


class S3cmd(Client):
    name = "s3cmd"

    def s3cmd(self, *words):
        config = self.folder / "s3cfg"
        config.write_text(f"""[default]
access_key = {self.credentials.access_key}
secret_key = {self.credentials.secret_key}
host_base = {self.server.host}
host_bucket = {self.server.host}
bucket_location = {REGION}
use_https = {self.server.tls}
ca_certs_file = {self.ca}
signature_v2 = False
max_retries = 1
""")
        return self.run("s3cmd", "-c", config, "--no-progress", *words)

    def put(self, bucket, key, path, content_type=None, metadata=None):
        extra = [f"--mime-type={content_type}", "--no-guess-mime-type"] if content_type else []
        extra += [f"--add-header=x-amz-meta-{k}:{v}" for k, v in (metadata or {}).items()]
        self.s3cmd("put", *extra, path, f"s3://{bucket}/{key}")

    def get(self, bucket, key, path):
        self.s3cmd("get", "--force", f"s3://{bucket}/{key}", path)

    def get_tree(self, bucket, prefix, folder):
        self.s3cmd("get", "--recursive", "--force", f"s3://{bucket}/{prefix}", f"{folder}/")

    def keys(self, bucket, prefix=""):
        lines = self.s3cmd("ls", "-r", f"s3://{bucket}/{prefix}").splitlines()
        return [line.split(f"s3://{bucket}/", 1)[1] for line in lines]

    def remove_tree(self, bucket, prefix):
        self.s3cmd("del", "--recursive", "--force", f"s3://{bucket}/{prefix}")

    def copy(self, bucket, key, to):
        self.s3cmd("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{to}")

    def move(self, bucket, key, to):
        self.s3cmd("mv", f"s3://{bucket}/{key}", f"s3://{bucket}/{to}")

    def put_tree(self, bucket, prefix, folder):
        self.s3cmd("put", "--recursive", f"{folder}/", f"s3://{bucket}/{prefix}")

    def sync_up(self, folder, bucket, prefix):
        return self.s3cmd("sync", f"{folder}/", f"s3://{bucket}/{prefix}")

    def sync_down(self, bucket, prefix, folder):
        return self.s3cmd("sync", f"s3://{bucket}/{prefix}", f"{folder}/")

    def presign_get(self, bucket, key):
        return self.s3cmd("signurl", f"s3://{bucket}/{key}", "+300").strip()


class Curl(Client):
    """7.88 signs for S3, but leaves the hash of the payload, which S3 wants to be told, to its user."""

    name = "curl"

    def curl(self, *words, payload=EMPTY_SHA256):
        words = ["-H", f"x-amz-content-sha256: {payload}", *(["--cacert", self.ca] if self.ca else []), *words]
        user = f"{self.credentials.access_key}:{self.credentials.secret_key}"
        return self.run("curl", "-sS", "--globoff", "--fail-with-body", "--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", user, *words)

    def url(self, bucket, key="", query=()):
        return f"{self.server.endpoint}/{bucket}{'/' + quote(key) if key else ''}{'?' + encode_query(sorted(query)) if query else ''}"

    def put(self, bucket, key, path, content_type=None, metadata=None):
        headers = [f"Content-Type: {content_type}"] if content_type else []
        headers += [f"x-amz-meta-{k}: {v}" for k, v in (metadata or {}).items()]
        self.curl("-T", path, *(w for h in headers for w in ("-H", h)), self.url(bucket, key), payload=UNSIGNED)

    def get(self, bucket, key, path):
        self.curl("--create-dirs", "-o", path, self.url(bucket, key))

    def get_tree(self, bucket, prefix, folder):
        for key in self.keys(bucket, prefix):
            self.get(bucket, key, os.path.join(folder, key[len(prefix) :]))

    def keys(self, bucket, prefix=""):
        found, token = [], None
        while True:
            query = [("list-type", "2"), ("prefix", prefix)] + ([("continuation-token", token)] if token else [])
            tree = ElementTree.fromstring(self.curl(self.url(bucket, query=query)))
            space = {"s": tree.tag[1:].split("}")[0]}
            found += [c.text for c in tree.findall("s:Contents/s:Key", space)]
            token = tree.findtext("s:NextContinuationToken", namespaces=space)
            if not token:
                return found

    def remove_tree(self, bucket, prefix):
        for key in self.keys(bucket, prefix):
            self.curl("-X", "DELETE", self.url(bucket, key))

    def copy(self, bucket, key, to):
        self.curl("-X", "PUT", "-H", f"x-amz-copy-source: /{bucket}/{quote(key)}", self.url(bucket, to))


CLIENTS = (Boto3, DebianBoto3, AwsCliCurrent, AwsCliDebian, Rclone, S3cmd, Curl, AwsSdkJs, MinioJs)


def make_clients(server, folder):
    return [make(server, folder) for make in CLIENTS]
