"""A measurement in a process of its own: memory and start-up of one thing, unhidden by another's.

Run as a program: ``apart.py MODULE FUNCTION ARGUMENTS``, arguments and result as JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

HERE = Path(__file__).resolve().parent
T = TypeVar("T")
#: What filling a cache with 400,000 keys takes on a slow machine, several times over.
TIMEOUT_S = 300.0


def apart(module: str, function: str, *arguments: Any) -> Any:
    """The result of a function of this folder, called in a new process, which Linux ends with this one."""
    sys.path[:0] = [str(HERE.parent)] if str(HERE.parent) not in sys.path else []
    from support.processes import dies_with_parent

    command = [*dies_with_parent("KILL"), sys.executable, __file__, module, function, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{module}.{function}{arguments} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def rss_of(make: Callable[[], T]) -> tuple[T, float]:
    """What ``make`` makes, and by how many MiB it made this process grow."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    made = make()
    gc.collect()
    return made, (process.memory_info().rss - before) / 2**20


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    called = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
    print(json.dumps(called(*json.loads(sys.argv[3]))))
