"""A small OpenID issuer on loopback: discovery, keys, tokens. Keys are made by, and tokens signed with, the openssl command."""

import base64
import http.server
import json
import pathlib
import subprocess
import threading
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *map(str, words)], input=data, check=True, capture_output=True).stdout


class Key:
    """A signing key: kind "RS256" or "ES256"."""

    def __init__(self, folder, kid, kind="RS256"):
        self.kid, self.kind = kid, kind
        self.path = pathlib.Path(folder) / f"{kid}.pem"
        options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        if kind == "ES256":
            options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", *options, "-out", self.path)

    def jwk(self):
        if self.kind == "ES256":
            point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
            return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": b64(point[:32]), "y": b64(point[32:])}
        modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
        return {"kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}

    def sign(self, data):
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=data)
        if self.kind == "RS256":
            return signature
        # DER's two integers to 32 bytes each.
        numbers, at = [], 2
        for _ in range(2):
            size = signature[at + 1]
            numbers.append(int.from_bytes(signature[at + 2 : at + 2 + size], "big").to_bytes(32, "big"))
            at += 2 + size
        return b"".join(numbers)


class Issuer:
    def __init__(self, folder):
        self.folder = folder
        self.keys = [Key(folder, "rsa"), Key(folder, "ec", "ES256")]
        self.fetches = []
        self.broken = False
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetches.append(self.path)
                documents = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": issuer.url + "/keys"},
                    "/keys": {"keys": [k.jwk() for k in issuer.keys]},
                }
                found = self.path in documents and not issuer.broken
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200 if found else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def token(self, key=None, header=None, **claims):
        """Claims of None are left out."""
        key = key or self.keys[0]
        everything = {"iss": self.url, "aud": "sluice", "sub": "system:serviceaccount:lab:jupyter", "exp": int(time.time()) + 600, **claims}
        head = {"alg": key.kind, "kid": key.kid, "typ": "JWT", **(header or {})}
        parts = [head, {k: v for k, v in everything.items() if v is not None}]
        text = ".".join(b64(json.dumps(p).encode()) for p in parts)
        return f"{text}.{b64(key.sign(text.encode()))}"
