"""The files of this checkout, as the tests of the house see them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where code of ours that is shipped lives.
SOURCES = ("agent", "registry", "migrations")
#: What a tree without git (an unpacked archive) has that is no file of ours.
NOT_OURS = {
    ".git",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "__pycache__",
    "dist",
    "build",
}


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed; without git, every file but caches and environments."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and (ROOT / ".git").exists():
        names = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        names = [path for path in ROOT.rglob("*") if not NOT_OURS.intersection(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in names if path.is_file()))


def python_files(*folders: str) -> list[Path]:
    """The Python files, or those under the given top folders."""
    python = [path for path in files() if path.suffix == ".py"]
    return [path for path in python if not folders or path.relative_to(ROOT).parts[0] in folders]


def name(path: Path) -> str:
    """A path as it is written in messages and test ids."""
    return path.relative_to(ROOT).as_posix()


def modules(package: str) -> list[str]:
    """The dotted names of every module of one of our packages, without running any."""
    (folder,) = [ROOT / role / package for role in SOURCES if (ROOT / role / package).is_dir()]
    inside = [path for path in python_files() if path.is_relative_to(folder)]
    dotted = [".".join(path.relative_to(folder.parent).with_suffix("").parts) for path in inside]
    return [module.removesuffix(".__init__") for module in dotted]
