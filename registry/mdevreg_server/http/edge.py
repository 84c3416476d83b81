"""What every request passes first and every response last: its id, its time, its headers. Plain ASGI."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from mdevreg_server.http.problems import REQUEST_ID

#: Is told of each request: method, template of the path, status, seconds.
Observe = Callable[[str, str, int, float], None]

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
#: An encoded slash is part of a name, not of the path; an encoded percent sign must not become one.
_KEPT = re.compile(r"(?i)(%2f|%25)")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
)


def edge(app: ASGIApp, observe: Observe) -> ASGIApp:
    """The app with its edge."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        await _serve(app, observe, scope, receive, send)

    return serve


async def _serve(app: ASGIApp, observe: Observe, scope: Any, receive: Receive, send: Send) -> None:
    began, status, method = time.perf_counter(), 500, scope["method"]
    identity = _identity(scope)
    inner = {
        **scope,
        "path": _path(scope.get("raw_path") or b"/"),
        "method": "GET" if method == "HEAD" else method,  # uvicorn leaves the body out
        REQUEST_ID: identity,
    }

    async def tell(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            own = [*message["headers"], (b"x-request-id", identity.encode()), *_HEADERS]
            message = {**message, "headers": own}
        await send(message)

    try:
        await app(inner, receive, tell)  # type: ignore[arg-type]
    finally:
        observe(method, str(inner.get("path_template") or "none"), status, time.perf_counter() - began)


def named(segment: str) -> str:
    """The name in a segment of the path."""
    return unquote(segment)


def _path(raw: bytes) -> str:
    """The path, decoded but for what ``named`` decodes."""
    parts = _KEPT.split(raw.decode("ascii", "replace"))
    return "".join(part.upper() if _KEPT.fullmatch(part) else unquote(part) for part in parts)


def _identity(scope: Any) -> str:
    """The caller's id for the request, if it is one to be repeated, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    text = given.decode("latin-1")
    return text if _ID.fullmatch(text) else uuid.uuid4().hex
