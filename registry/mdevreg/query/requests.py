"""What may be asked of a registry over a network, and decided: the fields, of which each endpoint takes some. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mdevreg.baselines import BaselineDraft
from mdevreg.campaigns import CampaignDraft, UpgradeState
from mdevreg.catalog import Entry
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.decisions import DecisionDraft
from mdevreg.differing import DEFAULT_HOSTS, DifferenceAsked
from mdevreg.distribution import By, DistributionAsked
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
from mdevreg.outcomes import OutcomeDraft, Remark
from mdevreg.planning.asked import IslandsAsked, UpgradeAsked, WavesAsked
from mdevreg.planning.goals import Goal, goal_in
from mdevreg.planning.waves.limits import MANY, Limits
from mdevreg.query.batch import MAX_PAIRS, Asked
from mdevreg.query.cursors import MAX_CURSOR_CHARS
from mdevreg.rules import Rule, scope_in
from mdevreg.shapes import Count, Digest, Line, Name, Path, Strict, Time
from mdevreg.stragglers import DEFAULT_STRAGGLERS, StragglersAsked
from mdevreg.trends import MAX_OVER_S, TrendAsked
from mdevreg.upgrades import DEFAULT_UPGRADES, UpgradesAsked
from mdevreg.verdict import Outcome
from mdevreg.wanted import wanted_in
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
    state: UpgradeState | None = None  # of a campaign
    where: Line | None = None  # as ``sources``
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
    by: By | None = None
    driver: Line | None = None  # its name; of stragglers and plans, a build: NAME [VERSION] [KEY=VALUE …]
    half: bool | None = None
    over_s: Annotated[int, Meta(ge=1, le=MAX_OVER_S)] | None = None
    step_s: Annotated[int, Meta(ge=1, le=MAX_OVER_S)] | None = None
    as_of: Time | None = None
    known_at: Count | Time | None = None
    snapshot: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)] | None = None
    profile_from: Path | None = None  # in the place of a driver: a host that has it
    stream: Line | None = None  # or saves=V,loads=V..V
    at_once: Annotated[int, Meta(ge=1, le=MANY)] | None = None
    per_site: Annotated[int, Meta(ge=1, le=MANY)] | None = None
    spare: Annotated[int, Meta(ge=0, le=MANY)] | None = None
    return_path: bool | None = None
    reload: bool | None = None
    stale_after_s: Annotated[float, Meta(ge=0, le=MAX_STALE_AFTER_S)] = DEFAULT_STALE_AFTER_S

    @property
    def upgrade(self) -> UpgradeAsked:
        """Which upgrade is asked about. Raises ``UsageError``."""
        return UpgradeAsked(self.goal, scope_in(self.where or ""), self.moment)

    @property
    def waves(self) -> WavesAsked:
        """Which order of an upgrade is asked for. Raises ``UsageError``."""
        limits = Limits(
            at_once=self.at_once or 1,
            per_site=self.per_site,
            spare=self.spare or 0,
            return_path=bool(self.return_path),
            reload=bool(self.reload),
        )
        return WavesAsked(self.goal, scope_in(self.where or ""), limits, self.moment)

    @property
    def islands(self) -> IslandsAsked:
        """Which map is asked for. Raises ``UsageError``."""
        return IslandsAsked(scope_in(self.where or ""), self.moment)

    @property
    def goal(self) -> Goal:
        """What hosts are to become. Raises ``UsageError``."""
        return goal_in(driver=self.driver, profile_from=self.profile_from, stream=self.stream)

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

    @property
    def distributed(self) -> DistributionAsked:
        """What is counted of driver builds."""
        return DistributionAsked(self.by, scope_in(self.where or ""), self.moment)

    @property
    def trend(self) -> TrendAsked:
        """Over what period, and how finely."""
        return TrendAsked(int(self.need("over_s")), self.step_s, scope_in(self.where or ""), self.moment)

    @property
    def upgraded(self) -> UpgradesAsked:
        """Which upgrades are asked for."""
        return UpgradesAsked(
            host=self.host,
            driver=self.driver,
            since=self.since,
            until=self.until,
            where=scope_in(self.where or ""),
            limit=self.limit or DEFAULT_UPGRADES,
            cursor=self.cursor,
            moment=self.moment,
        )

    @property
    def straggling(self) -> StragglersAsked:
        """Which build is wanted, and where."""
        return StragglersAsked(
            wanted=wanted_in(self.need("driver")),
            where=scope_in(self.where or ""),
            half=bool(self.half),
            limit=self.limit or DEFAULT_STRAGGLERS,
            cursor=self.cursor,
            moment=self.moment,
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
    campaign: CampaignDraft | None = None
    baseline: BaselineDraft | None = None
    reason: Remark | None = None
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
