"""``can-migrate --record``, ``decisions``, ``outcome``, ``regret``: what people do with answers that count."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from mdevreg.decisions import DecisionsAsked
from mdevreg.outcomes import OutcomesAsked
from mdevreg.rules import Rule
from support.command_line import CommandLine
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, UUID, small_fleet

RECORD = ("can-migrate", UUID, "--to", "beta", "--record", "--author", "alice@desk")


@pytest.fixture
def door(line: CommandLine) -> MemoryDoor:
    """One small fleet for all commands of a test, whose clock stands still."""
    door = small_fleet()
    line.door = lambda: door
    return door


def test_a_recorded_answer_is_told_with_its_id(line: CommandLine, door: MemoryDoor) -> None:
    """The answer as without --record, and one line more; the exit code is the answer's."""
    plain = line("can-migrate", UUID, "--to", "beta")
    done = line(*RECORD, "--for", "nova", "--note", "rack 7")
    [told] = door.decisions(DecisionsAsked()).decisions
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        *plain.out.splitlines(),
        f"recorded: {told.id} by alice@desk for nova: rack 7",
    ]
    document = json.loads(line(*RECORD, "-o", "json").out)
    assert document["decision"] == f"d{int(told.id[1:]) + 1}"
    assert document["answer"] == "yes"


def test_a_question_about_the_past_is_recorded_as_one(line: CommandLine, door: MemoryDoor) -> None:
    """The time that was meant, not the words for it."""
    line(*RECORD, "--as-of", "-1h", "--stale-after", "7")
    [told] = door.decisions(DecisionsAsked()).decisions
    question = door.decision(told.id).question
    assert (question.as_of, question.known_at, question.stale_after_s) == (NOW - timedelta(hours=1), None, 7.0)
    assert door.decision(told.id).told.as_of == NOW - timedelta(hours=1)


@pytest.mark.parametrize("option", ["--for", "--note", "--author"])
def test_a_remark_on_an_answer_that_is_not_kept_is_refused(line: CommandLine, door: MemoryDoor, option: str) -> None:
    """It would be lost."""
    done = line("can-migrate", UUID, "--to", "beta", option, "x")
    assert (done.code, "say --record too" in done.err) == (2, True)
    assert door.decisions(DecisionsAsked()).decisions == ()


def test_a_batch_is_recorded_pair_by_pair(line: CommandLine, door: MemoryDoor, tmp_path: Path) -> None:
    """One that has no answer is told as in any batch, and is not recorded."""
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(f"{UUID} beta\n{UUID} nowhere\n{UUID} gamma\n")
    done = line("can-migrate", "--batch", str(pairs), "--record", "--author", "alice")
    told = door.decisions(DecisionsAsked()).decisions
    assert done.code == 2
    assert [each.to for each in told] == ["beta", "gamma"]
    assert f"recorded: 2, from {told[0].id} to {told[1].id}" in done.out
    document = json.loads(line("can-migrate", "--batch", str(pairs), "--record", "-o", "json").out)
    assert document["decisions"][1] is None
    pairs.write_text(f"{UUID} beta\n" * 1_001)
    assert "at most 1000 are recorded" in line("can-migrate", "--batch", str(pairs), "--record").err


def test_decisions_are_listed_and_shown(line: CommandLine, door: MemoryDoor) -> None:
    """Newest last; one with all that was told."""
    assert "no answer was recorded" in line("decisions").out
    for note in ("first", "second", "third"):
        line(*RECORD, "--note", note)
    rows = list(csv.DictReader(io.StringIO(line("decisions", "-o", "csv").out)))
    assert [row["note"] for row in rows] == ["first", "second", "third"]
    assert {row["answer"] for row in rows} == {"yes"}
    last = line("decisions", "--limit", "1", "--device", UUID)
    assert rows[2]["id"] in last.out
    assert rows[1]["id"] not in last.out
    assert "there may be older ones" in last.out
    assert "no answer was recorded" in line("decisions", "--since", "-1s", "--host", "gamma").out
    shown = line("decisions", "show", rows[0]["id"])
    assert shown.code == 0
    assert shown.first == f"{rows[0]['id']}: asked by alice@desk through sql at 2026-11-24T10:00:00Z: first"
    assert shown.out.splitlines()[1].startswith("yes: ")
    document = json.loads(line("decisions", "show", rows[0]["id"], "-o", "json").out)["decision"]
    assert document["answer"] == json.loads(bytes(door.decision(rows[0]["id"]).answer))
    missing = line("decisions", "show", "d9999")
    assert (missing.code, rows[2]["id"] in missing.err) == (2, True)


@pytest.mark.parametrize("argv", [("decisions",), ("decisions", "show", "d1"), ("regret", "--from", "-1d")])
def test_what_is_of_the_past_anyway_takes_no_other_past(
    line: CommandLine, door: MemoryDoor, argv: tuple[str, ...]
) -> None:
    """--as-of would be ignored."""
    done = line("--as-of", "-1h", *argv)
    assert (done.code, "--as-of has no meaning here" in done.err) == (2, True)
    assert door.closed == 0


def test_an_outcome_is_reported_and_stands_beside_the_next_answer(line: CommandLine, door: MemoryDoor) -> None:
    """Of a decision, or of a device and a host."""
    line(*RECORD)
    [decision] = door.decisions(DecisionsAsked()).decisions
    done = line("outcome", "report", decision.id, "--result", "refused", "--detail", "load failed", "--author", "nova")
    [report] = door.outcomes(OutcomesAsked()).outcomes
    assert done.code == 0
    assert done.first == f"refused: {report.id} by nova, {UUID} to {report.to} at 2026-11-24 10:00:00Z: load failed"
    answered = line("can-migrate", UUID, "--to", "beta")
    assert answered.code == 3
    assert f"OUTCOME_REFUSED       a target of the same profile refused such a stream: {report.id}" in answered.out
    done = line("outcome", "report", UUID, "--to", "beta", "--result", "loaded", "-o", "json")
    assert json.loads(done.out)["outcome"]["result"] == "loaded"
    assert line("can-migrate", UUID, "--to", "beta").code == 0


def test_outcomes_are_listed(line: CommandLine, door: MemoryDoor) -> None:
    """Newest last, chosen by host and decision."""
    assert "no outcome was reported" in line("outcome", "list").out
    line("outcome", "report", UUID, "--to", "beta", "--result", "failed", "--at", "-5s")
    line("outcome", "report", UUID, "--to", "beta", "--result", "loaded")
    rows = list(csv.DictReader(io.StringIO(line("outcome", "list", "-o", "csv").out)))
    assert [row["result"] for row in rows] == ["failed", "loaded"]
    assert rows[0]["at"] == "2026-11-24T09:59:55Z"
    assert "there are older ones" in line("outcome", "list", "--limit", "1", "--host", "beta").out
    assert "no outcome was reported" in line("outcome", "list", "--decision", "d1").out
    assert len(door.outcomes(OutcomesAsked()).outcomes) == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("d77", "--result", "loaded"), "no decision is named 'd77'"),
        ((UUID, "--result", "loaded"), "no 'to'"),
        ((UUID, "--to", "beta", "--result", "exploded"), "'exploded' is not one of"),
        ((UUID, "--to", "beta"), "--result"),
        ((UUID, "--to", "beta", "--result", "loaded", "--at", "+1h"), "is no time"),
        ((UUID, "--to", "beta", "--result", "loaded", "--detail", "x" * 1_001), "can't be kept so"),
        ((UUID, "--to", "beta", "--result", "loaded", "--detail", "a\x1bb"), "control character"),
        ((UUID, "--to", "beta", "--result", "loaded", "--author", " "), "the author is blank"),
    ],
)
def test_a_report_that_can_not_be_meant_is_refused(
    line: CommandLine, door: MemoryDoor, argv: tuple[str, ...], said: str
) -> None:
    """With what was expected."""
    done = line("outcome", "report", *argv)
    assert (done.code, said in done.err) == (2, True), done.err
    assert door.outcomes(OutcomesAsked()).outcomes == ()


def test_regret_tells_what_turned_a_yes(line: CommandLine, door: MemoryDoor) -> None:
    """0 where nothing did, 1 where it is a no now, 3 where it is in doubt; what turned it, with its position."""
    line(*RECORD)
    asked = ("regret", "--from", "-1h")
    assert (line(*asked).code, line(*asked).first) == (0, "0 of 1 recorded yes would not be one, by what is known now")
    line("outcome", "report", UUID, "--to", "beta", "--result", "refused", "--at", "-1s")
    doubted = line(*asked)
    assert doubted.code == 1  # such a stream was refused: that is more than a doubt
    door.add_rule(
        Rule(id="draft", effect="deny", author="ops", message="bad batch", valid_from=NOW - timedelta(days=1))
    )
    done = line(*asked)
    assert done.code == 1
    assert "1 of 1 recorded yes would not be one" in done.first
    assert f"log position {door.position} (rule): deny rule r{door.position} by ops (fleet): bad batch" in done.out
    [row] = csv.DictReader(io.StringIO(line(*asked, "-o", "csv").out))
    assert (row["now"], row["turned_at"].split()[-1]) == ("no", str(door.position))
    assert line("regret", "--from", "-2h", "--to", "-1h").code == 0


def test_regret_of_what_can_not_be_said_any_more_is_unknown(line: CommandLine, door: MemoryDoor) -> None:
    """A deny whose versions don't compare: nobody can tell."""
    line(*RECORD)
    door.add_rule(
        Rule(
            id="draft",
            effect="deny",
            author="ops",
            message="bad",
            valid_from=NOW - timedelta(days=1),
            format="mtty",
            scheme="dotted",
            versions="1.0",
        )
    )
    assert line("regret", "--from", "-1h").code == 3


def test_regret_needs_a_period(line: CommandLine, door: MemoryDoor) -> None:
    """And one that is not empty."""
    assert line("regret").code == 2
    done = line("regret", "--from", "-1h", "--to", "-2h")
    assert (done.code, "not after its beginning" in done.err) == (2, True)
    assert door.decisions(DecisionsAsked()).decisions == ()
