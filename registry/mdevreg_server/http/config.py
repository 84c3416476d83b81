"""What the HTTP face is told, and its socket. Needs nothing that the extra [http] brings."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

import msgspec

from mdevreg.errors import MissingExtraError, UsageError
from mdevreg_server.http.address import address_of, bound, refuse_open
from mdevreg_server.http.tokens import read_tokens

#: Requests per second and client; twice as many at once.
RATE = 1_000.0
#: A question that takes longer is given up.
TIMEOUT_S = 10.0


class HttpConfig(msgspec.Struct, frozen=True):
    """Where to listen (``HOST:PORT``; port 0 takes a free one), and who may ask, how often, how long.

    ``tokens``: a file of bearer tokens; without it only loopback is served. ``rate``: requests per second and client.
    """

    address: str
    tokens: str | None = None
    rate: float = RATE
    timeout_s: float = TIMEOUT_S


def listen(config: HttpConfig) -> socket.socket:
    """The socket, listening, if everything that was asked for can be had.

    Raises ``MissingExtraError``, ``UsageError``, ``StateError`` (HTTP_OPEN, HTTP_TOKENS, HTTP_ADDRESS).
    """
    if any(find_spec(name) is None for name in ("litestar", "uvicorn", "prometheus_client")):
        raise MissingExtraError("the HTTP face", "http")
    if not config.rate > 0:
        raise UsageError(f"{config.rate:g} requests per second let nobody ask; expected more than 0")
    host, port = address_of(config.address)
    refuse_open(host, tokens=config.tokens is not None)
    if config.tokens is not None:
        read_tokens(Path(config.tokens))
    return bound(host, port)
