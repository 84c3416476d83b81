"""HTTP connections that are kept and lent, to one server. Proxies of the environment are not asked."""

from __future__ import annotations

import ssl
import time
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mdevreg.addresses import shown
from mdevreg.errors import AuthError, UnreachableError, UsageError

#: A connection that was idle for longer may have been closed by the server, and is not used again.
IDLE_S = 30.0
#: Connections that are kept; more threads make more, which are closed after use.
KEPT = 32

_PORTS = {"http": 80, "https": 443}


class Reply(msgspec.Struct, frozen=True):
    """What a server answered."""

    status: int
    reason: str
    body: bytes


class Link:
    """Requests to the server of one URL, from any thread. ``timeout_s``: for each wait on the network."""

    def __init__(self, url: str, *, timeout_s: float, creds: str | None) -> None:
        self.shown = shown(url)
        self._https, self._host, self._port, self._base = _parts(url)
        self._timeout_s = timeout_s
        self._context = ssl.create_default_context() if self._https else None
        self._headers = {"Accept": "application/json", "User-Agent": "mdevreg"}
        if creds is not None:
            self._headers["Authorization"] = f"Bearer {_token(creds)}"
        self._idle: deque[tuple[HTTPConnection, float]] = deque()

    def connect(self) -> None:
        """See that the server is there. Raises ``UnreachableError``."""
        connection = self._new()
        try:
            connection.connect()
        except OSError as error:
            raise self._away(error, self._timeout_s) from error
        self._keep(connection)

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, again: bool = True, longer_s: float = 0.0
    ) -> Reply:
        """A request and its reply. ``again``: it may be sent twice, where a kept connection turns out to be closed.

        ``longer_s``: how much longer than others it may take. Raises ``UnreachableError``.
        """
        timeout_s = self._timeout_s + longer_s
        while again and (connection := self._kept()) is not None:
            try:
                return self._exchange(connection, method, path, body, timeout_s)
            except (ConnectionError, HTTPException):  # it was closed while it lay idle
                connection.close()
            except OSError as error:
                connection.close()
                raise self._away(error, timeout_s) from error
        connection = self._new()
        try:
            return self._exchange(connection, method, path, body, timeout_s)
        except (OSError, HTTPException) as error:
            connection.close()
            raise self._away(error, timeout_s) from error

    def close(self) -> None:
        """Close what is kept. Closing twice is allowed."""
        while self._idle:
            self._idle.pop()[0].close()

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> Reply:
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        connection.request(method, self._base + path, body, headers)
        response = connection.getresponse()
        reply = Reply(response.status, response.reason, response.read())
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return reply

    def _new(self) -> HTTPConnection:
        if self._context is not None:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _kept(self) -> HTTPConnection | None:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if time.monotonic() - since < IDLE_S:
                return connection
            connection.close()
        return None

    def _keep(self, connection: HTTPConnection) -> None:
        self._idle.append((connection, time.monotonic()))
        if len(self._idle) > KEPT:
            self._idle.popleft()[0].close()

    def _away(self, error: Exception, timeout_s: float) -> UnreachableError:
        if isinstance(error, TimeoutError):
            return UnreachableError(f"no answer from {self.shown} within {timeout_s:g} s")
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return UnreachableError(f"no registry answers at {self.shown} ({why}); is mdevreg-server running there?")


def _parts(url: str) -> tuple[bool, str, int, str]:
    """Whether TLS, host, port, and what comes before every path. Raises ``UsageError``."""
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError as error:
        raise UsageError(f"{shown(url)!r} is no URL: {error}") from error
    if found.username is not None or found.password is not None:
        raise UsageError(f"{shown(url)!r}: user names and passwords are not used; name a file with a token (--creds)")
    if found.scheme not in _PORTS or not host or found.query or found.fragment:
        raise UsageError(f"{shown(url)!r} is no registry; expected http://HOST[:PORT] or https://HOST[:PORT]")
    return found.scheme == "https", host, port or _PORTS[found.scheme], found.path.rstrip("/")


def _token(creds: str) -> str:
    """The token in a file. Raises ``AuthError``."""
    try:
        token = Path(creds).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise AuthError(f"the token in {creds} can't be read: {why}") from error
    if not token or not token.isprintable() or " " in token:
        raise AuthError(f"{creds} holds no token; expected one line without spaces")
    return token
