"""`mdevreg watch` and `can-migrate --wait`, against a real registry."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from mdevreg.cli.edge import run
from mdevreg.cli.event_words import words_of
from mdevreg.cli.when import duration_s
from mdevreg.errors import UsageError
from mdevreg.events import CampaignDeviated, CampaignProgressed, CampaignTold, Happening, Place, event_of
from mdevreg_server.broker import Broker
from support.bus_client import publish
from support.command_line import Done
from support.databases import sqlite_url
from support.hosts import look, mtty, uuid_of
from support.processes import StartCli
from support.publisher import Publisher
from support.registry import migrated
from support.serving import serving
from support.told_events import mark_of

WIDE = look(mtty(version="2", minimum="1"), hostname="beta")


class Registry:
    """Alpha has a device of stream version 1; beta loads 2 and above."""

    def __init__(self, broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
        self.broker, self.beta, self._capsys = broker, Publisher("host-b"), capsys

    def __call__(self, *argv: str) -> Done:
        code = run(argv, environ={"HOME": "/nowhere", "MDEVREG_URL": self.broker.url})
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def widen(self) -> None:
        """Beta loads version 1 too."""
        publish(self.broker.url, self.beta.changes(WIDE))


@pytest.fixture
def registry(tmp_path: Path, nats_server: Broker, capsys: pytest.CaptureFixture[str]) -> Iterator[Registry]:
    url = sqlite_url(tmp_path)
    with migrated(url) as engine, serving(url, nats_server.url) as serves:
        made = Registry(nats_server, capsys)
        publish(nats_server.url, Publisher("host-a").snapshot(look(mtty(version="1", devices=[1]))))
        publish(nats_server.url, made.beta.snapshot(look(mtty(version="2", minimum="2"), hostname="beta")))
        serves.until(lambda: sum(len(batch.records) for batch in serves.batches) >= 6, "all is committed")
        serves.until(lambda: mark_of(engine).position >= serves.positions[-1], "all is told")
        yield made


def test_events_are_shown_a_line_each_in_every_format(registry: Registry) -> None:
    """The same events: for a person, for programs."""
    asked = ("watch", "offer.*", "device.*", "--since", "seq:0", "--count", "3")
    table = registry(*asked)
    assert (table.code, table.err) == (0, "")
    first, second, third = table.out.splitlines()
    assert first.endswith("offer.appeared            alpha/mtty: mtty-1 under mtty 1")
    assert f"alpha/mtty/{uuid_of(1)} (mtty-1): nobody else offers its type" in second
    assert "offer.appeared            beta/mtty: mtty-1 under mtty 2" in third
    events = [json.loads(line) for line in registry(*asked, "-o", "json").out.splitlines()]
    assert [event["type"] for event in events] == [f"io.mdevreg.{line.split()[1]}" for line in table.out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(registry(*asked, "-o", "csv").out)))
    assert [row["id"] for row in rows] == [event["id"] for event in events]
    assert [each["id"] for each in yaml.safe_load_all(registry(*asked, "-o", "yaml").out)] == [
        row["id"] for row in rows
    ]


def test_ctrl_c_ends_it_with_success(registry: Registry, start_cli: StartCli) -> None:
    """What came was shown at once, not when it ended."""
    program = start_cli(["mdevreg", "watch", "--url", registry.broker.url, "driver.*", "--since", "seq:0"])
    program.wait_for("beta/mtty: none → mtty 2")
    registry.widen()
    assert program.interrupt() == 0
    assert "Traceback" not in program.output


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("watch", "drivers.*"), "no event's type is like 'drivers.*'"),
        (("watch", "hst=a"), "'hst=a' is no part of a scope"),
        (("watch", "--since", "tomorrow"), "is in the future"),
        (("--as-of", "-1h", "watch"), "--as-of has no meaning here"),
        (("can-migrate", "a/b/c", "--to", "beta", "--wait=soon"), "'soon' is no duration"),
        (("can-migrate", "--wait", "a/b/c", "--to", "beta"), "--wait took 'a/b/c' for its DURATION"),
        (("can-migrate", "a/b/c", "--to", "beta", "--wait", "--as-of", "-1h"), "without --as-of"),
        (("can-migrate", "--batch", "-", "--wait"), "without --batch"),
    ],
)
def test_what_can_not_be_meant_is_said(registry: Registry, argv: tuple[str, ...], said: str) -> None:
    """Before anything is waited for."""
    done = registry(*argv)
    assert done.code == 2
    assert said in done.err


def test_an_answer_is_waited_for_and_told_with_its_exit_code(registry: Registry) -> None:
    """No after the time; yes as soon as it is."""
    asked = ("can-migrate", uuid_of(1), "--to", "beta")
    late = registry(*asked, "--wait=1")
    assert (late.code, late.out.partition(":")[0]) == (1, "no")
    turning = threading.Timer(0.3, registry.widen)
    turning.start()
    done = registry(*asked, "--wait=1m")
    turning.join()
    assert (done.code, done.out.partition(":")[0]) == (0, "yes")
    assert registry(*asked, "--wait").code == 0


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30s", 30), ("2h30m", 9_000), ("7d", 604_800)])
def test_durations_are_read(text: str, seconds: float) -> None:
    """As people write them."""
    assert duration_s(text) == seconds
    with pytest.raises(UsageError, match="no duration"):
        duration_s(f"{text}x")


@pytest.mark.parametrize(
    ("happening", "said"),
    [
        (
            Happening("campaign.progressed", "q4", CampaignProgressed("q4", 9, 3, elsewhere=1, rolled_back=1)),
            "q4: progressed: 3 of 9 hosts upgraded, 2 astray",
        ),
        (Happening("campaign.in_danger", "q4", CampaignProgressed("q4", 9, 3)), "q4: in danger: 3 of 9 hosts upgraded"),
        (Happening("campaign.deviated", "q4", CampaignDeviated("q4", ("a", "b"))), "q4: deviated: a; b"),
        (Happening("campaign.on_course", "q4", CampaignDeviated("q4")), "q4: what is left of its plan holds again"),
        (Happening("campaign.ended", "q4", CampaignTold("q4", "x", ended_by="y", reason="z")), "q4: ended by y: z"),
    ],
)
def test_campaigns_are_told_in_words(happening: Happening, said: str) -> None:
    """What came of them, whoever decided it."""
    assert words_of(event_of(happening, Place("c", "", 1, datetime(2026, 11, 27, tzinfo=UTC)), "urn:x")) == said
