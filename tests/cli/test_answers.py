"""What each command answers, in every format."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import msgspec
import pytest
import yaml
from msgspec import structs

from mdevreg.distribution import Distribution
from mdevreg.errors import UsageError
from mdevreg.facts import History, Hosts, HostView
from mdevreg.query.questions import Answer, Targets
from mdevreg.records import Device
from mdevreg.shipped import shipped_entries
from support.command_line import CommandLine
from support.memory_door import MemoryDoor, MemoryHost, State
from support.small_fleet import LONELY, NOW, UUID, host, mtty, other_parent, recorded_mtty, small_fleet, small_hosts

_OUTCOMES = [
    (["can-migrate", UUID, "--to", "beta"], 0, "yes: "),
    (["can-migrate", UUID, "--to", "gamma"], 1, "no: "),
    (["can-migrate", UUID, "--to", "epsilon"], 1, "no: "),
    (["can-migrate", UUID, "--to", "delta"], 3, "unknown: "),
    (["can-migrate", UUID, "--to", "beta", "--stale-after", "1"], 3, "unknown: "),
    (["can-migrate", UUID, "--to", "delta", "--stale-after", "5000"], 0, "yes: "),
    (["can-migrate", "alpha/mtty/mtty-1", "--to", "beta/mtty/mtty-1"], 0, "yes: "),
    (["targets", UUID], 0, "yes: "),
    (["targets", UUID, "--stale-after", "1"], 3, "unknown: "),
    (["targets", "beta/mtty/mtty-1", "--limit", "1"], 1, "no: "),
    (["targets", LONELY], 1, "no: "),
]
_QUESTIONS = [
    (["hosts"], Hosts),
    (["show", "alpha"], HostView),
    (["history", "alpha"], History),
    (["drivers"], Distribution),
    (["can-migrate", UUID, "--to", "delta"], Answer),
    (["targets", UUID], Targets),
]


@pytest.mark.parametrize(("argv", "code", "first"), _OUTCOMES)
def test_the_exit_code_and_the_first_word_are_the_answer(
    line: CommandLine, argv: list[str], code: int, first: str
) -> None:
    """0 yes, 1 no, 3 unknown (design section 9); the same in every format, where ``answer`` says it too."""
    done = line(*argv)
    assert (done.code, done.err) == (code, "")
    assert done.first.startswith(first)
    answered = line(*argv, "-o", "json")
    assert answered.code == code
    assert json.loads(answered.out)["answer"] == first.rstrip(": ")
    assert line(*argv, "-o", "csv").code == line(*argv, "-o", "yaml").code == code


@pytest.mark.parametrize(("argv", "kind"), _QUESTIONS)
def test_json_decodes_to_the_struct_of_the_library(line: CommandLine, argv: list[str], kind: type) -> None:
    """A program that has the library needs no second model."""
    out = line(*argv, "-o", "json").out
    decoded: msgspec.Struct = msgspec.json.decode(out, type=kind)
    again = json.loads(msgspec.json.encode(decoded))
    said = json.loads(out)
    assert again["position"] == said["position"] == 7
    assert {name for name, value in again.items() if value != said[name]} <= {"hosts"}  # they have doubts beside


@pytest.mark.parametrize(("argv", "kind"), _QUESTIONS)
def test_yaml_says_what_json_says(line: CommandLine, argv: list[str], kind: type) -> None:
    """One document, two spellings."""
    assert yaml.safe_load(line(*argv, "-o", "yaml").out) == json.loads(line(*argv, "-o", "json").out)


@pytest.mark.parametrize(("argv", "kind"), _QUESTIONS)
def test_csv_has_one_header_and_rows_of_its_width(line: CommandLine, argv: list[str], kind: type) -> None:
    """It loads as it is: no prose around it."""
    header, *rows = csv.reader(io.StringIO(line(*argv, "-o", "csv").out))
    assert rows
    assert {len(row) for row in rows} == {len(header)}


def test_reasons_follow_with_their_codes_then_what_to_rely_on(line: CommandLine) -> None:
    """First the answer, then each reason on a line, then capacity, way back, age, position."""
    assert line("can-migrate", UUID, "--to", "gamma").out.splitlines() == [
        f"no: {UUID} (mtty-1 on alpha) can't migrate to gamma/mtty",
        "  USER_COMPATIBLE           both are mtty-1 over vfio-pci",
        "  STREAM_VERSION_NOT_EQUAL  mtty stream version 2 is not [1]; the target loads its own version only",
        "  NO_FREE_INSTANCE          gamma/mtty has no free instance now",
        "source: saves mtty 2, learned from sysfs migration_stream_version",
        "target: loads mtty 1, learned from sysfs migration_stream_version",
        "a mismatch would show: not known",
        "capacity: 0 free now on gamma/mtty",
        "way back: yes",
        "facts: heard 3 s ago; reliable until 2026-11-24T10:00:57Z, then ask again",
        "log position: 7; snapshot: 7@2026-11-24T10:00:00Z",
    ]


def test_a_yes_names_the_negotiated_version_and_where_support_was_learned(line: CommandLine) -> None:
    """What the catalog says is told with its entry and its confidence; so is when a mismatch would show."""
    device = Device(name=UUID, type="mtty-1")
    door = MemoryDoor([host("alpha", recorded_mtty(devices=(device,))), host("beta", recorded_mtty())])
    door.believe("shipped", shipped_entries())
    line.door = lambda: door
    done = line("can-migrate", UUID, "--to", "beta")
    assert done.out.splitlines()[4:8] == [
        "source: saves mtty 1.0, learned from catalog mtty-1.0-recorded (measured)",
        "target: loads mtty 1.0, learned from catalog mtty-1.0-recorded (measured)",
        "negotiated: 1.0",
        "a mismatch would show: before the guest is paused",
    ]
    (row,) = csv.DictReader(io.StringIO(line("can-migrate", UUID, "--to", "beta", "-o", "csv").out))
    assert (row["saves"], row["loads"], row["detection"]) == ("mtty 1.0", "mtty 1.0", "pre_copy")
    assert row["target_learned"] == "catalog mtty-1.0-recorded (measured)"
    assert "catalog mtty-1.0-recorded (measured)" in line("targets", UUID).out


def test_what_is_not_known_of_a_driver_is_told_where_its_support_would_stand(line: CommandLine) -> None:
    """No line is left out: the reader sees that nothing was learned, and that a driver without migration has none."""
    door = MemoryDoor([host("alpha", other_parent("x-1")), host("beta", mtty(None))])
    line.door = lambda: door
    out = line("can-migrate", "alpha/mdpy/x-1", "--to", "beta/mtty/mtty-1").out
    assert "source: what it saves is not known (nothing stated)" in out
    assert "target: what it loads is not known (nothing stated)" in out
    door.believe("shipped", shipped_entries())
    out = line("can-migrate", "alpha/mdpy/x-1", "--to", "beta/mtty/mtty-1").out
    assert "source: no migration, learned from catalog mdpy-6.12.117 (source)" in out


def test_show_tells_what_each_type_and_device_saves_and_loads(line: CommandLine) -> None:
    """As the registry understands them, with the source; what is unknown is a dash, with the why."""
    device = Device(name=UUID, type="mtty-1")
    odd = msgspec.structs.replace(mtty("2", "1"), path="/devices/odd", name="odd")
    door = MemoryDoor([host("alpha", recorded_mtty(devices=(device,)), odd, other_parent("x-1"))])
    line.door = lambda: door
    rows = list(csv.DictReader(io.StringIO(line("show", "alpha", "-o", "csv").out)))
    assert [(row["parent"], row["saves"], row["loads"], row["learned"]) for row in rows if row["parent"] == "odd"] == [
        ("odd", "mtty 2", "mtty [1, 2]", "sysfs migration_stream_version")
    ]
    assert {row["learned"] for row in rows if row["parent"] == "mtty"} == {"nothing stated"}
    door.believe("shipped", shipped_entries())
    rows = list(csv.DictReader(io.StringIO(line("show", "alpha", "-o", "csv").out)))
    known = {(row["type"], row["device"]): (row["saves"], row["loads"]) for row in rows if row["parent"] == "mtty"}
    assert known["mtty-1", UUID] == known["mtty-2", ""] == ("mtty 1.0", "mtty 1.0")
    assert ("no migration", "no migration") in {(row["saves"], row["loads"]) for row in rows}
    assert "parent" in line("show", "alpha").out.lower()


def test_targets_lists_the_best_first_and_says_what_it_left_out(line: CommandLine) -> None:
    """Compatible, then unknown, then incompatible; limits and filters are told, counts are over all."""
    assert [row.split()[:2] for row in line("targets", UUID).out.splitlines()[2:-2]] == [
        ["yes", "beta"],
        ["unknown", "delta"],
        ["no", "gamma"],
    ]
    done = line("targets", UUID, "--outcome", "incompatible")
    assert done.code == 0
    assert done.first.endswith(": 1 compatible, 1 incompatible, 1 unknown")
    assert "not listed: 2 hosts" in done.out
    assert "delta" not in done.out


def test_hosts_tells_who_is_stale(line: CommandLine) -> None:
    """The same doubts that make a verdict unknown, in every format."""
    hosts = json.loads(line("hosts", "-o", "json").out)["hosts"]
    doubts = {each["evidence"]["hostname"]: each["doubts"] for each in hosts}
    assert doubts == {name: [] for name in ("alpha", "beta", "epsilon", "gamma", "zeta")} | {"delta": ["HOST_STALE"]}
    states = {row.split()[0]: row.split()[-1] for row in line("hosts").out.splitlines()[1:7]}
    assert {name for name, state in states.items() if state != "fresh"} == {"delta"}
    assert states["delta"] == "stale"


def test_an_empty_registry_is_an_answer(line: CommandLine) -> None:
    """No host yet: exit 0, valid data, and the next step for a newcomer."""
    line.door = lambda: MemoryDoor([])
    done = line("hosts")
    assert done.code == 0
    assert done.first == "no host has reported yet; start an agent on one: mdevreg-agent run"
    assert json.loads(line("hosts", "-o", "json").out)["hosts"] == []
    assert line("drivers").first == "no driver build is known"


def test_the_past_is_answered_from_the_past(line: CommandLine) -> None:
    """As of an hour ago the target still loaded the stream; staleness says nothing about then."""
    before = State(NOW - timedelta(hours=2), 1, host("beta").states[0].facts, (mtty("3", "2"),))
    after = State(NOW - timedelta(minutes=5), 2, before.facts, (mtty("3", "3"),))
    beta = MemoryHost("id-beta", (before, after), last_seen=NOW - timedelta(days=1))
    line.door = lambda: MemoryDoor([host("alpha", mtty("2", "1", devices=1)), beta])
    assert line("can-migrate", UUID, "--to", "beta").code == 1
    done = line("can-migrate", UUID, "--to", "beta", "--as-of", "-1h")
    assert (done.code, done.first.partition(":")[0]) == (0, "yes")
    assert done.out.splitlines()[-2:] == [
        "facts: as of 2026-11-24T09:00:00Z",
        "log position: 5, as of 2026-11-24T09:00:00Z; snapshot: 5@2026-11-24T09:00:00Z",
    ]


def test_the_past_is_asked_for_in_words(line: CommandLine) -> None:
    """In UTC, or in the zone that is named; the answer says which moment that was."""
    assert "the earliest is" in line("hosts", "--as-of", "yesterday 14:00").err
    found = line("hosts", "--as-of", "today 09:30+01:00").out
    assert "as of 2026-11-24T08:30:00Z; snapshot: 7@2026-11-24T08:30:00Z" in found.splitlines()[-1]


def test_every_door_that_is_opened_is_closed(line: CommandLine) -> None:
    """After an answer and after an error."""
    doors = [small_fleet(), small_fleet()]
    line.door = iter(doors).__next__
    line("hosts")
    line("show", "nobody")
    assert [door.closed for door in doors] == [1, 1]


def test_an_ambiguous_host_name_is_a_wrong_question(line: CommandLine) -> None:
    """Two hosts of one name: ask by id."""
    twin = MemoryHost("id-twin", host("alpha").states)
    line.door = lambda: MemoryDoor([host("alpha"), twin])
    done = line("show", "alpha")
    assert done.code == UsageError.exit_code
    assert "id-alpha, id-twin" in done.err


def test_a_wrong_clock_is_shown_and_a_right_one_takes_no_room(line: CommandLine) -> None:
    """A column in tables only where there is one to tell of; in csv and json always."""
    assert "CLOCK" not in line("hosts").out
    assert line("hosts", "-o", "csv").first.endswith(",state,clock_skew_s")
    slow = structs.replace(host("slow", mtty("2")), clock_skew_s=-7_200.25)
    line.door = lambda: MemoryDoor([*small_hosts(), slow], clock=lambda: NOW)
    table = line("hosts").out.splitlines()
    assert table[0].split()[-1] == "CLOCK_SKEW_S"
    assert {row.split()[-1] for row in table[1:8]} == {"-", "-7200.25"}
    assert "clock: 2 h behind the registry's; `history` flags its records" in line("show", "slow").out
    assert "clock:" not in line("show", "alpha").out
    told = json.loads(line("show", "slow", "-o", "json").out)
    assert told["evidence"]["clock_skew_s"] == -7_200.25


def test_a_flagged_change_says_so_in_the_table_and_has_all_three_times_in_json(line: CommandLine) -> None:
    """The flag, by how much, and what it means below; nothing of it where no clock was wrong."""
    assert "FLAG" not in line("history", "alpha").out
    fast = State(NOW - timedelta(hours=2), 7, host("fast").states[0].facts, (mtty("2"),), ahead_s=129_600.5)
    line.door = lambda: MemoryDoor([MemoryHost("id-fast", (fast,), NOW)], clock=lambda: NOW)
    out = line("history", "fast").out.splitlines()
    assert out[0].split()[-2:] == ["FLAG", "CLOCK_SKEW_S"]
    assert out[1].split()[-2:] == ["CLOCK_AHEAD", "129600.5"]
    assert any(text.startswith("flag: the clock of the host was wrong") for text in out)
    [change, *_] = json.loads(line("history", "fast", "-o", "json").out)["changes"]
    assert (change["flag"], change["clock_skew_s"]) == ("CLOCK_AHEAD", 129_600.5)
    assert change["observed_at"] == "2026-11-25T20:00:00.500000Z"
    assert change["received_at"] == change["committed_at"] == "2026-11-24T08:00:00Z"
    header = "observed_at,received_at,committed_at,flag,clock_skew_s"
    assert line("history", "fast", "-o", "csv").first.endswith(header)
