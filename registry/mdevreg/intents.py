"""What operators intend: campaigns and baselines, as entries of the log that change no verdict (ADR 17). Pure.

Like decisions they are the registry's own entries (no host, epoch ``intent``) and no amendments: nothing is judged
otherwise because of them. What an entry holds is the whole object as it is from then on; the newest of a name stands.
"""

from __future__ import annotations

import msgspec

from mdevreg.baselines import BaselineChange
from mdevreg.campaigns import CampaignChange
from mdevreg.errors import DecodeError
from mdevreg.shapes import Line, Strict, Time

#: What an intent changes.
AnyIntent = CampaignChange | BaselineChange


class Intent(Strict, frozen=True):
    """One entry. ``at``: the registry's clock; ``author``: who asked for it."""

    schema: Line
    at: Time
    author: Line
    change: AnyIntent

    @property
    def kind(self) -> str:
        """``campaign``, ``baseline``: as ``record_log.kind`` has it."""
        return str(self.change.__struct_config__.tag)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Intent)


def encode_intent(intent: Intent) -> bytes:
    """Canonical JSON, as it is logged."""
    return _encoder.encode(intent)


def decode_intent(data: bytes) -> Intent:
    """Read a logged intent. Raises ``DecodeError``."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no intent: {error}", code="INTENT") from error
