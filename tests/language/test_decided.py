"""What operators' rules do where a slip of theirs would otherwise be void, or spoil an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from mdevreg.catalog import BuildKey, Catalog, Entry, specificity
from mdevreg.claims import Learned
from mdevreg.compatibility import Rules, judge
from mdevreg.errors import UsageError
from mdevreg.facts import Candidates, Side
from mdevreg.profiles import Profile
from mdevreg.query.questions import targets
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule, check
from mdevreg.statements import VersionSet
from mdevreg.streams import read_set
from mdevreg.support import MatchField, StreamSupport, support_of
from mdevreg.verdict import Outcome, Verdict
from support.rulings import fresh
from support.strategies import NOW

_RULE = Rule(id="r", effect="deny", author="op", message="m", valid_from=NOW)
_TAGS = read_set(VersionSet(tags=("FW_DATA",)), "tag")


def _rule(name: str, **changed: Any) -> Rule:
    return msgspec.structs.replace(_RULE, id=name, **changed)


def _side(name: str, *fields: MatchField, **changed: Any) -> Side:
    support = StreamSupport("mlx5", _TAGS, _TAGS, Learned("catalog", "e", "source"), fields, **changed)
    profile = Profile(type="t", device_api="vfio-pci", driver=DriverBuild(name="d", module="d"))
    return Side(fresh(name), "p", profile, support, available_instances=1)


def _judged(source: Side, target: Side, *rules: Rule) -> Verdict:
    return judge(source, target, Rules(in_force=rules), NOW)


def _codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


def test_a_pin_excludes_a_stream_that_has_no_versions() -> None:
    """It would be void otherwise, and nobody would know."""
    pin = _rule("pin", effect="pin", format="mlx5", scheme="tag", versions="OTHER")
    assert _judged(_side("a"), _side("b")).outcome is Outcome.COMPATIBLE
    verdict = _judged(_side("a"), _side("b"), pin)
    assert verdict.outcome is Outcome.INCOMPATIBLE
    assert "RULE_PIN_EXCLUDES" in _codes(verdict)


def test_one_match_rule_that_is_met_is_enough() -> None:
    """Another one, about a field that nobody knows, spoils nothing."""
    psid = MatchField("psid", "advisory", "no", "MT_1")
    sides = _side("a", psid, decided_by="device"), _side("b", psid, decided_by="device")
    met, unmet = _rule("met", effect="match", fields=("psid",)), _rule("unmet", effect="match", fields=("fw",))
    assert _judged(*sides, unmet, met).outcome is Outcome.COMPATIBLE
    alone = _judged(*sides, unmet)
    assert alone.outcome is Outcome.UNKNOWN
    (unknown,) = [reason for reason in alone.reasons if reason.code == "MATCH_FIELD_UNKNOWN"]
    assert "match rule unmet by op" in unknown.text


@pytest.mark.parametrize(("form", "outcome"), [("mlx5", Outcome.COMPATIBLE), ("mtty", Outcome.UNKNOWN)])
def test_an_allow_of_a_format_is_about_its_streams_only(form: str, outcome: Outcome) -> None:
    """As every rule that names one."""
    sides = _side("a", decided_by="device"), _side("b", decided_by="device")
    assert _judged(*sides, _rule("ok", effect="allow", format=form)).outcome is outcome


def test_a_blank_message_tells_nobody_why() -> None:
    """It stands in every answer."""
    with pytest.raises(UsageError, match="blank"):
        check(_rule("x", message=" "))


def test_a_departed_hosts_answer_is_not_relied_on() -> None:
    """It is unknown now; no time is named until which it holds."""

    def until(**evidence: Any) -> object:
        there = msgspec.structs.replace(_side("b"), evidence=msgspec.structs.replace(fresh("b"), **evidence))
        (answer,) = targets(_Fixed(Candidates(1, _side("a"), (there,))), "x", now=NOW).answers
        return answer.reliable_until

    assert until() == NOW + timedelta(seconds=Rules().stale_after_s)
    assert until(leaving=True) is None


class _Fixed:
    """A door with one answer."""

    def __init__(self, found: Candidates) -> None:
        self._found = found

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self._found


@pytest.mark.parametrize(
    ("pattern", "release", "found"),
    [
        ("6.12.1*", "6.12.117", None),
        ("6.12.1*", "6.12.1-generic", 2),
        ("6.12.117+deb*", "6.12.117+deb12-amd64", 2),
        ("6.12.117", "6.12.117", 2),
        ("6.12.117", "6.12.117+deb12-amd64", None),
    ],
)
def test_the_three_numbers_of_a_release_are_no_pattern(pattern: str, release: str, found: int | None) -> None:
    """Point releases differ; a pattern may not join them by the way."""
    entry = _entry("e", builds=(BuildKey(kernel_release=pattern),))
    assert specificity(entry, DriverBuild(name="d", kernel_release=release)) == found


def test_of_each_weaker_source_the_most_exact_word_is_told() -> None:
    """Its broader entries say no more."""
    exact = _entry("exact", builds=(BuildKey(srcversion="S"),), migratable=False)
    broad = _entry("broad", builds=(BuildKey(from_="6.0.0", before="7.0.0"),), migratable=False)
    ours = _entry("ours", builds=(BuildKey(srcversion="S"),), format="f", saves="1", loads="1")
    build = DriverBuild(name="d", module="d", kernel_release="6.12.0", srcversion="S")
    found = support_of(Profile(type="t", driver=build), Catalog((ours,), (broad, exact)))
    assert isinstance(found, StreamSupport)
    assert [text.partition(" says")[0] for text in found.contradictions] == ["catalog exact"]


def _entry(name: str, **changed: Any) -> Entry:
    return Entry(id=name, drivers=("d",), source="s", date=NOW.date(), confidence="source", **changed)
