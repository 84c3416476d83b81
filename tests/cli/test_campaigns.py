"""``mdevreg upgrade campaign``: created, followed, listed, ended."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
import yaml
from msgspec import structs

from mdevreg.campaigns import CampaignAsked, CampaignStatus
from support.command_line import CommandLine
from support.memory_door import MemoryDoor, State
from support.small_fleet import NOW, host, mtty, small_fleet

CREATE = ["upgrade", "campaign", "create", "to-3", "--driver", "mtty srcversion=SRC3", "--author", "alice"]
STATUS = ["upgrade", "campaign", "status", "to-3"]


@pytest.fixture
def door(line: CommandLine) -> MemoryDoor:
    """One small fleet for all commands of a test."""
    door = small_fleet()
    line.door = lambda: door
    return door


def _moving(line: CommandLine) -> None:
    """Two hosts that are upgraded while it runs, one that goes elsewhere, one that offers nothing."""
    hosts = []
    for name, later in (("alpha", mtty("3")), ("beta", mtty("3")), ("gamma", mtty("9")), ("delta", None)):
        old = host(name, mtty("2"))
        parents = () if later is None else (later,)
        moved = structs.replace(old.states[0], since=NOW - timedelta(hours=1), position=20, parents=parents)
        hosts.append(structs.replace(old, states=(old.states[0], moved)))
    hosts.append(host("epsilon", mtty("2")))
    door = MemoryDoor(hosts, clock=lambda: NOW)
    line.door = lambda: door


def test_a_campaign_is_created_as_it_is_typed(line: CommandLine, door: MemoryDoor) -> None:
    done = line(*CREATE, "--where", "site=lab", "--deadline", "+21d", "--message", "CVE-2026-1")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "created: campaign to-3: site=lab driver=mtty to mtty srcversion=SRC3",
        "wanted: mtty srcversion=SRC3; hosts: site=lab driver=mtty; by alice, from 2026-11-24T10:00:00Z",
        "why: CVE-2026-1",
    ]
    told = json.loads(
        line(*CREATE, "--where", "site=lab", "--deadline", "+21d", "--message", "CVE-2026-1", "-o", "json").out
    )
    assert told["campaign"]["deadline"] == "2026-12-15T10:00:00Z", "asked twice it is one"
    assert told["state"] == "running"


def test_status_begins_with_the_answer(line: CommandLine) -> None:
    _moving(line)
    assert line(*CREATE, "--since", "-2h", "--deadline", "+1h").code == 0
    done = line(*STATUS)
    pace = "median of 7 equal parts of the last 60 minutes, with 2 upgrades, is none"
    assert done.out.splitlines()[:5] == [
        "to-3: 2 of 5 hosts upgraded; 1 elsewhere, 1 offering nothing, 1 pending",
        "wanted: mtty srcversion=SRC3; hosts: driver=mtty; by alice, from 2026-11-24T08:00:00Z",
        "deadline: 2026-11-24T11:00:00Z: whether it will be met can't be said",
        "upgrades: first 2026-11-24T09:00:00Z, last 2026-11-24T09:00:00Z",
        f"pace: unknown, no end can be foretold ({pace})",
    ]
    table = done.out.splitlines()[5:]
    assert table[0].split() == ["HOSTNAME", "STATE", "SINCE", "BUILD", "WAS", "UPGRADED_AT", "NEW"]
    assert table[1].split()[:2] == ["gamma", "elsewhere"]
    assert table[-1].startswith("log position: ")
    assert max(map(len, table)) <= 120
    assert done.code == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--where", "host=alpha", "--since", "-2h"], 0),
        (["--where", "host=gamma", "--since", "-2h"], 1),
        (["--where", "host=epsilon", "--since", "-2h"], 3),
        (["--where", "host=epsilon", "--since", "-2h", "--deadline", "-1h"], 1),
        (["--where", "host=delta", "--since", "-2h", "--deadline", "+1h"], 3),
        (["--where", "host=nobody", "--since", "-2h"], 3),
        (["--since", "+2h"], 3),
    ],
    ids=str,
)
def test_exit_codes(line: CommandLine, options: list[str], code: int) -> None:
    _moving(line)
    assert line(*CREATE, *options).code == 0
    assert line(*STATUS).code == code


def test_an_ended_one_that_is_not_complete_is_a_no(line: CommandLine) -> None:
    _moving(line)
    line(*CREATE, "--where", "host=epsilon", "--since", "-2h")
    done = line("upgrade", "campaign", "end", "to-3", "--reason", "3 hangs", "--author", "bob")
    assert done.first == "ended: campaign to-3: host=epsilon driver=mtty to mtty srcversion=SRC3"
    assert "ended: 2026-11-24T10:00:00Z by bob: 3 hangs" in done.out
    status = line(*STATUS)
    assert (status.code, status.first) == (1, "to-3: 0 of 1 host upgraded; 1 pending")
    again = line("upgrade", "campaign", "end", "to-3")
    assert (again.code, "ended at" in again.err) == (2, True)


def test_the_past_is_asked_as_everywhere(line: CommandLine) -> None:
    _moving(line)
    line(*CREATE, "--since", "-2h")
    then = line(*STATUS, "--as-of", "-90m")
    assert (then.code, then.first) == (3, "to-3: 0 of 5 hosts upgraded; 5 pending")
    assert "as of 2026-11-24T08:30:00Z" in then.out
    before = line(*STATUS, "--known-at", "seq:20")
    assert (before.code, "no campaign is named 'to-3'" in before.err) == (2, True)


def test_each_format_has_every_host(line: CommandLine) -> None:
    _moving(line)
    line(*CREATE, "--since", "-2h")
    found = json.loads(line(*STATUS, "-o", "json").out)
    assert found["progress"]["elsewhere"] == 1
    assert [each["hostname"] for each in found["hosts"]] == ["gamma", "delta", "epsilon", "alpha", "beta"]
    assert yaml.safe_load(line(*STATUS, "-o", "yaml").out) == found
    rows = list(csv.DictReader(io.StringIO(line(*STATUS, "-o", "csv").out)))
    assert [row["state"] for row in rows] == ["elsewhere", "offers_nothing", "pending", "upgraded", "upgraded"]
    assert rows[3]["upgraded_at"] == "2026-11-24T09:00:00Z"
    only = line(*STATUS, "--state", "upgraded", "--limit", "1", "-o", "json")
    assert [each["hostname"] for each in json.loads(only.out)["hosts"]] == ["alpha"]
    assert "there are more: raise --limit" in line(*STATUS, "--limit", "2").out


def test_campaigns_are_listed_with_their_progress(line: CommandLine) -> None:
    _moving(line)
    line(*CREATE, "--since", "-2h", "--deadline", "+7d")
    line("upgrade", "campaign", "create", "later", "--driver", "mtty 9", "--since", "+1d")
    line("upgrade", "campaign", "create", "old", "--driver", "mtty 9", "--where", "host=alpha", "--since", "-1h")
    line("upgrade", "campaign", "end", "old")
    done = line("upgrade", "campaign", "list")
    lines = done.out.splitlines()
    assert (done.code, lines[0]) == (0, "campaigns: 1 running, 1 to come, 1 ended")
    assert lines[2].split()[:5] == ["to-3", "running", "unknown", "2", "5"]
    assert [each.split()[0] for each in lines[2:5]] == ["to-3", "later", "old"]
    running = json.loads(line("upgrade", "campaign", "list", "--running", "-o", "json").out)
    assert [each["campaign"]["name"] for each in running["campaigns"]] == ["to-3"]
    rows = list(csv.DictReader(io.StringIO(line("upgrade", "campaign", "list", "-o", "csv").out)))
    assert [(row["name"], row["hosts"], row["upgraded"]) for row in rows] == [
        ("to-3", "5", "2"),
        ("later", "0", "0"),
        ("old", "1", "0"),
    ]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["create", "x", "--driver", "mtty"], "names no driver build"),
        (["create", "x"], "Missing option '--driver'"),
        (["create", "x y", "--driver", "mtty 2"], "a campaign can't be kept so"),
        (["create", "x", "--driver", "mtty 2", "--where", "hots=a"], "the nearest: host"),
        (["create", "x", "--driver", "mtty 2", "--deadline", "-1d"], "not after the campaign's beginning"),
        (["create", "x", "--driver", "mtty 2", "--author", " "], "the author is blank"),
        (["create", "x", "--driver", "mtty 2", "--as-of", "-1d"], "No such option"),
        (["status", "x"], "no campaign is named 'x'"),
        (["status", "x", "--state", "done"], "'done' is not one of"),
        (["end", "x"], "no campaign is named 'x'"),
    ],
    ids=" ".join,
)
def test_what_can_not_be_meant_is_told(line: CommandLine, door: MemoryDoor, argv: list[str], said: str) -> None:
    done = line("upgrade", "campaign", *argv)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_pages_are_joined(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """More hosts than one page holds."""
    hosts = [host(f"h{number:04}", mtty("2")) for number in range(1_101)]
    hosts = [
        structs.replace(
            each, states=(State(NOW - timedelta(hours=2), number + 1, each.states[0].facts, each.states[0].parents),)
        )
        for number, each in enumerate(hosts)
    ]
    door = MemoryDoor(hosts, clock=lambda: NOW)
    asked: list[CampaignStatus] = []
    whole = door.campaign_status

    def status(each: CampaignAsked) -> CampaignStatus:
        asked.append(whole(each))
        return asked[-1]

    monkeypatch.setattr(door, "campaign_status", status)
    line.door = lambda: door
    line(*CREATE)
    found = json.loads(line(*STATUS, "--limit", "2000", "-o", "json").out)
    assert ([len(page.hosts) for page in asked], len(found["hosts"])) == ([1_000, 101], 1_101)
    assert len({each["host"] for each in found["hosts"]}) == 1_101
