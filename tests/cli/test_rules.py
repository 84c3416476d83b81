"""``mdevreg rule``: added, listed, shown, ended, and told in every answer."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
from datetime import timedelta

import msgspec
import pytest

from mdevreg.errors import StateError
from mdevreg.facts import NOW as LATEST
from mdevreg.facts import RuleList
from mdevreg.rules import Rule, Scope
from mdevreg.statements import VersionSet
from support.command_line import CommandLine
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, UUID, small_fleet

DENY = ["rule", "add", "deny", "--message", "CASE-7", "--author", "ops@desk", "--fleet"]


@pytest.fixture
def door(line: CommandLine) -> MemoryDoor:
    """One small fleet for all commands of a test."""
    door = small_fleet()
    line.door = lambda: door
    return door


def _rules(door: MemoryDoor) -> tuple[Rule, ...]:
    return door.rules(LATEST).rules


def test_a_deny_is_added_decides_and_is_told(line: CommandLine, door: MemoryDoor) -> None:
    """Its id and its scope in words when it is added; itself, with author and message, beside the answer."""
    assert line("can-migrate", UUID, "--to", "beta").code == 0
    done = line(*DENY, "--from", "site=lab", "--to", "host=beta")
    assert (done.code, done.err) == (0, "")
    (rule,) = _rules(door)
    assert done.out.splitlines() == [
        f"added: deny rule {rule.id} by ops@desk (source site=lab, target host=beta): CASE-7",
        "scope: source site=lab, target host=beta",
        "in force: from 2026-11-24T10:00:00Z until it is ended",
    ]
    answered = line("can-migrate", UUID, "--to", "beta")
    assert answered.code == 1
    assert f"RULE_DENIES           deny rule {rule.id} by ops@desk" in answered.out
    assert line("rule", "end", rule.id).first.startswith(f"ended: deny rule {rule.id}")
    assert line("can-migrate", UUID, "--to", "beta").code == 0


def test_everything_that_a_rule_has_can_be_stated(line: CommandLine, door: MemoryDoor) -> None:
    """Scopes with several patterns, versions, times ahead."""
    line(
        *("rule", "add", "pin", "--message", "while we upgrade", "--author", "me"),
        *("--where", "site=a*", "--where", "site=b*", "--where", "driver=mtty"),
        *("--format", "mtty", "--range", "2..5", "--since", "-1h", "--until", "+30d"),
    )
    line(*DENY, "--format", "mtty", "--stream-version", "1.0", "--stream-version", "2.0")
    line(*DENY, "--format", "hisi_acc", "--stream-version", "v1", "--scheme", "tag")
    line("rule", "add", "match", "--message", "measured", "--field", "psid", "--field", "fw_ver")
    pin, several, single, match = _rules(door)
    assert pin.where == Scope(site=("a*", "b*"), driver=("mtty",))
    assert (pin.versions, pin.scheme) == (VersionSet(range=("2", "5")), "integer")
    assert (pin.valid_from, pin.valid_until) == (NOW - timedelta(hours=1), NOW + timedelta(days=30))
    assert (several.versions, several.scheme) == (("1.0", "2.0"), "dotted")
    assert (single.versions, single.scheme) == ("v1", "tag")
    assert match.fields == ("psid", "fw_ver")
    assert match.author == f"{pwd.getpwuid(os.geteuid()).pw_name}@{os.uname().nodename}"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["rule", "add", "forbid", "--message", "x"], "deny"),
        (["rule", "add", "deny"], "--message"),
        ([*DENY, "--where", "hots=a"], "the nearest: host"),
        ([*DENY, "--where", "kernel-release=6.1"], "kernel_release"),
        ([*DENY, "--where", "host"], "expected host=PATTERN"),
        ([*DENY, "--to", "host="], "--to 'host='"),
        ([*DENY, "--from", "host=a\nb"], "--from"),
        ([*DENY, "--stream-version", "1"], "versions need a format"),
        ([*DENY, "--format", "f", "--range", "5..2"], "above the maximum"),
        ([*DENY, "--format", "f", "--range", "5"], "MIN..MAX"),
        ([*DENY, "--format", "f", "--range", "1..2", "--stream-version", "1"], "either"),
        ([*DENY, "--format", "f", "--range", "a..b", "--scheme", "tag"], "no order"),
        ([*DENY, "--format", "f", "--stream-version", "1", "--stream-version", "1.0"], "--scheme"),
        ([*DENY, "--scheme", "tag"], "--scheme"),
        ([*DENY, "--field", "psid"], "match rule"),
        (["rule", "add", "pin", "--message", "x"], "a pin needs the versions"),
        (["rule", "add", "match", "--message", "x"], "at least one"),
        ([*DENY, "--until", "-1h"], "not after its beginning"),
        ([*DENY, "--until", "next week"], "+7d"),
        ([*DENY, "--until", "+1x"], "+7d"),
        ([*DENY, "--since", "+99999999d"], "no time"),
        (["rule", "add", "deny", "--message", ""], "message"),
        (["rule", "add", "deny", "--message", "two\nlines"], "control character"),
        (["rule", "add", "deny", "--message", "x" * 1_001], "message"),
        ([*DENY, "--as-of", "-1d"], "--as-of"),
        (["--as-of", "-1d", *DENY], "--as-of"),
        (["rule", "end", "r1", "--as-of", "-1d"], "--as-of"),
        (["rule", "lisst"], "the nearest: list"),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else "",
)
def test_a_rule_that_can_not_be_meant_is_refused_before_any_door(line: CommandLine, argv: list[str], said: str) -> None:
    """Exit 2, nothing on stdout, what was expected."""
    done = line(*argv)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert line.opened == []


def test_the_list_has_those_in_force_first_and_hides_ended_ones(line: CommandLine, door: MemoryDoor) -> None:
    """Unless they are asked for; how many there are is told."""
    line(*DENY, "--where", "host=old", "--since", "-2d", "--until", "-1d")
    line(*DENY, "--where", "host=coming", "--since", "+1d")
    line(*DENY, "--where", "host=now")
    done = line("rule", "list")
    assert (done.code, done.first) == (0, "1 rule in force, 1 to come; 1 ended (--all lists them)")
    assert [scope for row in done.out.splitlines()[2:-1] for scope in row.split() if scope.startswith("host=")] == [
        "host=now",
        "host=coming",
    ]
    everything = list(csv.DictReader(io.StringIO(line("rule", "list", "--all", "-o", "csv").out)))
    assert [row["state"] for row in everything] == ["in force", "to come", "ended"]
    assert line("rule", "list", "--as-of", "-36h").first == "1 rule in force, 2 to come"
    document = line("rule", "list", "--all", "-o", "json").out
    assert len(msgspec.json.decode(document, type=RuleList).rules) == 3
    assert json.loads(document)["in_force"] == [_rules(door)[2].id]


@pytest.mark.usefixtures("door")
def test_an_empty_rulebook_is_an_answer(line: CommandLine) -> None:
    """Exit 0, and valid data."""
    done = line("rule", "list")
    assert (done.code, done.first) == (0, "0 rules in force, 0 to come")
    assert json.loads(line("rule", "list", "-o", "json").out)["rules"] == []


def test_one_rule_is_shown_whole(line: CommandLine, door: MemoryDoor) -> None:
    """In words, and in JSON as it is in the log; an unknown id gets the nearest."""
    line("rule", "add", "pin", "--message", "x", "--author", "me", "--format", "mtty", "--stream-version", "2")
    (rule,) = _rules(door)
    done = line("rule", "show", rule.id)
    assert done.out.splitlines()[:3] == [f"pin rule {rule.id} by me (fleet): x", "scope: fleet", "about: mtty [2]"]
    document = json.loads(line("rule", "show", rule.id, "-o", "json").out)
    assert msgspec.convert(document["rule"], Rule) == rule
    assert (document["scope"], document["state"]) == ("fleet", "in force")
    for argv in (["rule", "show", rule.id + "7"], ["rule", "end", rule.id + "7"]):
        done = line(*argv)
        assert (done.code, done.out) == (2, "")
        assert f"the nearest known: {rule.id}" in done.err


def test_a_rule_ends_when_it_is_told_to_and_only_once(line: CommandLine, door: MemoryDoor) -> None:
    """Now, or at a time ahead; one that has not begun never will."""
    line(*DENY)
    line(*DENY, "--since", "+1d")
    now, coming = (rule.id for rule in _rules(door))
    done = line("rule", "end", now, "--at", "+2h")
    assert done.out.splitlines()[-1] == "in force: from 2026-11-24T10:00:00Z to 2026-11-24T12:00:00Z"
    assert line("rule", "end", now).out.splitlines()[-1].startswith("ended: from ")
    assert (line("rule", "end", now).code, line("rule", "end", now).out) == (2, "")
    assert line("rule", "end", coming).out.splitlines()[-1].startswith("ended: from 2026-11-25")
    assert line("rule", "list").first == "0 rules in force, 0 to come; 2 ended (--all lists them)"


def test_a_registry_that_may_not_be_written_says_so(line: CommandLine) -> None:
    """Exit 2, and nothing claims that a rule was added."""
    line.fail_with(StateError("a registry is running on this database; ask it: --url nats://…", code="SECOND_WRITER"))
    done = line(*DENY)
    assert (done.code, done.out) == (2, "")
    assert "SECOND_WRITER" in done.err


@pytest.mark.usefixtures("door")
def test_the_help_names_every_key_of_a_scope(line: CommandLine) -> None:
    """And only those."""
    words = line("rule", "add", "--help").out.replace(",", " ").replace(".", " ").split()
    assert [name for name in Scope.__struct_fields__ if name not in words] == []


@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_what_is_about_every_host_must_be_meant(line: CommandLine, door: MemoryDoor, effect: str) -> None:
    """A forgotten scope must not stop, or wave through, a whole fleet."""
    done = line("rule", "add", effect, "--message", "CASE-7")
    assert (done.code, done.out, _rules(door)) == (2, "", ())
    assert "--fleet" in done.err
    assert line("rule", "add", effect, "--message", "CASE-7", "--where", "host=alpha").code == 0


def test_a_rule_is_not_ended_in_the_past(line: CommandLine, door: MemoryDoor) -> None:
    """What it decided until now stays."""
    line(*DENY)
    (rule,) = _rules(door)
    done = line("rule", "end", rule.id, "--at", "-1h")
    assert (done.code, done.out) == (2, "")
    assert _rules(door) == (rule,)


def test_what_was_known_at_a_position_is_asked_of_the_command_line(line: CommandLine, door: MemoryDoor) -> None:
    """A rule of later changes no answer of before."""
    before = door.rules(LATEST).position
    line(*DENY)
    assert line("rule", "list", "--known-at", str(before)).first.startswith("0 rules in force")
    assert line("rule", "list").first.startswith("1 rule in force")
