"""Addresses of brokers and databases, as people may see them."""

from __future__ import annotations

import re

from mdevreg.errors import UsageError

#: One broker: nats://[user[:password]@]host[:port]
_BROKER = re.compile(r"nats://(?:[^/@\s,]+@)?(?:\[[0-9A-Fa-f:.]+\]|[^/@:\s,\[\]]+)(?::(?P<port>\d{1,5}))?/?\Z")
_USER_INFO = re.compile(r"//[^/,@]*@")


def shown(url: str) -> str:
    """A URL (or several, separated by commas) without user names and passwords."""
    return _USER_INFO.sub("//", url)


def brokers(url: str) -> list[str]:
    """The brokers that a URL names; several are separated by commas.

    Raises ``UsageError``. ``tls://`` is none: this client can't insist on TLS; with ``nats://`` it uses TLS wherever
    the server requires it.
    """
    servers = [server.strip() for server in url.split(",")]
    for server in servers:
        found = _BROKER.match(server)
        if found is None or not 0 < int(found["port"] or 4222) < 65_536:  # noqa: PLR2004  (16 bits)
            expected = "nats://HOST:PORT (with TLS where the server asks for it)"
            raise UsageError(f"{shown(server)!r} is no broker; expected {expected}")
    return servers
