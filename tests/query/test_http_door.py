"""The HTTP door beside its contract: tokens, connections that are kept, servers that are none of ours."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mdevreg import query
from mdevreg.compatibility import Rules
from mdevreg.errors import AuthError, MdevregError, RemoteError, UnreachableError, UsageError
from mdevreg.facts import NOW
from mdevreg.query import http_door
from mdevreg.query.batch import Asked, NearDoor, can_migrate_many, one_by_one
from mdevreg.query.http_door import HttpDoor
from mdevreg.query.pages import PageAsked, PagingDoor, every_target, targets_page
from mdevreg_server.http.config import HttpConfig
from support.door_fleet import FLEET, memory_door
from support.faces import LOOPBACK, faced
from support.hosts import uuid_of
from support.processes import RunCli

PAIRS = [Asked(uuid_of(1), to) for to in ("beta", "eta", "nowhere", "beta/mtty")]
#: Nobody is stale.
RULES = Rules(stale_after_s=1e9)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry's HTTP face."""
    with faced(tmp_path_factory.mktemp("door"), HttpConfig(LOOPBACK)) as (registry, _):
        yield registry.http_url


@contextmanager
def _stranger(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A real HTTP server that is no registry; it says to each request what the test wants."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _says(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_many_pairs_are_one_question(url: str) -> None:
    """The same rulings and problems as asking one by one."""
    now = datetime.now(UTC)
    with query.open(url) as door:
        assert isinstance(door, NearDoor)
        near = can_migrate_many(door, PAIRS, now=now, rules=RULES)
        far = one_by_one(door, PAIRS, now=now, moment=NOW, rules=RULES)
    assert [each.answer and each.answer.ruling for each in near.answers] == [
        each.answer and each.answer.ruling for each in far.answers
    ]
    assert [each.problem for each in near.answers] == [each.problem for each in far.answers]
    assert near.position == far.position


def test_pages_of_targets_are_those_of_the_registry(url: str) -> None:
    """Each host once, as the library makes them of facts."""
    now, asked = datetime.now(UTC), PageAsked(uuid_of(1), limit=2, stale_after_s=1e9)
    with query.open(url) as door:
        assert isinstance(door, PagingDoor)
        rows = list(every_target(door, asked, now=now))
    expected = targets_page(memory_door(), uuid_of(1), now=now, rules=RULES)
    assert {row.host for row in rows} == {row.host for row in expected.rows}
    assert len({row.host for row in rows}) == len(rows)


def test_hosts_of_several_pages_are_all_hosts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet larger than a page."""
    monkeypatch.setattr(http_door, "HOSTS_AT_ONCE", 2)
    with query.open(url) as door:
        found = door.hosts(NOW)
    assert [host.evidence.hostname for host in found.hosts] == ["alpha", "beta", "eta", "gamma", "twin", "twin", "zeta"]
    assert len(found.hosts) == len(FLEET)


@pytest.mark.parametrize(
    ("text", "raised"),
    [("right\n", None), ("wrong", "TOKEN_NEEDED"), ("", "AUTH"), ("two words", "AUTH"), ("é", "AUTH")],
)
def test_a_token_comes_from_a_file(tmp_path: Path, text: str, raised: str | None) -> None:
    """What is no token is told before anything is sent; a wrong one by the registry. Exit code 4, either way."""
    tokens, creds = tmp_path / "tokens.toml", tmp_path / "token"
    digest = hashlib.sha256(b"right").hexdigest()
    tokens.write_text(f'[[token]]\nname = "me"\nsha256 = "{digest}"\nscopes = ["read"]\n')
    tokens.chmod(0o600)
    creds.write_text(text)
    with faced(tmp_path, HttpConfig(LOOPBACK, tokens=str(tokens))) as (registry, _):
        if raised is None:
            with query.open(registry.http_url, creds=str(creds)) as door:
                assert door.rules(NOW).rules
            return
        with pytest.raises(AuthError) as caught, query.open(registry.http_url, creds=str(creds)) as door:
            door.rules(NOW)
    assert (caught.value.code, caught.value.exit_code) == (raised, 4)


def test_a_missing_token_file_is_told(url: str) -> None:
    """By its name."""
    with pytest.raises(AuthError, match="nowhere"):
        query.open(url, creds="/nowhere/token")


@pytest.mark.parametrize(
    "url", ["http://", "http://me:secret@host", "http://host?x=1", "https://host:port", "http://[x"]
)
def test_what_is_no_address_is_told_without_its_secrets(url: str) -> None:
    """User names and passwords are not for HTTP here."""
    with pytest.raises(UsageError) as caught:
        query.open(url)
    assert "secret" not in str(caught.value)


def test_nobody_there_is_unreachable() -> None:
    """At once, and with exit code 5."""
    with pytest.raises(UnreachableError, match="is mdevreg-server running there") as caught:
        query.open("http://127.0.0.1:9", timeout_s=1.0)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>", RemoteError),
        (200, b"\xff", RemoteError),
        (200, b"{}", RemoteError),
        (404, b"not here", RemoteError),
        (302, b"", RemoteError),
        (403, b'{"code": "SCOPE_NEEDED", "detail": "not you"}', AuthError),
        (503, b'{"code": "TIMEOUT", "detail": "too long"}', UnreachableError),
        (429, b'{"code": "TOO_MANY_REQUESTS", "detail": "slower"}', UnreachableError),
        (500, b'{"code": "INTERNAL", "detail": "a fault"}', RemoteError),
    ],
)
def test_a_server_that_is_no_registry_or_a_failing_one(status: int, body: bytes, kind: type[MdevregError]) -> None:
    """An error of ours, whatever comes; redirections are not followed, they could lead a token elsewhere."""
    with _stranger(_says(status, body, Location="http://127.0.0.1:9/")) as url, query.open(url) as door:
        with pytest.raises(kind) as caught:
            door.rules(NOW)
        assert url in str(caught.value)


def test_a_connection_is_kept_and_one_that_was_closed_is_made_anew() -> None:
    """A server closes what is idle; nobody notices."""
    peers: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        peers.append(handler.client_address[1])
        _says(200, b'{"position": 1, "rules": []}')(handler)
        if len(peers) == 2:
            handler.connection.shutdown(socket.SHUT_RDWR)

    with _stranger(answer) as url, query.open(url) as door:
        for _ in range(3):
            assert door.rules(NOW).position == 1
    assert peers[0] == peers[1] != peers[2]


def test_a_decision_is_never_sent_twice() -> None:
    """A rule may have been ended although the answer was lost: ending it again would be an error."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if handler.command == "POST":
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            _says(200, b'{"position": 1, "rules": []}')(handler)

    with _stranger(answer) as url, query.open(url) as door:
        door.rules(NOW)
        with pytest.raises(UnreachableError):
            door.end_rule("r1", at=None, author="me")
    assert asked.count("/v1/rules/r1/end") == 1


def test_a_server_that_says_nothing_is_given_up() -> None:
    """Within the door's time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with query.open(url, timeout_s=0.2) as door, pytest.raises(UnreachableError, match=r"within 0\.2 s"):
            door.hosts(NOW)


def test_proxies_of_the_environment_are_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane talks to its registry, not to a web proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with query.open(url) as door:
        assert door.hosts(NOW).hosts


def test_more_threads_than_kept_connections(url: str) -> None:
    """Each has its answer."""
    with query.open(url) as door, ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: door.rules(NOW), range(200)))
    assert len({answer.position for answer in answers}) == 1


def test_tls_is_insisted_on_with_https(url: str) -> None:
    """A plain server is no TLS server: nothing is sent in the clear instead."""
    with pytest.raises(UnreachableError):
        query.open(url.replace("http://", "https://"), timeout_s=2.0)


def test_a_registry_below_a_path(url: str) -> None:
    """A proxy may have it there: the path goes before every question."""
    with query.open(f"{url}/elsewhere/") as door, pytest.raises(RemoteError, match="nothing is here"):
        door.hosts(NOW)


def test_the_command_line_asks_over_http(url: str, run_cli: RunCli) -> None:
    """`mdevreg --url http://…`: answers, exit codes and errors as through every door."""
    assert "alpha" in run_cli(["mdevreg", "--url", url, "hosts"]).stdout
    asked = ["mdevreg", "--url", url, "--stale-after", "300000000", "can-migrate", uuid_of(1), "--to"]
    assert [run_cli([*asked, to]).returncode for to in ("beta", "eta", "zeta", "nowhere")] == [0, 1, 3, 2]
    assert "NOT_FOUND" in run_cli([*asked, "nowhere"]).stderr


def test_the_door_is_what_open_gives(url: str) -> None:
    """And closing it twice is allowed."""
    door = query.open(url)
    assert isinstance(door, HttpDoor)
    door.close()
    door.close()
