"""The phrases of differences: the first line, and the rows of each group. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mdevreg.cli.view import Cell
from mdevreg.differences import Group, Place

#: Places that a line names before it counts the rest.
NAMED = 5
_OBJECT = {"host": "host", "parent": "parent", "type": "type", "device": "device", "rule": "rule"}
_EVENT = {"appeared": "came", "gone": "went", "changed": "changed", "moved": "moved"}
_CREATED = {"appeared": "were created", "gone": "were removed", "changed": "changed", "moved": "moved"}
_DECIDED = {"appeared": "added", "gone": "removed", "changed": "changed"}


def first_line(groups: Iterable[Group]) -> str:
    """``3 hosts changed driver, 1 type lost its minimum``; ``nothing changed``."""
    counted: dict[str, set[object]] = {}
    for group in groups:
        if not group.implied:
            phrase, key = _phrase(group)
            counted.setdefault(phrase, set()).update(key(place) for place in group.places)
    said = [_said(phrase, len(found)) for phrase, found in counted.items()]
    return ", ".join(said) or "nothing changed"


def _phrase(group: Group) -> tuple[str, Callable[[Place], object]]:
    """What is counted, ``{s}`` where the plural differs, and what tells one from another."""
    match group.object:
        case "host":
            changed = f"changed {group.aspect}" if group.event == "changed" else _EVENT[group.event]
            return f"host{{s}} {changed}", lambda place: place.host
        case "driver":
            verbs = {"appeared": "got a driver", "gone": "lost a driver", "changed": "changed driver"}
            return f"host{{s}} {verbs[group.event]}", lambda place: place.host
        case "type":
            return f"type{{s}} {_type(group)}", lambda _: group.what
        case "device":
            return f"device{{s}} {_CREATED[group.event]}", lambda place: place.device
        case "rule":
            verb = "ended" if group.after == "ended" else _DECIDED[group.event]
            return f"rule{{s}} {verb}", lambda _: group.what
        case "catalog":
            return f"catalog entr{{ies}} {_DECIDED[group.event]}", lambda _: (group.aspect, group.what)
        case "capacity":
            return "parent{s} changed capacity", lambda place: (place.host, place.parent)
    return f"parent{{s}} {_EVENT[group.event]}", lambda place: (place.host, place.parent)


def _type(group: Group) -> str:
    if group.aspect == "minimum" and group.after == "none":
        return "lost {their} minimum"
    if group.aspect in ("minimum", "stream version"):
        return f"changed {group.aspect}"
    return _EVENT[group.event]


def _said(phrase: str, count: int) -> str:
    one = count == 1
    words = phrase.replace("{s}", "" if one else "s").replace("{ies}", "y" if one else "ies")
    words = words.replace("{their}", "its" if one else "their")
    return f"{count} {words.replace('were ', 'was ') if one else words}"


def cells(group: Group) -> tuple[Cell, ...]:
    """One line of the table: ``object event what change where``."""
    change = f"{group.before or '-'} → {group.after or '-'}" if group.before or group.after else ""
    said = " ".join(part for part in (group.aspect, change) if part)
    return (group.object, _EVENT[group.event], group.what or None, said or None, _where(group))


def _where(group: Group) -> str | None:
    names = [_name(place) for place in group.places if place.host]
    if not names:
        return None
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _name(place: Place) -> str:
    parts = (place.hostname or place.host, place.parent, place.device)
    return "/".join(part for part in parts if part)
