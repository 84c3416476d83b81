"""What was true of a host, worked out from its log with JSON, sorting and a loop: nothing of the registry's own fold.

Of the program only ``mdevreg.objects`` is used, which says what rows a document makes. The rules are those of
``docs/protocol.md``: the newest number of an epoch wins, epochs follow each other as they appeared, a record is true
when it was observed, but not after it or any later one was received, and not before what the host said earlier.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mdevreg.objects import Key, Profiles, Value, host_objects, parent_objects
from mdevreg.records import HostFacts, Parent

_START = datetime(1970, 1, 1, tzinfo=UTC)


class LogRow(msgspec.Struct, frozen=True):
    """A row of the log. ``received_us``: µs UTC."""

    position: int
    received_us: int
    body: bytes


class State(msgspec.Struct, frozen=True):
    """A host's documents as sent: its own facts, and its parents' by path."""

    facts: bytes | None = None
    parents: dict[str, bytes] = {}

    def objects(self) -> dict[Key, Value]:
        """The rows that these make, without log positions."""
        found: dict[Key, Value] = {}
        if self.facts is not None:
            found |= host_objects(msgspec.json.decode(self.facts, type=HostFacts), 0)
        for raw in self.parents.values():
            found |= parent_objects(msgspec.json.decode(raw, type=Parent), 0, Profiles())
        return {key: placeless(key, value) for key, value in found.items()}


NOTHING = State()


class Life(msgspec.Struct, frozen=True):
    """A host's states, each from its time (µs UTC) to the next one's."""

    since_us: list[int]
    states: list[State]

    def at(self, us: int) -> State:
        """What was true then."""
        place = bisect_right(self.since_us, us)
        return self.states[place - 1] if place else NOTHING


def life_of(log: list[LogRow]) -> Life:
    """What a host's log, or the beginning of it, tells of all times."""
    told = [(row, json.loads(row.body)) for row in sorted(log, key=lambda row: row.position)]
    epochs = list(dict.fromkeys(record["epoch"] for _, record in told))
    told.sort(key=lambda each: (epochs.index(each[1]["epoch"]), each[1]["seq"]))
    since: list[int] = []
    states: list[State] = []
    for place, (_, record) in enumerate(told):
        soonest_received = min(row.received_us for row, _ in told[place:])
        seen = (datetime.fromisoformat(record["observed_at"]) - _START) // timedelta(microseconds=1)
        since.append(max(since[-1] if since else 0, min(seen, soonest_received)))
        states.append(_after(states[-1] if states else State(), record))
    return Life(since, states)


def document_of(body: bytes) -> bytes:
    """The document that a record of a host or parent brought."""
    found = json.loads(body)["body"]
    return _raw(found[{"host": "facts", "parent": "parent"}.get(found["kind"], "kind")])


def placeless(key: Key, value: Value) -> Value:
    """A value without its log position: hosts end with theirs, parents have it second."""
    return value[:-1] if key[0] == "host" else (value[0], *value[2:]) if key[0] == "parent" else value


def _after(before: State, record: dict[str, Any]) -> State:
    body = record["body"]
    others = {path: raw for path, raw in before.parents.items() if path != body.get("path")}
    match body["kind"]:
        case "host":
            return State(_raw(body["facts"]), before.parents)
        case "parent":
            return State(before.facts, {**others, body["path"]: _raw(body["parent"])})
        case "tombstone":
            return State(before.facts, others)
    listed = {path: raw for path, raw in before.parents.items() if path in body["parents"]}
    whole = {path: _sha256(raw) for path, raw in listed.items()} == body["parents"]
    mine = before.facts is not None and _sha256(before.facts) == body["facts"]
    return State(before.facts, listed) if whole and mine and _digest(body) == record["digest"] else before


def _digest(body: dict[str, Any]) -> str:
    parents = [f"parent {path} {digest}\n" for path, digest in sorted(body["parents"].items())]
    return _sha256("".join([f"host {body['facts']}\n", *parents]).encode())


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _raw(document: Any) -> bytes:
    """Its bytes as they were sent: compact, fields in their order."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
