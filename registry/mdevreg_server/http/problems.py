"""Errors as ``application/problem+json`` (RFC 9457), each with the code that it has everywhere in mdevreg."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from mdevreg.errors import AuthError, MdevregError
from mdevreg_server.answers import body_of, http_status

PROBLEM = "application/problem+json"
#: Where the edge keeps the request's id in the ASGI scope.
REQUEST_ID = "mdevreg.request_id"

#: What Litestar refuses by itself: code and sentence.
_CODES = {
    HTTPStatus.BAD_REQUEST: ("BAD_REQUEST", "the request can't be read"),
    HTTPStatus.NOT_FOUND: ("NO_SUCH_PATH", "nothing is here; GET / lists what can be asked"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "this path takes another method; the header Allow names it"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("REQUEST_TOO_LARGE", "the body is longer than 1 MiB; ask in parts"),
}


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error. ``code`` is stable, ``detail`` is a sentence and may change.

    ``kind`` and ``name``: what was not found, and how it was called; ``nearest``: known names that look like it.
    ``reasons``: of ``/readyz``, what does not answer.
    """

    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    nearest: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""
    reasons: tuple[str, ...] = ()


class RefusedError(MdevregError):
    """What HTTP itself has to refuse, with its status and headers."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.status, self.headers = status, dict(headers or {})


Any_Request = Request[Any, Any, Any]


def handlers(say: Callable[[str], None]) -> ExceptionHandlersMap:
    """What becomes of exceptions: ours, Litestar's, and faults of the registry, which are said."""

    def fault(request: Any_Request, error: Exception) -> Response[bytes]:
        where = f"{request.method} {request.scope.get('path_template', '')}"
        say(f"http.failed request_id={_id(request)} at={where!r} error={traceback.format_exception(error, limit=-4)!r}")
        text = "a fault of the registry; its log has it under this request's id"
        return problem(request, 500, "INTERNAL", text)

    return {MdevregError: of_ours, HTTPException: of_litestar, Exception: fault}


def of_ours(request: Any_Request, error: MdevregError) -> Response[bytes]:
    """One of our errors."""
    if isinstance(error, RefusedError):
        return problem(request, error.status, error.code, error.message, headers=error.headers)
    told, status = body_of(error), http_status(error)
    if isinstance(error, AuthError):  # the database refuses the registry, not the registry its client
        status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    more = {"nearest": told.nearest, "kind": told.kind, "name": told.name}
    return problem(request, status, told.code, told.message, headers=headers, **more)


def of_litestar(request: Any_Request, error: HTTPException) -> Response[bytes]:
    """What Litestar refuses: no such path, another method, a body that is too large."""
    status = error.status_code
    code, detail = _CODES.get(HTTPStatus(status), (HTTPStatus(status).name, error.detail))
    return problem(request, status, code, detail, headers=error.headers)


def problem(
    request: Any_Request, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response[bytes]:
    """The response. ``more``: further fields of ``ProblemDetails``."""
    body = ProblemDetails(HTTPStatus(status).phrase, status, detail, code, _id(request), **more)
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body), status_code=status, media_type=PROBLEM, headers=headers)


def _id(request: Any_Request) -> str | None:
    found = request.scope.get(REQUEST_ID)
    return None if found is None else str(found)
