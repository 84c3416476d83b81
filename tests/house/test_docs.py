"""What the documents show is what the programs take."""

from __future__ import annotations

import re
import time
from typing import Any

from mdevreg.catalog_file import read_catalog_file
from mdevreg.events import TYPES
from mdevreg.places import known_place
from mdevreg.query.schemas import validate
from mdevreg.webhooks import secret_of, signature
from support.tree import ROOT

EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
CATALOG = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")


def test_the_catalog_file_that_is_shown_has_no_fault() -> None:
    """It is what an operator copies."""
    (shown,) = re.findall(r"```toml\n(.*?)```", CATALOG, re.DOTALL)
    (entry,) = read_catalog_file(shown, "shown.toml")
    assert (entry.id, entry.drivers) == ("qat-ours", ("qat_vfio_pci",))


def test_the_receiver_that_is_shown_takes_what_is_signed_and_nothing_else() -> None:
    """It is what somebody copies: run as it is printed."""
    [shown] = [code for code in re.findall(r"```python\n(.*?)```", EVENTS, re.DOTALL) if "def verified" in code]
    names: dict[str, Any] = {}
    exec(shown, names)
    secret, body, now_s = secret_of(bytes(32)), b'{"specversion":"1.0"}', int(time.time())

    def headers(at_s: int) -> dict[str, str]:
        given = {"webhook-id": "1-a", "webhook-timestamp": str(at_s)}
        return {**given, "webhook-signature": f"v2,x {signature(secret, '1-a', at_s, body)}"}

    assert names["verified"](headers(now_s), body, secret)
    assert not names["verified"](headers(now_s), body + b" ", secret)
    assert not names["verified"](headers(now_s), body, secret_of(bytes(31) + b"x"))
    assert not names["verified"](headers(now_s - 3_600), body, secret)


def test_the_event_that_is_shown_is_one() -> None:
    """As its schema says."""
    (shown,) = re.findall(r"```json\n(.*?)```", EVENTS, re.DOTALL)
    validate("event", shown.encode())
    documented = set(re.findall(r"`([a-z]+\.[a-z_]+)`", EVENTS.partition("## Watching")[0]))
    assert set(TYPES) <= documented


def test_the_places_that_are_named_exist() -> None:
    """``from`` finds something there."""
    named = re.findall(r"`((?:pci|attributes|nvml|driver)\.[a-z_/]+)`", CATALOG)
    assert len(named) >= 6
    assert [place for place in named if not known_place(place)] == []
