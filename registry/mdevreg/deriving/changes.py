"""What became of one host's drivers and offers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mdevreg.deriving.facts import HostFacts, build_in, called, parent_name
from mdevreg.events import DriverChanged, Happening, OfferAppeared, OfferVanished
from mdevreg.objects import Key
from mdevreg.profiles import Profile


def changes(host: str, before: HostFacts, after: HostFacts, profiles: Mapping[str, Profile]) -> Iterator[Happening]:
    """Drivers first, then offers, each by path and name. ``profiles``: by digest, of all that is offered.

    The driver of mdevs comes with a parent's first one and goes with its last: that is no change of drivers, unless the
    parent or its offers come or go at once.
    """
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    stirred = {key[1] for key in keys if key[0] in ("parent", "offer") and (key not in before or key not in after)}
    for old, new in _drivers(before, after, [key for key in keys if key[0] == "driver"]):
        if (old in before and new in after) or new[1] in stirred:
            yield _driver(host, before, after, (old, new))
    for key in keys:
        if key[0] == "offer":
            yield _offer(host, before, after, key, profiles)


def _drivers(before: HostFacts, after: HostFacts, keys: list[Key]) -> Iterator[tuple[Key, Key]]:
    """Which driver took the place of which: of each parent, another build of one, or one for another."""
    for path in sorted({key[1] for key in keys}):
        here = [key for key in keys if key[1] == path]
        gone, come = [key for key in here if key not in after], [key for key in here if key not in before]
        if len(gone) == len(come) == 1:
            yield gone[0], come[0]
            here = [key for key in here if key in before and key in after]
        yield from ((key, key) for key in here)


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
