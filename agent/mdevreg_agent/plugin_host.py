"""``python -m mdevreg_agent.plugin_host NAME``: one Python plug-in, asked once, in a process of its own.

The same JSON in and out as an executable's, and the same limits. What the plug-in prints goes to stderr: stdout
is for its answer alone. An exception ends the process with its traceback; the last line of that is the fault.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import entry_points

#: Entry points of this group are plug-ins.
GROUP = "mdevreg.plugins"


def main(name: str) -> None:
    """Answer the question on stdin by calling the entry point ``name``; exits 1 if there is none."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    found = [entry_point for entry_point in entry_points(group=GROUP) if entry_point.name == name]
    if not found:
        raise SystemExit(f"no entry point {name} in {GROUP} of {sys.executable}")
    answer = found[0].load()(question)
    with answers:
        json.dump({} if answer is None else answer, answers)


if __name__ == "__main__":
    main(sys.argv[1])
