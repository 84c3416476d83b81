"""The table of questions over HTTP: paths, what they take, what answers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import structs

from mdevreg.errors import DecodeError, UsageError
from mdevreg.query import endpoints
from mdevreg.query.door import Door
from mdevreg.query.requests import Ask
from mdevreg_server.answers import answer
from mdevreg_server.http import devices
from mdevreg_server.http.forms import Tag
from mdevreg_server.http.models import DevicesPage, DeviceView, HostsPage

_TIMES = ("as_of", "known_at", "snapshot")
_PAGE = ("limit", "cursor")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A question that is asked by GET. ``{name}`` in ``path`` is the field ``named`` of the request.

    ``rows``: the field of the reply that NDJSON and CSV list. ``tag``: what its ETag follows from.
    """

    path: str
    endpoint: str  # of ``mdevreg.query.endpoints.QUESTIONS``, as far as it is one
    about: str
    reply: type[msgspec.Struct]
    answer: Callable[[Door, Ask], Any]
    named: str | None = None
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    rows: str | None = None
    tag: Tag = "facts"
    example: dict[str, str] = {}

    @property
    def query(self) -> tuple[str, ...]:
        """The fields that come in the query."""
        return tuple(field for field in (*self.needs, *self.takes) if field != self.named)

    def read(self, query: list[tuple[str, str]], name: str | None) -> Ask:
        """The request in a query string and a path. Raises ``DecodeError`` (BAD_REQUEST), ``UsageError``."""
        given = dict(query)
        if len(given) != len(query):
            raise DecodeError("a parameter is there twice", code="BAD_REQUEST")
        unknown = sorted(given.keys() - set(self.query))
        if unknown:
            takes = ", ".join(self.query) or "none"
            raise DecodeError(f"{unknown[0]!r} is no parameter here; there are: {takes}", code="BAD_REQUEST")
        if self.named is not None:
            given[self.named] = name or ""
        for field in self.needs:
            if field not in given:
                raise UsageError(f"the request has no {field!r}; it needs: {', '.join(self.needs)}")
        try:
            return msgspec.convert(given, Ask, strict=False)
        except msgspec.ValidationError as error:
            raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error


def _route(path: str, endpoint: str, **more: Any) -> Route:
    """A question that is asked over HTTP as it is over NATS."""
    known = endpoints.QUESTIONS[endpoint]
    return Route(
        path=path,
        endpoint=endpoint,
        about=known.about,
        reply=known.reply,
        answer=partial(answer, endpoint),
        needs=known.needs,
        takes=known.takes,
        **more,
    )


#: Every question by GET.
ROUTES: tuple[Route, ...] = (
    _route("/v1/targets", "targets-page", rows="rows", tag="verdicts", example={"device": "hv-a-05/mtty/mtty-2"}),
    Route(
        path="/v1/hosts",
        endpoint="hosts",
        about="Hosts, by hostname, then id, page by page.",
        reply=HostsPage,
        answer=devices.hosts_page,
        takes=(*_TIMES, "site", *_PAGE),
        rows="hosts",
    ),
    _route("/v1/hosts/{host}", "host", named="host", example={"host": "hv-a-05"}),
    Route(
        path="/v1/devices",
        endpoint="devices",
        about="The devices of a host, page by page, or the one of that name.",
        reply=DevicesPage,
        answer=devices.devices_page,
        takes=("host", "name", *_TIMES, *_PAGE),
        rows="devices",
        example={"host": "hv-a-05"},
    ),
    Route(
        path="/v1/devices/{device}",
        endpoint="device",
        about="One device: an mdev uuid, HOST/VF, or HOST/PARENT/TYPE for one that could be created.",
        reply=DeviceView,
        answer=devices.device_view,
        named="device",
        needs=("device",),
        takes=_TIMES,
        example={"device": "hv-a-05/mtty/mtty-2"},
    ),
    _route("/v1/history/{name}", "history", named="name", rows="changes", tag="log", example={"name": "hv-a-05"}),
    _route("/v1/blame", "blame", example={"device": "hv-a-05/mtty/mtty-2", "host": "hv-a-10"}),
    _route("/v1/diff", "diff", rows="rows", tag="facts", example={"from_as_of": "2026-11-24T10:00:00Z"}),
    _route("/v1/entries", "entries", rows="entries", tag="log", example={"after": "0"}),
    _route("/v1/timelines", "timelines", tag="log", example={"table": "driver"}),
    _route("/v1/drivers", "drivers", rows="drivers", tag="log"),
    _route("/v1/rules", "rules", rows="rules", tag="log"),
    _route("/v1/matrix", "matrix", rows="cells", tag="verdicts", example={"sources": "site=a", "targets": "site=b"}),
    _route("/v1/hosts/{host}/accepting", "accepting", named="host", example={"host": "hv-a-05"}),
    _route("/v1/decisions", "decisions", rows="decisions", tag="log"),
    _route("/v1/decisions/{name}", "decision", named="name", example={"name": "d1"}),
    _route("/v1/outcomes", "outcomes", rows="outcomes", tag="log"),
    _route("/v1/regret", "regret", rows="regrets", example={"since": "2026-11-01T00:00:00Z"}),
    _route("/v1/plan/upgrade", "plan-upgrade", example={"where": "site=a", "driver": "mtty 3"}),
    _route("/v1/plan/waves", "plan-waves", example={"where": "site=a", "driver": "mtty 3", "at_once": "2"}),
    _route("/v1/plan/check", "plan-check", example={"name": "to-580"}),
    _route("/v1/islands", "islands", rows="islands", example={"where": "site=a"}),
    _route("/v1/webhooks", "webhooks", rows="webhooks"),
    _route("/v1/deliveries", "deliveries", rows="deliveries"),
    _route("/v1/pair", "pair", example={"device": "hv-a-05/mtty/mtty-2", "host": "hv-a-10"}),
    _route("/v1/candidates", "candidates", example={"device": "hv-a-05/mtty/mtty-2"}),
    _route("/v1/loading", "loading", example={"format": "mtty"}),
    _route("/v1/drivers/distribution", "distribution", rows="drivers", tag="log", example={"by": "site"}),
    _route("/v1/drivers/trend", "trend", rows="drivers", example={"over_s": "7776000"}),
    _route("/v1/upgrades", "upgrades", rows="upgrades", tag="log"),
    _route("/v1/upgrades/stragglers", "stragglers", rows="stragglers", tag="log", example={"driver": "mtty 2"}),
    _route("/v1/campaigns", "campaigns", rows="campaigns"),
    _route("/v1/campaigns/{name}", "campaign-status", named="name", rows="hosts", example={"name": "to-580"}),
    _route("/v1/campaigns/{name}/whole", "campaign", named="name", example={"name": "to-580"}),
    _route("/v1/baselines", "baselines", rows="baselines"),
    _route("/v1/baselines/{name}", "baseline", named="name", example={"name": "gold"}),
    _route("/v1/baselines/{name}/check", "baseline-check", named="name", rows="rows", example={"name": "gold"}),
    _route("/v1/configurations", "configurations", rows="configurations", example={"where": "site=a"}),
)

#: How the fields of a request look in a query.
FIELDS = {field.name: field for field in structs.fields(Ask)}
