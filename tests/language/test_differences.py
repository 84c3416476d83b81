"""Differences in groups: what is alike is told once, with all its places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from mdevreg.claims import Learned
from mdevreg.cli.diff_words import cells, first_line
from mdevreg.differences import Group, Place, grouped
from mdevreg.differing import (
    Decided,
    DeviceValue,
    Differing,
    DriverValue,
    EntryDiffering,
    HostName,
    HostValue,
    OfferValue,
    ParentValue,
    Understood,
    Value,
)
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule
from mdevreg.streams import read_set
from mdevreg.support import MatchField, NoSupport, NotMigratable, StreamSupport
from support.catalogs import entry

THEN = datetime(2026, 11, 24, tzinfo=UTC)
NOW = THEN + timedelta(days=1)
HOSTS = {name: HostName(f"hv-{name}") for name in "abcdefgh"}
OLD = Profile(type="nvidia-558", migration_stream_version="7", migration_stream_version_min="5")
STATED = {
    "old": OLD,
    "new": structs.replace(OLD, migration_stream_version="8", migration_stream_version_min="6"),
    "no minimum": structs.replace(OLD, migration_stream_version_min=None),
    "built anew": structs.replace(OLD, driver=DriverBuild(name="nvidia", version="550")),
    "other board": structs.replace(OLD, attributes={"psid": "MT_2"}),
}
NOT_STATED = Profile(type="nvidia-558", driver=DriverBuild(name="nvidia", version="535"))
LEARNED = Learned("catalog", "tests")
SEVEN = StreamSupport("nvidia-vgpu", read_set("7", "integer"), read_set("7", "integer"), LEARNED)
EIGHT = StreamSupport(
    "nvidia-vgpu", read_set("8", "integer"), read_set("8", "integer"), LEARNED, match=(MatchField("psid", "equal"),)
)
PROFILES = {name: Understood(profile, SEVEN, SEVEN) for name, profile in STATED.items()} | {
    "catalog's": Understood(NOT_STATED, SEVEN, EIGHT),
    "unknown": Understood(NOT_STATED, NoSupport("nothing_stated"), NotMigratable("nvidia", LEARNED)),
}
RULE = Rule(id="r9", effect="deny", author="ann", message="CASE-7", valid_from=THEN)


def driver(version: str | None) -> DriverValue | None:
    return None if version is None else DriverValue(DriverBuild(name="nvidia", version=version))


def row(host: str, kind: str, name: str, before: Value | None, after: Value | None, parent: str = "gpu") -> Differing:
    path = "" if kind == "host" else f"/devices/{parent}"
    return Differing(host, kind, path, "" if kind == "host" else parent, name, before, after)


def mdev(host: str, before: bool, after: bool, parent: str = "gpu", uuid: str = "u-1", kind: str = "mdev") -> Differing:
    there = DeviceValue(kind, "nvidia-558", "old")
    return row(host, "device", uuid, there if before else None, there if after else None, parent)


def groups(*rows: Differing, decided: Decided | None = None) -> tuple[Group, ...]:
    return grouped(rows, HOSTS, PROFILES, decided, begin=THEN, end=NOW)


def test_the_same_change_on_many_hosts_is_one_group_with_all_its_places() -> None:
    """40 hosts, one line; each is named."""
    found = groups(*(row(host, "driver", "nvidia", driver("535"), driver("550")) for host in "abcdefgh"))
    (group,) = found
    assert (group.object, group.event, group.what, group.aspect) == ("driver", "changed", "nvidia", "version")
    assert (group.before, group.after) == ("535", "550")
    assert [place.hostname for place in group.places] == [f"hv-{host}" for host in "abcdefgh"]
    assert first_line(found) == "8 hosts changed driver"
    assert cells(group)[3] == "version 535 → 550"
    assert str(cells(group)[4]).endswith("hv-e/gpu and 3 more")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "nothing changed"),
        ([row("a", "host", "", None, HostValue("hv-a", None, "6.1"))], "1 host came"),
        ([row("a", "host", "", HostValue("hv-a", None, "6.1"), None)], "1 host went"),
        (
            [row("a", "host", "", HostValue("hv-a", "x", "6.1"), HostValue("hv-a", "y", "6.12"))],
            "1 host changed kernel, 1 host changed site",
        ),
        ([row("a", "parent", "", ParentValue("gpu"), None)], "1 parent went"),
        (
            [row("a", "parent", "", ParentValue("gpu", {"x": 3}), ParentValue("gpu", {"x": 2}))],
            "1 parent changed capacity",
        ),
        ([row("a", "driver", "nvidia", None, driver("550"))], "1 host got a driver"),
        ([row("a", "offer", "nvidia-558", None, OfferValue("old"))], "1 type came"),
        ([row("a", "offer", "nvidia-558", OfferValue("old"), OfferValue("no minimum"))], "1 type lost its minimum"),
        (
            [row("a", "offer", "nvidia-558", OfferValue("old"), OfferValue("new"))],
            "1 type changed minimum, 1 type changed stream version",
        ),
        ([row("a", "offer", "nvidia-558", OfferValue("old"), OfferValue("other board"))], "1 type changed"),
        ([row("a", "offer", "nvidia-558", OfferValue("old"), OfferValue("built anew"))], "nothing changed"),
        (
            [mdev("a", before=False, after=True), mdev("b", before=False, after=True, uuid="u-2")],
            "2 devices were created",
        ),
        ([mdev("a", before=True, after=False)], "1 device was removed"),
    ],
)
def test_the_first_line_is_the_answer(rows: list[Differing], line: str) -> None:
    """What is counted, in words; one in the singular."""
    assert first_line(groups(*rows)) == line


def test_what_the_catalog_says_of_a_build_is_told_where_the_driver_states_nothing() -> None:
    """Saves, loads, match fields; what a driver states itself is not told twice."""
    found = groups(row("a", "offer", "nvidia-558", OfferValue("catalog's"), OfferValue("catalog's")))
    assert [(group.aspect, group.before, group.after) for group in found] == [
        ("loads", "nvidia-vgpu [7]", "nvidia-vgpu [8]"),
        ("match fields", "none", "psid"),
        ("saves", "nvidia-vgpu [7]", "nvidia-vgpu [8]"),
    ]
    lost = groups(row("a", "offer", "nvidia-558", OfferValue("catalog's"), OfferValue("unknown")))
    assert {group.after for group in lost} == {"no migration"}
    assert len(groups(row("a", "offer", "nvidia-558", OfferValue("old"), OfferValue("new")))) == 2


def test_an_mdev_that_left_one_parent_and_is_at_another_has_moved() -> None:
    """A uuid is one device wherever it is; a VF's address is not."""
    (group,) = groups(mdev("a", before=True, after=False), mdev("b", before=False, after=True, parent="gpu2"))
    assert (group.object, group.event, group.what) == ("device", "moved", "nvidia-558")
    assert (group.before, group.after) == ("hv-a/gpu", "hv-b/gpu2")
    assert group.places == (Place("hv-b", "b", "gpu2", "u-1"),)
    vfs = [mdev("a", before=True, after=False, kind="vf"), mdev("b", before=False, after=True, kind="vf")]
    assert {group.event for group in groups(*vfs)} == {"gone", "appeared"}


def test_what_follows_from_a_host_or_parent_that_came_is_implied() -> None:
    """It is there for programs, and not counted."""
    rows = [
        row("a", "host", "", None, HostValue("hv-a", None, "6.1")),
        row("a", "parent", "", None, ParentValue("gpu")),
        row("a", "driver", "nvidia", None, driver("550")),
        row("b", "parent", "", ParentValue("gpu"), None),
        row("b", "offer", "nvidia-558", OfferValue("old"), None),
        row("b", "driver", "other", driver("1"), driver("2"), parent="gpu2"),
    ]
    found = groups(*rows)
    assert {(group.object, group.event) for group in found if group.implied} == {
        ("parent", "appeared"),
        ("driver", "appeared"),
        ("type", "gone"),
    }
    assert first_line(found) == "1 host came, 1 parent went, 1 host changed driver"


def test_rules_are_told_by_what_they_are_at_each_moment() -> None:
    """Added, come in force, ended by its own time or by a decision; an unchanged one is not told."""
    ended = structs.replace(RULE, valid_until=NOW - timedelta(hours=1))
    coming = structs.replace(RULE, valid_from=THEN + timedelta(hours=1))
    for before, after, said, line in (
        ((), (RULE,), ("appeared", "", "in force"), "1 rule added"),
        ((RULE,), (ended,), ("changed", "in force", "ended"), "1 rule ended"),
        ((ended,), (ended,), ("changed", "in force", "ended"), "1 rule ended"),
        ((coming,), (coming,), ("changed", "to come", "in force"), "1 rule changed"),
        ((RULE,), (), ("gone", "in force", ""), "1 rule removed"),
    ):
        (group,) = found = groups(decided=Decided(before, after))
        assert (group.event, group.before, group.after) == said
        assert "r9 deny by ann (fleet): CASE-7" in group.what
        assert first_line(found) == line
    assert groups(decided=Decided((RULE,), (RULE,))) == ()


def test_catalog_entries_are_told_with_their_origin() -> None:
    """Two of them are entries."""
    entries = (EntryDiffering("import", "x", None, entry("x")), EntryDiffering("shipped", "y", None, entry("y")))
    found = groups(decided=Decided(entries=entries))
    assert [(group.what, group.aspect, group.before) for group in found] == [("x", "import", ""), ("y", "shipped", "")]
    assert first_line(found) == "2 catalog entries added"
