"""What HTTP says that no other face does: lists of pages, devices as rows, full answers to many pairs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.facts import HostSummary, Retention, Side
from mdevreg.moments import MAX_TOKEN_CHARS
from mdevreg.outcomes import Remark
from mdevreg.query.batch import Problem
from mdevreg.query.questions import Answer
from mdevreg.query.requests import MAX_STALE_AFTER_S, Pairs
from mdevreg.shapes import Count, Line, Time
from mdevreg.support import Support

#: Most pairs of a batch that are answered in full.
MAX_EXPLAINED = 100


class HostsPage(msgspec.Struct, frozen=True):
    """Some of the hosts, by hostname, then id. ``next``: cursor of the page after this one, ``None`` on the last."""

    position: int
    hosts: tuple[HostSummary, ...]
    next: str | None = None
    snapshot: str = ""
    retention: Retention | None = None  # as of ``Hosts``


class DeviceRow(msgspec.Struct, frozen=True):
    """An mdev or VF. ``support``: what it saves and loads, as the registry understands it."""

    host: str
    hostname: str
    parent: str
    device: str
    kind: str
    type: str | None
    driver: str | None
    iommu_group: int | None
    support: Support


class DevicesPage(msgspec.Struct, frozen=True):
    """Devices of one host, by parent, then name."""

    position: int
    devices: tuple[DeviceRow, ...]
    next: str | None = None
    snapshot: str = ""


class DeviceView(msgspec.Struct, frozen=True):
    """One device, or a type that could be created, with the evidence of its host."""

    position: int
    device: Side


class CanMigrate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch. ``explain``: full answers, to at most ``MAX_EXPLAINED`` pairs. Times as in every question."""

    pairs: Pairs
    as_of: Time | None = None
    known_at: Count | Time | None = None
    snapshot: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)] | None = None
    stale_after_s: Annotated[float, Meta(ge=0, le=MAX_STALE_AFTER_S)] = DEFAULT_STALE_AFTER_S
    explain: bool = False


class Explained(msgspec.Struct, frozen=True, omit_defaults=True):
    """The full answer to one pair, or the problem with it."""

    device: str
    to: str
    answer: Answer | None = None
    problem: Problem | None = None


class ExplainedAnswers(msgspec.Struct, frozen=True):
    """Full answers, in the order of the question."""

    answers: tuple[Explained, ...]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ending a rule. ``at``: when, ``None``: now."""

    author: Line
    at: Time | None = None


class EndIntent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ending a campaign or baseline, now."""

    author: Line
    reason: Remark = ""


class By(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who asks for something about a webhook or a delivery."""

    author: Line
