"""Stream versions: what they are read from, and how they order."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.errors import UsageError, VersionError
from mdevreg.versions import (
    EXPECTED,
    MAX_DOTTED,
    MAX_VERSION_CHARS,
    SCHEMES,
    UNORDERED,
    Scheme,
    StreamVersion,
    comparable,
    compare,
    device_version,
    magic_of,
    stated,
)

_MAGICS = st.integers(0, 2**64 - 1)
_HEX_FORMS: list[Callable[[int], str]] = [hex, "{:x}".format, "0X{:X}".format, "{:016x}".format]
_DEVICE_FORMS: list[Callable[[int], str]] = [
    "8086:5912:0300:{:04x}".format,
    "8086:5912:0300:{:04X}".format,
    "0x808659120300{:04x}".format,
]


def _numbers(highest: int) -> st.SearchStrategy[int]:
    """Small ones meet; the great ones are the last that are accepted."""
    return st.integers(0, 20) | st.integers(0, highest) | st.just(highest)


def _without_trailing_zeros(numbers: list[int]) -> tuple[int, ...]:
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers = numbers[:-1]
    return tuple(numbers)


def _dotted(numbers: list[int]) -> tuple[str, Any]:
    return ".".join(map(str, numbers)), _without_trailing_zeros(numbers)


#: Text of each scheme, and what it must order by, found without ``mdevreg.versions``; one device only.
_ORDERED: dict[Scheme, st.SearchStrategy[tuple[str, Any]]] = {
    "integer": _numbers(10**20 - 1).flatmap(
        lambda number: st.sampled_from([(f"{number}", number), (f"{number:020d}", number)])
    ),
    "hex": st.tuples(st.sampled_from(_HEX_FORMS), _numbers(2**64 - 1)).map(lambda pair: (pair[0](pair[1]), pair[1])),
    "dotted": st.lists(_numbers(10**10 - 1), min_size=1, max_size=MAX_DOTTED).map(_dotted),
    "device-version": st.tuples(st.sampled_from(_DEVICE_FORMS), _numbers(2**16 - 1)).map(
        lambda pair: (pair[0](pair[1]), pair[1])
    ),
}
_TAGS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+/-]{0,20}", fullmatch=True)
_OPAQUE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20).filter(str.strip)
#: Any version of any scheme, as its text and its scheme.
_ANY: st.SearchStrategy[tuple[str, Scheme]] = st.one_of(
    *(st.tuples(pairs.map(itemgetter(0)), st.just(scheme)) for scheme, pairs in _ORDERED.items()),
    _TAGS.map(lambda text: (text, "tag")),
    _OPAQUE.filter(str.isprintable).map(lambda text: (text, "opaque")),
)


def _parse(found: tuple[str, Scheme]) -> StreamVersion:
    return StreamVersion.parse(*found)


@given(_ANY, st.sampled_from(["", " ", "\n"]))
def test_a_version_is_read_again_from_its_own_text(found: tuple[str, Scheme], around: str) -> None:
    """``parse(str(v), v.scheme) == v``; the text is kept as it came, white space around it aside."""
    version = _parse(found)
    assert StreamVersion.parse(str(version), version.scheme) == version
    assert version.raw == str(version) == found[0].strip()
    assert StreamVersion.parse(around + found[0] + around, found[1]) == version


@given(st.text(max_size=20), st.sampled_from(SCHEMES))
def test_any_text_is_a_version_or_a_version_error(text: str, scheme: Scheme) -> None:
    """Nothing else is ever raised; the error names the text, the scheme and what was expected."""
    try:
        version = StreamVersion.parse(text, scheme)
    except VersionError as error:
        assert scheme in str(error)  # noqa: PT017  (an error is allowed, not required)
        assert str(error).endswith(EXPECTED[scheme])  # noqa: PT017
    else:
        assert StreamVersion.parse(version.raw, scheme) == version


@pytest.mark.parametrize("scheme", _ORDERED)
@given(data=st.data())
def test_sort_keys_agree_with_the_order_of_the_scheme(scheme: Scheme, data: st.DataObject) -> None:
    """``1.10`` is above ``1.9``, ``0x10`` above ``f``, ``1.0`` is ``1``: of numbers, not of letters."""
    (one, low), (other, high) = data.draw(_ORDERED[scheme]), data.draw(_ORDERED[scheme])
    versions = StreamVersion.parse(one, scheme), StreamVersion.parse(other, scheme)
    expected = "=" if low == high else "<" if low < high else ">"
    assert compare(*versions) == expected
    keys = versions[0].sort_key.encode(), versions[1].sort_key.encode()
    assert ("=" if keys[0] == keys[1] else "<" if keys[0] < keys[1] else ">") == expected


@pytest.mark.parametrize("scheme", _ORDERED)
@given(data=st.data())
def test_sqlite_sorts_by_sort_keys_as_the_scheme_does(scheme: Scheme, data: st.DataObject) -> None:
    """A real ORDER BY over text; versions of equal rank are equal keys."""
    drawn = data.draw(st.lists(_ORDERED[scheme], max_size=8))
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE version (place INTEGER, sort_key TEXT)")
        keys = [(place, StreamVersion.parse(text, scheme).sort_key) for place, (text, _) in enumerate(drawn)]
        connection.executemany("INSERT INTO version VALUES (?, ?)", keys)
        found = connection.execute("SELECT place FROM version ORDER BY sort_key, place").fetchall()
    connection.close()
    assert [place for (place,) in found] == sorted(range(len(drawn)), key=lambda place: (drawn[place][1], place))


def test_a_database_sorts_by_sort_keys_as_the_schemes_do(database_url: str) -> None:
    """SQLite and PostgreSQL, the latter under each kind of collation that it has."""
    dice = random.Random(7)
    numbers = [[dice.choice([0, 1, 2, 9, 10, 99, 10**10 - 1]) for _ in range(dice.randint(1, 4))] for _ in range(200)]
    texts = sorted({_dotted(each) for each in numbers}, key=lambda pair: (pair[1], pair[0]))
    table = sa.Table("version", sa.MetaData(), sa.Column("text", sa.Text), sa.Column("sort_key", sa.Text))
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        table.create(connection)
        rows = [{"text": text, "sort_key": StreamVersion.parse(text, "dotted").sort_key} for text, _ in texts]
        dice.shuffle(rows)
        connection.execute(table.insert(), rows)
        wanted = [_without_trailing_zeros([int(part) for part in text.split(".")]) for text, _ in texts]
        for collation in _collations(connection):
            key = table.c.sort_key if collation is None else table.c.sort_key.collate(collation)
            found = connection.scalars(sa.select(table.c.text).order_by(key)).all()
            assert [_without_trailing_zeros([int(part) for part in text.split(".")]) for text in found] == wanted
    engine.dispose()


def _collations(connection: sa.Connection) -> list[str | None]:
    """The database's own, and one of each provider: libc, ICU."""
    if connection.dialect.name == "sqlite":
        return [None, "NOCASE"]
    found = connection.execute(
        sa.text("SELECT collname FROM pg_collation WHERE collname IN ('C', 'en_US', 'en_US.utf8', 'en-x-icu')")
    )
    return [None, *found.scalars()]


@given(_ANY, _ANY)
def test_versions_of_different_schemes_never_compare(one: tuple[str, Scheme], other: tuple[str, Scheme]) -> None:
    """In neither direction, however alike their texts are; their sort keys are never the same either."""
    if one[1] == other[1]:
        return
    versions = _parse(one), _parse(other)
    assert compare(*versions) is compare(*versions[::-1]) is None
    assert not comparable(*versions)
    assert versions[0].sort_key != versions[1].sort_key


@given(st.sampled_from(["7", "10", "010", "1234"]), st.sampled_from(SCHEMES), st.sampled_from(SCHEMES))
def test_one_text_in_two_schemes_is_two_versions(text: str, scheme: Scheme, other: Scheme) -> None:
    """``10`` is ten, or sixteen, or a name: who states it says which."""
    if "device-version" in (scheme, other):
        return
    same = compare(StreamVersion.parse(text, scheme), StreamVersion.parse(text, other)) == "="
    assert same == (scheme == other)


@pytest.mark.parametrize("scheme", sorted(UNORDERED))
def test_unordered_versions_are_the_same_or_not_known(scheme: Scheme) -> None:
    """A tag and an opaque text have no order, and are never parsed."""
    one, other = StreamVersion.parse("a1", scheme), StreamVersion.parse("a2", scheme)
    assert compare(one, one) == "="
    assert compare(one, other) is compare(other, one) is None


@given(_MAGICS)
def test_a_device_version_and_its_magic_number_name_each_other(magic: int) -> None:
    """As four groups of hex digits, as one 64-bit number, in either case: one version."""
    version = device_version(magic)
    assert magic_of(version) == magic
    written = f"0x{magic:016x}", f"0X{magic:016X}", str(version).upper()
    for text in written:
        found = StreamVersion.parse(text, "device-version")
        assert compare(found, version) == "="
        assert (magic_of(found), found.sort_key) == (magic, version.sort_key)
        assert device_version(magic_of(found)) == version


@given(_MAGICS, _MAGICS)
def test_device_versions_compare_exactly_within_one_device(one: int, other: int) -> None:
    """Vendor, device and class identify, the version orders."""
    for second in (other, (one & ~0xFFFF) | (other & 0xFFFF)):
        found = compare(device_version(one), device_version(second))
        same_device = one >> 16 == second >> 16
        assert (found is not None) == same_device
        if same_device:
            assert found == ("=" if one == second else "<" if one < second else ">")


_LONGEST = MAX_VERSION_CHARS


@pytest.mark.parametrize(
    ("scheme", "longest", "too_long"),
    [
        ("integer", "9" * 20, "9" * 21),
        ("hex", "0x" + "f" * 16, "0x" + "f" * 17),
        ("hex", "f" * 16, "f" * 17),
        ("dotted", ".".join(["9" * 10] * MAX_DOTTED), ".".join(["9"] * (MAX_DOTTED + 1))),
        ("dotted", "9" * 10, "9" * 11),
        ("device-version", "ffff:ffff:ffff:ffff", "ffff:ffff:ffff:fffff"),
        ("device-version", "0x" + "f" * 16, "0x" + "f" * 17),
        ("tag", "t" * _LONGEST, "t" * (_LONGEST + 1)),
        ("opaque", "o" * _LONGEST, "o" * (_LONGEST + 1)),
    ],
)
def test_the_longest_text_is_read_and_one_more_is_refused(scheme: Scheme, longest: str, too_long: str) -> None:
    """The bounds are the last good values; the error is a wrong question, not a bug."""
    assert StreamVersion.parse(longest, scheme).raw == longest
    with pytest.raises(VersionError) as caught:
        StreamVersion.parse(too_long, scheme)
    assert isinstance(caught.value, UsageError)


def test_the_most_characters_are_counted_without_the_space_around_them() -> None:
    """And named in the message."""
    assert StreamVersion.parse(f" {'t' * _LONGEST}\n", "tag").raw == "t" * _LONGEST
    with pytest.raises(VersionError, match=f"has {_LONGEST + 1} characters; at most {_LONGEST} are accepted"):
        StreamVersion.parse("t" * (_LONGEST + 1), "tag")


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        *((scheme, text) for scheme in SCHEMES for text in ("", " ", "1\n2", "a\x00", "\x7f")),
        *(("integer", text) for text in ("r7", "-1", "+1", "1_0", "1e3", "0x1", "1.0", "٣", "1 2")),
        *(("hex", text) for text in ("0x", "x1", "0x1.2", "1g", "-1", "0x 1", "٣")),
        *(("dotted", text) for text in ("1.", ".1", "1..2", "1.a", "-1.0", "1 .2", "1.٣")),
        *(("device-version", text) for text in ("8086:5912:0300", "8086:5912:0300:4", "0x1", "8086-5912-0300-0004")),
        *(("tag", text) for text in ("-a", ".a", "a b", "a:b", "ä")),
    ],
    ids=ascii,
)
def test_other_text_is_no_version(scheme: Scheme, text: str) -> None:
    """Nothing is guessed: what is no version of its scheme is refused with what was expected."""
    with pytest.raises(VersionError, match=scheme):
        StreamVersion.parse(text, scheme)


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("7", "integer"),
        (" 7\n", "integer"),
        ("0x10", "hex"),
        ("0X1F", "hex"),
        ("1.0", "dotted"),
        ("535.161.05", "dotted"),
        ("8086:5912:0300:0004", "device-version"),
    ],
)
def test_what_a_driver_states_tells_its_scheme_by_its_shape(text: str, scheme: Scheme) -> None:
    """``0x10`` and ``16`` are of two schemes, on purpose: who changes the spelling changes what can be compared."""
    assert stated(text) == StreamVersion.parse(text, scheme)


@pytest.mark.parametrize("text", ["", "r7", "-1", "0x", "0x1.2", "1..2", "9" * 21, "0x" + "f" * 17, "ff", "8086:5912"])
def test_what_has_no_shape_of_a_version_is_not_guessed(text: str) -> None:
    """It stays what was seen, and nothing is concluded from it."""
    with pytest.raises(VersionError):
        stated(text)


@given(st.text(max_size=20))
def test_any_stated_text_is_a_version_or_a_version_error(text: str) -> None:
    """What a kernel prints never stops the registry."""
    try:
        version = stated(text)
    except VersionError:
        return
    assert stated(version.raw) == version


@given(st.lists(_ORDERED["dotted"], min_size=3, max_size=5))
def test_the_order_is_total_in_a_scheme(drawn: list[tuple[str, Any]]) -> None:
    """Of two versions one is lower, or they are equal; and lower than lower is lower."""
    versions = [StreamVersion.parse(text, "dotted") for text, _ in drawn]
    for one, other in itertools.product(versions, repeat=2):
        found = compare(one, other), compare(other, one)
        assert found in (("<", ">"), ("=", "="), (">", "<"))
    for low, middle, high in itertools.permutations(versions, 3):
        if compare(low, middle) in ("<", "=") and compare(middle, high) in ("<", "="):
            assert compare(low, high) in ("<", "=")
