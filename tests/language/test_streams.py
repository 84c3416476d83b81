"""Stream sets: what is saved, what is loaded, and how the two meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.errors import VersionError
from mdevreg.statements import Versions, VersionSet
from mdevreg.streams import (
    Exact,
    Fit,
    Meeting,
    OneOf,
    Opaque,
    Range,
    StreamSet,
    Tags,
    UpTo,
    contains,
    identity,
    meet,
    members,
    read_set,
)
from mdevreg.versions import SCHEMES, UNORDERED, Scheme, StreamVersion, device_version
from support.strategies import stated_versions

_HIGHEST = 8
_SMALL = st.integers(0, _HIGHEST)
_ALL = range(_HIGHEST + 1)
#: A set as the code knows it, and the numbers in it, found by counting.
_Pair = tuple[StreamSet, frozenset[int]]


def _version(number: int, scheme: Scheme = "integer") -> StreamVersion:
    return StreamVersion.parse(str(number), scheme)


def _range(bounds: tuple[int, int]) -> _Pair:
    low, high = sorted(bounds)
    return Range(_version(low), _version(high)), frozenset(number for number in _ALL if low <= number <= high)


def _one_of(numbers: list[int]) -> _Pair:
    return OneOf(tuple(map(_version, numbers))), frozenset(numbers)


_SETS: st.SearchStrategy[_Pair] = st.one_of(
    _SMALL.map(lambda number: (Exact(_version(number)), frozenset([number]))),
    st.tuples(_SMALL, _SMALL).map(_range),
    _SMALL.map(lambda top: (UpTo(_version(top)), frozenset(range(top + 1)))),
    st.lists(_SMALL, min_size=1, max_size=4).map(_one_of),
)


def _expected_misfit(saves: frozenset[int], loads: _Pair) -> Fit:
    versions, numbers = loads
    if isinstance(versions, Exact):
        return "not_equal"
    if isinstance(versions, OneOf):
        return "not_listed"
    if min(saves) > max(numbers):
        return "too_new"
    return "too_old" if max(saves) < min(numbers) else "not_listed"


def _every_set(numbers: range) -> list[_Pair]:
    """All sets of each kind over a few numbers."""
    listed = [each for size in (1, 2, 3) for each in itertools.combinations(numbers, size)]
    return [
        *((Exact(_version(number)), frozenset([number])) for number in numbers),
        *(_range(bounds) for bounds in itertools.combinations_with_replacement(numbers, 2)),
        *((UpTo(_version(top)), frozenset(range(top + 1))) for top in numbers),
        *(_one_of(list(each)) for each in listed),
        *(_one_of(list(each[::-1])) for each in listed),
    ]


def test_every_kind_meets_every_kind_as_counted_out() -> None:
    """All pairs of sets over four numbers: the highest that both have, or why there is none."""
    for saves, loads in itertools.product(_every_set(range(4)), repeat=2):
        common = saves[1] & loads[1]
        found = meet(saves[0], loads[0])
        if common:
            assert found == Meeting("loads", _version(max(common))), (saves, loads)
        else:
            assert found == Meeting(_expected_misfit(saves[1], loads)), (saves, loads)


@given(_SETS, _SETS, st.lists(_SETS, max_size=2))
def test_meeting_is_intersection_and_negotiates_the_highest_common_version(
    saves: _Pair, loads: _Pair, pins: list[_Pair]
) -> None:
    """All kinds against all kinds, counted out; pins narrow further and never widen."""
    common = saves[1].intersection(loads[1])
    found = meet(saves[0], loads[0])
    assert (found.fit == "loads") == bool(common)
    assert (found.negotiated and int(found.negotiated.raw)) == (max(common) if common else None)
    if not common:
        assert found.fit == _expected_misfit(saves[1], loads)
    pinned = meet(saves[0], loads[0], [pin for pin, _ in pins])
    within = common.intersection(*(numbers for _, numbers in pins))
    assert (pinned.negotiated and int(pinned.negotiated.raw)) == (max(within) if within else None)


@given(_SETS, _SETS)
def test_two_sets_meet_at_the_same_version_either_way(one: _Pair, other: _Pair) -> None:
    """Intersection has no direction; the question has: what is saved differs from what is loaded."""
    assert meet(one[0], other[0]).negotiated == meet(other[0], one[0]).negotiated


@given(_SETS, _SMALL)
def test_a_version_is_in_a_set_as_counted(versions: _Pair, number: int) -> None:
    """Both ends of a range are included."""
    assert contains(versions[0], _version(number)) == (number in versions[1])
    finite = members(versions[0])
    assert finite is None or {int(version.raw) for version in finite} == versions[1]


@given(_SETS, _SETS)
def test_equal_identity_means_the_same_versions(one: _Pair, other: _Pair) -> None:
    """Two sources that say the same do not contradict each other."""
    if identity(one[0]) == identity(other[0]):
        assert one[1] == other[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (VersionSet(range=("1.0", "2")), VersionSet(range=("1", "2.0.0"))),
        ("1.0", VersionSet(exact="1")),
        ("1.0", ("1",)),
        (("1", "2", "1.0"), VersionSet(one_of=("2", "1"))),
        ("1.0", VersionSet(range=("1", "1.0"))),
        (VersionSet(tags=("a", "b"), optional=("c",)), VersionSet(tags=("b", "a"), optional=("c",))),
        (VersionSet(opaque=True), VersionSet(opaque=True)),
        (VersionSet(up_to="1.0"), VersionSet(up_to="1")),
    ],
)
def test_the_same_set_has_one_identity_however_it_is_written(one: Versions, other: Versions) -> None:
    """Else an operator is told of contradictions that are none."""
    assert identity(read_set(one, "dotted")) == identity(read_set(other, "dotted"))


@given(_SETS, _SETS, st.sampled_from(["hex", "dotted", "tag", "opaque"]))
def test_sets_of_different_schemes_never_meet(saves: _Pair, loads: _Pair, scheme: Scheme) -> None:
    """Whatever the kinds: nothing is said about them, which is neither yes nor no."""
    foreign = _in_scheme(loads[0], scheme)
    assert meet(saves[0], foreign) == Meeting("schemes_differ")
    assert meet(foreign, saves[0]) == Meeting("schemes_differ")
    assert meet(saves[0], loads[0], [foreign]).negotiated is None


def _in_scheme(versions: StreamSet, scheme: Scheme) -> StreamSet:
    def changed(version: StreamVersion) -> StreamVersion:
        return StreamVersion.parse(version.raw, scheme)

    match versions:
        case Exact():
            return Exact(changed(versions.version))
        case Range():
            return Range(changed(versions.minimum), changed(versions.maximum))
        case UpTo():
            return UpTo(changed(versions.maximum))
        case OneOf():
            return OneOf(tuple(map(changed, versions.versions)))
    return versions


@pytest.mark.parametrize(
    "kind", [Exact, UpTo, lambda version: OneOf((version,)), lambda version: Range(version, version)]
)
def test_versions_of_different_devices_are_not_ordered(kind: Callable[[StreamVersion], StreamSet]) -> None:
    """Vendor, device and class identify: 2 of one device is not below 3 of another."""
    one, other = device_version(0x8086_5912_0300_0002), device_version(0x8086_5916_0300_0003)
    assert meet(Exact(one), kind(other)) == Meeting("unordered")
    assert meet(Exact(one), kind(one)) == Meeting("loads", one)


@pytest.mark.parametrize(("scheme", "fit"), [("tag", "not_equal"), ("opaque", "unordered")])
def test_another_tag_is_a_no_and_another_opaque_text_is_unknown(scheme: Scheme, fit: Fit) -> None:
    """A magic number is compared for equality; an opaque string promises nothing if it differs."""
    one, other = (Exact(StreamVersion.parse(text, scheme)) for text in ("v1", "v2"))
    assert meet(one, one).fit == "loads"
    assert meet(one, other) == Meeting(fit)


_TAG_NAMES = st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(tuple)


@given(_TAG_NAMES, _TAG_NAMES, _TAG_NAMES, _TAG_NAMES)
def test_required_tags_must_be_known_and_optional_ones_are_skipped(
    required: tuple[str, ...], optional: tuple[str, ...], known: tuple[str, ...], skipped: tuple[str, ...]
) -> None:
    """There is no version to negotiate; what is missing is named."""
    found = meet(Tags(required, optional), Tags(known, skipped))
    missing = tuple(tag for tag in "abcd" if tag in required and tag not in (*known, *skipped))
    assert found == (Meeting("tag_unknown", unknown_tags=missing) if missing else Meeting("loads"))


@given(_SETS, _TAG_NAMES)
def test_opaque_bytes_and_tags_meet_no_version(versions: _Pair, tags: tuple[str, ...]) -> None:
    """Opaque meets nothing at all, not even itself: only the device judges."""
    for other in (versions[0], Tags(tags), Opaque()):
        assert meet(Opaque(), other) == meet(other, Opaque()) == Meeting("opaque")
    assert meet(Tags(tags), versions[0]) == meet(versions[0], Tags(tags)) == Meeting("schemes_differ")


@given(_SETS | _TAG_NAMES.map(lambda tags: (Tags(tags, ("o",)), frozenset())) | st.just((Opaque(), frozenset())))
def test_a_set_comes_back_from_json_as_it_was(versions: _Pair) -> None:
    """Doors hand supports out as JSON; each kind is told by its name."""
    document = msgspec.json.encode(versions[0])
    assert msgspec.json.decode(document, type=StreamSet) == versions[0]


def test_each_kind_has_its_name_on_the_wire() -> None:
    """Frozen: programs read it."""
    one = _version(1)
    sets = (Exact(one), Range(one, one), UpTo(one), OneOf((one,)), Tags(("a",)), Opaque())
    kinds = [msgspec.to_builtins(versions)["kind"] for versions in sets]
    assert kinds == ["exact", "range", "up_to", "one_of", "tags", "opaque"]


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("2", "[2]"),
        (VersionSet(exact=" 2 "), "[2]"),
        (VersionSet(range=("1", "3")), "[1, 3]"),
        (VersionSet(range=("3", "3")), "[3, 3]"),
        (VersionSet(up_to="3"), "[…, 3]"),
        (("1", "3"), "{1, 3}"),
        (VersionSet(one_of=("1", "3")), "{1, 3}"),
        (VersionSet(tags=("a",), optional=("b",)), "tags a, b (optional)"),
        (VersionSet(opaque=True), "opaque"),
    ],
)
def test_what_is_stated_is_read_and_printed_as_in_mathematics(stated: Versions, shown: str) -> None:
    """One text is that version, a list one of these, a table says its kind."""
    assert str(read_set(stated, "integer")) == shown


@pytest.mark.parametrize(
    ("stated", "scheme", "expected"),
    [
        (VersionSet(), "integer", "found none"),
        (VersionSet(exact="1", up_to="2"), "integer", "found exact, up_to"),
        (VersionSet(exact="1", optional=("a",)), "integer", "found exact"),
        (VersionSet(optional=("a",)), "integer", "found none"),
        ((), "integer", "empty"),
        (VersionSet(range=("3", "2")), "integer", "the minimum 3 is above the maximum 2"),
        (VersionSet(range=("8086:5912:0300:0004", "8086:5913:0300:0005")), "device-version", "does not compare"),
        (VersionSet(range=("a", "b")), "tag", "have no order"),
        (VersionSet(up_to="a"), "opaque", "have no order"),
        ("1.0", "integer", "is no integer version"),
        (("1", "x"), "integer", "'x' is no integer version"),
    ],
)
def test_what_can_not_be_meant_is_refused(stated: Versions, scheme: Scheme, expected: str) -> None:
    """The sentence says what was found and what was expected."""
    with pytest.raises(VersionError, match=expected):
        read_set(stated, scheme)


@given(stated_versions, st.sampled_from(SCHEMES))
def test_anything_stated_is_a_set_or_a_version_error(stated: Versions, scheme: Scheme) -> None:
    """A plug-in's answer never stops the registry."""
    try:
        found = read_set(stated, scheme)
    except VersionError:
        return
    assert not (scheme in UNORDERED and isinstance(found, Range | UpTo))
    assert all(version.scheme == scheme for version in members(found) or ())


def test_a_range_in_dotted_versions_has_no_gaps() -> None:
    """Every version between the ends is in it, of any length."""
    span = Range(StreamVersion.parse("1.9", "dotted"), StreamVersion.parse("1.10", "dotted"))
    asked = ("1.8", "1.9", "1.9.99", "1.10", "1.10.0", "1.10.0.1", "1.11", "1", "2")
    found = [text for text in asked if contains(span, StreamVersion.parse(text, "dotted"))]
    assert found == ["1.9", "1.9.99", "1.10", "1.10.0"]
