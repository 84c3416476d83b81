"""What the ledger did: a batch that was applied, an amendment that was written."""

from __future__ import annotations

import msgspec

from mdevreg.knowledge import Amendment
from mdevreg.wire import Decoded
from mdevreg_server.publication import Publication


class Applied(msgspec.Struct, frozen=True):
    """What a batch did. ``publications`` are in log order."""

    publications: tuple[Publication, ...]
    records: tuple[Decoded, ...]
    position: int
    duplicates: int
    quarantined: int


class Amended(msgspec.Struct, frozen=True):
    """An amendment that was written to the log, at its position."""

    position: int
    amendment: Amendment
