"""What the documents show is what the programs take."""

from __future__ import annotations

import re

from mdevreg.catalog_file import read_catalog_file
from mdevreg.places import known_place
from support.tree import ROOT

CATALOG = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")


def test_the_catalog_file_that_is_shown_has_no_fault() -> None:
    """It is what an operator copies."""
    (shown,) = re.findall(r"```toml\n(.*?)```", CATALOG, re.DOTALL)
    (entry,) = read_catalog_file(shown, "shown.toml")
    assert (entry.id, entry.drivers) == ("qat-ours", ("qat_vfio_pci",))


def test_the_places_that_are_named_exist() -> None:
    """``from`` finds something there."""
    named = re.findall(r"`((?:pci|attributes|nvml|driver)\.[a-z_/]+)`", CATALOG)
    assert len(named) >= 6
    assert [place for place in named if not known_place(place)] == []
