"""A registry in a process of its own, and in the same process and event loop what its answers are compared with.

An empty endpoint of the services API, and an empty Litestar handler on a uvicorn that is set like the registry's.
Run as a program: ``network_server.py DATABASE NATS``; ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import nats
from litestar import Litestar, Response, post
from nats.aio.client import Client
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig

from mdevreg_server.http.address import bound
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.http.server import Serving
from mdevreg_server.serve import ServeConfig, serve, stop_on_signals

EMPTY = "bench.empty"
#: Nobody is told to come back later here.
_RATE = 1e9


async def main(database: str, url: str) -> None:
    """Serve both until a signal."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    client = await nats.connect(url)
    await _empty_endpoint(client)
    listening = bound("127.0.0.1", 0)
    empty = asyncio.ensure_future(Serving(_empty_app(), listening).run())
    say(f"empty.listening port={listening.getsockname()[1]}")
    config = ServeConfig(database=database, nats=url, http=HttpConfig("127.0.0.1:0", rate=_RATE, timeout_s=60))
    try:
        await serve(config, say=say, applied=lambda _: None, ready=lambda: say("registry.ready"), stop=stop)
    finally:
        empty.cancel()
        await asyncio.gather(empty, return_exceptions=True)
        await client.close()


def say(line: str) -> None:
    """One line of the log."""
    print(line, flush=True)


async def _empty_endpoint(client: Client) -> None:
    async def handle(request: Request) -> None:
        await request.respond(b"{}")

    service = await add_service(client, ServiceConfig(name="empty", version="1.0.0"))
    await service.add_endpoint(EndpointConfig(name="empty", subject=EMPTY, handler=handle))


def _empty_app() -> Any:
    @post("/empty", status_code=200)
    async def empty() -> Response[bytes]:
        return Response(b"{}", media_type="application/json")

    return Litestar([empty], openapi_config=None, logging_config=None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
