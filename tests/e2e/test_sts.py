"""Sessions: AssumeRole, AssumeRoleWithWebIdentity against an issuer of the test's own, GetCallerIdentity, and what a session may
not (SEC-35, SEC-43)."""

import json
import signal
import time

import boto3
import botocore.config
import botocore.exceptions
import pytest
import requests
from botocore import UNSIGNED

from aws import connect, fails, read
from oidc import Issuer, Key, b64
from server import REGION, Credentials, Server

ALICE = Credentials("ALICEACCESSKEY", "alices-secret-0123456789")
WITHIN_S = 10


def eventually(call):
    """The call's result, once it succeeds."""
    deadline = time.time() + WITHIN_S
    while True:
        try:
            return call()
        except (AssertionError, botocore.exceptions.ClientError, pytest.fail.Exception):
            if time.time() > deadline:
                raise
            time.sleep(0.05)


ROLE = "arn:aws:iam::000000000000:role/"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    made = Issuer(tmp_path_factory.mktemp("issuer"))
    yield made
    made.stop()


def policy(actions, *resources):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": list(resources)}]}


def roles_of(issuer):
    return {
        "issuers": [{"url": issuer.url, "audiences": ["other", "sluice"], "insecure_http": True}],
        "roles": [
            {
                "name": "notebook",
                "user": "lab",
                "policy": policy("s3:*", "arn:aws:s3:::lab", "arn:aws:s3:::lab/*"),
                "trust": [{"issuer": issuer.url, "claims": {"sub": "system:serviceaccount:lab:*"}}, {"user": "alice"}],
            },
            {"name": "maker", "user": "maker", "trust": [{"user": "alice"}]},
            {"name": "short", "user": "lab", "max_session": 900, "trust": [{"issuer": issuer.url, "claims": {"groups": "admins"}}]},
        ],
    }


@pytest.fixture(scope="module")
def gateway(binary, tmp_path_factory, issuer, request):
    folder = tmp_path_factory.mktemp("sts")
    roles = folder / "roles.json"
    roles.write_text(json.dumps(roles_of(issuer)))
    made = Server(binary, folder, request.getfixturevalue("ports"), options=["--roles", str(roles)])
    made.start()
    made.roles = roles
    made.user("add", "alice", "--access-key", ALICE.access_key, "--secret-key", ALICE.secret_key)
    made.user("add", "maker")
    made.user("add", "lab", "--buckets", "lab,common", "--display-name", "Lab")
    eventually(lambda: connect(made, ALICE).list_buckets())
    root = connect(made)
    for bucket in ("lab", "common", "private"):
        root.create_bucket(Bucket=bucket)
        root.put_object(Bucket=bucket, Key="a", Body=b"content of " + bucket.encode())
    yield made
    made.stop()


def sts_client(server, credentials=None, token=None):
    config = botocore.config.Config(retries={"total_max_attempts": 1, "mode": "standard"})
    if credentials is None:
        config = config.merge(botocore.config.Config(signature_version=UNSIGNED))
        credentials = Credentials(None, None)
    return boto3.client(
        "sts",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=token,
        config=config,
    )


def session(server, answer, **more):
    c = answer["Credentials"]
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1, "mode": "standard"}, **more)
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=c["AccessKeyId"],
        aws_secret_access_key=c["SecretAccessKey"],
        aws_session_token=c["SessionToken"],
        config=config,
    )


def web(server, token, role="notebook", name="pod-1", **more):
    return sts_client(server).assume_role_with_web_identity(RoleArn=ROLE + role, RoleSessionName=name, WebIdentityToken=token, **more)


def test_caller_identity(gateway):
    identity = sts_client(gateway, ALICE).get_caller_identity()
    assert (identity["Arn"], identity["Account"]) == ("arn:aws:iam::000000000000:user/alice", "000000000000")
    with fails("SignatureDoesNotMatch", 403):
        sts_client(gateway, Credentials(ALICE.access_key, "not alice's secret")).get_caller_identity()
    with fails("AccessDenied", 403):
        sts_client(gateway).get_caller_identity()


@pytest.mark.parametrize("which", [0, 1], ids=["RS256", "ES256"])
def test_web_identity(gateway, issuer, which):
    answer = web(gateway, issuer.token(key=issuer.keys[which]))
    assert answer["SubjectFromWebIdentityToken"] == "system:serviceaccount:lab:jupyter"
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/notebook/pod-1"
    assert 3500 < answer["Credentials"]["Expiration"].timestamp() - time.time() < 3700
    s3 = session(gateway, answer)
    assert read(s3, "lab", "a") == b"content of lab"
    s3.put_object(Bucket="lab", Key="b", Body=b"by a notebook")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "lab", "Key": "b"})
    assert requests.get(url, timeout=10).content == b"by a notebook"
    # The user may touch "common", the role not; neither the third bucket.
    for bucket in ("common", "private"):
        with fails("AccessDenied", 403):
            read(s3, bucket, "a")
    c = answer["Credentials"]
    identity = sts_client(gateway, Credentials(c["AccessKeyId"], c["SecretAccessKey"]), c["SessionToken"]).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/notebook/pod-1"


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_session_signs_urls_and_forms(gateway, issuer, signature):
    s3 = session(gateway, web(gateway, issuer.token()), signature_version=signature)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "lab", "Key": "by-url"})
    assert requests.put(url, data=b"x", timeout=10).status_code == 200
    form = s3.generate_presigned_post("lab", "by-form")
    answer = requests.post(form["url"], data=form["fields"], files={"file": b"y"}, timeout=10)
    assert answer.status_code == 204, answer.text
    form = s3.generate_presigned_post("common", "by-form")
    assert requests.post(form["url"], data=form["fields"], files={"file": b"y"}, timeout=10).status_code == 403


def test_session_policy_only_narrows(gateway, issuer):
    narrow = json.dumps(policy(["s3:GetObject"], "arn:aws:s3:::*"))
    s3 = session(gateway, web(gateway, issuer.token(), Policy=narrow))
    assert read(s3, "lab", "a") == b"content of lab"
    for call in (
        lambda: s3.put_object(Bucket="lab", Key="c", Body=b"x"),
        lambda: s3.list_objects_v2(Bucket="lab"),
        lambda: s3.list_buckets(),
        lambda: s3.create_bucket(Bucket="newly-made"),
        lambda: read(s3, "common", "a"),
        lambda: read(s3, "private", "a"),
    ):
        with fails("AccessDenied", 403):
            call()
    with fails("MalformedPolicyDocument", 400):
        web(gateway, issuer.token(), Policy='{"Statement": [{"Effect": "Perhaps"}]}')
    with fails("PackedPolicyTooLarge", 400):
        web(gateway, issuer.token(), Policy=json.dumps(policy(["s3:GetObject"], "arn:aws:s3:::lab/" + "a" * 2040)))


def test_assume_role(gateway):
    sts = sts_client(gateway, ALICE)
    answer = sts.assume_role(RoleArn=ROLE + "notebook", RoleSessionName="alice-1", DurationSeconds=900)
    s3 = session(gateway, answer)
    assert read(s3, "lab", "a") == b"content of lab"
    with fails("AccessDenied", 403):
        read(s3, "private", "a")
    # As MinIO's clients do it: a session of one's own, narrower.
    mine = sts.assume_role(RoleArn="arn:xxx:xxx:xxx:xxxx", RoleSessionName="any", Policy=json.dumps(policy("s3:Get*", "arn:aws:s3:::private/*")))
    assert read(session(gateway, mine), "private", "a") == b"content of private"
    with fails("AccessDenied", 403):
        read(session(gateway, mine), "lab", "a")
    for role in ("short", "absent"):
        with fails("AccessDenied", 403):
            sts.assume_role(RoleArn=ROLE + role, RoleSessionName="alice-1")
    with fails("ValidationError", 400):
        sts.assume_role(RoleArn=ROLE + "notebook", RoleSessionName="alice-1", DurationSeconds=43200)
    c = answer["Credentials"]
    chained = sts_client(gateway, Credentials(c["AccessKeyId"], c["SecretAccessKey"]), c["SessionToken"])
    with fails("AccessDenied", 403):
        chained.assume_role(RoleArn=ROLE + "notebook", RoleSessionName="alice-1")


def test_tokens_that_do_not_count(gateway, issuer, tmp_path):
    stranger = Key(tmp_path, "rsa")  # another key of the same name
    now = int(time.time())
    token = issuer.token()
    head, body, signature = token.split(".")
    unsigned = f"{b64(json.dumps({'alg': 'none'}).encode())}.{body}."
    invalid = [
        issuer.token(key=stranger),
        issuer.token(aud="somebody else"),
        issuer.token(aud=["a", "b"]),
        issuer.token(iss="https://issuer.example.org"),
        issuer.token(nbf=now + 3600),
        issuer.token(exp=None),
        issuer.token(header={"alg": "ES256"}),
        issuer.token(header={"crit": ["b64"]}),
        unsigned,
        f"{head}.{b64(json.dumps({'iss': issuer.url, 'aud': 'sluice', 'exp': now + 600}).encode())}.{signature}",
        "not a token at all",
        "a" * 19000,
    ]
    for bad in invalid:
        with fails("InvalidIdentityToken", 400):
            web(gateway, bad)
    with fails("ExpiredTokenException", 400):
        web(gateway, issuer.token(exp=now - 3600))
    with fails("AccessDenied", 403):
        web(gateway, issuer.token(sub="system:serviceaccount:other:jupyter"))
    with fails("AccessDenied", 403):
        web(gateway, token, role="short")
    answer = web(gateway, issuer.token(groups=["users", "admins"]), role="short")
    assert answer["Credentials"]["Expiration"].timestamp() - time.time() < 901


def test_damaged_session_tokens(gateway, issuer):
    answer = web(gateway, issuer.token())
    c = dict(answer["Credentials"])
    for token in (c["SessionToken"][:-8] + "AAAAAAA=", "x", c["SessionToken"][4:]):
        with fails("InvalidToken", 400):
            read(session(gateway, {"Credentials": {**c, "SessionToken": token}}), "lab", "a")
    with fails("InvalidAccessKeyId", 403):
        read(session(gateway, {"Credentials": {**c, "SessionToken": None}}), "lab", "a")
    other = web(gateway, issuer.token())["Credentials"]
    with fails("InvalidToken", 400):
        read(session(gateway, {"Credentials": {**c, "SessionToken": other["SessionToken"]}}), "lab", "a")
    with fails("SignatureDoesNotMatch", 403):
        read(session(gateway, {"Credentials": {**c, "SecretAccessKey": "x" * 40}}), "lab", "a")


def test_new_keys_and_an_issuer_that_is_away(gateway, issuer):
    web(gateway, issuer.token())  # the keys are known now
    before = len(issuer.fetches)
    web(gateway, issuer.token())
    assert len(issuer.fetches) == before
    fresh = Key(issuer.folder, "fresh")
    issuer.keys.append(fresh)
    deadline = time.time() + 30
    while True:  # unknown keys are looked up now and then, not at everybody's wish
        try:
            web(gateway, issuer.token(key=fresh))
            break
        except botocore.exceptions.ClientError as e:
            assert e.response["Error"]["Code"] == "InvalidIdentityToken" and time.time() < deadline
            time.sleep(1)
    issuer.broken = True
    web(gateway, issuer.token(key=fresh))
    issuer.broken = False


def test_sessions_end_with_what_they_came_from(gateway, issuer):
    gateway.user("add", "bob", "--access-key", "BOBACCESSKEY", "--secret-key", "bobs-secret-0123456789")
    bob = Credentials("BOBACCESSKEY", "bobs-secret-0123456789")
    answer = eventually(lambda: sts_client(gateway, bob).assume_role(RoleArn="arn:minio:iam:::nobody", RoleSessionName="bob-session"))
    s3 = session(gateway, answer)
    s3.list_buckets()
    gateway.user("disable", "BOBACCESSKEY")

    def ended():
        with fails("InvalidToken", 400):
            s3.list_buckets()

    eventually(ended)
    # A role that is gone, after a reload.
    notebook = session(gateway, web(gateway, issuer.token()))
    read(notebook, "lab", "a")
    everything = roles_of(issuer)
    gateway.roles.write_text(json.dumps({**everything, "roles": everything["roles"][1:]}))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: pytest.raises(botocore.exceptions.ClientError, read, notebook, "lab", "a"))
    gateway.roles.write_text("{")  # a mistake keeps what there was
    gateway.signal(signal.SIGHUP)
    web(gateway, issuer.token(groups="admins"), role="short")
    gateway.roles.write_text(json.dumps(everything))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: read(notebook, "lab", "a"))


def test_role_in_a_bucket_policy(gateway, issuer):
    """A role is a principal: what its own policy allows it, another's policy can refuse."""
    statement = {"Effect": "Deny", "Principal": {"AWS": ROLE + "notebook"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lab/a"}
    root = connect(gateway)
    s3 = session(gateway, web(gateway, issuer.token()))
    assert read(s3, "lab", "a") == b"content of lab"
    root.put_bucket_policy(Bucket="lab", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with fails("AccessDenied", 403):
        read(s3, "lab", "a")
    assert read(connect(gateway, ALICE), "lab", "a") == b"content of lab"
    nameless = {**statement, "Principal": "*", "Condition": {"Null": {"aws:username": "true"}}}  # whoever acts in it
    root.put_bucket_policy(Bucket="lab", Policy=json.dumps({"Version": "2012-10-17", "Statement": [nameless]}))
    with fails("AccessDenied", 403):
        read(s3, "lab", "a")
    assert read(connect(gateway, ALICE), "lab", "a") == b"content of lab"
    # One session by its name, as GetCallerIdentity tells it.
    answer = web(gateway, issuer.token())
    one = {**statement, "Principal": {"AWS": answer["AssumedRoleUser"]["Arn"]}}
    root.put_bucket_policy(Bucket="lab", Policy=json.dumps({"Version": "2012-10-17", "Statement": [one]}))
    with fails("AccessDenied", 403):
        read(session(gateway, answer), "lab", "a")
    assert read(session(gateway, web(gateway, issuer.token(), name="pod-2")), "lab", "a") == b"content of lab"
    root.delete_bucket_policy(Bucket="lab")


def caller(server, answer):
    c = answer["Credentials"]
    return sts_client(server, Credentials(c["AccessKeyId"], c["SecretAccessKey"]), c["SessionToken"]).get_caller_identity()["UserId"]


def test_userid(gateway, issuer):
    """aws:userid as AWS has it, the same wherever it is told."""
    root = connect(gateway)
    sts = sts_client(gateway, ALICE)
    alice = sts.get_caller_identity()["UserId"]
    by_token = web(gateway, issuer.token())
    assumed = sts.assume_role(RoleArn=ROLE + "notebook", RoleSessionName="alice-1")
    other = sts.assume_role(RoleArn=ROLE + "maker", RoleSessionName="alice-1")
    own = sts.assume_role(RoleArn="arn:xxx:xxx:xxx:xxxx", RoleSessionName="any")
    role, _, name = by_token["AssumedRoleUser"]["AssumedRoleId"].partition(":")
    assert (role[:4], len(role), name) == ("AROA", 21, "pod-1")
    assert assumed["AssumedRoleUser"]["AssumedRoleId"] == f"{role}:alice-1"
    assert not other["AssumedRoleUser"]["AssumedRoleId"].startswith(role)
    assert own["AssumedRoleUser"]["AssumedRoleId"] == alice
    for answer in (by_token, assumed, other, own):
        assert caller(gateway, answer) == answer["AssumedRoleUser"]["AssumedRoleId"]
    for pattern, refused in ((f"{role}:pod-1", [by_token]), (f"{role}:*", [by_token, assumed]), (alice, [own])):
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::lab/*",
            "Condition": {"StringLike": {"aws:userid": pattern}},
        }
        root.put_bucket_policy(Bucket="lab", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        for answer in (by_token, assumed, own):
            if answer in refused:
                with fails("AccessDenied", 403):
                    read(session(gateway, answer), "lab", "a")
            else:
                assert read(session(gateway, answer), "lab", "a") == b"content of lab"
    root.delete_bucket_policy(Bucket="lab")


def test_role_rules_its_users_buckets(gateway):
    answer = sts_client(gateway, ALICE).assume_role(RoleArn=ROLE + "maker", RoleSessionName="alice-1")
    s3 = session(gateway, answer)
    s3.create_bucket(Bucket="made-by-role")
    s3.put_bucket_cors(Bucket="made-by-role", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    with fails("AccessDenied", 403):
        s3.put_bucket_cors(Bucket="lab", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    s3.delete_bucket(Bucket="made-by-role")


def test_older_sessions_are_revoked(gateway, issuer):
    """AWS's way: a refusal to sessions that were issued before."""
    s3 = session(gateway, web(gateway, issuer.token()))
    own = connect(gateway, ALICE)
    root = connect(gateway)
    assert read(s3, "lab", "a") == b"content of lab"
    for offset, allowed in ((60, False), (-60, True)):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::lab/*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": when}},
        }
        root.put_bucket_policy(Bucket="lab", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        if allowed:
            assert read(s3, "lab", "a") == b"content of lab"
        else:
            with fails("AccessDenied", 403):
                read(s3, "lab", "a")
        assert read(own, "lab", "a") == b"content of lab"  # no session: it has no such time
    root.delete_bucket_policy(Bucket="lab")


def test_requests_that_are_none(gateway):
    answer = requests.post(gateway.endpoint + "/", data={"Action": "DecodeAuthorizationMessage"}, timeout=10)
    assert (answer.status_code, "<Code>InvalidAction</Code>" in answer.text) == (400, True)
    answer = requests.post(gateway.endpoint + "/", data={"Action": "AssumeRoleWithWebIdentity"}, timeout=10)
    assert (answer.status_code, "<Code>InvalidIdentityToken</Code>" in answer.text) == (400, True)
    answer = requests.post(gateway.endpoint + "/", data={"Action": "x" * 100000}, timeout=10)
    assert answer.status_code == 400
