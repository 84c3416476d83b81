"""What is new of running campaigns: how far they came, whether the deadline is in danger, whether a plan still holds.

What was told last of each is kept (``campaign_news``), so that it is told once, whoever goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec
import sqlalchemy as sa
from msgspec import structs

from mdevreg.campaigns import CampaignLine, CampaignList
from mdevreg.errors import MdevregError
from mdevreg.events import CampaignDeviated, CampaignProgressed, Happening, Place
from mdevreg.facts import NOW, Moment
from mdevreg.planning.waves.course import PlanCheck
from mdevreg_server.among import among
from mdevreg_server.tables import CampaignNews, table_of
from mdevreg_server.upsert import upsert

#: Deviations that one event names.
NAMED = 20


class Campaigns(Protocol):
    """Where it is asked: a door to the database."""

    def campaigns(self, moment: Moment) -> CampaignList:
        """Every campaign with its progress."""
        ...

    def check_plan(self, campaign: str, moment: Moment, *, now: datetime) -> PlanCheck:
        """How the fleet stands to a campaign's plan."""
        ...


class Standing(msgspec.Struct, frozen=True):
    """What was told of a campaign: its hosts by state, what becomes of the deadline, whether devices are in danger."""

    hosts: int = 0
    upgraded: int = 0
    elsewhere: int = 0
    rolled_back: int = 0
    outlook: str = ""
    endangered: bool = False
    number: int = 0  # how often anything was told of it: what comes back is told again, under another id

    @property
    def complete(self) -> bool:
        """All of its hosts are upgraded."""
        return 0 < self.hosts == self.upgraded


class News(msgspec.Struct, frozen=True):
    """What is to be told of one campaign. ``standing``: what is to be kept as told: ``None``: nothing, it has ended."""

    name: str
    standing: Standing | None
    happenings: tuple[tuple[Place, Happening], ...] = ()


def told_before(connection: sa.Connection) -> dict[str, Standing]:
    """What was told last of each campaign that runs."""
    rows = connection.execute(sa.select(CampaignNews.name, CampaignNews.told))
    return {name: _standing.decode(told) for name, told in rows}


def news(
    door: Campaigns, told: Mapping[str, Standing], known: Collection[str], position: int, now: datetime
) -> Iterator[News]:
    """What is to be told of each running campaign, and which of those that were told of have ended.

    ``known``: names of those that were told to be created; others are told of later.
    """
    lines = (line for line in door.campaigns(NOW).campaigns if line.campaign.name in known)
    running = {line.campaign.name: line for line in lines if line.state == "running"}
    for name in sorted(told.keys() - running.keys()):
        yield News(name, None)
    for name, line in sorted(running.items()):
        endangering = _endangering(door, line, now)
        before, after = told.get(name, Standing()), _stands(line, endangered=bool(endangering))
        if structs.replace(before, number=0) != after:
            after = structs.replace(after, number=before.number + 1)
            origin = f"{before}\0{after}"  # whoever tells it again tells the same
            place = Place("c", origin, position, now)
            yield News(
                name, after, tuple((place, happening) for happening in _turned(line, before, after, endangering))
            )


def keep_told(connection: sa.Connection, told: Mapping[str, Standing | None]) -> None:
    """Keep what was told, with the mark of what else was."""
    over = [name for name, standing in told.items() if standing is None]
    if over:
        table = table_of(CampaignNews)
        connection.execute(sa.delete(table).where(among(connection, table.c.name, over)))
    rows = [
        {"name": name, "told": msgspec.json.encode(standing).decode()}
        for name, standing in told.items()
        if standing is not None
    ]
    if rows:
        upsert(connection, CampaignNews, rows)


def _endangering(door: Campaigns, line: CampaignLine, now: datetime) -> tuple[str, ...]:
    """The first of what endangers devices, in words; nothing where there is no plan."""
    if line.campaign.plan_digest is None:
        return ()
    try:
        checked = door.check_plan(line.campaign.name, NOW, now=now)
    except MdevregError as error:
        return (f"the plan can't be followed: {error.message}",)
    return tuple(each.text for each in checked.deviations if each.endangers)[:NAMED]


def _stands(line: CampaignLine, *, endangered: bool) -> Standing:
    progress = line.progress
    return Standing(
        hosts=progress.hosts,
        upgraded=progress.upgraded,
        elsewhere=progress.elsewhere,
        rolled_back=progress.rolled_back,
        outlook=progress.outlook if progress.outlook in ("overdue", "in_danger") else "",
        endangered=endangered,
    )


def _turned(line: CampaignLine, before: Standing, after: Standing, endangering: tuple[str, ...]) -> Iterator[Happening]:
    name, progress = line.campaign.name, line.progress
    data = CampaignProgressed(
        name=name,
        hosts=after.hosts,
        upgraded=after.upgraded,
        pending=progress.pending,
        offers_nothing=progress.offers_nothing,
        elsewhere=after.elsewhere,
        rolled_back=after.rolled_back,
        deadline=line.campaign.deadline,
        expected_end=progress.expected_end,
    )
    counts = [(each.hosts, each.upgraded, each.elsewhere, each.rolled_back) for each in (before, after)]
    if counts[0] != counts[1]:
        yield Happening("campaign.progressed", name, data)
    if after.complete and not before.complete:
        yield Happening("campaign.completed", name, data)
    if after.outlook != before.outlook and after.outlook:
        yield Happening(f"campaign.{after.outlook}", name, data)
    if after.endangered != before.endangered:
        kind = "campaign.deviated" if after.endangered else "campaign.on_course"
        yield Happening(kind, name, CampaignDeviated(name=name, endangering=endangering))


_standing = msgspec.json.Decoder(Standing)
