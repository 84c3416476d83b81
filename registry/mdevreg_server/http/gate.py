"""Who may ask what, and how often: looked at before every question and decision."""

from __future__ import annotations

import math
import time
from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from mdevreg.errors import StateError
from mdevreg_server.http.address import is_loopback
from mdevreg_server.http.buckets import Buckets
from mdevreg_server.http.problems import RefusedError
from mdevreg_server.http.tokens import Scope, Token, TokenFile, refusal_of

_REALM = 'Bearer realm="mdevreg"'
HTTP = Request[Any, Any, Any]


class Gate:
    """With tokens: whoever presents one that has the scope. Without: whoever is on this machine, as on a command line.

    Without tokens a browser on this machine must not be made to speak for its user: the request has to name this
    machine itself (against DNS that is rebound), and decisions have to be JSON, which no form can send.
    """

    def __init__(self, tokens: TokenFile | None, buckets: Buckets | None) -> None:
        self._tokens, self._buckets = tokens, buckets

    def admit(self, request: HTTP, scope: Scope) -> None:
        """Let a request in, and note whose token it has. Raises ``RefusedError``: 401, 403, 429, 503.

        Not a guard of Litestar's: for each guard it copies the handler, which takes longer than all that is done here.
        """
        address = request.client.host if request.client else "-"
        if self._tokens is None:
            self._limit(address)
            _refuse_rebound(request.headers.get("host"))
            return
        token = self._token(request.headers.get("authorization"))
        self._limit(address if token is None else f"token {token.name}")
        _need(token, scope)
        request.scope["auth"] = token.name if token else None

    def _limit(self, client: str) -> None:
        wait_s = self._buckets.wait_s(client, time.monotonic()) if self._buckets else 0.0
        if wait_s:
            text = "too many requests; many pairs fit into one POST /v1/can-migrate"
            raise RefusedError(429, "TOO_MANY_REQUESTS", text, {"Retry-After": str(math.ceil(wait_s))})

    def _token(self, header: str | None) -> Token | None:
        scheme, _, presented = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not presented.strip() or self._tokens is None:
            return None
        try:
            return self._tokens.whose(presented.strip())
        except StateError as error:
            raise RefusedError(503, error.code, refusal_of(error), {"Retry-After": "10"}) from error


def _need(token: Token | None, scope: Scope) -> None:
    if token is None:
        text = "a token is needed, and one that is known: Authorization: Bearer …"
        raise RefusedError(401, "TOKEN_NEEDED", text, {"WWW-Authenticate": _REALM})
    if scope not in token.scopes:
        text = f"the token {token.name!r} has not the scope {scope!r}"
        challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
        raise RefusedError(403, "SCOPE_NEEDED", text, {"WWW-Authenticate": challenge})


def _refuse_rebound(host: str | None) -> None:
    if host is not None and not is_loopback(_name_in(host)):
        text = f"without tokens only this machine is served, by its own name; the request is for {host[:80]!r}"
        raise RefusedError(403, "HOST_REFUSED", text)


def _name_in(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
