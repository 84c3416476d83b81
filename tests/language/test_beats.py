"""Heartbeats, and who sent what can't be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.errors import DecodeError
from mdevreg.records import BEAT_SCHEMA, SCHEMA, Beat
from support.strategies import counts, digests, tokens


@given(
    st.builds(
        Beat,
        schema=st.sampled_from(["1.0", "1.1", BEAT_SCHEMA]),
        host=tokens,
        epoch=tokens,
        seq=counts,
        digest=digests,
        leaving=st.booleans(),
        unsent=counts,
        at=st.none() | st.datetimes(timezones=st.just(UTC)),
    )
)
def test_a_beat_comes_back_as_it_was(beat: Beat) -> None:
    """Of a newer minor too."""
    assert wire.decode_beat(wire.encode(beat)) == beat
    later = json.loads(wire.encode(beat)) | {"schema": "1.3", "mood": "good"}
    assert wire.decode_beat(json.dumps(later).encode()) == msgspec.structs.replace(beat, schema="1.3")


def test_what_a_beat_does_not_have_is_refused() -> None:
    """In a schema that is known: a naive time, a field nobody knows."""
    beat = json.loads(wire.encode(Beat(schema=BEAT_SCHEMA, host="h", epoch="e", seq=1, digest="0" * 64)))
    for wrong in ({"at": "2026-11-24T10:00:00"}, {"mood": "good"}):
        with pytest.raises(DecodeError):
            wire.decode_beat(json.dumps(beat | wrong).encode())


def test_a_registry_of_before_reads_the_beats_of_this_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows 1.1, where a beat has no ``at``: a newer minor may bring what it does not know. Records stay 1.1."""
    beat = Beat(schema=BEAT_SCHEMA, host="h", epoch="e", seq=1, digest="0" * 64, at=datetime(2026, 11, 24, tzinfo=UTC))
    data = wire.encode(beat)
    older = msgspec.defstruct(
        "Beat",
        [(field.encode_name, field.type) for field in msgspec.structs.fields(Beat) if field.required]
        + [("leaving", bool, False), ("unsent", int, 0)],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=older)
    monkeypatch.setattr(wire, "BEAT_MINOR", 1)
    monkeypatch.setattr(wire, "_beat", msgspec.json.Decoder(older))
    read = wire.decode_beat(data)
    assert (read.host, read.seq, read.digest) == (beat.host, beat.seq, beat.digest)
    assert SCHEMA == "1.2"


@pytest.mark.parametrize("host", [b'"\xff"', b"[" * 100_000], ids=["not UTF-8", "nested without end"])
def test_a_sender_that_can_not_be_read_is_none(host: bytes) -> None:
    """Never an exception: this is asked of records that failed already."""
    assert wire.envelope_of(b'{"epoch":"e","seq":1,"host":' + host + b"}") is None
