"""Heartbeats, and who sent what can't be read."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.records import SCHEMA, Beat
from support.strategies import counts, digests, tokens


@given(tokens, tokens, counts, digests, st.booleans(), counts)
def test_a_beat_comes_back_as_it_was(host: str, epoch: str, seq: int, digest: str, leaving: bool, unsent: int) -> None:
    """Of a newer minor too."""
    beat = Beat(schema=SCHEMA, host=host, epoch=epoch, seq=seq, digest=digest, leaving=leaving, unsent=unsent)
    assert wire.decode_beat(wire.encode(beat)) == beat
    later = json.loads(wire.encode(beat)) | {"schema": "1.2", "mood": "good"}
    assert wire.decode_beat(json.dumps(later).encode()) == msgspec.structs.replace(beat, schema="1.2")


@pytest.mark.parametrize("host", [b'"\xff"', b"[" * 100_000], ids=["not UTF-8", "nested without end"])
def test_a_sender_that_can_not_be_read_is_none(host: bytes) -> None:
    """Never an exception: this is asked of records that failed already."""
    assert wire.envelope_of(b'{"epoch":"e","seq":1,"host":' + host + b"}") is None
