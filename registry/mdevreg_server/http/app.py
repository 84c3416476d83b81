"""The application: questions, decisions, health, figures, and its own description, behind one gate and one edge."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from mdevreg_server.http.edge import edge
from mdevreg_server.http.forms import JSON
from mdevreg_server.http.gate import HTTP, Gate
from mdevreg_server.http.handlers import Questions
from mdevreg_server.http.health import Health
from mdevreg_server.http.metrics import CONTENT_TYPE, Figures
from mdevreg_server.http.openapi import document
from mdevreg_server.http.page import page
from mdevreg_server.http.problems import handlers, problem

#: Longest body of a request: a batch of 10,000 pairs with common names.
MAX_BODY_BYTES = 1024 * 1024


def application(
    questions: Questions, gate: Gate, health: Health, figures: Figures, *, say: Callable[[str], None]
) -> ASGIApp:
    """The whole of it as an ASGI application."""
    app = Litestar(
        [*questions.handlers(), _figures(gate, health, figures), *_health(health), *_described()],
        exception_handlers=handlers(say),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY_BYTES,
    )
    return edge(app, figures.requests.observe)


def _figures(gate: Gate, health: Health, figures: Figures) -> HTTPRouteHandler:
    @get("/metrics")
    async def metrics(request: HTTP) -> Response[bytes]:
        gate.admit(request, "read")
        vitals, stream = await health.vitals()
        return Response(figures.text(vitals, stream, health.now_us()), media_type=CONTENT_TYPE)

    return metrics


def _health(health: Health) -> tuple[HTTPRouteHandler, ...]:
    @get("/healthz")
    async def healthz() -> Response[str]:
        return _plain("alive\n")

    @get("/readyz")
    async def readyz(request: HTTP) -> Response[Any]:
        reasons = await health.unready()
        if not reasons:
            return _plain("ready\n")
        headers = {"Retry-After": "5"}
        return problem(request, 503, "NOT_READY", "; ".join(reasons), headers=headers, reasons=reasons)

    return healthz, readyz


def _described() -> tuple[HTTPRouteHandler, ...]:
    described = document(version("mdevreg"), "/")
    text, shown = msgspec.json.encode(described), page(described)

    @get("/openapi.json")
    async def openapi() -> Response[bytes]:
        return Response(text, media_type=JSON)

    @get("/")
    async def index() -> Response[str]:
        return Response(shown, media_type="text/html")

    return openapi, index


def _plain(text: str) -> Response[str]:
    return Response(text, media_type="text/plain", headers={"Cache-Control": "no-store"})
