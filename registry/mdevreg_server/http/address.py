"""Where the HTTP face listens. Loopback unless told otherwise, and never open to others without tokens."""

from __future__ import annotations

import ipaddress
import socket

from mdevreg.errors import StateError, UsageError

_MAX_PORT = 65_535


def address_of(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[V6]:PORT`` in its parts; port 0 takes a free one. Raises ``UsageError``."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    brackets = host != bare
    if (
        not (colon and bare and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT)
        or (":" in bare) != brackets
    ):
        raise UsageError(f"{text!r} is no address to listen on; expected HOST:PORT, such as 127.0.0.1:8080")
    return bare, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it: an address of loopback, or a name that is one by RFC 6761."""
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def refuse_open(host: str, *, tokens: bool) -> None:
    """Raises ``StateError`` (HTTP_OPEN) for an address that others reach, without tokens."""
    if not tokens and not is_loopback(host):
        text = (
            f"whoever reaches {host} could ask and decide; "
            "name a file of tokens with --http-tokens, or listen on 127.0.0.1"
        )
        raise StateError(text, code="HTTP_OPEN")


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``StateError`` (HTTP_ADDRESS)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1_024)
        # Connections inherit it. asyncio sets it only where the socket names its protocol, which this one does not;
        # without it every answer waits 40 ms for an acknowledgement of its head.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        text = f"can't listen on {host} port {port}: {error.strerror or error}; name another address with --http"
        raise StateError(text, code="HTTP_ADDRESS") from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
