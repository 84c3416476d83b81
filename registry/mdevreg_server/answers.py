"""What may be asked of a registry over a network, and decided: one table for NATS and HTTP. Pure but for the door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from mdevreg.catalog import Entry
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import AuthError, DecodeError, MdevregError, NotFoundError, UnreachableError, UsageError
from mdevreg.facts import Moment
from mdevreg.knowledge import MAX_ENTRIES
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.rules import Rule
from mdevreg.shapes import Line, Name, Path, Strict, Time
from mdevreg.verdict import Outcome
from mdevreg_server.rulebook import Decisions


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request. Which fields an endpoint needs: ``docs/protocol.md``."""

    format: Name | None = None
    device: Path | None = None  # HOST/PARENT/TYPE is longer than any one name
    host: Path | None = None
    name: Path | None = None
    limit: int | None = None
    outcome: Outcome | None = None
    as_of: Time | None = None
    known_at: int | None = None
    stale_after_s: float = DEFAULT_STALE_AFTER_S

    @property
    def moment(self) -> Moment:
        """The two times of the question."""
        return Moment(self.as_of, self.known_at)

    def need(self, field: str) -> str:
        """A field that the endpoint can't do without. Raises ``UsageError``."""
        value = getattr(self, field)
        if value is None:
            raise UsageError(f"the request has no {field!r}")
        return str(value)


T = TypeVar("T")
Endpoint = Callable[[Door, Ask], Any]

ENDPOINTS: dict[str, Endpoint] = {
    "hosts": lambda door, ask: door.hosts(ask.moment),
    "host": lambda door, ask: door.host(ask.need("host"), ask.moment),
    "pair": lambda door, ask: door.pair(ask.need("device"), ask.need("host"), ask.moment),
    "candidates": lambda door, ask: door.candidates(ask.need("device"), ask.moment),
    "history": lambda door, ask: door.history(ask.need("name"), ask.moment, 100 if ask.limit is None else ask.limit),
    "drivers": lambda door, ask: door.drivers(ask.moment),
    "loading": lambda door, ask: door.loading(ask.need("format"), ask.moment),
    "rules": lambda door, ask: door.rules(ask.moment),
    "can-migrate": lambda door, ask: questions.can_migrate(
        door,
        ask.need("device"),
        ask.need("host"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
    ),
    "targets": lambda door, ask: questions.targets(
        door,
        ask.need("device"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
        limit=ask.limit,
        outcome=ask.outcome,
    ),
}


class Decide(Strict, frozen=True):
    """A decision. Which fields an endpoint needs: ``docs/protocol.md``."""

    rule: Rule | None = None
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    names: Annotated[tuple[Name, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    name: Path | None = None
    at: Time | None = None
    author: Line | None = None


Decision = Callable[[Decisions, Decide], Any]

DECISIONS: dict[str, Decision] = {
    "add-rule": lambda decisions, asked: decisions.add_rule(_need(asked.rule, "rule")),
    "end-rule": lambda decisions, asked: decisions.end_rule(
        _need(asked.name, "name"), at=asked.at, author=_need(asked.author, "author")
    ),
    "import-catalog": lambda decisions, asked: decisions.import_entries(
        _need(asked.entries, "entries"), author=_need(asked.author, "author")
    ),
    "remove-catalog": lambda decisions, asked: decisions.remove_entries(
        _need(asked.names, "names"), author=_need(asked.author, "author")
    ),
}

ask_decoder = msgspec.json.Decoder(Ask)
decide_decoder = msgspec.json.Decoder(Decide)


def _need(value: T | None, field: str) -> T:
    if value is None:
        raise UsageError(f"the request has no {field!r}")
    return value


def read_request(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Read a request; an empty one is ``{}``. Raises ``DecodeError`` (code BAD_REQUEST)."""
    try:
        return decoder.decode(data or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error


def http_status(error: MdevregError) -> int:
    """The HTTP number of an error: the services API reuses them."""
    for kind, number in ((NotFoundError, 404), (UsageError, 400), (DecodeError, 400), (AuthError, 403)):
        if isinstance(error, kind):
            return number
    return 503 if isinstance(error, UnreachableError) else 500
