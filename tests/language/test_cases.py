"""Real-world cases: what ``judge`` says of them with the shipped catalog, and where each is known from.

The table is ``tests/cases/cases.toml``, which says at its top how it is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from mdevreg.catalog import Catalog
from mdevreg.catalog_file import read_catalog_file
from mdevreg.compatibility import Rules, judge
from mdevreg.facts import Evidence, Side
from mdevreg.outcomes import OutcomeReport
from mdevreg.profiles import Profile
from mdevreg.rules import Rule, check, in_force
from mdevreg.shapes import Strict
from mdevreg.shipped import shipped_entries
from mdevreg.support import support_of
from mdevreg.verdict import CODES, Outcome, Verdict
from support.rulings import outcome

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
_TABLE = tomllib.loads((Path(__file__).parents[1] / "cases" / "cases.toml").read_text(encoding="utf-8"))
#: Of hosts that offer nothing of the type (``judge_absent``), and of suspended streams: not ``judge`` gives them.
_OF_OTHERS = {"TYPE_NOT_OFFERED", "HOST_NEVER_REPORTED", "TYPE_NOT_TOLD"}
Table = dict[str, Any]


class Case(Strict, frozen=True):
    """One row: two sides, what operators say, and what is expected."""

    name: str
    fact: str
    source: Table | str
    target: Table | str
    outcome: Outcome
    codes: list[str]
    operator: str = ""
    rules: list[Table] = []
    outcomes: list[Table] = []
    negotiated: str | None = None
    detection: str | None = None
    back: Outcome | None = None


_CASES = [msgspec.convert(row, Case, builtin_types=(datetime, date)) for row in _TABLE["case"]]


def _merged(below: Table, above: Table) -> Table:
    """``above`` over ``below``, table by table."""
    nested = {key: _merged(below[key], value) for key, value in above.items() if isinstance(below.get(key), dict)}
    return below | above | nested


def _resolved(said: Table | str) -> Table:
    """A side with what it is like filled in."""
    table = {"like": said} if isinstance(said, str) else said
    own = {key: value for key, value in table.items() if key != "like"}
    return _merged(_resolved(_TABLE["side"][table["like"]]), own) if "like" in table else own


def _side(said: Table | str, hostname: str, catalog: Catalog) -> Side:
    defaults: Table = {"parent": "0000:3b:00.0", "free": 1, "evidence": {}}
    table = defaults | _resolved(said)
    about = {"host": f"id-{hostname}", "hostname": hostname, "changed_at": NOW, "last_seen": NOW}
    evidence = msgspec.convert(about | table.pop("evidence"), Evidence, builtin_types=(datetime,))
    parent, device, free = table.pop("parent"), table.pop("device", None), table.pop("free")
    profile = msgspec.convert(table, Profile)
    support = support_of(profile, catalog)
    return Side(evidence, parent, profile, support, device, None if free < 0 else free)


def _rule(said: Table) -> Rule:
    made = {"author": "ops", "valid_from": datetime(2026, 1, 1, tzinfo=UTC), "message": "as agreed"} | said
    return check(msgspec.convert(made, Rule, builtin_types=(datetime,)))


def _outcome(said: Table, source: str, target: str) -> OutcomeReport:
    """How a migration there ended; ``back``: one of the way back."""
    sides = (target, source) if said.get("back") else (source, target)
    return outcome(said["result"], *sides)


def _verdicts(case: Case) -> tuple[Verdict, Verdict]:
    """There, and the way back."""
    operator = read_catalog_file(case.operator, "operator.toml") if case.operator else ()
    catalog = Catalog(operator=operator, shipped=shipped_entries())
    source, target = _side(case.source, "alpha", catalog), _side(case.target, "beta", catalog)
    source, target = (structs.replace(side, digest=letter * 64) for side, letter in ((source, "a"), (target, "b")))
    tried = tuple(_outcome(said, source.digest, target.digest) for said in case.outcomes)
    rules = Rules(in_force=in_force(map(_rule, case.rules), NOW), outcomes=tried)
    return judge(source, target, rules, NOW), judge(target, source, rules, NOW)


def _told(verdict: Verdict) -> Iterator[str]:
    """Each reason's code, with the field or rule that it names; that the guest would see the same goes unsaid."""
    for reason in verdict.reasons:
        if reason.code != "USER_COMPATIBLE":
            yield f"{reason.code} {reason.name}".strip()


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_the_verdict_is_what_the_facts_say(case: Case) -> None:
    """Outcome, every reason, the negotiated version, and when a mismatch would show."""
    there, back = _verdicts(case)
    why = "\n".join(f"{reason.code}: {reason.text}" for reason in there.reasons)
    assert sorted(_told(there)) == sorted(case.codes), why
    assert there.outcome is case.outcome, why
    assert there.negotiated == case.negotiated, why
    if case.detection is not None:
        assert str(there.detection) == case.detection
    if case.back is not None:
        assert back.outcome is case.back, [reason.text for reason in back.reasons]


def test_the_table_is_large_and_each_case_says_where_it_is_known_from() -> None:
    """At least 60, each once."""
    names = [case.name for case in _CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert [case.name for case in _CASES if not case.fact.strip()] == []


def test_every_side_that_is_defined_is_used() -> None:
    """A side that no case is like would rot."""
    sides = [side for case in _CASES for side in (case.source, case.target)] + list(_TABLE["side"].values())
    used = {side if isinstance(side, str) else side.get("like") for side in sides}
    assert set(_TABLE["side"]) - used == set()


def test_every_reason_that_judge_gives_is_in_the_table() -> None:
    """A code that no real case shows would be a code that nobody needs."""
    shown = {code.split()[0] for case in _CASES for code in case.codes} | {"USER_COMPATIBLE"}
    assert set(CODES) - _OF_OTHERS - shown == set()
