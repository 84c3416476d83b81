"""Which column of a log row was changed: most of them say again what the body says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from mdevreg import wire
from mdevreg.audit.leaves import Columns, hash_of
from mdevreg.errors import DecodeError
from mdevreg.knowledge import decode_amendment
from mdevreg.times import micros

#: So many columns changed at once are still told by name.
AT_ONCE = 2
#: What no body tells: the registry's own times; and what it looks like if the body itself was exchanged.
UNTOLD = "received_at_us or committed_at_us, or body and sha256"


def column_of(row: Any, leaf: bytes | None) -> str | None:
    """The column, or columns, whose change explains a row's leaf; ``None``: it can't be told. ``leaf``: the tree's."""
    if leaf is None or not row[9] or not isinstance(row[9], bytes):
        return None
    found, told = Columns(*row[:9]), _told(row)
    differing = [name for name, value in told.items() if value != getattr(found, name)]
    for count in range(1, min(AT_ONCE, len(differing)) + 1):
        for names in combinations(differing, count):
            if hash_of(found._replace(**{name: told[name] for name in names})) == leaf:
                return ", ".join(names)
    return UNTOLD if told and not differing else None


def _told(row: Any) -> dict[str, Any]:
    """What the body says of its row; nothing if it can't be read."""
    for attempt in (_record, _amendment):
        try:
            return {"sha256": hashlib.sha256(row[9]).hexdigest(), **dict(attempt(row[9]))}
        except DecodeError:
            continue
    return {}


def _record(body: bytes) -> Iterator[tuple[str, Any]]:
    record = wire.decode(body).record
    yield from (("host", record.host), ("epoch", record.epoch), ("seq", record.seq))
    yield "kind", str(record.body.__struct_config__.tag)
    yield "observed_at_us", micros(record.observed_at)


def _amendment(body: bytes) -> Iterator[tuple[str, Any]]:
    amendment = decode_amendment(body)
    yield from (("host", ""), ("epoch", ""), ("kind", str(amendment.change.__struct_config__.tag)))
    for name in ("observed_at_us", "received_at_us", "committed_at_us"):
        yield name, micros(amendment.at)
