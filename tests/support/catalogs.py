"""Catalog entries and files for the tests, and a driver build that says nothing itself."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from msgspec import structs

from mdevreg.catalog import BuildKey, Entry
from mdevreg.records import DriverBuild, Parent
from support.hosts import mtty

#: The build of ``silent``.
SILENT = DriverBuild(name="mtty", module="mtty", kernel_release="6.12.117+made", version="0.1", srcversion="51LE47")


def silent(*, devices: tuple[int, ...] = ()) -> Parent:
    """mtty of a build that states no stream version: what it saves is what somebody says of it."""
    return structs.replace(mtty(version=None, minimum=None, devices=devices), driver=SILENT)


def entry(name: str = "site-1", *, saves: str = "1.0", loads: str | None = None, about: str | None = None) -> Entry:
    """What is said of that build: it loads what it saves, unless ``loads`` says otherwise."""
    return Entry(
        id=name,
        drivers=("mtty",),
        builds=(BuildKey(srcversion=SILENT.srcversion),),
        source="read on the test bench",
        date=date(2026, 11, 24),
        confidence="measured",
        format="mtty",
        scheme="dotted",
        saves=saves,
        loads=loads or saves,
        about=about,
    )


def file_of(*names: str, saves: str = "1.0") -> str:
    """A catalog file of such entries, as a person writes it."""
    entries = (
        f'[[entry]]\nid = "{name}"\nsource = "read on the test bench"\ndate = 2026-11-24\nconfidence = "measured"\n'
        f'builds = [{{ srcversion = "{SILENT.srcversion}" }}]\nformat = "mtty"\nscheme = "dotted"\n'
        f'saves = "{saves}"\nloads = "{saves}"\n'
        for name in names
    )
    return "\n".join(['drivers = ["mtty"]\n', *entries])


def folder_of(place: Path, **files: str) -> Path:
    """A folder of catalog files, by stem."""
    place.mkdir(exist_ok=True)
    for stem, text in files.items():
        (place / f"{stem}.toml").write_text(text, encoding="utf-8")
    return place
