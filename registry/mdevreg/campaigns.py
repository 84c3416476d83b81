"""Campaigns: upgrades that take weeks, as operators mean them: which hosts, to which driver build, until when. Pure.

A campaign is an intent (``mdevreg.intents``): an entry of the log that changes no verdict. How far it came is computed
(``mdevreg.progress``). Its hosts are all that matched its selector at any time since its beginning: one that asks for
the old version must not lose a host by upgrading it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.outcomes import Remark, refuse_unreadable
from mdevreg.rules import FLEET, Scope
from mdevreg.shapes import Digest, Line, Strict, Time, Token
from mdevreg.times import utc
from mdevreg.wanted import WantedBuild

#: Longest plan of a campaign, as JSON.
MAX_PLAN_BYTES = 512_000
#: Most hosts of one page of a status.
MAX_PAGE = 1_000

#: How a host of a campaign stands; a host with several parents stands as the worst of them, the worst first.
#: *elsewhere*: neither its old build nor the wanted one. *rolled_back*: its old one, after the wanted one.
#: *offers_nothing*: no driver is bound, or nothing is offered: it is being upgraded, or broken.
UpgradeState = Literal["elsewhere", "rolled_back", "offers_nothing", "pending", "upgraded"]
STATES: tuple[UpgradeState, ...] = get_args(UpgradeState)
CampaignState = Literal["to_come", "running", "ended"]
#: What becomes of the deadline. *unknown*: the pace of late tells nothing; *empty*: no host ever matched.
Outlook = Literal["empty", "complete", "overdue", "in_danger", "on_time", "unknown", "no_deadline"]


class Campaign(Strict, frozen=True):
    """A campaign as it is in the log. Valid from ``begins`` until it is ``ended``; ``None``: until further notice.

    ``where``: whose builds it is about; ``plan_digest``: SHA-256 of the plan that it follows, as JSON.
    """

    name: Token
    wanted: WantedBuild
    begins: Time
    author: Line
    where: Scope = FLEET
    deadline: Time | None = None
    message: Remark = ""
    plan_digest: Digest | None = None
    ended: Time | None = None
    ended_by: Line | None = None
    reason: Remark = ""

    def state(self, at: datetime) -> CampaignState:
        """How it stands at a time."""
        if self.ended is not None and self.ended <= max(at, self.begins):
            return "ended"
        return "running" if self.begins <= at else "to_come"

    def __str__(self) -> str:
        return f"campaign {self.name}: {self.where} to {self.wanted}"


class CampaignChange(Strict, frozen=True, tag_field="kind", tag="campaign"):
    """A campaign as it is from now on. ``plan``: the one that it follows, if this entry brought it; opaque here."""

    campaign: Campaign
    plan: dict[str, Any] | None = None


class CampaignDraft(Strict, frozen=True):
    """A campaign that is to be created. ``begins``: ``None`` = now. ``plan``: any JSON object of ``MAX_PLAN_BYTES``.

    A ``where`` that names no driver is about the wanted build's.
    """

    name: Token
    wanted: WantedBuild
    author: Line = ""
    where: Scope = FLEET
    begins: Time | None = None
    deadline: Time | None = None
    message: Remark = ""
    plan: dict[str, Any] | None = None


class CampaignWhole(msgspec.Struct, frozen=True):
    """A campaign with the plan that it follows."""

    position: int
    campaign: Campaign
    plan: dict[str, Any] | None = None
    snapshot: str = ""


class CampaignHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host of a campaign. ``since``: when it came to its ``state``; ``was``: its build when it ``joined``.

    ``new``: it matched only after the campaign's beginning. ``upgraded_at``: ``None`` too for one that needed none.
    """

    host: str
    hostname: str
    state: UpgradeState
    site: str | None = None
    since: datetime | None = None
    build: str | None = None
    was: str | None = None
    joined: datetime | None = None
    upgraded_at: datetime | None = None
    new: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far a campaign came: hosts by state, the pace, and what becomes of the deadline.

    ``new``: of all hosts, those that joined later. ``rate_from``: how ``rate_per_day`` was found, or why it was not.
    """

    hosts: int = 0
    upgraded: int = 0
    pending: int = 0
    offers_nothing: int = 0
    elsewhere: int = 0
    rolled_back: int = 0
    new: int = 0
    first_upgrade: datetime | None = None
    last_upgrade: datetime | None = None
    rate_per_day: float | None = None
    rate_from: str = ""
    expected_end: datetime | None = None
    outlook: Outlook = "empty"


class CampaignLine(msgspec.Struct, frozen=True):
    """A campaign in a list."""

    campaign: Campaign
    state: CampaignState
    progress: Progress


class CampaignList(msgspec.Struct, frozen=True):
    """Every campaign that was known, ended ones included, oldest first."""

    position: int
    campaigns: tuple[CampaignLine, ...]
    snapshot: str = ""


class CampaignAsked(msgspec.Struct, frozen=True):
    """Which status. ``state``: only hosts that stand so. ``limit``: hosts of a page; ``cursor``: where it goes on."""

    name: str
    state: UpgradeState | None = None
    limit: int = 100
    cursor: str | None = None
    as_of: datetime | None = None
    known_at: int | datetime | None = None


class CampaignStatus(msgspec.Struct, frozen=True):
    """How a campaign stands. ``hosts``: the worst first, then by hostname. An ended one stands as it did at its end.

    ``next``: cursor of the hosts after these, ``None`` on the last page.
    """

    position: int
    campaign: Campaign
    state: CampaignState
    progress: Progress
    hosts: tuple[CampaignHost, ...] = ()
    next: str | None = None
    snapshot: str = ""


def check(draft: CampaignDraft, now: datetime) -> CampaignDraft:
    """The draft, if it can be meant. Raises ``UsageError``."""
    if draft.plan is not None and (size := len(_plan_bytes(draft.plan))) > MAX_PLAN_BYTES:
        raise UsageError(f"the plan has {size} bytes of JSON; at most {MAX_PLAN_BYTES} are kept", code="PLAN_TOO_LARGE")
    refuse_unreadable(draft, "a campaign")
    if not draft.author.strip():
        raise UsageError("the author is blank; say who decides: it is kept with the campaign")
    if not draft.wanted.exact:
        raise UsageError(f"{draft.wanted.name} alone is no build; name its version, srcversion, build_id or kernel")
    begins = draft.begins or now
    if draft.deadline is not None and draft.deadline <= begins:
        raise UsageError(f"the deadline {utc(draft.deadline)} is not after the campaign's beginning {utc(begins)}")
    return draft


def campaign_of(draft: CampaignDraft, now: datetime) -> CampaignChange:
    """The campaign of a draft, and its plan."""
    where = draft.where if draft.where.driver else structs.replace(draft.where, driver=(draft.wanted.name,))
    campaign = Campaign(
        name=draft.name,
        wanted=draft.wanted,
        begins=draft.begins or now,
        author=draft.author,
        where=where,
        deadline=draft.deadline,
        message=draft.message,
        plan_digest=None if draft.plan is None else hashlib.sha256(_plan_bytes(draft.plan)).hexdigest(),
    )
    return CampaignChange(campaign=campaign, plan=draft.plan)


def ended(campaign: Campaign, *, author: str, reason: str, now: datetime) -> CampaignChange:
    """The campaign, ended now; one that has not begun never will. Raises ``UsageError`` if it has ended."""
    if campaign.ended is not None:
        raise UsageError(f"campaign {campaign.name} ended at {utc(campaign.ended)} already", code="CAMPAIGN_ENDED")
    at = max(now, campaign.begins)
    return CampaignChange(campaign=structs.replace(campaign, ended=at, ended_by=author, reason=reason))


def _plan_bytes(plan: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(plan)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the plan is no JSON: {error}", code="PLAN") from error
