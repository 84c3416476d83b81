"""The program: `mdevreg-server serve --http`, as an operator starts and ends it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mdevreg_server.broker import Broker
from mdevreg_server.http.address import url_of
from mdevreg_server.http.config import HttpConfig, listen
from mdevreg_server.http.server import Serving
from support.door_fleet import fill
from support.http_asked import asked
from support.processes import Program, RunCli, StartCli
from support.registry import migrated

Serve = Callable[..., Program]


@pytest.fixture
def serve(sqlite_database_url: str, nats_server: Broker, start_cli: StartCli) -> Serve:
    """Starts a registry over the fleet with further options."""
    with migrated(sqlite_database_url) as engine:
        fill(engine)

    def start(*options: str, **environment: str) -> Program:
        arguments = ["mdevreg-server", "serve", "--database", sqlite_database_url, "--nats", nats_server.url]
        return start_cli([*arguments, *options], env=environment)

    return start


def _url(program: Program) -> str:
    url = program.wait_for("http.listening url=").partition("=")[2]
    program.wait_for("registry.ready")
    return url


def test_it_answers_and_ends_cleanly_with_clients_connected(serve: Serve) -> None:
    """SIGTERM: exit code 0, soon, whoever keeps a connection open."""
    program = serve("--http", "127.0.0.1:0")
    url = _url(program)
    parts = urlsplit(url)
    kept = HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    kept.request("GET", "/v1/hosts")
    assert kept.getresponse().read()
    assert program.terminate(timeout_s=15) == 0, program.output
    assert "registry.stopped" in program.output
    assert "Traceback" not in program.output
    kept.close()


def test_answers_on_their_way_leave_before_it_ends() -> None:
    """Who asked is answered; then nobody listens any more."""

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def run(listening: socket.socket) -> bytes:
        serving = asyncio.ensure_future(Serving(slow, listening).run())
        asking = asyncio.ensure_future(asyncio.to_thread(asked, url_of(listening), "/"))
        await asyncio.sleep(0.15)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(asked, url, "/")
        return (await asking).body

    with listen(HttpConfig("127.0.0.1:0")) as listening:
        url = url_of(listening)
        assert asyncio.run(run(listening)) == b"ok"


def test_it_is_set_by_the_environment_too(serve: Serve, tmp_path: Path) -> None:
    """As the other options are."""
    tokens = tmp_path / "tokens.toml"
    digest = hashlib.sha256(b"secret").hexdigest()
    tokens.write_text(f'[[token]]\nname = "me"\nsha256 = "{digest}"\nscopes = ["read"]\n')
    tokens.chmod(0o600)
    url = _url(serve(MDEVREG_HTTP="127.0.0.1:0", MDEVREG_HTTP_TOKENS=str(tokens)))
    assert asked(url, "/v1/hosts").status == 401
    assert asked(url, "/v1/hosts", headers={"Authorization": "Bearer secret"}).status == 200


def test_without_the_option_nothing_listens(serve: Serve) -> None:
    """Nobody asked for it."""
    program = serve()
    program.wait_for("registry.ready")
    assert "http." not in program.output


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--http", "0.0.0.0:0"], "HTTP_OPEN"),
        (["--http", "8080"], "USAGE"),
        (["--http-tokens", "x.toml"], "USAGE"),
        (["--http", "127.0.0.1:0", "--http-tokens", "missing.toml"], "HTTP_TOKENS"),
        (["--http", "127.0.0.1:0", "--http-rate", "0"], "USAGE"),
    ],
)
def test_what_it_can_not_do_is_one_line_and_exit_code_2(
    run_cli: RunCli, sqlite_database_url: str, options: list[str], code: str
) -> None:
    """Before it touches database or broker."""
    done = run_cli(["mdevreg-server", "serve", "--database", sqlite_database_url, *options])
    assert done.returncode == 2
    assert done.stderr.startswith(f"mdevreg-server: {code}: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_told(serve: Serve) -> None:
    """It does not run without the face that was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = serve("--http", f"127.0.0.1:{taken.getsockname()[1]}")
        assert program.process.wait(20) == 2
    assert "HTTP_ADDRESS" in program.output
