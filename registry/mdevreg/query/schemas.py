"""JSON Schemas (2020-12) of every message, made from the structs that read and write them. Pure.

A message is named ``record``, ``beat``, ``fleet.host``, …; a request ``<endpoint>.request``, its answer
``<endpoint>.reply``, and every error ``error``. What somebody else sends may have more fields than its schema says
(a newer minor version); a request may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, reduce
from operator import or_
from typing import Any, get_args

import msgspec
from msgspec import structs

from mdevreg import wire
from mdevreg.answering import Answer
from mdevreg.decisions import Decision
from mdevreg.errors import DecodeError, NotFoundError
from mdevreg.events import DATA, PREFIX, Event
from mdevreg.knowledge import Amendment
from mdevreg.nearest import nearest
from mdevreg.profiles import Profile
from mdevreg.published import FleetDigest, HostState, Presence
from mdevreg.query.endpoints import DECISIONS, QUESTIONS, Endpoint, check
from mdevreg.query.requests import PROTOCOL, Ask, Decide, ErrorBody, Schemas
from mdevreg.records import Beat, Body, HostBody, HostFacts, Parent, ParentBody, Record
from mdevreg.shapes import Path, Strict

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
#: Python's ``$`` matches before a trailing newline too, hence its look-ahead; other languages' have no such need, and
#: some no look-ahead. ``\uXXXX`` is not known to all of them, ``\xXX`` is.
_PORTABLE = (("$(?!\\n)", "$"), ("\\u00", "\\x"))


def _whole(kind: type[msgspec.Struct], **fields: Any) -> type[msgspec.Struct]:
    """The struct with the documents that it carries as raw bytes spelt out: ``fields``, their types."""
    declared = [
        (field.name, fields.get(field.name, field.type), _default(field, given=field.name in fields))
        for field in structs.fields(kind)
    ]
    required = [(name, of) for name, of, default in declared if default is msgspec.NODEFAULT]
    optional = [each for each in declared if each[2] is not msgspec.NODEFAULT]
    return msgspec.defstruct(
        kind.__name__,
        [*required, *optional],
        bases=(Strict,),
        namespace={"__doc__": kind.__doc__},
        tag_field=kind.__struct_config__.tag_field,
        tag=kind.__struct_config__.tag,
        frozen=True,
    )


def _default(field: structs.FieldInfo, *, given: bool) -> Any:
    """Raw bytes are no default that a schema could show; an empty document is."""
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return None if given and field.default is not msgspec.NODEFAULT else field.default


_BODIES = {HostBody: _whole(HostBody, facts=HostFacts), ParentBody: _whole(ParentBody, parent=Parent)}
_BODY = reduce(or_, (_BODIES.get(each, each) for each in get_args(Body)))

_DECISION = _whole(Decision, answer=Answer)


def _event(kind: str, data: type[msgspec.Struct]) -> Any:
    """The event with the data of one type spelt out."""
    declared = [(field.name, field.type) for field in structs.fields(Event) if field.name not in ("type", "data")]
    name = "".join(word.capitalize() for word in kind.replace(".", "_").split("_")) + "Event"
    own = {"__doc__": data.__doc__}
    return msgspec.defstruct(
        name, [*declared, ("data", data)], namespace=own, tag_field="type", tag=f"{PREFIX}{kind}", frozen=True
    )


_EVENT: Any = reduce(or_, (_event(kind, data) for kind, data in DATA.items()))

_MESSAGES: dict[str, Any] = {
    "record": _whole(Record, body=_BODY),
    "beat": Beat,
    "fleet.host": _whole(HostState, facts=HostFacts | None, parents=dict[Path, Parent]),
    "fleet.profile": Profile,
    "fleet.amendment": Amendment,
    "fleet.presence": Presence,
    "fleet.digest": FleetDigest,
    "event": _EVENT,
    "error": ErrorBody,
}
#: Of what is several structs: one line on all of them.
_ABOUT = {"event": Event.__doc__}
_ENDPOINTS = {**QUESTIONS, **DECISIONS}

#: Every name, in the order that lists have.
NAMES: tuple[str, ...] = (*_MESSAGES, *(f"{name}.{part}" for name in _ENDPOINTS for part in ("request", "reply")))


def spelt_out(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The struct that tells what a reply holds, where the one that answers it hands bytes on as they were told."""
    return _DECISION if kind is Decision else kind


def about(name: str) -> str:
    """One line on a message. Raises ``NotFoundError``."""
    endpoint, part = _endpoint(name)
    if endpoint is None:
        return (_ABOUT.get(name) or _MESSAGES[name].__doc__ or "").partition("\n")[0].replace("``", "`")
    return endpoint.about if part == "request" else f"Its reply: {endpoint.reply.__name__}."


def schemas(name: str | None) -> Schemas:
    """The names of all schemas; with a name that schema too. Raises ``NotFoundError``."""
    return Schemas(PROTOCOL, NAMES, None if name is None else schema_of(name))


@cache
def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a message; not to be changed. Raises ``NotFoundError``."""
    endpoint, part = _endpoint(name)
    if endpoint is None:
        return _finished(name, _schema(_MESSAGES[name]), closed=False)
    if part == "reply":
        return _finished(name, _schema(spelt_out(endpoint.reply)), closed=False)
    asks = Ask if name.removesuffix(".request") in QUESTIONS else Decide
    return _finished(name, _narrowed(_schema(asks), asks.__name__, endpoint), closed=True)


def validate(name: str, data: bytes) -> None:
    """Read a message as its reader would. Raises ``DecodeError`` with the path of the first fault, ``UsageError``."""
    endpoint, part = _endpoint(name)
    if endpoint is not None and part == "request":
        asks: type[Ask | Decide] = Ask if name.removesuffix(".request") in QUESTIONS else Decide
        check(name.removesuffix(".request"), _decoded(asks, data))
    elif endpoint is not None:
        _decoded(spelt_out(endpoint.reply), data)
    elif name == "record":
        wire.decode(data)
    else:
        wire.decode_known(msgspec.json.Decoder(_MESSAGES[name]), data)


def _decoded(kind: type[Any], data: bytes) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error)) from error


def _endpoint(name: str) -> tuple[Endpoint | None, str]:
    if name not in NAMES:
        raise NotFoundError("schema", name, nearest(name, NAMES))
    if name in _MESSAGES:
        return None, ""
    endpoint, _, part = name.rpartition(".")
    return _ENDPOINTS[endpoint], part


def _schema(kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(kind, ref_template=_REF)
    return schema


def _narrowed(schema: dict[str, Any], kind: str, endpoint: Endpoint) -> dict[str, Any]:
    """The schema of a request with the fields of one endpoint only."""
    definitions = schema["$defs"]
    whole = definitions.pop(kind)
    properties = {field: whole["properties"][field] for field in (*endpoint.needs, *endpoint.takes)}
    needed = {field: _not_null(properties[field]) for field in endpoint.needs}
    return {
        "title": "Request",
        "description": endpoint.about,
        "type": "object",
        "properties": {**properties, **needed},
        "required": list(endpoint.needs),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """A field that the endpoint needs: not the null that stands for "not there"."""
    field = {key: value for key, value in field.items() if key != "default"}
    choices = [choice for choice in field.pop("anyOf", []) if choice != {"type": "null"}]
    return {**field, **choices[0]} if len(choices) == 1 else {**field, "anyOf": choices} if choices else field


def _finished(name: str, schema: dict[str, Any], *, closed: bool) -> dict[str, Any]:
    used = _used(schema)
    definitions = {key: value for key, value in schema.pop("$defs", {}).items() if key in used}
    told = {"$schema": _DIALECT, "$id": f"urn:mdevreg:v1:{name}", **schema}
    finished: dict[str, Any] = _portable({**told, "$defs": definitions} if definitions else told, closed=closed)
    return finished


def _used(schema: dict[str, Any]) -> set[str]:
    """The definitions that are referred to, from the top and from each other."""
    definitions = schema.get("$defs", {})
    used: set[str] = set()
    waiting = set(_references({key: value for key, value in schema.items() if key != "$defs"}))
    while waiting:
        name = waiting.pop()
        used.add(name)
        waiting |= set(_references(definitions[name])) - used
    return used


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _portable(value: Any, *, closed: bool) -> Any:
    """With patterns that every regular expression library reads, and open to fields of newer versions."""
    if isinstance(value, list):
        return [_portable(each, closed=closed) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: each for key, each in value.items() if closed or (key, each) != ("additionalProperties", False)}
    return {
        key: _pattern(each) if key == "pattern" and isinstance(each, str) else _portable(each, closed=closed)
        for key, each in kept.items()
    }


def _pattern(pattern: str) -> str:
    return reduce(lambda text, pair: text.replace(*pair), _PORTABLE, pattern)
