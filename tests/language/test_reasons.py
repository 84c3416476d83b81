"""Reason codes: each can be said, each is explained, and the page of them is the one that is generated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.claims import Learned
from mdevreg.compatibility import Rules, judge, judge_absent
from mdevreg.errors import NotFoundError
from mdevreg.facts import Side
from mdevreg.inspection import Inspected
from mdevreg.profiles import Profile
from mdevreg.reasons import EXPLAINED, as_markdown, explained
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule
from mdevreg.statements import Versions, VersionSet
from mdevreg.streams import Exact, Opaque, StreamSet, Tags, read_set
from mdevreg.support import MatchField, NoSupport, NotMigratable, StreamSupport
from mdevreg.suspended import judge_stream, stream_side
from mdevreg.verdict import CODES, Verdict
from mdevreg.versions import device_version
from support.rulings import fresh, outcome
from support.strategies import NOW
from support.tree import ROOT

_PAGE = ROOT / "docs" / "reasons.md"
_LEARNED = Learned("catalog", "entry", "source")
_BUILD = DriverBuild(name="d", module="d")


def _read(stated: Versions) -> StreamSet:
    return read_set(stated, "integer")


def _side(name: str, saves: StreamSet | None = None, loads: StreamSet | None = None, **support: Any) -> Side:
    """A good side: mtty-1 over vfio-pci, which saves 2 and loads 1 to 2."""
    good = StreamSupport("f", saves or _read("2"), loads or _read(VersionSet(range=("1", "2"))), _LEARNED)
    profile = Profile(type="mtty-1", device_api="vfio-pci", driver=_BUILD)
    understood = msgspec.structs.replace(good, **support)
    return Side(fresh(name), "mtty", profile, understood, available_instances=1)


_SOURCE, _TARGET = _side("alpha"), _side("beta")


def _changed(part: str, **changed: Any) -> Side:
    """The target with another profile or evidence."""
    return msgspec.structs.replace(_TARGET, **{part: msgspec.structs.replace(getattr(_TARGET, part), **changed)})


def _pair(source: Side = _SOURCE, target: Side = _TARGET, *in_force: Rule) -> Callable[[], Verdict]:
    return lambda: judge(source, target, Rules(in_force=in_force), NOW)


def _absent(source: Side = _SOURCE, **evidence: Any) -> Callable[[], Verdict]:
    return lambda: judge_absent(source, fresh("beta", **evidence), "beta", ("mdpy-hd",), Rules(), NOW)


def _fields(*values: str | None, rule: Any = "equal", differing: Any = "no") -> Callable[[], Verdict]:
    sides = [
        _side(name, match=(MatchField("ports", rule, differing, value),))
        for name, value in zip(("alpha", "beta"), values, strict=True)
    ]
    return _pair(sides[0], sides[1])


def _rule(effect: Any, **changed: Any) -> Rule:
    return msgspec.structs.replace(
        Rule(id=f"{effect}-1", effect=effect, author="op", message="why", valid_from=NOW), **changed
    )


def _tried(result: Any, target: Side = _TARGET) -> Callable[[], Verdict]:
    """A pair of two profiles that was tried."""
    source, target = (
        msgspec.structs.replace(side, digest=letter * 64) for side, letter in ((_SOURCE, "a"), (target, "b"))
    )
    return lambda: judge(source, target, Rules(outcomes=(outcome(result, source.digest, target.digest),)), NOW)


_MLX5 = [_side(name, decided_by="device", match=(MatchField("psid", "equal", "no", "MT_1"),)) for name in ("a", "b")]
_UNSUPPORTED = NoSupport("nothing_stated", "nothing is stated")
#: One way to each code.
_EXAMPLES: dict[str, Callable[[], Verdict]] = {
    "USER_COMPATIBLE": _pair(),
    "DEVICE_API_DIFFERS": _pair(target=_changed("profile", device_api="vfio-ccw")),
    "DEVICE_API_UNKNOWN": _pair(target=_changed("profile", device_api=None)),
    "TYPE_DIFFERS": _pair(target=_changed("profile", type="mtty-2")),
    "TYPE_UNKNOWN": _pair(target=_changed("profile", type=None)),
    "TYPE_NOT_OFFERED": _absent(),
    "TYPE_NOT_TOLD": lambda: judge_stream(
        stream_side(Inspected(format="f", scheme="integer", version="2"), None), _TARGET, Rules(), NOW
    ),
    "STREAM_VERSION_LOADS": _pair(),
    "STREAM_TAGS_KNOWN": _pair(_side("alpha", Tags(("a",))), _side("beta", loads=Tags(("a", "b")))),
    "STREAM_FORMAT_DIFFERS": _pair(target=_side("beta", format="g")),
    "STREAM_VERSION_TOO_NEW": _pair(_side("alpha", _read("3"))),
    "STREAM_VERSION_TOO_OLD": _pair(_side("alpha", _read("0"))),
    "STREAM_VERSION_NOT_EQUAL": _pair(target=_side("beta", loads=_read("3"))),
    "STREAM_VERSION_NOT_LISTED": _pair(target=_side("beta", loads=_read(("1", "3")))),
    "STREAM_TAG_UNKNOWN": _pair(_side("alpha", Tags(("a", "c"))), _side("beta", loads=Tags(("a", "b")))),
    "STREAM_SCHEMES_DIFFER": _pair(target=_side("beta", loads=read_set("2", "dotted"))),
    "STREAM_VERSIONS_UNORDERED": _pair(
        _side("alpha", Exact(device_version(1 << 60))), _side("beta", loads=Exact(device_version(1 << 61)))
    ),
    "STREAM_OPAQUE": _pair(_side("alpha", Opaque())),
    "STREAM_DECIDED_BY_DEVICE": _pair(_side("alpha", decided_by="device")),
    "SOURCE_NOT_MIGRATABLE": _pair(msgspec.structs.replace(_SOURCE, support=NotMigratable("d", _LEARNED))),
    "TARGET_NOT_MIGRATABLE": _pair(target=msgspec.structs.replace(_TARGET, support=NotMigratable("d", _LEARNED))),
    "SOURCE_SUPPORT_UNKNOWN": _pair(msgspec.structs.replace(_SOURCE, support=_UNSUPPORTED)),
    "TARGET_SUPPORT_UNKNOWN": _pair(target=msgspec.structs.replace(_TARGET, support=_UNSUPPORTED)),
    "MATCH_FIELDS_AGREE": _fields("1", "1"),
    "MATCH_FIELD_DIFFERS": _fields("1", "2"),
    "MATCH_FIELD_LACKS": _fields("3", "1", rule="superset"),
    "MATCH_FIELD_DOUBTFUL": _fields("550", "570", differing="unknown"),
    "MATCH_FIELD_UNKNOWN": _fields("1", None),
    "MATCH_FIELD_ADVISORY": _fields("1", "2", rule="advisory"),
    "OUTCOME_REFUSED": _tried("refused"),
    "OUTCOME_LOADED": _tried("loaded", _side("beta", loads=_read("3"))),
    "RULE_DENIES": _pair(_SOURCE, _TARGET, _rule("deny")),
    "RULE_ALLOWS": _pair(_SOURCE, _TARGET, _rule("allow")),
    "RULE_PINS": _pair(_SOURCE, _TARGET, _rule("pin", format="f", versions="2")),
    "RULE_PIN_EXCLUDES": _pair(_SOURCE, _TARGET, _rule("pin", format="f", versions="1")),
    "RULE_NOT_COMPARABLE": _pair(_SOURCE, _TARGET, _rule("deny", format="f", scheme="dotted", versions="1.0")),
    "RULE_MATCHES": _pair(_MLX5[0], _MLX5[1], _rule("match", fields=("psid",))),
    "SOURCES_CONTRADICT": _pair(_side("alpha", contradictions=("exec p says otherwise",))),
    "HOST_STALE": _pair(target=_changed("evidence", last_seen=None)),
    "HOST_LEFT": _pair(target=_changed("evidence", leaving=True)),
    "HOST_OUT_OF_SYNC": _pair(target=_changed("evidence", in_sync=False)),
    "HOST_NEVER_REPORTED": _absent(changed_at=None),
    "IDENTITY_CONFLICT": _pair(target=_changed("evidence", conflict=True)),
    "NO_FREE_INSTANCE": _pair(target=msgspec.structs.replace(_TARGET, available_instances=0)),
    "CAPACITY_UNKNOWN": _pair(target=msgspec.structs.replace(_TARGET, available_instances=None)),
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_reached_and_explained(code: str) -> None:
    """A code that nothing can say would be a promise nobody keeps; one that nobody explains is no help."""
    (reason,) = [reason for reason in _EXAMPLES[code]().reasons if reason.code == code]
    assert (reason.says, reason.about) == CODES[code]
    assert reason.text
    explanation = explained(code)
    assert (explanation.code, explanation.says, explanation.about) == (code, *CODES[code])


def test_no_code_beside_these_is_explained_or_reached() -> None:
    """In the order of ``CODES``."""
    assert list(EXPLAINED) == list(CODES)
    assert set(_EXAMPLES) == set(CODES)
    said = {reason.code for example in _EXAMPLES.values() for reason in example().reasons}
    assert said == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_an_explanation_says_what_it_means_what_causes_it_and_what_to_do(code: str) -> None:
    """Whole sentences, one line each; a no or an unknown always has a way out beside "nothing to do"."""
    found = explained(code)
    assert found.causes
    assert found.remedy
    for text in (found.meaning, *found.causes, *found.remedy):
        assert text.endswith((".", ")"))
        assert "\n" not in text
        assert text.count("`") % 2 == 0
    if found.says in ("incompatible", "unknown"):
        assert found.remedy[0] != "Nothing to do."


@given(st.sampled_from(list(CODES)), st.data())
def test_a_code_is_found_in_any_case_and_with_hyphens(code: str, data: st.DataObject) -> None:
    """As people type it."""
    letters = [data.draw(st.sampled_from([char.lower(), char] if char != "_" else ["_", "-", " "])) for char in code]
    assert explained("".join(letters)).code == code


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("HOST_STAIL", "HOST_STALE"), ("version-too-new", "STREAM_VERSION_TOO_NEW"), ("rule-denied", "RULE_DENIES")],
)
def test_an_unknown_code_names_those_that_look_like_it(asked: str, nearest: str) -> None:
    """Not a list of all."""
    with pytest.raises(NotFoundError, match=f"no reason code is named '{asked}'") as caught:
        explained(asked)
    assert nearest in caught.value.nearest


def test_what_looks_like_none_is_told_plainly() -> None:
    """No guess."""
    with pytest.raises(NotFoundError) as caught:
        explained("")
    assert caught.value.nearest == ()


def test_the_page_of_reasons_is_the_generated_one() -> None:
    """The list of codes is in the docs, and never out of date."""
    way = 'from mdevreg.reasons import as_markdown; print(as_markdown(), end="")'
    assert _PAGE.read_text(encoding="utf-8") == as_markdown(), f"write it anew: python -c '{way}' > docs/reasons.md"


def test_the_page_has_a_section_for_each_code_that_its_table_links_to() -> None:
    """As GitHub names the anchors of headings."""
    lines = as_markdown().splitlines()
    for code in CODES:
        assert f"## {code}" in lines
        assert any(line.startswith(f"| [`{code}`](#{code.lower()}) | ") for line in lines)
    assert not any(line != line.rstrip() for line in lines)
