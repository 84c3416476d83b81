"""What every file of the tree owes the house."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.tree import ROOT, SOURCES, files, name, python_files

#: Paths of somebody's machine, and addresses of package registries and their mirrors. Written in pieces, so that
#: this file does not hold them.
MACHINE_PATHS = re.compile(rb"/(?:" + rb"|".join([rb"wor" + rb"k", rb"roo" + rb"t"]) + rb")/")
REGISTRIES = re.compile(
    rb"(?:pyp" + rb"i\.org|pythonho" + rb"sted\.org|deb\.deb" + rb"ian\.org|registry\.npm" + rb"js)"
)
LOCK_FILES = {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "pdm.lock"}
MAX_LINES = 300


def test_no_file_names_a_machine_or_a_registry() -> None:
    """The tree stands alone: it works in any folder and with any mirror."""
    found = [
        f"{name(path)}: {match.group().decode()}"
        for path in files()
        for pattern in (MACHINE_PATHS, REGISTRIES)
        for match in [pattern.search(path.read_bytes())]
        if match
    ]
    assert found == []


def test_no_lock_file_is_kept() -> None:
    """Lock files hold registry addresses."""
    assert [name(path) for path in files() if path.name in LOCK_FILES] == []


@pytest.mark.parametrize("path", python_files(), ids=name)
def test_a_python_file_says_what_it_is(path: Path) -> None:
    """Every module has a docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{name(path)} has no module docstring"


@pytest.mark.parametrize("path", python_files(*SOURCES), ids=name)
def test_a_room_is_small(path: Path) -> None:
    """A file of shipped code has at most 300 lines."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines; make two rooms of it"


def test_every_module_sits_in_a_package() -> None:
    """A folder of shipped code without ``__init__.py`` would be left out of type checks and contracts."""
    packages = [ROOT / "agent" / "mdevreg_agent", ROOT / "registry" / "mdevreg", ROOT / "registry" / "mdevreg_server"]
    folders = {path.parent for path in python_files() if any(path.is_relative_to(package) for package in packages)}
    assert [name(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
    assert [name(package) for package in packages if not (package / "py.typed").is_file()] == []
