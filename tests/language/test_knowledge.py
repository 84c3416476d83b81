"""What is believed beside observations, and how it changes: amendments, one after the other."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.catalog import BuildKey, Entry
from mdevreg.errors import DecodeError
from mdevreg.knowledge import (
    NOTHING,
    ORIGINS,
    Amendment,
    CatalogChange,
    Knowledge,
    Origin,
    RuleChange,
    decode_amendment,
    difference,
    encode_amendment,
)
from mdevreg.objects import Profiles
from mdevreg.profiles import Profile
from mdevreg.records import SCHEMA, DriverBuild
from mdevreg.rules import Rule
from mdevreg.support import NoSupport, StreamSupport, support_of
from support.rulings import rules
from support.strategies import NOW, lines, match_rules, maybe, names, stated_versions

_IDS = st.sampled_from(["one", "two", "three"])
_BUILDS = st.builds(
    BuildKey,
    kernel_release=maybe(st.sampled_from(["6.12.0", "6.12.*"])),
    from_=maybe(st.just("6.1.0")),
    before=maybe(st.just("6.13.0")),
    suffix=st.sampled_from(["", "*"]),
    srcversion=maybe(lines),
)
_ENTRIES = st.builds(
    Entry,
    id=_IDS,
    drivers=st.lists(st.sampled_from(["d", "e"]) | names, min_size=1, max_size=2).map(tuple),
    builds=st.lists(_BUILDS, max_size=2).map(tuple),
    types=st.lists(names, max_size=1).map(tuple),
    values=st.dictionaries(names, st.dictionaries(names, lines, max_size=1), max_size=1),
    beside=st.sampled_from([None, "nvml", "sysfs"]),
    source=lines,
    date=st.dates(),
    confidence=st.sampled_from(["source", "doc", "unverified"]),
    migratable=st.booleans(),
    format=maybe(names),
    scheme=st.sampled_from(["integer", "dotted"]),
    saves=maybe(stated_versions),
    loads=maybe(stated_versions),
    match=st.lists(match_rules, max_size=1).map(tuple),
)
_SETS = st.lists(_ENTRIES, max_size=3, unique_by=lambda entry: entry.id).map(tuple)
_ORIGINS: st.SearchStrategy[Origin] = st.sampled_from(ORIGINS)
_CHANGES = st.builds(
    CatalogChange, origin=_ORIGINS, put=_SETS, remove=st.lists(_IDS | names, max_size=2).map(tuple)
) | st.builds(RuleChange, rule=_IDS.flatmap(lambda name: rules("deny", "allow", "pin", "match", name=name)))
_AMENDMENTS = st.builds(
    Amendment,
    schema=st.just(SCHEMA),
    at=st.integers(-(10**9), 10**10).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    author=lines,
    change=_CHANGES,
)


def _believed(knowledge: Knowledge) -> object:
    return (knowledge.entries, knowledge.rules, knowledge.catalog.operator, knowledge.catalog.shipped)


def _amendment(change: CatalogChange | RuleChange | None) -> list[Amendment]:
    return [] if change is None else [Amendment(schema=SCHEMA, at=NOW, author="op", change=change)]


@given(st.lists(_AMENDMENTS, max_size=5), st.integers(0, 5))
def test_amended_in_steps_is_amended_at_once(amendments: list[Amendment], cut: int) -> None:
    """Any cut: what was believed at a position is the fold up to it; what it was made of is not changed."""
    whole = NOTHING.amended(amendments)
    first = NOTHING.amended(amendments[:cut])
    before = _believed(first)
    assert _believed(first.amended(amendments[cut:])) == _believed(whole)
    assert _believed(first) == before
    one_by_one = NOTHING
    for amendment in amendments:
        one_by_one = one_by_one.amended([amendment])
    assert _believed(one_by_one) == _believed(whole)


@given(_ORIGINS, _SETS, _SETS, st.lists(_AMENDMENTS, max_size=3))
def test_the_difference_makes_one_set_of_entries_into_another(
    origin: Origin, before: tuple[Entry, ...], after: tuple[Entry, ...], others: list[Amendment]
) -> None:
    """And touches no other origin and no rule; of equal sets there is none, in whatever order they are."""
    start = NOTHING.amended([*others, *_amendment(difference({}, before, origin))])
    change = difference(start.entries[origin], after, origin)
    end = start.amended(_amendment(change))
    assert end.entries[origin] == {entry.id: entry for entry in after}
    assert {name: end.entries[name] for name in ORIGINS if name != origin} == {
        name: start.entries[name] for name in ORIGINS if name != origin
    }
    assert end.rules == start.rules
    assert difference(end.entries[origin], after[::-1], origin) is None
    if change is not None:
        assert not {entry.id for entry in change.put}.intersection(change.remove)
        assert all(start.entries[origin].get(entry.id) != entry for entry in change.put)


@given(_AMENDMENTS)
def test_an_amendment_comes_back_as_it_was(amendment: Amendment) -> None:
    """Encode and decode are inverse, so that a log can be read for ever."""
    data = encode_amendment(amendment)
    assert decode_amendment(data) == amendment
    assert encode_amendment(decode_amendment(data)) == data


@given(_AMENDMENTS, st.data())
def test_damaged_bytes_are_an_amendment_or_a_decode_error(amendment: Amendment, data: st.DataObject) -> None:
    """Nothing else ever escapes."""
    good = encode_amendment(amendment)
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    try:
        decode_amendment(damaged)
    except DecodeError as error:
        assert error.code == "AMENDMENT"  # noqa: PT017  (an error is allowed, not required)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"schema":"1.1"}'], ids=repr)
def test_bytes_that_are_no_amendment_are_refused(data: bytes) -> None:
    """With what is wrong about them."""
    with pytest.raises(DecodeError, match="no amendment"):
        decode_amendment(data)


def _entry(version: str, **changed: object) -> Entry:
    good = Entry(
        id="one",
        drivers=("d",),
        builds=(BuildKey(srcversion="S"),),
        format="f",
        saves=version,
        loads=version,
        source="a test",
        date=date(2026, 11, 24),
        confidence="source",
    )
    return msgspec.structs.replace(good, **changed)


_PROFILE = Profile(type="t", driver=DriverBuild(name="d", srcversion="S"))
_DIGEST = Profiles().digest(_PROFILE)


def _version(knowledge: Knowledge) -> str:
    support = knowledge.support(_DIGEST, _PROFILE)
    return str(support.saves) if isinstance(support, StreamSupport) else type(support).__name__


def test_a_correction_reaches_every_profile_and_the_past_stays_askable() -> None:
    """Without touching a host: the same observation, understood anew from the next position on."""
    wrong = NOTHING.amended(_amendment(CatalogChange(origin="shipped", put=(_entry("1"),))))
    mended = wrong.amended(_amendment(CatalogChange(origin="shipped", put=(_entry("2"),))))
    assert [_version(each) for each in (NOTHING, wrong, mended, wrong)] == ["NoSupport", "[1]", "[2]", "[1]"]
    assert isinstance(NOTHING.support(_DIGEST, _PROFILE), NoSupport)
    assert mended.support(_DIGEST, _PROFILE) == support_of(_PROFILE, mended.catalog)


def test_what_an_operator_states_wins_over_what_is_shipped_and_his_folder_over_imports() -> None:
    """Under one id the folder replaces an import; under another the two would contradict each other."""
    shipped = NOTHING.amended(_amendment(CatalogChange(origin="shipped", put=(_entry("1"),))))
    imported = shipped.amended(_amendment(CatalogChange(origin="import", put=(_entry("2"),))))
    folder = imported.amended(_amendment(CatalogChange(origin="folder", put=(_entry("3"),))))
    removed = folder.amended(_amendment(CatalogChange(origin="folder", remove=("one",))))
    assert [_version(each) for each in (shipped, imported, folder, removed)] == ["[1]", "[2]", "[3]", "[2]"]
    other = imported.amended(_amendment(CatalogChange(origin="folder", put=(_entry("3", id="two"),))))
    assert _version(other) == "NoSupport"


@given(rules("deny", "allow", "pin", "match", name="x"))
def test_a_rule_that_is_ended_holds_until_then(rule: Rule) -> None:
    """In ``[valid_from, valid_until)``; the last amendment of an id is the rule."""
    ended = msgspec.structs.replace(rule, valid_until=NOW)
    known = NOTHING.amended([*_amendment(RuleChange(rule=rule)), *_amendment(RuleChange(rule=ended))])
    (found,) = known.rules.values()
    second = timedelta(seconds=1)
    held = [found.in_force(at) for at in (found.valid_from - second, found.valid_from, NOW - second, NOW)]
    assert held == [False, True, True, False]
