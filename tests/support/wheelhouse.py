"""The wheels that clean environments are installed from, fetched once, so that the tests need no network.

``make test`` runs this file when it sets up the environment; the packaging tests call ``ready``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
#: Inside the environment, so that it goes when that goes.
FOLDER = Path(sys.prefix) / "wheelhouse"


def third_parties() -> list[str]:
    """What the project requires from others, with all extras that people install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = (found for extra in ("up", "nvidia") for found in _closure(extra, project["name"], extras))
    return sorted({*project["dependencies"], *wanted})


def ready() -> Path:
    """The folder of wheels, complete for the requirements of today.

    Raises:
        subprocess.CalledProcessError: a wheel is missing and no package index answers.
    """
    required = third_parties()
    stamp = FOLDER / hashlib.sha256("\n".join(required).encode()).hexdigest()[:16]
    if not stamp.exists():
        # Not ``pip download``: nkeys is published as source only, and the tests install without building.
        command = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check"]
        subprocess.run([*command, "--wheel-dir", FOLDER, *required], check=True)
        stamp.touch()
    return FOLDER


def _closure(extra: str, name: str, extras: dict[str, list[str]]) -> list[str]:
    found: list[str] = []
    for text in extras[extra]:
        requirement = Requirement(text)
        if requirement.name != name:
            found.append(text)
        for inner in requirement.extras if requirement.name == name else ():
            found += _closure(inner, name, extras)
    return found


if __name__ == "__main__":
    ready()
