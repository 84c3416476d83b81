"""What may be asked of a registry over a network, and decided: the fields, of which each endpoint takes some. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mdevreg.catalog import Entry
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.decisions import DecisionDraft
from mdevreg.differing import DEFAULT_HOSTS, DifferenceAsked
from mdevreg.errors import UsageError
from mdevreg.facts import (
    HistoryKind,
    Moment,
)
from mdevreg.knowledge import MAX_ENTRIES
from mdevreg.logged import (
    DEFAULT_BYTES,
    DEFAULT_LIMIT,
    MAX_BYTES,
    MIN_BYTES,
    LogAsked,
    TimelineAsked,
    TimelineName,
)
from mdevreg.moments import MAX_TOKEN_CHARS, moment_in
from mdevreg.outcomes import OutcomeDraft
from mdevreg.query.batch import MAX_PAIRS, Asked
from mdevreg.query.cursors import MAX_CURSOR_CHARS
from mdevreg.rules import Rule
from mdevreg.shapes import Count, Digest, Line, Name, Path, Strict, Time
from mdevreg.verdict import Outcome
from mdevreg.webhooks import WebhookDraft

#: The version of questions, decisions and their replies. 1.1: batches, pages, schemas; fields that an endpoint does
#: not take are refused.
PROTOCOL = "1.1"
#: A longer request is refused. Brokers allow 1,048,576 bytes by default.
MAX_REQUEST_BYTES = 4 * 1024 * 1024
#: A century: no answer is relied on for longer.
MAX_STALE_AFTER_S = 3_153_600_000
#: Most changes in one ``history``, and most hosts in one ``targets``.
MAX_ROWS = 1_000_000


class PairAsked(Asked, frozen=True, forbid_unknown_fields=True):
    """One pair of a batch: ``device`` and ``to`` (``HOST`` or ``HOST/PARENT[/TYPE]``)."""

    device: Path
    to: Path


#: At most ``MAX_PAIRS``; more are told apart by a code of their own (``mdevreg.query.batch``).
Pairs = Annotated[tuple[PairAsked, ...], Meta(extra_json_schema={"maxItems": MAX_PAIRS})]


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question. Which fields an endpoint needs and takes: ``mdevreg.query.endpoints.QUESTIONS``."""

    format: Name | None = None
    device: Path | None = None  # HOST/PARENT/TYPE is longer than any one name
    host: Path | None = None
    name: Path | None = None
    kind: HistoryKind | None = None
    pairs: Pairs | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] | None = None
    outcome: Outcome | None = None
    site: Line | None = None
    sources: Line | None = None  # KEY=PATTERN|PATTERN …, keys as of a rule's scope
    targets: Line | None = None
    decision: Name | None = None
    source: Digest | None = None  # of a profile
    target: Digest | None = None
    before: Count | None = None  # a log position
    cursor: Annotated[str, Meta(min_length=1, max_length=MAX_CURSOR_CHARS)] | None = None
    table: TimelineName | None = None
    after: Count | None = None
    upto: Count | None = None
    since: Time | None = None
    until: Time | None = None
    offset: Count | None = None
    max_bytes: Annotated[int, Meta(ge=MIN_BYTES, le=MAX_BYTES)] | None = None
    capacity: bool | None = None
    failed: bool | None = None
    from_as_of: Time | None = None
    from_known_at: Count | Time | None = None
    as_of: Time | None = None
    known_at: Count | Time | None = None
    snapshot: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)] | None = None
    stale_after_s: Annotated[float, Meta(ge=0, le=MAX_STALE_AFTER_S)] = DEFAULT_STALE_AFTER_S

    @property
    def moment(self) -> Moment:
        """The two times of the question. Raises ``UsageError`` (BAD_SNAPSHOT)."""
        if self.snapshot is None:
            return Moment(self.as_of, self.known_at)
        if self.as_of is not None or self.known_at is not None:
            raise UsageError("a snapshot fixes both times; the request must not have 'as_of' or 'known_at' beside it")
        return moment_in(self.snapshot)

    @property
    def log(self) -> LogAsked:
        """Which entries of the log are asked for."""
        return LogAsked(
            after=self.after or 0,
            upto=self.upto,
            since=self.since,
            until=self.until,
            limit=self.limit or DEFAULT_LIMIT,
            offset=self.offset or 0,
            max_bytes=self.max_bytes or DEFAULT_BYTES,
        )

    def timeline(self, table: TimelineName) -> TimelineAsked:
        """Which rows of a table of timelines are asked for."""
        return TimelineAsked(
            table=table,
            since=self.since,
            until=self.until,
            after=self.after or 0,
            known_at=self.known_at,
            limit=self.limit or DEFAULT_LIMIT,
            cursor=self.cursor,
        )

    @property
    def difference(self) -> DifferenceAsked:
        """What is compared, where two moments are."""
        return DifferenceAsked(
            begin=Moment(self.from_as_of, self.from_known_at),
            end=self.moment,
            host=self.host,
            site=self.site,
            capacity=bool(self.capacity),
            limit=self.limit or DEFAULT_HOSTS,
            cursor=self.cursor,
        )

    def need(self, field: str) -> str:
        """A field that the endpoint can't do without. Raises ``UsageError``."""
        value = getattr(self, field)
        if value is None:
            raise UsageError(f"the request has no {field!r}")
        return str(value)


class Decide(Strict, frozen=True):
    """A decision. Which fields an endpoint needs and takes: ``mdevreg.query.endpoints.DECISIONS``."""

    rule: Rule | None = None
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    names: Annotated[tuple[Name, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    name: Path | None = None
    at: Time | None = None
    bodies: Line | None = None  # "400d", "forever"
    author: Line | None = None
    decision: DecisionDraft | None = None
    outcome: OutcomeDraft | None = None
    webhook: WebhookDraft | None = None


class Changed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of imported entries, by id. ``hidden``: the operators' folder has entries of these ids, which win."""

    put: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of an error. ``kind`` and ``name``: what was not found, and how it was called."""

    code: str
    message: str
    nearest: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""


class Schemas(msgspec.Struct, frozen=True, omit_defaults=True):
    """The names of all JSON Schemas, and the one that was asked for."""

    protocol: str
    names: tuple[str, ...]
    schema: dict[str, Any] | None = None
