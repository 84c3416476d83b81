"""Catalog entries as a TOML file that ``mdevreg.catalog_file`` reads back to equal entries. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import tomli_w

from mdevreg.catalog import Entry

#: What a reader wants to see first; the rest follows in the order of the struct.
_FIRST = ("id", "drivers", "source", "date", "confidence", "about", "builds", "types", "migratable", "format")


def toml_of(entries: Sequence[Entry], head: str = "") -> str:
    """A catalog file of these entries. Drivers that all have in common are stated once; ``head``: a comment."""
    tables = [_table(entry) for entry in entries]
    document: dict[str, Any] = {}
    if tables and all(each["drivers"] == tables[0]["drivers"] for each in tables):
        document["drivers"] = tables[0]["drivers"]
        for each in tables:
            del each["drivers"]
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + tomli_w.dumps(document | {"entry": tables})


def _table(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry, builtin_types=(date,))
    return {name: fields[name] for name in (*_FIRST, *fields) if name in fields}
