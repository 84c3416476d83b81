"""Options of the HTTP face, of `up` and `serve`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from mdevreg.errors import UsageError
from mdevreg_server.http.config import RATE, HttpConfig

_OPTIONS = (
    click.option(
        "--http",
        metavar="HOST:PORT",
        envvar="MDEVREG_HTTP",
        help="Answer over HTTP too, such as on 127.0.0.1:8080.  [env: MDEVREG_HTTP]",
    ),
    click.option(
        "--http-tokens",
        metavar="FILE",
        envvar="MDEVREG_HTTP_TOKENS",
        help="File of bearer tokens; without it only this machine is served.  [env: MDEVREG_HTTP_TOKENS]",
    ),
    click.option(
        "--http-rate",
        metavar="N",
        envvar="MDEVREG_HTTP_RATE",
        type=click.FloatRange(min=0, min_open=True),
        help=f"Requests per second of one client [{RATE:g}]; twice as many at once.  [env: MDEVREG_HTTP_RATE]",
    ),
)


def with_http(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command these options, as one argument ``http``: a ``HttpConfig``, or ``None``."""

    @wraps(command)
    def run(*, http: str | None, http_tokens: str | None, http_rate: float | None, **others: Any) -> None:
        command(http=_config(http, http_tokens, http_rate), **others)

    found: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        found = option(found)
    return found


def _config(address: str | None, tokens: str | None, rate: float | None) -> HttpConfig | None:
    if address is not None:
        return HttpConfig(address, tokens, RATE if rate is None else rate)
    if tokens is not None or rate is not None:
        raise UsageError("--http-tokens and --http-rate go with --http, which says where to listen")
    return None
