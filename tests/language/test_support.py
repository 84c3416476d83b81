"""From observations to stream support: who is believed, about which builds, and what the others say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.catalog import BuildKey, Catalog, Confidence, Entry, release_of, specificity
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild, Nvml, VersionRange
from mdevreg.statements import MatchRule, Statement, VersionSet
from mdevreg.streams import identity
from mdevreg.support import MatchField, NoSupport, NotMigratable, StreamSupport, Support, support_of
from support.strategies import NO_CATALOG, profiles

_BUILD = DriverBuild(
    name="qat_vfio_pci", module="qat_vfio_pci", kernel_release="6.12.117", srcversion="ABC", build_id="0f", version="1"
)
_PROFILE = Profile(type="t", device_api="vfio-pci", driver=_BUILD)
_SPAN = BuildKey(from_="6.12.0", before="6.13.0")


def _entry(name: str, version: str | None = "1", build: BuildKey | None = _SPAN, **changed: Any) -> Entry:
    good = Entry(
        id=name,
        drivers=("qat_vfio_pci",),
        builds=() if build is None else (build,),
        format=None if version is None else "qat",
        saves=version,
        loads=version,
        source="a test",
        date=date(2026, 11, 24),
        confidence="source",
    )
    return msgspec.structs.replace(good, **changed)


def _told(support: Support) -> str:
    match support:
        case StreamSupport():
            return f"{support.format} {support.saves} {support.loads}"
        case NoSupport():
            return support.why
    return "not migratable"


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
        ("0x2", "1", _MTTY, "unreadable"),
        ("2", "3", _MTTY, "unreadable"),
        ("2", None, _MTTY, "mtty [2] [2]"),
        ("2", "1", _MTTY, "mtty [2] [1, 2]"),
        ("2", "2", _MTTY, "mtty [2] [2, 2]"),
        ("1.10", "1.9", _MTTY, "mtty [1.10] [1.9, 1.10]"),
        ("2", None, DriverBuild(name="built_in"), "built_in [2] [2]"),
    ],
)
def test_the_kernels_own_word_is_what_the_driver_states(
    version: str | None, minimum: str | None, driver: DriverBuild | None, expected: str
) -> None:
    """Where nothing is stated nothing is concluded; without a minimum its own version only."""
    profile = Profile(driver=driver, migration_stream_version=version, migration_stream_version_min=minimum)
    support = support_of(profile, NO_CATALOG)
    assert _told(support) == expected
    if isinstance(support, StreamSupport):
        assert (support.learned.source, support.learned.named) == ("sysfs", "migration_stream_version")


def test_an_opaque_version_string_is_compared_whole() -> None:
    """Never parsed: what was proposed in 2019 is equal, or not known."""
    support = support_of(Profile(driver=_MTTY, migration_version=" 8086-5912-i915-GVTg_V5_4-00000001\n"), NO_CATALOG)
    assert isinstance(support, StreamSupport)
    assert support.saves == support.loads
    assert str(support.saves) == "[8086-5912-i915-GVTg_V5_4-00000001]"
    assert support.learned.named == "migration_version"


_RANGE = VersionRange(minimum=3, maximum=5)
_PINNED = VersionRange(minimum=4, maximum=4)


@pytest.mark.parametrize(
    ("nvml", "guest", "expected"),
    [
        (Nvml(), None, "nothing_stated"),
        (Nvml(supported=_RANGE), None, "nvidia-vgpu [3, 5] [3, 5]"),
        (Nvml(gpu_range=_RANGE), None, "nvidia-vgpu [3, 5] [3, 5]"),
        (Nvml(supported=_RANGE, pinned=_PINNED), None, "nvidia-vgpu [4, 4] [4, 4]"),
        (Nvml(supported=_RANGE, gpu_range=_PINNED), None, "nvidia-vgpu [3, 5] [3, 5]"),
        (Nvml(supported=_RANGE), 4, "nvidia-vgpu [4] [3, 5]"),
        (Nvml(supported=_RANGE, migration=False), 4, "not migratable"),
        (Nvml(supported=_RANGE, migration=True), None, "nvidia-vgpu [3, 5] [3, 5]"),
        (Nvml(supported=VersionRange(minimum=5, maximum=3)), None, "unreadable"),
    ],
)
def test_nvidias_range_is_what_the_host_is_set_to(nvml: Nvml, guest: int | None, expected: str) -> None:
    """The pin before what it could; a running guest has settled on one version."""
    profile = Profile(driver=DriverBuild(name="nvidia", module="nvidia"), nvml=nvml, guest_version=guest)
    assert _told(support_of(profile, NO_CATALOG)) == expected


_SOURCES = ["operator", "sysfs", "nvml", "exec", "catalog"]


def _saying(*sources: str, same: bool = False) -> Support:
    """The support of a profile of which these sources say something, each a version of its own, or all the same."""
    version = {source: "7" if same else f"{place}7" for place, source in enumerate(_SOURCES, 1)}
    of = {source: _entry(f"of-{source}", version[source]) for source in ("operator", "catalog")}
    if same:
        of = {source: msgspec.structs.replace(entry, format="nvidia-vgpu") for source, entry in of.items()}
    catalog = Catalog(*((of[source],) if source in sources else () for source in ("operator", "catalog")))
    said = Statement(format="nvidia-vgpu" if same else "qat", saves=version["exec"], loads=version["exec"])
    span = VersionRange(minimum=int(version["nvml"]), maximum=int(version["nvml"]))
    profile = msgspec.structs.replace(
        _PROFILE,
        migration_stream_version=version["sysfs"] if "sysfs" in sources else None,
        nvml=Nvml(pinned=span) if "nvml" in sources else None,
        answers={"plug-in": (said,)} if "exec" in sources else {},
    )
    return support_of(profile, catalog)


@pytest.mark.parametrize(("stronger", "weaker"), list(itertools.combinations(_SOURCES, 2)))
def test_the_stronger_source_decides_and_the_weaker_is_told(stronger: str, weaker: str) -> None:
    """operator > sysfs > nvml > exec > catalog; that they contradict each other stays visible."""
    support = _saying(weaker, stronger)
    assert isinstance(support, StreamSupport)
    place, other = _SOURCES.index(stronger) + 1, _SOURCES.index(weaker) + 1
    assert support.learned.source == stronger
    assert f"{place}7" in str(support.saves)
    (told,) = support.contradictions
    assert told.startswith(weaker)
    assert f"{other}7" in told


def test_all_that_say_otherwise_are_told_in_order() -> None:
    """The strongest first; alone, a source is contradicted by nobody."""
    support = _saying(*_SOURCES)
    assert isinstance(support, StreamSupport)
    assert [told.split()[0] for told in support.contradictions] == _SOURCES[1:]
    for source in _SOURCES:
        alone = _saying(source)
        assert isinstance(alone, StreamSupport)
        assert (alone.learned.source, alone.contradictions) == (source, ())


def test_who_says_the_same_contradicts_nobody() -> None:
    """A version, a range of one version, another spelling: the same is the same."""
    support = _saying("operator", "nvml", "exec", "catalog", same=True)
    assert isinstance(support, StreamSupport)
    assert support.contradictions == ()


@pytest.mark.parametrize("stronger", ["operator", "catalog"])
def test_no_migration_is_a_statement_like_others(stronger: str) -> None:
    """A driver without migration that a plug-in contradicts, and the other way round."""
    entry = _entry("none", None, None, migratable=False)
    answers = {"plug-in": (Statement(format="qat", saves="1", loads="1"),)}
    catalog = Catalog((entry,), ()) if stronger == "operator" else Catalog((), (entry,))
    support = support_of(msgspec.structs.replace(_PROFILE, answers=answers), catalog)
    assert isinstance(support, NotMigratable) == (stronger == "operator")
    assert isinstance(support, StreamSupport | NotMigratable)
    (told,) = support.contradictions
    assert ("there is no migration" in told) == (stronger == "catalog")


def test_what_is_stated_half_is_not_guessed() -> None:
    """Saves without loads: unreadable, and nothing weaker fills the gap."""
    answers = {"plug-in": (Statement(format="qat", saves="1"),)}
    support = support_of(msgspec.structs.replace(_PROFILE, answers=answers), Catalog((), (_entry("whole"),)))
    assert isinstance(support, NoSupport)
    assert support.why == "unreadable"
    assert "states no loads" in support.text


@given(profiles, st.lists(st.sampled_from(["1", "x", "2"]), max_size=2))
def test_any_profile_has_a_support_or_a_reason_for_none(profile: Profile, stated: list[str]) -> None:
    """Never an exception: what nobody understands is unknown, with a sentence."""
    module = profile.driver.module or profile.driver.name if profile.driver else "none"
    entries = tuple(_entry(f"e{place}", text, drivers=(module,)) for place, text in enumerate(stated))
    support = support_of(profile, Catalog((), entries))
    assert not isinstance(support, NoSupport) or support.text


#: Keys that all name ``_BUILD``, by how exactly they do.
_KEYS: dict[int, list[BuildKey | None]] = {
    0: [None],
    1: [_SPAN, BuildKey(from_="6.0.0", before="7.0.0"), BuildKey(version="1")],
    2: [BuildKey(kernel_release="6.12.117"), BuildKey(kernel_release="6.12.117*")],
    3: [BuildKey(srcversion="ABC"), BuildKey(srcversion="ABC", kernel_release="6.12.117")],
    4: [BuildKey(build_id="0f"), BuildKey(build_id="0f", srcversion="ABC")],
}
_RANKED = st.sampled_from([(rank, key) for rank, keys in _KEYS.items() for key in keys])


def test_each_key_is_as_exact_as_it_says() -> None:
    """build-id before srcversion before a release before a span before a driver's name."""
    for rank, keys in _KEYS.items():
        assert {specificity(_entry("e", build=key), _BUILD) for key in keys} == {rank}


@given(st.lists(st.tuples(_RANKED, st.sampled_from(["1", "2"])), min_size=1, max_size=4))
def test_the_most_exact_key_wins_and_equally_exact_contradictions_are_unknown(
    drawn: list[tuple[tuple[int, BuildKey | None], str]],
) -> None:
    """Nobody guesses which of two entries is the right one."""
    entries = tuple(_entry(f"e{place}", version, key) for place, ((_, key), version) in enumerate(drawn))
    top = max(rank for (rank, _), _ in drawn)
    said = {version for (rank, _), version in drawn if rank == top}
    for catalog in (Catalog(entries, ()), Catalog((), entries)):
        support = support_of(_PROFILE, catalog)
        if len(said) > 1:
            assert isinstance(support, NoSupport)
            assert support.why == "ambiguous"
        else:
            assert _told(support) == "qat [{0}] [{0}]".format(*said)


def test_two_plug_ins_that_contradict_each_other_leave_it_unknown() -> None:
    """Both are named; one that is more special about the device is not contradicted by its own general word."""
    one, other = Statement(format="qat", saves="1", loads="1"), Statement(format="qat", saves="2", loads="2")
    support = support_of(msgspec.structs.replace(_PROFILE, answers={"a": (one,), "b": (other,)}), NO_CATALOG)
    assert isinstance(support, NoSupport)
    assert support.why == "ambiguous"
    assert "exec a" in support.text
    assert "exec b" in support.text
    special = support_of(msgspec.structs.replace(_PROFILE, answers={"a": (other, one)}), NO_CATALOG)
    assert _told(special) == "qat [2] [2]"


@pytest.mark.parametrize("confidence", ["source", "measured", "derived", "doc", "unverified"])
def test_an_unverified_entry_is_no_evidence(confidence: Confidence) -> None:
    """It is kept in view by the catalog's list, and decides nothing."""
    support = support_of(_PROFILE, Catalog((), (_entry("e", confidence=confidence),)))
    assert _told(support) == ("nothing_stated" if confidence == "unverified" else "qat [1] [1]")


_RELEASES = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 120))


def _release(numbers: tuple[int, int, int]) -> str:
    return ".".join(map(str, numbers))


@given(
    _RELEASES, _RELEASES, _RELEASES, st.sampled_from(["", "-rc1", "+", "-1-amd64"]), st.sampled_from(["", "*", "-*"])
)
def test_a_span_names_the_releases_between_its_ends(
    low: tuple[int, int, int], high: tuple[int, int, int], release: tuple[int, int, int], rest: str, suffix: str
) -> None:
    """Number by number, the end excluded; what follows the numbers must fit the suffix, which is none by default."""
    key = BuildKey(from_=_release(low), before=_release(high), suffix=suffix)
    build = msgspec.structs.replace(_BUILD, kernel_release=_release(release) + rest)
    fits = {"": rest == "", "*": True, "-*": rest.startswith("-")}[suffix]
    assert (specificity(_entry("e", build=key), build) is not None) == (low <= release < high and fits)
    assert release_of(_release(release) + rest) == (release, rest)


@pytest.mark.parametrize(
    ("key", "build"),
    [
        (BuildKey(kernel_release="6.12.0"), {}),
        (BuildKey(srcversion="ABC", build_id="other"), {}),
        (_SPAN, {"kernel_release": None}),
        (_SPAN, {"kernel_release": "6.12"}),
        (_SPAN, {"kernel_release": "6.12.117-1-cloud"}),
        (BuildKey(srcversion="ABC"), {"srcversion": None}),
        (BuildKey(version="2"), {}),
        (BuildKey(build_id="0f", kernel_release="6.1.*"), {}),
    ],
)
def test_everything_in_a_key_must_fit(key: BuildKey, build: dict[str, Any]) -> None:
    """What is not known of a build is in no key that asks for it; 6.12.0 is not 6.12.117."""
    assert specificity(_entry("e", build=key), msgspec.structs.replace(_BUILD, **build)) is None


def test_an_entry_is_of_its_drivers_and_types_alone() -> None:
    """The module names the driver, or the driver itself where it is built in."""
    for driver, fits in (("qat_vfio_pci", True), ("qat_vfio", False), ("4xxx", False)):
        assert (specificity(_entry("e", drivers=(driver,)), _BUILD) is not None) == fits
    built_in = DriverBuild(name="qat_vfio_pci", kernel_release="6.12.117")
    assert specificity(_entry("e"), built_in) == 1
    for types, fits in ((("t",), True), (("u", "t*"), True), (("u",), False)):
        assert (_told(support_of(_PROFILE, Catalog((), (_entry("e", types=types),)))) == "qat [1] [1]") == fits


def test_the_values_of_match_fields_come_from_the_strongest_who_states_them() -> None:
    """A rule of the deciding entry; its value from an operator, a plug-in, the profile, or nobody."""
    rules = (
        MatchRule(field="a", rule="equal", from_="attributes.a"),
        MatchRule(field="b", rule="superset", from_="attributes.b"),
        MatchRule(field="c", rule="equal", from_="pci.revision"),
        MatchRule(field="d", rule="equal"),
    )
    operator = _entry("values", None, None, fields={"a": "from operator"})
    shipped = _entry("shipped", match=rules, fields={"a": "from catalog"}, values={"t": {"d": "of t"}, "u": {"d": "u"}})
    profile = msgspec.structs.replace(
        _PROFILE, attributes={"a": "seen", "b": " 0x1f "}, answers={"p": (Statement(fields={"a": "from plug-in"}),)}
    )
    support = support_of(profile, Catalog((operator,), (shipped,)))
    assert isinstance(support, StreamSupport)
    assert support.match == (
        MatchField("a", "equal", "no", "from operator", "operator values"),
        MatchField("b", "superset", "no", "0x1f", "attributes.b"),
        MatchField("c", "equal", "no", None, ""),
        MatchField("d", "equal", "no", "of t", "catalog shipped"),
    )


def test_match_rules_may_go_beside_versions_learned_elsewhere() -> None:
    """NVML tells the range; which boards and settings must agree is in the catalog."""
    beside = _entry(
        "nvidia", None, None, beside="nvml", match=(MatchRule(field="ecc", rule="equal", from_="nvml.ecc"),)
    )
    nvml = Nvml(supported=_RANGE, ecc=True)
    support = support_of(msgspec.structs.replace(_PROFILE, nvml=nvml), Catalog((), (beside,)))
    assert isinstance(support, StreamSupport)
    assert support.match == (MatchField("ecc", "equal", "no", "on", "nvml.ecc"),)
    stated = support_of(msgspec.structs.replace(_PROFILE, migration_stream_version="1"), Catalog((), (beside,)))
    assert isinstance(stated, StreamSupport)
    assert stated.match == ()


def _meaning(support: Support) -> object:
    """Everything that a verdict depends on."""
    if not isinstance(support, StreamSupport):
        return _told(support)
    return (support.format, identity(support.saves), identity(support.loads), support.match, support.decided_by)


def _meanings(profile: Profile, entries: Sequence[Entry]) -> set[str]:
    orders = itertools.permutations(entries)
    return {repr(_meaning(support_of(profile, Catalog((), tuple(order))))) for order in orders}


@given(st.lists(st.tuples(_RANKED, st.sampled_from(["1", "2", VersionSet(up_to="1")])), min_size=2, max_size=4))
def test_the_order_of_entries_says_nothing(drawn: list[tuple[tuple[int, BuildKey | None], str]]) -> None:
    """Files are read in some order; what is believed does not depend on it."""
    entries = [_entry(f"e{place}", version, key) for place, ((_, key), version) in enumerate(drawn)]
    assert len(_meanings(_PROFILE, entries)) == 1


_EQUAL_A, _EQUAL_B = MatchRule(field="a", rule="equal"), MatchRule(field="b", rule="equal")


@pytest.mark.parametrize(
    "entries",
    [
        (_entry("one", match=(_EQUAL_A,)), _entry("other", match=(_EQUAL_B,))),
        (_entry("one", match=(_EQUAL_A,)), _entry("other")),
        (_entry("one", match=(_EQUAL_A,), fields={"a": "1"}), _entry("other", match=(_EQUAL_A,), fields={"a": "2"})),
        (
            _entry("one"),
            _entry("two", None, None, beside="catalog", match=(_EQUAL_A,)),
            _entry("three", None, None, beside="catalog"),
        ),
    ],
    ids=["rules", "rules or none", "values", "rules beside"],
)
def test_the_order_of_entries_does_not_say_what_is_compared_either(entries: tuple[Entry, ...]) -> None:
    """Two entries that name a build equally exactly and compare different fields contradict each other."""
    assert len(_meanings(_PROFILE, entries)) == 1
