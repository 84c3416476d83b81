"""Errors are problems (RFC 9457) with a code, whatever was wrong."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.hosts import uuid_of
from support.http_asked import asked, posted

LONG = "x" * 1_025
WRONG: list[tuple[str, int, str]] = [
    ("/v1/hosts/alpah", 404, "NOT_FOUND"),
    ("/v1/hosts/a%2Fb", 404, "NOT_FOUND"),
    ("/v1/hosts/%25", 404, "NOT_FOUND"),
    ("/v1/hosts/%FF", 404, "NOT_FOUND"),
    ("/v1/hosts/%00", 400, "USAGE"),
    (f"/v1/hosts/{LONG}", 400, "BAD_REQUEST"),
    ("/v1/hosts/twin", 400, "AMBIGUOUS"),
    ("/v1/hosts?who=1", 400, "BAD_REQUEST"),
    ("/v1/hosts/alpha?host=beta", 400, "BAD_REQUEST"),
    ("/v1/hosts?limit=1&limit=2", 400, "BAD_REQUEST"),
    ("/v1/hosts?limit=0", 400, "BAD_REQUEST"),
    ("/v1/hosts?limit=many", 400, "BAD_REQUEST"),
    ("/v1/hosts?limit=100001", 400, "USAGE"),
    ("/v1/hosts?as_of=2026-11-24T00:00:00", 400, "BAD_REQUEST"),
    ("/v1/hosts?known_at=-1", 400, "BAD_REQUEST"),
    ("/v1/hosts?known_at=99999999999999999999", 400, "BAD_REQUEST"),
    ("/v1/targets", 400, "USAGE"),
    (f"/v1/targets?device={uuid_of(1)}&outcome=maybe", 400, "BAD_REQUEST"),
    (f"/v1/targets?device={uuid_of(1)}&stale_after_s=nan", 400, "BAD_REQUEST"),
    (f"/v1/targets?device={uuid_of(1)}&limit=1001", 400, "USAGE"),
    (f"/v1/pair?device={uuid_of(1)}", 400, "USAGE"),
    (f"/v1/pair?device={uuid_of(1)}&host=", 400, "BAD_REQUEST"),
    ("/v1/devices", 400, "USAGE"),
    ("/v1/devices?host=alpha&name=x", 400, "USAGE"),
    ("/v1/devices/none", 404, "NOT_FOUND"),
    ("/v1/explain/NO_SUCH_CODE_AT_ALL", 404, "NOT_FOUND"),
    ("/v1/nothing", 404, "NO_SUCH_PATH"),
    ("/v2/hosts", 404, "NO_SUCH_PATH"),
]


@pytest.mark.parametrize(("path", "status", "code"), WRONG, ids=[path[:40] for path, _, _ in WRONG])
def test_what_can_not_be_meant_says_its_code(url: str, path: str, status: int, code: str) -> None:
    """The status, the same in the body, a sentence, and the request's id."""
    told = asked(url, path)
    assert (told.status, told.code) == (status, code)
    assert told.json["status"] == status
    assert told.json["detail"]
    assert told.json["request_id"] == told.headers["x-request-id"]


def test_the_nearest_names_are_told(url: str) -> None:
    """With what was looked for."""
    told = asked(url, "/v1/hosts/alpah").json
    assert (told["nearest"], told["kind"], told["name"]) == (["alpha"], "host", "alpah")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 10_000, b"[]", b'{"pairs": [], "who": 1}', b'{"pairs": [{"device": "a"}]}', b"{}"],
)
def test_a_body_that_can_not_be_read_is_refused(url: str, body: bytes) -> None:
    """Unknown fields too: a typing error must not change the question."""
    told = posted(url, "/v1/can-migrate", body)
    assert (told.status, told.code) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_json_is_read(url: str, kind: str) -> None:
    """What a web page can post without being asked (CORS) is none."""
    told = asked(url, "/v1/rules", method="POST", body=b"{}", headers={"Content-Type": kind})
    assert (told.status, told.code) == (415, "MEDIA_TYPE")


def test_a_long_body_is_refused(url: str) -> None:
    """With and without a length that says so beforehand."""
    pairs = [{"device": "d" * 200, "to": "t"}] * 6_000
    told = posted(url, "/v1/can-migrate", {"pairs": pairs})
    assert (told.status, told.code) == (413, "REQUEST_TOO_LARGE")
    assert _chunked(url, b"x" * 1_100_000).startswith(b"HTTP/1.1 413 ")


def _chunked(url: str, body: bytes) -> bytes:
    head = b"POST /v1/rules HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection:
        connection.sendall(head + b"\r\n\r\n" + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        return connection.recv(64)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/rules"), ("POST", "/v1/hosts"), ("GET", "/v1/can-migrate")]
)
def test_another_method_is_told_the_right_ones(url: str, method: str, path: str) -> None:
    """405 with Allow (RFC 9110)."""
    told = asked(url, path, method=method)
    assert (told.status, told.code) == (405, "METHOD_NOT_ALLOWED")
    assert told.headers["allow"]


def test_a_request_has_an_id(url: str) -> None:
    """The caller's, if it is one that may be repeated; else a new one."""
    assert asked(url, "/healthz", headers={"X-Request-ID": "mine-1.2"}).headers["x-request-id"] == "mine-1.2"
    for bad in ("a b", "x" * 129, "é"):
        given = asked(url, "/healthz", headers={"X-Request-ID": bad.encode().decode("latin-1")})
        assert given.headers["x-request-id"] not in {bad, ""}
    assert asked(url, "/healthz").headers["x-request-id"] != asked(url, "/healthz").headers["x-request-id"]


def test_head_is_get_without_the_body(url: str) -> None:
    """As RFC 9110 wants it."""
    whole, head = asked(url, "/v1/rules"), asked(url, "/v1/rules", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    names: list[Any] = ["content-length", "content-type", "etag"]
    assert [head.headers[name] for name in names] == [whole.headers[name] for name in names]
