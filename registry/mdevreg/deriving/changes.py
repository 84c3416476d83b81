"""What became of one host's drivers and offers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mdevreg.deriving.facts import HostFacts, build_in, called, parent_name
from mdevreg.events import DriverChanged, Happening, OfferAppeared, OfferVanished
from mdevreg.objects import Key
from mdevreg.profiles import Profile


def changes(host: str, before: HostFacts, after: HostFacts, profiles: Mapping[str, Profile]) -> Iterator[Happening]:
    """Drivers first, then offers, each by path and name. ``profiles``: by digest, of all that is offered."""
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    yield from _drivers(host, before, after, [key for key in keys if key[0] == "driver"])
    for key in keys:
        if key[0] == "offer":
            yield _offer(host, before, after, key, profiles)


def _drivers(host: str, before: HostFacts, after: HostFacts, keys: list[Key]) -> Iterator[Happening]:
    """Where a parent has one driver in the place of another, that is one change."""
    for path in sorted({key[1] for key in keys}):
        here = [key for key in keys if key[1] == path]
        gone, come = [key for key in here if key not in after], [key for key in here if key not in before]
        if len(gone) == len(come) == 1:
            yield _driver(host, before, after, (gone[0], come[0]))
            here = [key for key in here if key in before and key in after]
        for key in here:
            yield _driver(host, before, after, (key, key))


def _driver(host: str, before: HostFacts, after: HostFacts, ends: tuple[Key, Key]) -> Happening:
    old, new = ends
    where, path = called(host, after, before), new[1]
    data = DriverChanged(
        host=host,
        hostname=where.hostname,
        site=where.site,
        parent=parent_name(path, after, before),
        path=path,
        driver=new[2],
        before=build_in(old[2], before.get(old)),
        after=build_in(new[2], after.get(new)),
    )
    return Happening("driver.changed", host, data, f"{path}\0{new[2]}")


def _offer(host: str, before: HostFacts, after: HostFacts, key: Key, profiles: Mapping[str, Profile]) -> Happening:
    where = called(host, after, before)
    _, path, kind = key
    old, new = before.get(key), after.get(key)
    value = new or old
    assert value is not None
    profile = profiles[value[0]]
    told = {
        "host": host,
        "hostname": where.hostname,
        "site": where.site,
        "parent": parent_name(path, after, before),
        "path": path,
        "type": kind,
        "profile": value[0],
        "build": profile.driver,
    }
    if new is None:
        return Happening("offer.vanished", host, OfferVanished(**told), f"{path}\0{kind}")
    return Happening("offer.appeared", host, OfferAppeared(**told, replaces=old[0] if old else None), f"{path}\0{kind}")
