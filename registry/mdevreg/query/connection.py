"""The first connection to a broker, and whose fault it is if there is none. Later ones nats-py makes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import AuthorizationError, NoServersError
from nats.errors import Error as NatsError

from mdevreg.addresses import brokers, shown
from mdevreg.errors import AuthError, MissingExtraError, UnreachableError


async def connect(
    client: Client,
    url: str,
    *,
    creds: str | None,
    timeout_s: float,
    on_error: Callable[[Exception], Awaitable[None]] | None = None,
    **options: Any,
) -> None:
    """Connect within ``timeout_s``; afterwards the client reconnects for ever.

    ``creds``: a NATS credentials file. Raises ``UnreachableError`` or ``AuthError``, with the
    client closed, ``UsageError`` or ``MissingExtraError``.
    """
    servers = brokers(url)  # a list, since one string with commas is one server to nats-py
    seen: list[Exception] = []

    async def failed(error: Exception) -> None:
        seen.append(error)  # nats-py tries a refused connection again and again, and tells only here
        del seen[:-5]
        if on_error is not None:
            await on_error(error)

    if creds is not None:
        options["user_credentials"] = _existing(creds)
    try:
        async with _left_closed(client):
            await asyncio.wait_for(_first(client, servers, failed, options), timeout_s)
    except AuthorizationError as error:
        raise AuthError(f"{shown(url)} refused the credentials: {error}") from error
    except (TimeoutError, OSError, NoServersError) as error:
        refused = next((one for one in seen if "authorization" in str(one).lower()), None)
        if refused is not None:
            raise AuthError(f"{shown(url)} refused the credentials: {refused}") from error
        text = f"no NATS server answers at {shown(url)} within {timeout_s:g} s; is it running?"
        raise UnreachableError(text) from error


@asynccontextmanager
async def _left_closed(client: Client) -> AsyncIterator[None]:
    """Close a client that does not get connected: refused, too late, or cancelled in the middle of a handshake.

    After a first handshake that failed nats-py takes itself for closed, and leaves the socket of the second open.
    """
    try:
        yield
    except BaseException:
        with suppress(NatsError, TimeoutError, OSError):
            await client.close()
        transport: Any = client._transport  # noqa: SLF001  nats-py has no other way to it
        if transport is not None:
            transport.close()
            await asyncio.sleep(0)  # asyncio closes a socket in the loop's next turn
        raise


def _existing(creds: str) -> str:
    if not Path(creds).is_file():
        raise AuthError(f"there is no credentials file {creds}")
    if find_spec("nkeys") is None:
        raise MissingExtraError("a NATS credentials file", "creds")
    return creds


async def end_others() -> None:
    """Cancel all other tasks of the running loop, and wait until they have ended: one may be connecting."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _first(
    client: Client, servers: list[str], failed: Callable[[Exception], Awaitable[None]], options: dict[str, Any]
) -> None:
    await client.connect(servers, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=failed, **options)
