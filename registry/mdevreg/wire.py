"""Bytes ⇄ records. Strict: a record that passes here can be stored and answered from.

Rules of this file:

1. Size first, then schema version, then the fields.
2. A newer *minor* is accepted; fields that this version does not know are ignored here and kept in the
   bytes, which are what is hashed and logged. A newer *major* is refused.
3. Every error names the path of the field.
"""

from __future__ import annotations

import re
from collections import Counter
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import structs

from mdevreg import control
from mdevreg.errors import DecodeError, SchemaVersionError
from mdevreg.records import (
    BEAT_MINOR,
    MAX_RECORD_BYTES,
    SCHEMA_MAJOR,
    SCHEMA_MINOR,
    Beat,
    Body,
    HostBody,
    HostFacts,
    Parent,
    ParentBody,
    Record,
)
from mdevreg.shapes import Seq, Token


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A record with its inner document decoded, and the bytes it came as."""

    record: Record
    data: bytes
    parent: Parent | None = None  # of a ParentBody
    facts: HostFacts | None = None  # of a HostBody


class Envelope(msgspec.Struct, frozen=True):
    """The part of a record that says who sent it: readable even when the rest is not."""

    host: Token
    epoch: Token
    seq: Seq


class _Schema(msgspec.Struct, frozen=True):
    schema: str


T = TypeVar("T")


class _Inner(msgspec.Struct, frozen=True):
    parent: msgspec.Raw = msgspec.Raw(b"")
    facts: msgspec.Raw = msgspec.Raw(b"")


class _Outer(msgspec.Struct, frozen=True):
    body: _Inner


_encoder = msgspec.json.Encoder()
_record = msgspec.json.Decoder(Record)
_parent = msgspec.json.Decoder(Parent)
_facts = msgspec.json.Decoder(HostFacts)
_beat = msgspec.json.Decoder(Beat)
_schema = msgspec.json.Decoder(_Schema)
_envelope = msgspec.json.Decoder(Envelope)
_outer = msgspec.json.Decoder(_Outer)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\Z")
#: What the kernel takes as an mdev's uuid (lib/uuid.c, uuid_is_valid).
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_PATH = re.compile(r" - at `(.+)`\Z")


def encode(value: Any) -> bytes:
    """Canonical JSON of a wire struct: fields in their declared order, defaults left out, no spaces."""
    return _encoder.encode(value)


def decode(data: bytes) -> Decoded:
    """Read one record, inner document included.

    Raises ``DecodeError`` (with the path) or ``SchemaVersionError`` (newer major).
    """
    newer = _check_head(data)
    record = _read(_record, data, "$", newer)
    if newer:
        record = structs.replace(record, body=_as_sent(record.body, data))
    body, parent, facts = record.body, None, None
    match body:
        case ParentBody():
            parent = _read(_parent, bytes(body.parent), "$.body.parent", newer)
            _check_parent(body, parent)
        case HostBody():
            facts = _read(_facts, bytes(body.facts), "$.body.facts", newer)
    control.check(_understood(record, parent, facts) if newer else data, parent)
    return Decoded(record=record, data=data, parent=parent, facts=facts)


def decode_parent(raw: bytes) -> Parent:
    """Read a parent document that was accepted before (newer minors included)."""
    return _read(_parent, raw, "$", newer=True)


def decode_facts(raw: bytes) -> HostFacts:
    """Read a host document that was accepted before (newer minors included)."""
    return _read(_facts, raw, "$", newer=True)


def decode_beat(data: bytes) -> Beat:
    """Read a heartbeat."""
    return _read(_beat, data, "$", _check_head(data, BEAT_MINOR))


def decode_known(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Read anything else that mdevreg sends, newer minors included. Raises ``DecodeError``."""
    return _read(decoder, data, "$", newer=True)


def envelope_of(data: bytes) -> Envelope | None:
    """Who sent this, if that much can be read; ``None`` if not. Never raises."""
    try:
        return _envelope.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _as_sent(body: Body, data: bytes) -> Body:
    """The body with its inner document's own bytes: digests are over what was sent, not what was understood."""
    inner = _outer.decode(data).body
    match body:
        case ParentBody():
            return structs.replace(body, parent=inner.parent)
        case HostBody():
            return structs.replace(body, facts=inner.facts)
    return body


def _understood(record: Record, parent: Parent | None, facts: HostFacts | None) -> bytes:
    """A newer minor's record without what is not known here: new fields may hold what the old ones must not."""
    body: Body = record.body
    match body:
        case ParentBody():
            body = structs.replace(body, parent=msgspec.Raw(encode(parent)))
        case HostBody():
            body = structs.replace(body, facts=msgspec.Raw(encode(facts)))
    return encode(structs.replace(record, body=body))


def _check_head(data: bytes, known_minor: int = SCHEMA_MINOR) -> bool:
    """Size and schema version. Returns whether the schema is a newer minor than the known one."""
    if len(data) > MAX_RECORD_BYTES:
        raise DecodeError(f"{len(data)} bytes; a record has at most {MAX_RECORD_BYTES}", code="TOO_LARGE")
    try:
        text = _schema.decode(data).schema
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _decode_error(error, "$") from error
    found = _VERSION.match(text)
    if found is None:
        raise DecodeError(f"schema {text[:40]!r} is not MAJOR.MINOR", path="$.schema")
    major, minor = int(found[1]), int(found[2])
    if major != SCHEMA_MAJOR:
        raise SchemaVersionError(
            f"schema {text} has another major version than {SCHEMA_MAJOR}; upgrade the registry, then retry",
            path="$.schema",
        )
    return minor > known_minor


def _check_parent(body: ParentBody, parent: Parent) -> None:
    if body.path != parent.path:
        raise DecodeError(f"path is {parent.path!r}, the body says {body.path!r}", path="$.body.parent.path")
    for what, names in (("types", [t.id for t in parent.types]), ("devices", [d.name for d in parent.devices])):
        if len(names) > 1 and len(set(names)) != len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise DecodeError(f"{twice!r} is listed twice", path=f"$.body.parent.{what}")
    for index, device in enumerate(parent.devices):
        if device.kind == "mdev" and not _UUID.match(device.name):
            text = f"an mdev is named by its uuid, found {device.name[:40]!r}"
            raise DecodeError(text, path=f"$.body.parent.devices[{index}].name")


def _read(decoder: msgspec.json.Decoder[T], data: bytes, at: str, newer: bool) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if newer and "unknown field" in str(error):
            return _read_newer(decoder.type, data, at)
        raise _decode_error(error, at) from error


def _read_newer(kind: type[T], data: bytes, at: str) -> T:
    """The slow road for newer minors: leave out what is not known, then check the rest as strictly."""
    try:
        return msgspec.convert(_known(msgspec.json.decode(data), kind), kind, strict=True)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _decode_error(error, at) from error


def _known(value: Any, kind: Any) -> Any:
    """``value`` without the object fields that ``kind`` does not declare; inner raw documents whole."""
    if kind is msgspec.Raw:
        return msgspec.Raw(_encoder.encode(value))
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _known(value, args[0])
    if origin is tuple and isinstance(value, list):
        return [_known(item, args[0]) for item in value]
    if origin is dict and isinstance(value, dict):
        return {key: _known(item, args[1]) for key, item in value.items()}
    if origin in (Union, UnionType) and isinstance(value, dict):
        return _known(value, _member(value, args))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        return _known_fields(value, kind)
    return value


def _known_fields(value: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    names = {field.encode_name: hints[field.name] for field in structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    return {key: _known(item, names.get(key)) for key, item in value.items() if key in names or key == tag}


def _member(value: dict[str, Any], kinds: tuple[Any, ...]) -> Any:
    """Which struct of a union an object is meant to be: by its tag, else the only struct there is."""
    members = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    for kind in members:
        config = kind.__struct_config__
        if config.tag_field is None or value.get(config.tag_field) == config.tag:
            return kind
    return None


def _decode_error(error: Exception, at: str) -> DecodeError:
    text = _printable(str(error))
    found = _PATH.search(text)
    path = at + (found[1][1:] if found else "")
    return DecodeError(text[: found.start()] if found else text, path=path)


def _printable(text: str) -> str:
    """Errors quote what was sent; control characters and lone surrogates would not survive a database."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in safe)
