"""What operators intend, written to the log by a ledger: campaigns and baselines. In the ledger's own thread."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from msgspec import structs

from mdevreg import baselines, campaigns
from mdevreg.baselines import Baseline, BaselineDraft
from mdevreg.campaigns import Campaign, CampaignDraft, campaign_of
from mdevreg.errors import UsageError
from mdevreg.intents import AnyIntent, Intent
from mdevreg.records import SCHEMA
from mdevreg.times import moment_of, utc
from mdevreg_server import intents
from mdevreg_server.asking import LATEST
from mdevreg_server.ledger import Ledger


def create_campaign(ledger: Ledger, draft: CampaignDraft, *, now_us: int) -> Campaign:
    """Create a campaign. Raises ``UsageError``: it can't be meant, or the name is another's (CAMPAIGN_EXISTS).

    The same draft again, while its campaign stands, is that campaign: who got no answer may ask once more.
    """
    with ledger.tending() as connection:
        now = _now(ledger, now_us)
        change = campaign_of(campaigns.check(draft, now), now)
        if draft.name in intents.names(connection, "campaign", LATEST):
            return _same(intents.campaign(connection, draft.name, LATEST), change.campaign, draft)
        _write(ledger, connection, change, draft.author, now)
        return change.campaign


def end_campaign(ledger: Ledger, name: str, *, author: str, reason: str, now_us: int) -> Campaign:
    """End a campaign now. Raises ``NotFoundError``, ``UsageError`` (CAMPAIGN_ENDED)."""
    _refuse_blank(author)
    with ledger.tending() as connection:
        now = _now(ledger, now_us)
        found = intents.campaign(connection, name, LATEST)
        change = campaigns.ended(found, author=author, reason=reason, now=now)
        _write(ledger, connection, change, author, now)
        return change.campaign


def put_baseline(ledger: Ledger, draft: BaselineDraft, *, now_us: int) -> Baseline:
    """Keep a baseline, or its next version; if the newest one says just that, it is the one. Raises ``UsageError``."""
    baselines.check(draft)
    with ledger.tending() as connection:
        now = _now(ledger, now_us)
        there = draft.name in intents.names(connection, "baseline", LATEST)
        known = intents.baseline_entries(connection, draft.name, LATEST) if there else []
        change = baselines.next_version(draft, known, now)
        if change is None:
            return known[-1]
        _write(ledger, connection, change, draft.author, now)
        return change.baseline


def end_baseline(ledger: Ledger, name: str, *, author: str, reason: str, now_us: int) -> Baseline:
    """End a baseline now. Raises ``NotFoundError``, ``UsageError`` (BASELINE_ENDED)."""
    _refuse_blank(author)
    with ledger.tending() as connection:
        now = _now(ledger, now_us)
        found = intents.baseline_entries(connection, name, LATEST)[-1]
        change = baselines.ended(found, author=author, reason=reason, now=now)
        _write(ledger, connection, change, author, now)
        return change.baseline


def _same(known: Campaign, wanted: Campaign, draft: CampaignDraft) -> Campaign:
    begins = known.begins if draft.begins is None else wanted.begins
    if structs.replace(wanted, begins=begins) == known:
        return known
    state = f"ended at {utc(known.ended)}" if known.ended else f"began at {utc(known.begins)}"
    text = f"there is a campaign {known.name} already, to {known.wanted}, which {state}; a name is never used again"
    raise UsageError(f"{text}: choose another", code="CAMPAIGN_EXISTS")


def _now(ledger: Ledger, now_us: int) -> datetime:
    return moment_of(max(now_us, ledger.clock_us))


def _refuse_blank(author: str) -> None:
    if not author.strip():
        raise UsageError("the author is blank; say who decides: it is kept with the decision")


def _write(ledger: Ledger, connection: sa.Connection, change: AnyIntent, author: str, now: datetime) -> None:
    intent = Intent(schema=SCHEMA, at=now, author=author, change=change)
    data = intents.encoded(intent)
    position = ledger.append(connection, intents.EPOCH, intent.kind, data, now_us=intents.at_us(intent))
    intents.place(connection, position, intent)
