"""Bytes and records: what is accepted comes back whole, what is not names its fault."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.errors import DecodeError, SchemaVersionError
from mdevreg.records import (
    MAX_DEVICES,
    MAX_PARENTS,
    MAX_RECORD_BYTES,
    MAX_TYPES,
    SCHEMA,
    CompleteBody,
    HostBody,
    HostFacts,
    Parent,
    ParentBody,
    Record,
    TombstoneBody,
    digest_of,
)
from mdevreg.shapes import MAX_TEXT_CHARS
from support.publisher import EPOCH_START, Look, Publisher
from support.strategies import UUID_1, causes, digests, host_facts, names, parents, tokens

_PATHS = names.map(lambda name: f"/devices/{name}")
_BODIES = st.one_of(
    host_facts.map(lambda facts: HostBody(facts=msgspec.Raw(wire.encode(facts)))),
    parents().map(lambda parent: ParentBody(path=parent.path, parent=msgspec.Raw(wire.encode(parent)))),
    st.builds(TombstoneBody, path=_PATHS),
    st.builds(
        CompleteBody,
        facts=digests,
        parents=st.dictionaries(_PATHS, digests, max_size=3),
        skipped=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ),
)
_RECORDS = st.builds(
    Record,
    schema=st.just(SCHEMA),
    host=tokens,
    epoch=tokens,
    seq=st.integers(1, 2**53 - 1),
    digest=digests,
    observed_at=st.integers(-(10**10), 10**11).map(lambda seconds: EPOCH_START + timedelta(seconds=seconds)),
    cause=causes,
    body=_BODIES,
)


def _parent_record(**parent: Any) -> dict[str, Any]:
    """A good record of a parent as JSON values, its document's fields replaced."""
    path = "/devices/a"
    record: dict[str, Any] = json.loads(
        Publisher().changes(Look(HostFacts(hostname="alpha"), {path: Parent(path=path, name="a")}))[1]
    )
    record["body"]["parent"] |= parent
    return record


def _many_devices(count: int) -> list[dict[str, str]]:
    """So many VFs."""
    return [{"name": f"{number}", "kind": "vf"} for number in range(count)]


def _bytes(record: Any) -> bytes:
    return json.dumps(record).encode()


@given(_RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Encode and decode are inverse; the inner document is decoded beside its own bytes."""
    data = wire.encode(record)
    decoded = wire.decode(data)
    assert decoded.record == record
    assert wire.encode(decoded.record) == decoded.data == data
    match record.body:
        case ParentBody(parent=raw):
            assert wire.encode(decoded.parent) == bytes(raw)
            assert wire.decode_parent(bytes(raw)) == decoded.parent
        case HostBody(facts=raw):
            assert wire.encode(decoded.facts) == bytes(raw)
            assert wire.decode_facts(bytes(raw)) == decoded.facts
        case _:
            assert (decoded.parent, decoded.facts) == (None, None)


@given(_RECORDS, st.data())
def test_damaged_bytes_are_a_record_or_a_decode_error(record: Record, data: st.DataObject) -> None:
    """Nothing else ever escapes, so that a bad message can't stop the line; the sender is told if it can be."""
    good = wire.encode(record)
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    try:
        wire.decode(damaged)
    except DecodeError as error:
        assert error.path.startswith("$")  # noqa: PT017  (an error is allowed, not required)
    wire.envelope_of(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_without_harm(data: bytes) -> None:
    """Random bytes are no record."""
    with pytest.raises(DecodeError):
        wire.decode(data)
    assert wire.envelope_of(data) is None


_UNKNOWN = st.dictionaries(st.sampled_from(["later", "new field", "zz"]), st.integers() | st.lists(names, max_size=2))


@given(st.one_of(parents(), host_facts), _UNKNOWN, _UNKNOWN, st.sampled_from(["1.3", "1.7", "1.999999"]))
def test_a_newer_minor_is_understood_as_far_as_known_and_kept_whole(
    document: Parent | HostFacts, outside: dict[str, Any], inside: dict[str, Any], schema: str
) -> None:
    """Unknown fields are ignored at every level, stay in the bytes, and are part of every digest."""
    spaced = _bytes(json.loads(wire.encode(document)) | inside)  # spaces and all: not our own spelling
    kind, field = ("parent", "parent") if isinstance(document, Parent) else ("host", "facts")
    path = f'"path":{json.dumps(document.path)},' if isinstance(document, Parent) else ""
    body = f'{{"kind":"{kind}",{path}"{field}":'.encode() + spaced + b"}"
    head = _parent_record() | {"schema": schema, "cause": {"kind": "rescan", **outside}} | outside
    del head["body"]
    decoded = wire.decode(_bytes(head)[:-1] + b',"body":' + body + b"}")
    assert document in (decoded.parent, decoded.facts)
    assert isinstance(decoded.record.body, HostBody | ParentBody)
    raw = decoded.record.body.parent if isinstance(decoded.record.body, ParentBody) else decoded.record.body.facts
    assert bytes(raw) == spaced
    assert digest_of(raw) == digest_of(spaced)
    assert wire.decode_parent(spaced) == document if kind == "parent" else wire.decode_facts(spaced) == document


def test_a_newer_minor_is_checked_as_strictly_where_it_is_known() -> None:
    """Only what is unknown is forgiven."""
    for minor in ("1.0", "1.2", "1.3"):
        record = _parent_record(types=[{"id": "a\x00", "later": 1}]) | {"schema": minor}
        with pytest.raises(DecodeError) as caught:
            wire.decode(_bytes(record))
        assert caught.value.path.startswith("$.body.parent")
    with pytest.raises(DecodeError, match="unknown field `later`"):
        wire.decode(_bytes(_parent_record(later=1)))


@pytest.mark.parametrize("schema", ["1.0", "1.2", "1.3"])
def test_a_control_character_is_refused_in_every_known_field(schema: str) -> None:
    """Of a newer minor too, whose unknown fields may hold what they like."""
    tombstone = {"body": {"kind": "tombstone", "path": "/devices/a\x1b"}}
    listed = {"body": {"kind": "complete", "facts": "0" * 64, "parents": {"/devices/a\x1b": "0" * 64}}}
    caused = {"cause": {"kind": "uevent", "device": "a\n"}}
    for change, path in ((tombstone, "$.body.path"), (listed, "$.body.parents[...]"), (caused, "$.cause.device")):
        with pytest.raises(DecodeError) as caught:
            wire.decode(_bytes(_parent_record() | {"schema": schema} | change))
        assert (caught.value.code, caught.value.path) == ("CONTROL_CHARACTER", path)
    later = _parent_record(later="a\x1b") | {"schema": "1.3", "later": "\x00"}
    assert wire.decode(_bytes(later)).parent is not None


@pytest.mark.parametrize("schema", ["2.0", "999999.0", "0.9"])
def test_another_major_is_refused_with_the_way_out(schema: str) -> None:
    """It can't be read here, only kept."""
    with pytest.raises(SchemaVersionError, match="upgrade the registry") as caught:
        wire.decode(_bytes(_parent_record() | {"schema": schema}))
    assert (caught.value.code, caught.value.path) == ("SCHEMA_VERSION", "$.schema")


_TYPE = {"id": "t"}
_FAULTS: list[tuple[str, bytes, str]] = [
    ("empty", b"", "$"),
    ("not JSON", b"mdev", "$"),
    ("not UTF-8", b'{"schema":"1.0\xff"}', "$"),
    ("not an object", b"[]", "$"),
    ("nested without end", b'{"schema":' + b"[" * 100_000, "$.schema"),
    ("no schema", b"{}", "$"),
    ("schema that is none", _bytes(_parent_record() | {"schema": "one"}), "$.schema"),
    ("schema with a newline", _bytes(_parent_record() | {"schema": "1.0\n"}), "$.schema"),
    ("unknown field", _bytes(_parent_record() | {"more": 1}), "$"),
    ("unknown body", _bytes(_parent_record() | {"body": {"kind": "song"}}), "$.body"),
    ("host with a dot", _bytes(_parent_record() | {"host": "a.b"}), "$.host"),
    ("host with a newline", _bytes(_parent_record() | {"host": "a\n"}), "$.host"),
    ("host too long", _bytes(_parent_record() | {"host": "h" * 65}), "$.host"),
    ("empty epoch", _bytes(_parent_record() | {"epoch": ""}), "$.epoch"),
    ("seq 0", _bytes(_parent_record() | {"seq": 0}), "$.seq"),
    ("seq too big", _bytes(_parent_record() | {"seq": 2**53}), "$.seq"),
    ("seq as text", _bytes(_parent_record() | {"seq": "1"}), "$.seq"),
    ("digest that is none", _bytes(_parent_record() | {"digest": "A" * 64}), "$.digest"),
    ("naive time", _bytes(_parent_record() | {"observed_at": "2026-11-24T10:00:00"}), "$.observed_at"),
    ("no time", _bytes(_parent_record() | {"observed_at": "yesterday"}), "$.observed_at"),
    ("unknown cause", _bytes(_parent_record() | {"cause": {"kind": "whim"}}), "$.cause.kind"),
    ("path of another parent", _bytes(_parent_record(path="/devices/b")), "$.body.parent.path"),
    ("name too long", _bytes(_parent_record(name="n" * 10_000)), "$.body.parent.name"),
    ("empty name", _bytes(_parent_record(name="")), "$.body.parent.name"),
    ("half a character", b'{"schema":"1.0","host":"\\ud800"}', "$"),
    ("type twice", _bytes(_parent_record(types=[_TYPE, _TYPE])), "$.body.parent.types"),
    (
        "uuid that is none",
        _bytes(_parent_record(devices=[{"name": UUID_1}, {"name": "u"}])),
        "$.body.parent.devices[1].name",
    ),
    ("device twice", _bytes(_parent_record(devices=[{"name": UUID_1}] * 2)), "$.body.parent.devices"),
    ("negative count", _bytes(_parent_record(types=[_TYPE | {"available_instances": -1}])), "$.body.parent.types[0]"),
    ("count as text", _bytes(_parent_record(types=[_TYPE | {"available_instances": "1"}])), "$.body.parent.types[0]"),
    (
        "text too long",
        _bytes(_parent_record(types=[_TYPE | {"description": "d" * (MAX_TEXT_CHARS + 1)}])),
        "$.body.parent.types[0].description",
    ),
    (
        "too many types",
        _bytes(_parent_record(types=[{"id": f"{number}"} for number in range(MAX_TYPES + 1)])),
        "$.body.parent.types",
    ),
    (
        "too many devices",
        _bytes(_parent_record(devices=_many_devices(MAX_DEVICES + 1))),
        "$.body.parent.devices",
    ),
    (
        "too many parents",
        Publisher().record(CompleteBody(facts="0" * 64, parents={f"/{n}": "0" * 64 for n in range(MAX_PARENTS + 1)})),
        "$.body.parents",
    ),
]


@pytest.mark.parametrize(("data", "path"), [pytest.param(data, path, id=name) for name, data, path in _FAULTS])
def test_each_fault_is_refused_with_its_path(data: bytes, path: str) -> None:
    """The path leads an operator to the field; the record goes to quarantine."""
    with pytest.raises(DecodeError) as caught:
        wire.decode(data)
    assert caught.value.code == "DECODE"
    assert caught.value.path.startswith(path)
    assert not isinstance(caught.value, SchemaVersionError)


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\x1f", "\x7f", "\n", "\r"], ids=ascii)
@pytest.mark.parametrize("schema", ["1.0", "1.2", "1.3"])
def test_a_control_character_in_a_name_is_refused_however_it_is_spelled(char: str, schema: str) -> None:
    """Names end up in terminals, logs and subjects. In a text, a newline and a tab are what the kernel prints."""
    named = _parent_record(name=f"a{char}b", types=[_TYPE])
    escaped = json.dumps(named | {"schema": schema}).replace("\x7f", "\\u007f").encode()
    for data in (escaped, escaped.replace(b"\\u007f", b"\x7f")):
        with pytest.raises(DecodeError) as caught:
            wire.decode(data)
        assert caught.value.code == "CONTROL_CHARACTER"
    described = _parent_record(types=[_TYPE | {"description": f"a{char}b"}]) | {"schema": schema}
    if char == "\n":
        assert wire.decode(_bytes(described)).parent is not None
    else:
        with pytest.raises(DecodeError):
            wire.decode(_bytes(described))


def test_breaks_are_told_by_their_place_where_the_bytes_alone_do_not_tell() -> None:
    """A backslash looks like an escape and makes the slow look; the kernel's own texts may have lines in it too."""
    told = {"types": [_TYPE | {"description": "two\nlines"}], "faults": [{"path": "p", "error": "e", "text": "a\tb"}]}
    assert wire.decode(_bytes(_parent_record(name="C:\\bell", **told))).parent is not None
    for key in ("description", "text"):  # a mapping's keys are anybody's words, and no kernel text
        with pytest.raises(DecodeError) as caught:
            wire.decode(_bytes(_parent_record(attributes={key: "a\nb"})))
        assert (caught.value.code, caught.value.path) == (
            "CONTROL_CHARACTER",
            f"$.body.parent.attributes.{key}",
        )


@pytest.mark.parametrize(
    "data",
    [b" " * (MAX_RECORD_BYTES + 1), _bytes(_parent_record(types=[{"id": f"{n}"} for n in range(100_000)]))],
    ids=["spaces", "100,000 types"],
)
def test_size_is_looked_at_first(data: bytes) -> None:
    """No parser sees a message that is too large."""
    with pytest.raises(DecodeError, match=f"{len(data)} bytes") as caught:
        wire.decode(data)
    assert caught.value.code == "TOO_LARGE"


def test_each_bound_is_still_accepted() -> None:
    """The bounds are the last good values, and all of a full parent fits into one record."""
    types = [{"id": f"{number}"} for number in range(MAX_TYPES)]
    devices = _many_devices(MAX_DEVICES)
    text = "d" * MAX_TEXT_CHARS
    record = _parent_record(types=[*types[1:], _TYPE | {"description": text}], devices=devices, name="n" * 255)
    parent = wire.decode(_bytes(record | {"host": "h" * 64, "seq": 2**53 - 1})).parent
    assert parent is not None
    assert (len(parent.types), len(parent.devices)) == (MAX_TYPES, MAX_DEVICES)


def test_the_sender_is_known_even_if_the_rest_is_not() -> None:
    """So that the number of a record in quarantine can be settled."""
    data = _bytes(_parent_record(name="") | {"schema": "2.0", "more": []})
    assert wire.envelope_of(data) == wire.Envelope("host-1", "epoch-1", 2)
