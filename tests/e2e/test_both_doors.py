"""One verdict behind both doors: what S3 answers a user with a POSIX identity is what a shell of that user meets in the directory.

Two users and nobody in particular × modes of the directory and the file × access lists × what can be done. A bucket policy allows
everything to everybody here, so that the kernel alone decides."""

import json
import os
import shutil
import subprocess

import pytest
import requests

from aws import connect, fails
from server import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="POSIX identities need a gateway that runs as root")

TEAM = 23600
# Name: uid, own gid, further groups.
PEOPLE = {"owner": (23601, 23601, [TEAM]), "mate": (23602, 23602, [TEAM]), "nobody": (65534, 65534, [])}

# Lists of the directory d and the file d/k, besides the modes; "default" is what new files inherit.
LISTS = {
    "plain": {},
    "mate-may": {"d": f"u:{PEOPLE['mate'][0]}:rwx", "d/k": f"u:{PEOPLE['mate'][0]}:rw"},
    "mate-may-not": {"d": f"u:{PEOPLE['mate'][0]}:---", "d/k": f"u:{PEOPLE['mate'][0]}:---"},
    "default": {"default": f"u:{PEOPLE['mate'][0]}:rw,g:{TEAM}:r,o::-", "d": f"g:{TEAM}:rwx"},
}
DIRECTORY_MODES = [0o700, 0o710, 0o755, 0o770, 0o1777, 0o2775]
FILE_MODES = [0o600, 0o640, 0o644]
ABOUT_THE_FILE = {"read", "replace", "delete"}  # the rest is asked with one file mode only

SHELL = {
    "read": "cat d/k",
    "list": "ls -l d",
    "create": "printf new > d/n",
    "replace": "printf new > d/t && mv -f d/t d/k || { rm -f d/t; false; }",
    "delete": "rm -f d/k && ! test -e d/k",
    "deepen": "mkdir d/sub && printf new > d/sub/n",
}


def set_list(path, entries, default=False):
    subprocess.run(["setfacl", *(["-d"] if default else []), "-m", entries, path], check=True)


def lay_out(folder, directory_mode, file_mode, lists):
    """d and d/k, the owner's and the team's."""
    shutil.rmtree(folder / "d", ignore_errors=True)
    uid = PEOPLE["owner"][0]
    (folder / "d").mkdir()
    (folder / "d/k").write_text("old")
    for path, mode in (("d/k", file_mode), ("d", directory_mode)):
        os.chown(folder / path, uid, TEAM)
        os.chmod(folder / path, mode)
        if path in lists:
            set_list(folder / path, lists[path])
    if "default" in lists:
        set_list(folder / "d", lists["default"], default=True)


def by_shell(folder, who, what):
    uid, gid, groups = PEOPLE[who]
    done = subprocess.run(["sh", "-c", SHELL[what]], cwd=folder, user=uid, group=gid, extra_groups=groups, umask=0o022, capture_output=True)
    return done.returncode == 0


def by_s3(url, sign, what):
    """sign(what, url) is a URL that says who asks."""
    requests_of = {
        "read": ("get", "d/k", {}),
        "list": ("get", "?list-type=2&prefix=d/", {}),
        "create": ("put", "d/n", {"data": b"new"}),
        "replace": ("put", "d/k", {"data": b"new"}),
        "delete": ("delete", "d/k", {}),
        "deepen": ("put", "d/sub/n", {"data": b"new"}),
    }
    method, key, more = requests_of[what]
    answer = requests.request(method, sign(what, url + key), timeout=30, **more)
    assert answer.status_code in (200, 204) or "<Code>AccessDenied</Code>" in answer.text, (what, answer.status_code, answer.text)
    return answer.status_code != 403


def traces(folder, what):
    """What is there afterwards: owners, modes and lists of everything below d."""
    if what in ("read", "list"):
        return []
    shown = subprocess.run(["getfacl", "-R", "-n", "d"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return sorted(shown.split("\n\n"))


@pytest.fixture(scope="module")
def doors():
    """Clients by name: the users are added once."""
    return {}


@pytest.fixture
def callers(server, s3, bucket, folder, doors):
    os.chmod(folder, 0o777)
    everything = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everything]}))
    for name in ("owner", "mate"):
        uid, gid, groups = PEOPLE[name]
        if name not in doors:
            pair = server.add_user(f"doors-{name}", "--uid", uid, "--gid", gid, "--groups", ",".join(map(str, groups)))
            doors[name] = connect(server, credentials=pair)

            def is_known(client=doors[name]):
                try:
                    return bool(client.list_buckets())
                except client.exceptions.ClientError:
                    return False

            assert eventually(is_known, timeout=10)

    def signer(client):
        calls = {
            "read": "get_object",
            "list": "list_objects_v2",
            "create": "put_object",
            "replace": "put_object",
            "delete": "delete_object",
            "deepen": "put_object",
        }

        def sign(what, url):
            parameters = {"Bucket": bucket, **({"Prefix": "d/"} if what == "list" else {"Key": url.split(f"/{bucket}/", 1)[1]})}
            return client.generate_presigned_url(calls[what], Params=parameters)

        return sign

    signers = {name: signer(doors[name]) for name in ("owner", "mate")}
    return {**signers, "nobody": lambda what, url: url}


@pytest.mark.parametrize("lists", LISTS)
@pytest.mark.parametrize("directory_mode", DIRECTORY_MODES, ids=oct)
def test_same_verdict(server, bucket, folder, callers, directory_mode, lists):
    url = f"{server.endpoint}/{bucket}/"
    differences, verdicts = [], set()
    for file_mode in FILE_MODES:
        for who, sign in callers.items():
            for what in SHELL if file_mode == FILE_MODES[0] else ABOUT_THE_FILE:
                seen = {}
                for door in ("shell", "s3"):
                    lay_out(folder, directory_mode, file_mode, LISTS[lists])
                    allowed = by_shell(folder, who, what) if door == "shell" else by_s3(url, sign, what)
                    seen[door] = (allowed, traces(folder, what))
                verdicts.add(seen["shell"][0])
                if seen["shell"] != seen["s3"]:
                    differences.append((oct(file_mode), who, what, seen["shell"], seen["s3"]))
    assert not differences, "\n".join(map(str, differences))
    assert verdicts == {True, False}, "a table that never says no, or never yes, shows nothing"


def test_policy_and_kernel_must_agree(server, s3, bucket, folder, callers):
    """Neither door opens the other: the kernel's yes is not the policy's."""
    lay_out(folder, 0o777, 0o666, {})
    url = f"{server.endpoint}/{bucket}/"
    assert by_s3(url, callers["nobody"], "read")
    s3.delete_bucket_policy(Bucket=bucket)
    assert not by_s3(url, callers["nobody"], "read")
    assert by_s3(url, callers["mate"], "read")
    refusal = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [refusal]}))
    assert not by_s3(url, callers["mate"], "read")
    assert by_shell(folder, "mate", "read")
    with fails("AccessDenied", 403):
        s3.get_object(Bucket=bucket, Key="d/k")
