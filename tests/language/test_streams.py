"""Stream versions: what they are read from, and how they order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.streams import MAX_DOTTED, MAX_VERSION_CHARS, Exact, Range, StreamVersion, fit
from mdevreg.support import NoSupport, support_of

_NUMBERS = st.integers(0, 2**63)
_KEYS = st.lists(st.integers(0, 30), min_size=2, max_size=4)


def _version(text: str) -> StreamVersion:
    version = StreamVersion.parse(text)
    assert version is not None
    return version


_INTEGERS = _NUMBERS.map(lambda number: _version(str(number)))
_DOTTED = _KEYS.map(lambda key: _version(".".join(map(str, key))))
_ANY = _INTEGERS | _DOTTED


@given(_NUMBERS)
def test_an_integer_is_one_version_in_each_spelling(number: int) -> None:
    """Decimal and hexadecimal, with the spaces of sysfs around it; the text is kept."""
    spellings = [str(number), hex(number), hex(number).upper().replace("X", "x"), f" {number}\n", f"0{number}"]
    assert {_version(text).key for text in spellings} == {(number,)}
    assert {_version(text).scheme for text in spellings} == {"integer"}
    assert [str(_version(text)) for text in spellings] == [text.strip() for text in spellings]


@given(_KEYS, st.integers(0, 3))
def test_trailing_zeros_of_a_dotted_version_say_nothing(key: list[int], zeros: int) -> None:
    """1.0 and 1.0.0 are one version."""
    text = ".".join(map(str, key))
    assert _version(text).key == _version(text + ".0" * zeros).key


@given(st.lists(_INTEGERS, max_size=5) | st.lists(_DOTTED, max_size=5))
def test_the_order_is_total_in_a_scheme(versions: list[StreamVersion]) -> None:
    """Of two versions one is lower, or they are equal; and it is the order of their numbers."""
    for one, other in itertools.combinations(versions, 2):
        found = {fit(one, Range(other, other)), fit(other, Range(one, one))}
        assert found in ({"loads"}, {"too_old", "too_new"})
        numbers = [[int(part) for part in str(version).split(".")] for version in (one, other)]
        longest = max(map(len, numbers))
        padded = [number + [0] * (longest - len(number)) for number in numbers]
        assert (one.key < other.key) == (padded[0] < padded[1])


@given(_INTEGERS, _DOTTED)
def test_versions_of_different_schemes_never_compare(integer: StreamVersion, dotted: StreamVersion) -> None:
    """In neither direction, for neither kind of support."""
    for one, other in ((integer, dotted), (dotted, integer)):
        assert fit(one, Exact(other)) == fit(one, Range(other, other)) == "schemes_differ"


@given(_ANY, _ANY, _ANY)
def test_a_range_loads_what_lies_in_it_and_exact_its_own_only(
    version: StreamVersion, minimum: StreamVersion, maximum: StreamVersion
) -> None:
    """Both ends are included."""
    assert fit(version, Exact(version)) == "loads"
    assert fit(version, Range(version, version)) == "loads"
    if version.scheme == maximum.scheme:
        assert (fit(version, Exact(maximum)) == "loads") == (version.key == maximum.key)
    if version.scheme == maximum.scheme == minimum.scheme and minimum.key <= maximum.key:
        expected = version.key >= minimum.key and version.key <= maximum.key
        assert (fit(version, Range(minimum, maximum)) == "loads") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "r7",
        "-1",
        "+1",
        "1.",
        ".1",
        "1..2",
        "1.a",
        "0x",
        "0x1.2",
        "1_0",
        "1e3",
        "٣",
        "1\n2",
        "1 2",
        "9" * 21,
        "0x" + "f" * 17,
        "1" * (MAX_VERSION_CHARS + 1),
        ".".join("1" * (MAX_DOTTED + 1)),
        "1." + "1" * 11,
    ],
    ids=ascii,
)
def test_other_text_is_no_version(text: str) -> None:
    """It stays what was seen, and nothing is concluded from it; the bounds are stated."""
    assert StreamVersion.parse(text) is None


def test_each_bound_is_still_a_version() -> None:
    """20 digits, 16 hexadecimal digits, 8 numbers."""
    for text in ("9" * 20, "0x" + "f" * 16, ".".join("1" * MAX_DOTTED)):
        assert str(_version(text)) == text


@given(st.text(max_size=20))
def test_any_text_is_read_or_not(text: str) -> None:
    """Never an exception; what is read is read again the same."""
    version = StreamVersion.parse(text)
    assert version is None or StreamVersion.parse(str(version)) == version


def test_print_of_a_support_reads_as_in_mathematics() -> None:
    """``[1, 3]`` and ``[2]``."""
    assert str(Range(_version("1"), _version("3"))) == "[1, 3]"
    assert str(Exact(_version("2"))) == "[2]"


_MTTY = DriverBuild(name="mtty_driver", module="mtty")


@pytest.mark.parametrize(
    ("version", "minimum", "driver", "expected"),
    [
        (None, None, _MTTY, "nothing_stated"),
        (None, "1", _MTTY, "nothing_stated"),
        ("2", None, None, "no_driver"),
        ("r7", None, _MTTY, "unreadable"),
        ("2", "r7", _MTTY, "unreadable"),
        ("2", "1.0", _MTTY, "unreadable"),
        ("2", "3", _MTTY, "minimum_above_version"),
        ("2", None, _MTTY, "mtty 2 [2]"),
        ("2", "1", _MTTY, "mtty 2 [1, 2]"),
        ("2", "2", _MTTY, "mtty 2 [2, 2]"),
        ("1.10", "1.9", _MTTY, "mtty 1.10 [1.9, 1.10]"),
        ("2", None, DriverBuild(name="built_in"), "built_in 2 [2]"),
    ],
)
def test_support_is_what_the_driver_states(
    version: str | None, minimum: str | None, driver: DriverBuild | None, expected: str
) -> None:
    """Where nothing is stated nothing is concluded; without a minimum its own version only."""
    support = support_of(Profile(driver=driver, migration_stream_version=version, migration_stream_version_min=minimum))
    if isinstance(support, NoSupport):
        assert support.why == expected
    else:
        assert f"{support.format} {support.saves} {support.loads}" == expected
        assert support.learned_from == "sysfs"
