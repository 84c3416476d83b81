"""The shipped catalog: what each driver's builds save and load, one TOML file per driver beside this module.

The files are data of this release; reading them is the only IO here. Their format: ``mdevreg.catalog_file``.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from mdevreg.catalog import Entry
from mdevreg.catalog_file import read_catalog_file


@cache
def shipped_entries() -> tuple[Entry, ...]:
    """All shipped entries, by file name, then in the file's order; read once."""
    found = sorted((each for each in files(__name__).iterdir() if each.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(entry for file in found for entry in read_catalog_file(file.read_text(encoding="utf-8"), file.name))
