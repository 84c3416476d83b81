"""Events in a few words, and one by one in every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from mdevreg.cli.session import Format
from mdevreg.errors import MissingExtraError
from mdevreg.events import Event, build_in, encode_event
from mdevreg.texts import printable
from mdevreg.times import utc

_COLUMNS = ("time", "position", "type", "subject", "hostname", "words", "id")


def words_of(event: Event) -> str:
    """What happened, for a person; of a type that this program does not know, its data."""
    make = _WORDS.get(event.kind.partition(".")[0])
    return make(event.kind, event.data) if make is not None else msgspec.json.encode(event.data).decode()


def rendered(events: Iterator[Event], kind: Format) -> Iterator[str]:
    """Each event as text, ending in a newline; csv with a line of names before the first."""
    if kind == "csv":
        yield _row(_COLUMNS)
    for event in events:
        yield _ONE[kind](event)


def _line(event: Event) -> str:
    return printable(f"{utc(event.time)}  {event.kind:<24}  {words_of(event)}") + "\n"


def _json(event: Event) -> str:
    return encode_event(event).decode() + "\n"


def _yaml(event: Event) -> str:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("-o yaml", "cli") from error
    return "---\n" + yaml.safe_dump(msgspec.to_builtins(event), sort_keys=False, allow_unicode=True)


def _csv(event: Event) -> str:
    hostname = event.data.get("hostname") or ""
    told = (utc(event.time), event.position, event.kind, event.subject, hostname, words_of(event), event.id)
    return _row(told)


def _row(cells: tuple[Any, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


_ONE: dict[Format, Callable[[Event], str]] = {"table": _line, "json": _json, "yaml": _yaml, "csv": _csv}


def _driver(_kind: str, data: dict[str, Any]) -> str:
    before, after = (build_in(data.get(end)) for end in ("before", "after"))
    return f"{data['hostname']}/{data['parent']}: {before} → {after}"


def _offer(kind: str, data: dict[str, Any]) -> str:
    said = f"{data['hostname']}/{data['parent']}: {data['type']} under {build_in(data.get('build'))}"
    return f"{said} (profile replaced)" if kind == "offer.appeared" and data.get("replaces") else said


def _pair(kind: str, data: dict[str, Any]) -> str:
    ends = (_end(data[end]) for end in ("source", "target"))
    before = data.get("before") or "new"
    codes = " ".join(data.get("codes") or ())
    return f"{data['type']}: {' → '.join(ends)}: {before} → {kind.rpartition('_')[2]} [{codes}]"


def _end(end: dict[str, Any]) -> str:
    places = f" where {', '.join(end['places'])}" if end.get("places") else ""
    return f"{build_in(end.get('build'))}{places} ({end['hosts']} hosts)"


def _device(kind: str, data: dict[str, Any]) -> str:
    said = f"{data['hostname']}/{data['parent']}/{data['device']} ({data['type']})"
    if kind == "device.rescued":
        return f"{said}: {'gone' if data.get('gone') else 'another host could take it again'}"
    best = {None: "nobody else offers its type", "unknown": "of no other host it is known that it could"}
    return f"{said}: {best.get(data.get('best'), 'no other host could take it')}"


def _host(kind: str, data: dict[str, Any]) -> str:
    seen = f"last heard {data['last_seen']}"
    match kind:
        case "host.stale":
            return f"{data['hostname']}: {'said goodbye' if data['why'] == 'left' else 'silent'}, {seen}"
        case "host.conflict":
            return f"{data['hostname']}: {data.get('detail') or 'two agents claim to be it'}"
    return f"{data['hostname']}: heard again, was {'in conflict' if data['before'] == 'conflict' else 'stale'}"


def _of_campaign(kind: str, data: dict[str, Any]) -> str:
    what = kind.rpartition(".")[2].replace("_", " ")
    if "endangering" in data:
        found = data["endangering"]
        return f"{data['name']}: " + (
            f"{what}: {'; '.join(found)}" if found else "what is left of its plan holds again"
        )
    if "hosts" in data:
        astray = data.get("elsewhere", 0) + data.get("rolled_back", 0)
        told = f"{data['name']}: {what}: {data['upgraded']} of {data['hosts']} hosts upgraded"
        return told + (f", {astray} astray" if astray else "")
    who = data.get("ended_by") if kind == "campaign.ended" else data.get("author")
    why = data.get("reason" if kind == "campaign.ended" else "message")
    return f"{data['name']}: {what} by {who or 'nobody named'}" + (f": {why}" if why else "")


_WORDS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "driver": _driver,
    "offer": _offer,
    "pair": _pair,
    "device": _device,
    "host": _host,
    "campaign": _of_campaign,
}
