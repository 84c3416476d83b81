"""Which hosts of a campaign make a page, and all pages together. Pure but for the door."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from mdevreg.campaigns import MAX_PAGE, STATES, CampaignAsked, CampaignHost, CampaignStatus
from mdevreg.errors import UsageError
from mdevreg.moments import moment_in
from mdevreg.query.cursors import Key, cursor_after, key_in
from mdevreg.query.intending import IntentDoor


def page_of(asked: CampaignAsked, hosts: Sequence[CampaignHost]) -> tuple[tuple[CampaignHost, ...], str | None]:
    """A page of hosts in their order, and the cursor of the next. Raises ``UsageError`` (also BAD_CURSOR)."""
    if not 1 <= asked.limit <= MAX_PAGE:
        raise UsageError(f"limit is {asked.limit}; a number from 1 to {MAX_PAGE} was expected")
    question = f"campaign {asked.name} {asked.state or ''}"
    meant = [host for host in hosts if asked.state in (None, host.state)]
    if asked.cursor is not None:
        after = key_in(asked.cursor, question)
        meant = [host for host in meant if _key(host) > after]
    page = meant[: asked.limit]
    return tuple(page), cursor_after(_key(page[-1]), question) if len(meant) > len(page) else None


def _key(host: CampaignHost) -> Key:
    return STATES.index(host.state), 0, host.hostname, host.host


def whole_status(door: IntentDoor, asked: CampaignAsked) -> CampaignStatus:
    """A status with up to ``asked.limit`` hosts, however many pages they are, all as known at the first one's position.

    Raises ``NotFoundError``, ``UsageError``.
    """
    first = page = door.campaign_status(structs.replace(asked, limit=min(asked.limit, MAX_PAGE)))
    hosts = list(first.hosts)
    moment = moment_in(first.snapshot)
    asked = structs.replace(asked, as_of=moment.as_of, known_at=moment.known_at)
    while page.next is not None and len(hosts) < asked.limit:
        limit = min(asked.limit - len(hosts), MAX_PAGE)
        page = door.campaign_status(structs.replace(asked, limit=limit, cursor=page.next))
        hosts += page.hosts
    return structs.replace(first, hosts=tuple(hosts), next=page.next)
