"""Plug-ins from packages: entry points of the agent's own environment, asked in a process of their own."""

from __future__ import annotations

import json
import site
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from mdevreg_agent.plugin_host import GROUP
from support.host_root import HostRoot
from support.plugin_folder import PluginFolder
from support.processes import isolated_environment

CODE = """
import os, sys, time

def states(question):
    print("said aloud")
    name = question["parent"]["types"][0]["id"]
    return {"types": {name: {"format": f"{question['schema']} in {os.getppid()}"}}}

def quiet(question): return None
def crashes(question): os.abort()
def raises(question): raise LookupError("no such card")
def hangs(question): time.sleep(600)
def leaves(question): sys.exit(4)
def nonsense(question): return {"verdict": object()}
"""
NAMES = ("states", "quiet", "crashes", "raises", "hangs", "leaves", "nonsense")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with this project and a package of plug-ins; its Python."""
    folder = tmp_path / "venv"
    venv.create(folder, symlinks=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    ours = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    (packages / "vendor_plugins.py").write_text(CODE)
    metadata = packages / "vendor_plugins-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor-plugins\nVersion: 1.0\n")
    points = "".join(f"{name} = vendor_plugins:{name}\n" for name in NAMES)
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{points}missing = vendor_plugins:missing\n")
    return folder / "bin" / "python"


def scanned(python: Path, home: Path, root: Path, *flags: str | Path) -> dict[str, Any]:
    """The one parent, as ``mdevreg-agent scan`` of that environment shows it."""
    command = [python, "-m", "mdevreg_agent", "scan", "--root", root, "--plugin-timeout-s", "2", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=isolated_environment(home))
    (parent,) = json.loads(done.stdout)["parents"]
    return dict(parent)


def test_a_package_brings_plugins_and_none_hurts_the_agent(environment: Path, home: Path, host_root: HostRoot) -> None:
    """MUST: installed is asked; what crashes, hangs or talks nonsense is a fault of its own."""
    parent = scanned(environment, home, host_root.root, "--plugins", home)
    assert parent["answers"].keys() == {"states"}
    said = parent["answers"]["states"]["types"]["mtty-1"]["format"]
    assert said.startswith("1.0 in ")
    faults = {fault["path"]: fault["error"] for fault in parent["faults"]}
    assert faults.keys() == {
        f"plugins/{name}" for name in ("crashes", "raises", "hangs", "leaves", "nonsense", "missing")
    }
    assert faults["plugins/crashes"].startswith("killed by SIGABRT")
    assert faults["plugins/raises"] == "exit code 1: LookupError: no such card"
    assert faults["plugins/hangs"] == "no answer within 2 s; killed"
    assert faults["plugins/leaves"] == "exit code 4"
    assert "not JSON serializable" in faults["plugins/nonsense"]
    assert "missing" in faults["plugins/missing"]


def test_of_two_with_one_name_the_executable_is_asked(
    environment: Path, home: Path, host_root: HostRoot, tmp_path: Path
) -> None:
    """MUST: the operator's folder wins, and the doubt is visible."""
    PluginFolder(tmp_path / "plugins.d").says("states", '{"all": {"format": "mine"}}')
    parent = scanned(environment, home, host_root.root, "--plugins", tmp_path / "plugins.d")
    assert parent["answers"] == {"states": {"all": {"format": "mine"}}}
    (fault,) = [fault for fault in parent["faults"] if fault["path"] == "plugins/states"]
    assert fault["error"].endswith("and among the entry points; the executable is asked")
