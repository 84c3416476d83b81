"""Writes down a database as the program at hand leaves it, and what its door says of it, for ``released/``.

Run once per release, with that release's own program, before its successor has another revision::

    git worktree add /tmp/released TAG
    PYTHONPATH=/tmp/released/registry:/tmp/released/agent:/tmp/released/tests \\
        python tests/support/released.py > tests/migrations/released/0002.json

A fleet of six hosts: mdevs come and go, records come late and twice, drivers change, an agent begins anew, an id is
claimed twice, bytes are no record, entries and rules are put, changed and taken back.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import MdevregError
from mdevreg.facts import NOW, Moment, Pair
from mdevreg.rules import Rule, Scope
from mdevreg_server import revision, schema
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor
from support.catalogs import entry
from support.hosts import crooked, look, mtty, some_life, told, uuid_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk

_RULE = Rule(
    id="draft", effect="deny", author="alice", message="known-bad", valid_from=EPOCH_START, where=Scope(host=("beta",))
)
_PAIRS = (f"{uuid_of(1)} alpha", f"{uuid_of(1)} beta", "beta/mtty2/mtty-1 alpha", "alpha/mtty/mtty-1 beta")


def main() -> None:
    """Print it."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder)}/registry.sqlite3", writer=True, create=True)
        schema.upgrade(engine)
        desk = Desk(engine)
        live(desk)
        document = {
            "made_by": "tests/support/released.py: six hosts with late records, rules, entries, a conflict",
            "revision": revision.current(engine),
            "tables": _tables(engine),
            "answers": answers_now(engine, _PAIRS),
            "moments": [{**each, "answers": answers_at(engine, each)} for each in _moments(desk.ledger.position)],
        }
        engine.dispose()
    json.dump(document, sys.stdout, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    print()


def live(desk: Desk) -> None:
    """All that may happen to a registry."""
    chance = random.Random(7)
    alpha, beta = Publisher("host-a"), Publisher("host-b")
    desk.take(*told(alpha, [look(mtty(devices=devices)) for devices in ([1], [1, 2], [1], [1, 3])]))
    desk.book.import_entries([entry("site-1", saves="1.0")], author="alice")
    records = told(
        beta, [look(mtty(version="3"), mtty("mtty2"), hostname="beta"), look(mtty(), mtty("mtty2"), hostname="beta")]
    )
    late = beta.changes(look(mtty(free=1), mtty("mtty2", devices=[4]), hostname="beta"))
    last = beta.changes(look(mtty(free=2), mtty("mtty2", devices=[4, 5]), hostname="beta"))
    desk.take(*records, *last)
    rule = desk.book.add_rule(_RULE)
    desk.take(*late)
    for batch in crooked(told(Publisher("host-c"), some_life(chance, 5)), chance):
        desk.take(*[record.replace(b'"alpha"', b'"gamma"') for record in batch])
    desk.book.import_entries([entry("site-1", saves="1.1", loads="1.0"), entry("site-2", saves="2.0")], author="bob")
    desk.take(*told(Publisher("host-d", "first"), [look(mtty(version="4"), hostname="delta"), look(hostname="delta")]))
    desk.take(*told(Publisher("host-d", "second"), [look(mtty(version="5"), hostname="delta")]))
    desk.book.end_rule(rule.id, at=EPOCH_START + timedelta(hours=2), author="carol")
    rivals = [Publisher("host-e"), Publisher("host-e")]
    for number, rival in enumerate(rivals):
        desk.take(*rival.snapshot(look(mtty(free=number), hostname="epsilon")))
    desk.take(b'{"schema":"1.0","host":"host-f","epoch":"epoch-1","seq":90}', b"no record")
    desk.book.remove_entries(["site-2"], author="bob")
    desk.take(*told(Publisher("host-f"), [look(mtty(), hostname="zeta")]))


def _moments(newest: int) -> list[dict[str, Any]]:
    """Pairs of times as tokens have them: seconds after the start, and a log position."""
    seconds = (None, 3, 5)
    return [{"as_of_s": at, "known_at": known} for at in seconds for known in range(5, newest + 1, 14)]


def answers_now(engine: sa.Engine, pairs: Iterable[str], known_at: int | None = None) -> dict[str, Any]:
    """What the door says of hosts now, and of the rest as known at a position (``None``: now), as plain values."""
    moment = Moment(known_at=known_at)
    with SqlDoor(engine) as door:
        found: dict[str, Any] = {
            "hosts": door.hosts(NOW),
            "drivers": door.drivers(moment),
            "history": door.history("alpha", moment, 100),
            "device": door.history(uuid_of(2), moment, 100),
            "pairs": {name: _pair(door, name, moment) for name in pairs},
        }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _pair(door: SqlDoor, name: str, moment: Moment) -> list[Any]:
    pair = _asked(door, name, moment)
    return [
        pair.source.profile,
        [each.profile for each in pair.offers],
        [each.available_instances for each in pair.offers],
    ]


def answers_at(engine: sa.Engine, moment: dict[str, Any]) -> dict[str, Any]:
    """What the door says at a moment, as plain values; an error is its code."""
    at = moment.get("as_of_s")
    when = Moment(as_of=None if at is None else EPOCH_START + timedelta(seconds=at), known_at=moment.get("known_at"))
    with SqlDoor(engine) as door:
        questions: dict[str, Any] = {
            "hosts": lambda: door.hosts(when),
            "drivers": lambda: door.drivers(when),
            "rules": lambda: door.rules(when),
            "history": lambda: door.history("alpha", when, 100),
            "device": lambda: door.history(uuid_of(2), when, 100),
            "late": lambda: door.history("host-b", when, 6),
        }
        questions |= {f"pair {name}": lambda name=name: _asked(door, name, when) for name in _PAIRS}
        found = {name: _said(ask) for name, ask in questions.items()}
    brief: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    for name in found:
        if name.startswith("pair ") and "code" not in brief[name]:
            brief[name] = {"position": brief[name]["position"], "sides": _sides(brief[name])}
    return brief


def _asked(door: SqlDoor, name: str, when: Moment) -> Pair:
    device, _, host = name.partition(" ")
    return door.pair(device, host, when)


def _said(ask: Any) -> Any:
    try:
        return ask()
    except MdevregError as error:
        return {"code": error.code}


def _sides(pair: dict[str, Any]) -> list[Any]:
    """What verdicts are made of, without what every side repeats."""
    sides = [pair["source"], *pair["offers"]]
    return [
        [side["parent"], side["profile"].get("migration_stream_version"), side["available_instances"]] for side in sides
    ]


def _tables(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [
                {name: _plain(value) for name, value in row.items()}
                for row in connection.execute(sa.select(table)).mappings()
            ]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


if __name__ == "__main__":
    main()
