"""How driver builds are spread over the fleet as it is now: alike hosts are counted once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mdevreg.distribution import DistributionAsked, DriverShare, Fitted, Standing, shares_of
from mdevreg.fleet.entries import HostEntry, Layout
from mdevreg.profiles import Profile
from mdevreg.support import Support

if TYPE_CHECKING:
    from mdevreg.fleet.view import FleetView


def shares_in(view: FleetView, asked: DistributionAsked) -> tuple[DriverShare, ...]:
    """The builds of a fleet, counted."""
    alike = Counter((entry.layout, entry.site, _names(entry, asked)) for entry in view.directory.entries())
    profiles = {kind.digest: kind.profile for layout, _, _ in alike for _, kind in layout.slots}

    def understand(digest: str) -> tuple[Profile, Support]:
        return profiles[digest], view.knowledge.support(digest, profiles[digest])

    return shares_of(_standings(alike), asked, understand)


def _names(entry: HostEntry, asked: DistributionAsked) -> tuple[str, ...]:
    return (entry.host, entry.hostname) if asked.where.host else ()


def _standings(alike: Counter[tuple[Layout, str | None, tuple[str, ...]]]) -> Iterator[Standing]:
    for (layout, site, names), hosts in alike.items():
        parents = tuple(
            Fitted(parent.name, parent.builds, tuple(kind.digest for _, kind in parent.types))
            for parent in layout.parents
        )
        yield Standing(site, parents, names, hosts)
