"""The record of others' holes as tests: every requirement of it has one under its number, or a reason why there is nothing to test. What
stands in no other file is here."""

import pathlib
import re

import pytest
import requests

TESTS = pathlib.Path(__file__).parents[1]
GROUPS = (range(1, 14), range(20, 28), range(30, 46), range(50, 64))
# Requirements about what sluice does not have; docs/security.md says the same.
NOTHING_TO_TEST = {44, 45, 60, 61, 62, 63}


def numbers_in(text):
    """ "SEC-07", "SEC-32 … -38" is seven of them, test_sec_54."""
    found = set()
    for first, rest in re.findall(r"\bSEC-(\d\d)((?:(?:,| to| …| and) (?:SEC)?-\d\d)*)", text):
        last = int(first)
        found.add(last)
        for word, number in re.findall(r"(,| to| …| and) (?:SEC)?-(\d\d)", rest):
            found.update(range(last + 1, int(number)) if word in (" to", " …") else ())
            last = int(number)
            found.add(last)
    return found | {int(number) for number in re.findall(r"\btest_sec_(\d\d)", text)}


def test_every_requirement_is_here():
    """In the tests and in the table of docs/security.md."""
    asked = {number for group in GROUPS for number in group}
    tested = set()
    for file in [*TESTS.glob("unit/*.c"), *TESTS.glob("e2e/test_*.py"), *TESTS.glob("contract/*.c")]:
        if file != pathlib.Path(__file__):
            tested |= numbers_in(file.read_text())
        else:
            tested |= {int(number) for number in re.findall(r"^def test_sec_(\d\d)", file.read_text(), re.M)}
    assert not asked - NOTHING_TO_TEST - tested, "no test names it"
    told = numbers_in((TESTS.parent / "docs/security.md").read_text().split("## The record of others")[1])
    assert not asked - told, "the table does not have it"
    assert not NOTHING_TO_TEST & tested, "it can be tested after all"


ODD = {
    "empty copy source": ("PUT", "/odd", [], [("x-amz-copy-source", "")]),
    "copy source without a key": ("PUT", "/odd", [], [("x-amz-copy-source", "bucket")]),
    "copy source of slashes": ("PUT", "/odd", [], [("x-amz-copy-source", "////")]),
    "range the wrong way round": ("GET", "/key", [], [("Range", "bytes=100-0")]),
    "range of nothing": ("GET", "/key", [], [("Range", "bytes=-")]),
    "range beyond counting": ("GET", "/key", [], [("Range", "bytes=99999999999999999999-")]),
    "part number beyond counting": ("GET", "/key", [("partNumber", "99999999999999999999")], []),
    "part 0": ("PUT", "/key", [("partNumber", "0"), ("uploadId", "x")], []),
    "part 10001": ("PUT", "/key", [("partNumber", "10001"), ("uploadId", "x")], []),
    "upload id of dots": ("GET", "/key", [("uploadId", "../../..")], []),
    "empty upload id": ("GET", "/key", [("uploadId", "")], []),
    "empty version": ("GET", "/key", [("versionId", "")], []),
    "negative page": ("GET", "", [("max-keys", "-1")], []),
    "page beyond counting": ("GET", "", [("max-keys", "99999999999999999999")], []),
    "token of nonsense": ("GET", "", [("list-type", "2"), ("continuation-token", "\u20ac")], []),
    "empty conditions": ("GET", "/key", [], [("If-Match", ""), ("If-None-Match", ""), ("If-Modified-Since", "")]),
    "empty list": ("PUT", "/odd", [], [("x-amz-acl", "")]),
    "empty grant": ("PUT", "/odd", [], [("x-amz-grant-read", "")]),
    "empty tags": ("PUT", "/odd", [], [("x-amz-tagging", "=&=&&")]),
    "empty rename source": ("PUT", "/odd", [("renameObject", "")], [("x-amz-rename-source", "")]),
}


@pytest.mark.parametrize("name", ODD)
def test_sec_54_odd_values_are_answered(server, wire, bucket, name):
    """With an answer that is the client's to read: neither a failure of ours nor a cut connection."""
    method, key, query, headers = ODD[name]
    wire.call("PUT", f"/{bucket}/key", body=b"x")
    answer = wire.call(method, f"/{bucket}{key}", query, headers)
    assert 200 <= answer.status < 500, (name, answer)
    assert server.is_running()


@pytest.mark.parametrize("sub", ["cors", "ownershipControls", "acl", "tagging", "publicAccessBlock", "policy", "delete"])
@pytest.mark.parametrize("body", [b"", b"<a/>", b"<CORSConfiguration/>", b"<OwnershipControls/>", b"<Delete/>", b"{}", b"\0" * 100, b"<" * 10000])
def test_sec_54_odd_documents_are_refused(server, wire, bucket, sub, body):
    answer = wire.call("POST" if sub == "delete" else "PUT", f"/{bucket}", [(sub, "")], body=body)
    assert 400 <= answer.status < 500 or (sub, answer.status) == ("acl", 200), answer
    assert server.is_running()


def test_sec_56_bodies_before_a_signature_are_bounded(server):
    """Those of the token service are read before anybody knows who asks: no more of them than could be right."""
    before = server.rss()
    answer = requests.post(server.endpoint + "/", data={"Action": "AssumeRole", "Policy": "x" * (64 << 20)}, timeout=60)
    assert answer.status_code == 400, answer.text
    assert server.rss() - before < 32 << 20
