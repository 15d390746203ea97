"""The process: options, logs, metrics, health, signals, certificates, start-up."""

import dataclasses
import json
import os
import re
import signal
import socket
import ssl
import threading
import time

import pytest
import requests

from aws import connect, put_all
from server import ROOT, eventually, make_certificate
from wire import Reset, Wire

# Options.


@pytest.mark.parametrize(
    "words, told",
    [
        (["--sync", "sometimes"], ["--sync", "sometimes", "always|none"]),
        (["--listen", ""], ["--listen", "ADDR:PORT"]),
        (["--workers", "0"], ["--workers", "1 to 1024"]),
        (["--workers", "many"], ["--workers", "many"]),
        (["--idle-timeout", "5 parsecs"], ["--idle-timeout", "30s"]),
        (["--memory", "1K"], ["--memory", "size"]),
        (["--sigv2", "maybe"], ["--sigv2", "on, off"]),
        (["--no-such-option", "1"], ["--no-such-option", "--help"]),
        (["--region"], ["--region", "needs a value"]),
        (["--tls-cert", "x"], ["--tls-cert and --tls-key"]),
        (["one-more-volume"], ["one-more-volume"]),
        (["--config", "/no/such/file"], ["/no/such/file"]),
    ],
)
def test_wrong_options_say_what_is_allowed(server, words, told):
    done = server.run("serve", str(server.volume), *words, check=False)
    assert done.returncode == 2
    for text in told:
        assert text in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_secrets_are_not_echoed(server):
    done = server.run("serve", str(server.volume), check=False, env={"SLUICE_ROOT_SECRET_KEY": "tiny-secret"})
    assert done.returncode == 2 and "tiny-secret" not in done.stderr + done.stdout
    dumped = server.run("config", "dump", str(server.volume))
    assert ROOT.secret_key not in dumped.stdout


def test_precedence(server, tmp_path):
    """Command line over environment over file over default."""
    file = tmp_path / "sluice.conf"
    file.write_text("# a comment\n[group]\nregion = from-file\nworkers = 7\nidle-timeout = 7s\n")

    def dump(*words, **env):
        text = server.run("config", "dump", str(server.volume), "--config", file, *words, env=env).stdout
        return dict(re.findall(r"^([a-z0-9-]+) = (.*)$", text, re.M))

    assert dump()["region"] == "from-file" and dump()["workers"] == "7" and dump()["loops"] == str(len(os.sched_getaffinity(0)))
    assert dump(SLUICE_REGION="from-env")["region"] == "from-env"
    assert dump("--region", "from-line", SLUICE_REGION="from-env")["region"] == "from-line"
    assert dump("--region=glued")["region"] == "glued"
    assert dump(SLUICE_REGION="")["region"] == "from-file", "an empty variable is not set"
    # What is dumped is a config file.
    again = tmp_path / "again.conf"
    again.write_text(server.run("config", "dump", str(server.volume), "--config", file).stdout)
    assert server.run("config", "check", "--config", again).returncode == 0


def test_config_file_serves(private_server, tmp_path):
    file = tmp_path / "sluice.conf"
    file.write_text("region = by-file\n")
    server = private_server("byfile", options=["--config", str(file)])
    assert Wire(server, region="by-file").call("PUT", "/byfile").status == 200


def test_unknown_setting_in_a_file(server, tmp_path):
    file = tmp_path / "bad.conf"
    file.write_text("regoin = x\n")
    done = server.run("config", "check", str(server.volume), "--config", file, check=False)
    assert done.returncode == 2 and "regoin" in done.stderr and str(file) in done.stderr


def test_secret_from_a_file(private_server, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a-secret-from-a-mounted-file\n")
    server = private_server("secretfile", env={"SLUICE_ROOT_SECRET_KEY": "", "SLUICE_ROOT_SECRET_KEY_FILE": str(secret)})
    assert Wire(server, dataclasses.replace(ROOT, secret_key="a-secret-from-a-mounted-file")).call("GET", "/").status == 200


def test_help_is_for_people(server):
    for words in (["--help"], ["serve", "--help"], ["user", "--help"], ["health", "--help"], ["config", "--help"]):
        done = server.run(*words)
        assert len(done.stdout) > 100 and not done.stderr
    assert server.run("version").stdout.startswith("sluice ")
    wrong = server.run("surve", check=False)
    assert wrong.returncode == 2 and "surve" in wrong.stderr


def test_volume_that_is_none(server, tmp_path, ports):
    for volume in (tmp_path / "nowhere", __file__):
        done = server.run("serve", volume, "--state", tmp_path / "s", "--listen", f"127.0.0.1:{ports.take()}", "--admin", "off", check=False)
        assert done.returncode == 1 and str(volume) in done.stderr, done


def test_listen_address_that_cannot_be(server, tmp_path):
    done = server.run("serve", server.volume, "--state", tmp_path / "s", "--listen", "192.0.2.1:9", "--admin", "off", check=False)
    assert done.returncode == 1 and "192.0.2.1:9" in done.stderr, done


# Health and metrics.


def test_health(server, tmp_path):
    assert server.admin("/healthz")[0] == 200
    assert server.admin("/readyz")[0] == 200
    assert server.admin("/nothing")[0] == 404
    assert server.run("health", "--admin", f"127.0.0.1:{server.admin_port}").returncode == 0
    dead = server.run("health", "--admin", "127.0.0.1:9", check=False)
    assert dead.returncode == 1 and "127.0.0.1:9" in dead.stderr


def test_admin_paths_are_not_on_the_s3_port(server):
    """SEC-11, SEC-58: there they are names of buckets, which are not there."""
    for path in ("/metrics", "/healthz", "/readyz"):
        answer = requests.get(server.endpoint + path, timeout=10)
        assert answer.status_code == 404 and "<Code>NoSuchBucket</Code>" in answer.text


METRIC = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$')


def metrics(server):
    """{name with labels: value}, after checking that the text is Prometheus's."""
    status, text = server.admin("/metrics")
    assert status == 200
    values, typed = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed, f"{name} twice"
            typed[name] = kind
        elif line.startswith("#") or not line:
            continue
        else:
            assert METRIC.match(line), line
            name, value = line.rsplit(" ", 1)
            assert name not in values, f"{name} twice"
            values[name] = float(value)
            base = re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name)
            assert base in typed or re.sub(r"\{.*", "", name) in typed, f"no TYPE for {name}"
    assert set(typed.values()) <= {"counter", "gauge", "histogram", "summary"}
    return values


def total(values, name, **labels):
    return sum(v for k, v in values.items() if re.match(rf"{name}(\{{|$)", k) and all(f'{a}="{b}"' in k for a, b in labels.items()))


def test_metrics(server, s3, wire, bucket):
    before = metrics(server)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)
    for _ in range(3):
        s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    wire.call("GET", f"/{bucket}/none")
    eventually(lambda: total(metrics(server), "sluice_errors_total", code="NoSuchKey") > total(before, "sluice_errors_total", code="NoSuchKey"))
    after = metrics(server)

    def grown(name, **labels):
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("sluice_requests_total") >= 5
    assert grown("sluice_request_seconds_count") >= 5
    assert grown("sluice_errors_total", code="NoSuchKey") >= 1
    assert grown("sluice_received_bytes_total") >= 1000
    assert grown("sluice_sent_bytes_total") >= 3000
    for name in ("sluice_requests_in_flight", "sluice_connections"):
        assert total(after, name) >= 0
    assert any("bucket" in k and 'le="+Inf"' in k for k in after)
    assert any("GetObject" in k for k in after)


# Logs.


def test_access_log(server, s3, wire, bucket):
    mark = server.mark()
    s3.put_object(Bucket=bucket, Key="a b", Body=b"x" * 500)
    s3.get_object(Bucket=bucket, Key="a b")["Body"].read()
    wire.call("GET", f"/{bucket}/none")
    wire.send(wire.presign("GET", f"/{bucket}/a b"))
    wire.send(wire.anonymous("GET", "/"))

    def ours():
        """The line of a request of the test before may still have come."""
        return [line for line in server.requests(mark) if line.get("bucket") == bucket or line["op"] == "ListBuckets"]

    # A line is written when all of a request is over; its time is that of the request's beginning.
    assert eventually(lambda: len(ours()) == 5, timeout=5 * server.slowness)
    lines = sorted(ours(), key=lambda line: line["time"])
    put, get, none, presigned, anonymous = lines
    assert (put["op"], put["status"], put["bucket"], put["key"], put["access_key"]) == ("PutObject", 200, bucket, "a b", ROOT.access_key)
    assert put["bytes_in"] == 500 and get["bytes_out"] == 500
    assert (none["op"], none["status"], none["s3_code"]) == ("GetObject", 404, "NoSuchKey")
    assert (presigned["status"], presigned["auth"]) == (200, "QueryString")
    assert (anonymous["status"], anonymous["s3_code"]) == (403, "AccessDenied") and not anonymous.get("access_key")
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["time"])
        assert line["request_id"] and line["remote"].startswith("127.0.0.1")
        assert 0 < line["total_us"] < 60_000_000


def test_no_secret_in_any_log(private_server):
    """SEC-13, at the highest level of logging."""
    server = private_server("secrets", options=["--log-level", "debug"])
    wire = Wire(server)
    user = server.add_user("someone")
    wire.call("PUT", "/secrets")
    request = wire.request("GET", "/secrets")
    presigned = wire.presign("GET", "/secrets/k")
    bad = Wire(server, user).request("PUT", "/secrets/k", body=b"the body's own text").set("x-amz-date", "x")
    token = wire.request("GET", "/secrets", headers=[("x-amz-security-token", "a-session-token")])
    v2 = connect(server, signature=None).generate_presigned_url("get_object", Params={"Bucket": "secrets", "Key": "k"})
    for r in (request, presigned, bad, token, wire.anonymous("GET", v2.removeprefix(server.endpoint))):
        wire.send(r)
    server.wait_requests(0, 6)
    server.stop()
    logs = server.access_log.read_text() + server.stderr()
    v2_signature = re.search(r"Signature=([^&]+)", v2)[1]
    for secret in (
        ROOT.secret_key,
        user.secret_key,
        request.signature,
        presigned.target.rsplit("=", 1)[1],
        bad.signature,
        token.signature,
        v2_signature,
        "a-session-token",
        "the body's own text",
    ):
        assert secret not in logs, secret


def test_log_injection(server, wire, bucket):
    mark = server.mark()
    wire.send(wire.anonymous("GET", f"/{bucket}/a%0ab%22%0d%5c", [("User-Agent", 'x"},{"forged":"1\\'), ("Referer", "\x7f\xff")]))
    (line,) = server.wait_requests(mark, 1)
    assert "forged" not in line and line["status"] in (400, 403)


@pytest.mark.timed
def test_log_rotation(private_server):
    server = private_server("rotation")
    wire = Wire(server)
    wire.call("GET", "/")
    server.wait_requests(0, 1)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        moved = server.access_log.with_suffix(f".{number.name}")
        server.access_log.rename(moved)
        server.signal(number)
        assert eventually(server.access_log.exists), "opened again"
        wire.call("GET", "/")
        assert len(server.wait_requests(0, 1)) == 1
        assert len(moved.read_text().splitlines()) == 1


def test_json_process_log(private_server):
    server = private_server("jsonlog", options=["--log-format", "json"])
    server.stop()
    lines = [json.loads(line) for line in server.stderr().splitlines() if line.startswith("{")]
    assert lines


# TLS.


def served_certificate(server):
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw, context.wrap_socket(raw) as s:
        return ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True)).strip()


@pytest.mark.timed
def test_certificate_reload(private_server, tmp_path):
    pair = make_certificate(tmp_path, "first")
    server = private_server("reload", certificate=pair)
    wire = Wire(server)
    with wire.connect() as kept:
        kept.send(wire.request("GET", "/").encode())
        assert kept.response().status == 200
        first = served_certificate(server)
        assert first == pair.cert.read_text().strip()
        second = make_certificate(tmp_path, "second")
        os.replace(second.key, pair.key)
        os.replace(second.cert, pair.cert)
        server.signal(signal.SIGHUP)
        assert eventually(lambda: served_certificate(server) == pair.cert.read_text().strip() != first)
        kept.send(wire.request("GET", "/").encode())
        assert kept.response().status == 200, "connections live on"


@pytest.mark.timed
def test_broken_certificate_keeps_the_old_one(private_server, tmp_path):
    pair = make_certificate(tmp_path, "good")
    server = private_server("broken", certificate=pair)
    before = served_certificate(server)
    pair.cert.write_text("nonsense")
    server.signal(signal.SIGHUP)
    time.sleep(0.5)
    assert server.is_running() and served_certificate(server) == before


def test_bad_certificate_at_start(server, tmp_path):
    (tmp_path / "c").write_text("nonsense")
    done = server.run(
        "serve", server.volume, "--state", tmp_path / "s", "--tls-cert", tmp_path / "c", "--tls-key", tmp_path / "c", "--admin", "off", check=False
    )
    assert done.returncode != 0 and str(tmp_path / "c") in done.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_tls_versions(tls_server, version):
    context = ssl.create_default_context(cafile=tls_server.certificate.cert)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls_server.port), timeout=10) as raw, context.wrap_socket(raw, server_hostname="localhost") as s:
        assert s.version() == version.name.replace("v1_", "v1.")


def test_old_tls_and_plain_text_on_the_tls_port(tls_server):
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", tls_server.port), timeout=10) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw)
    with socket.create_connection(("127.0.0.1", tls_server.port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert not raw.recv(100).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:
            pass
    assert Wire(tls_server).call("GET", "/").status == 200


# Signals.


@pytest.mark.timed
@pytest.mark.posix
def test_drain_finishes_what_is_in_flight(private_server):
    server = private_server("drain")
    wire = Wire(server)
    wire.call("PUT", "/drain")
    body = b"d" * 3_000_000
    wire.call("PUT", "/drain/big", body=body * 10)
    with wire.connect() as upload, wire.connect() as download, wire.connect() as idle:
        request = wire.request("PUT", "/drain/k", body=body)
        upload.send(request.head() + body[:1000])
        download.send(wire.request("GET", "/drain/big").encode())
        download.head()
        idle.send(wire.request("GET", "/").encode())
        assert idle.response().status == 200
        server.signal(signal.SIGTERM)
        assert idle.ends(), "idle connections end at once"
        assert eventually(lambda: refuses(server)), "no new connections"
        assert server.is_running()
        upload.send(body[1000:])
        answer = upload.response()
        assert answer.status == 200 and answer.header("Connection").lower() == "close"
        assert download.exactly(len(body) * 10) == body * 10
    server.stop()
    assert (server.volume / "drain/k").read_bytes() == body


def refuses(server):
    try:
        with Wire(server).connect() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            c.response()
    except (OSError, EOFError, Reset):
        return True
    return False


@pytest.mark.timed
def test_drain_is_bounded(private_server):
    server = private_server("bounded", options=["--drain-timeout", "1s"])
    wire = Wire(server)
    wire.call("PUT", "/bounded")
    with wire.connect() as c:
        c.send(wire.request("PUT", "/bounded/k", body=b"x" * 1000).head() + b"x")
        time.sleep(0.2)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        server.process.wait(10 * server.slowness)
        assert time.monotonic() - started < 5 * server.slowness
    assert not (server.volume / "bounded/k").exists()
    server.stop(codes=(1,))  # 0 is for a clean drain


@pytest.mark.timed
def test_second_signal_stops_at_once(private_server):
    server = private_server("second")
    wire = Wire(server)
    wire.call("PUT", "/second")
    with wire.connect() as c:
        c.send(wire.request("PUT", "/second/k", body=b"x" * 1000).head() + b"x")
        time.sleep(0.2)
        server.signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.is_running()
        server.signal(signal.SIGINT)
        server.process.wait(5 * server.slowness)
    server.stop(codes=(0, 1))


@pytest.mark.timed
def test_not_ready_during_the_drain_delay(private_server):
    server = private_server("delay", options=["--drain-delay", "2s"])
    server.signal(signal.SIGTERM)
    assert eventually(lambda: server.admin("/readyz")[0] == 503, timeout=1.5)
    assert server.admin("/healthz")[0] == 200
    assert Wire(server).call("GET", "/").status == 200, "still accepting"
    assert server.run("health", "--admin", f"127.0.0.1:{server.admin_port}", check=False).returncode == 1


def test_sd_notify(make_session_server, short_path):
    path = short_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(20)
        server = make_session_server("notify", env={"NOTIFY_SOCKET": str(path)})
        server.start()
        assert b"READY=1" in s.recv(4096)
        server.stop()
        assert b"STOPPING=1" in s.recv(4096)


@pytest.mark.plain
def test_start_is_quick(make_session_server):
    """Well under 100 ms to the first answer; the median of several, on a machine that does other things."""
    server = make_session_server("quick")
    took = []
    for _ in range(7):
        started = time.monotonic()
        server.start()
        took.append(time.monotonic() - started)
        server.stop()
    assert sorted(took)[3] < 0.3, took


def test_client_that_leaves_is_no_failure(server, wire, bucket):
    mark = server.mark()
    for _ in range(5):
        with wire.connect() as c:
            c.send(wire.request("PUT", f"/{bucket}/k", body=b"x" * 1_000_000).head() + b"x" * 1000)
    lines = server.wait_requests(mark, 5)
    assert all(line["status"] < 500 for line in lines), lines


def test_many_connections(server, bucket, s3):
    """500 idle connections and still quick answers."""
    put_all(s3, bucket, ["k"])
    wire = Wire(server)
    held = [wire.connect() for _ in range(500)]
    try:
        for c in held[::50]:
            c.send(wire.request("GET", f"/{bucket}/k").encode())
            assert c.response().body == b"x"
    finally:
        for c in held:
            c.close()


def test_parallel_mixture(server, bucket):
    """Threads of different work at once; nobody's answer is another's."""
    failures = []

    def work(i):
        try:
            wire = Wire(server)
            with wire.connect() as c:
                for j in range(25):
                    body = f"{i}-{j}".encode() * (1 + 997 * (j % 5))
                    c.send(wire.request("PUT", f"/{bucket}/w{i}/{j}", body=body).encode())
                    assert c.response().status == 200
                    c.send(wire.request("GET", f"/{bucket}/w{i}/{j}").encode())
                    assert c.response().body == body
                c.send(wire.request("GET", f"/{bucket}", [("list-type", "2"), ("prefix", f"w{i}/")]).encode())
                assert len(c.response().xml().findall("Contents")) == 25
        except Exception as e:  # noqa: BLE001 — reported by the test's own thread
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[0]
