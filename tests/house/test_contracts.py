"""The import contracts of pyproject.toml: that they forget no room, and what imports alone can't say."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.tree import ROOT, modules, name, python_files

LINTER: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
#: The rooms of the language that are allowed to do IO, or to be run; the catalog's files are read by two.
DOORS = {
    "mdevreg.catalog_folder",
    "mdevreg.cli",
    "mdevreg.export",
    "mdevreg.query",
    "mdevreg.shipped",
    "mdevreg.__main__",
}
#: What reads a clock; ``datetime`` itself can't be forbidden by import.
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}


def _contract(start: str) -> dict[str, Any]:
    (found,) = [contract for contract in LINTER["contracts"] if contract["name"].startswith(start)]
    return dict(found)


PURE: list[str] = _contract("the language does no IO")["source_modules"]


def _files(module: str) -> list[Path]:
    """The file of a room, or those of a package."""
    package = module.partition(".")[0]
    role = "agent" if package == "mdevreg_agent" else "registry"
    place = ROOT / role / Path(*module.split("."))
    found = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert found
    return found


def _nodes(module: str) -> Iterator[ast.AST]:
    for file in _files(module):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def test_every_room_of_the_language_is_under_the_rule() -> None:
    """A new top module of ``mdevreg`` is pure, or it is a door."""
    top = {module for module in modules("mdevreg") if module.count(".") == 1}
    assert top - DOORS - set(PURE) == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_room_reads_no_clock(module: str) -> None:
    """Whoever needs the time is given it: no ``datetime.now()`` and the like."""
    calls = [
        node.lineno
        for node in _nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
        if isinstance(node.func.value, ast.Name) and node.func.value.id in {"datetime", "date", "time", "dt"}
    ]
    assert calls == []


@pytest.mark.parametrize("module", PURE)
def test_a_pure_room_opens_no_file(module: str) -> None:
    """``open`` and ``print`` need no import, so that no import contract sees them."""
    calls = [
        node.lineno
        for node in _nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert calls == []


def test_a_migration_imports_nothing_of_ours() -> None:
    """A revision is frozen: it must not change when our tables do."""
    found = [
        f"{name(path)} imports {imported}"
        for path in python_files("migrations")
        if path.parent.name == "versions"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for imported in _imported(node)
        if imported.startswith("mdevreg")
    ]
    assert found == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
