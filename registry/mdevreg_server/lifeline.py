"""Child processes that end with their parent, however that ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# Runs in the child before it becomes the program: PR_SET_PDEATHSIG = 1 (prctl(2)), SIGTERM = 15. Not a
# ``preexec_fn``, which may deadlock in a process with threads; the parent may be gone before prctl takes effect.
_DIE_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15);"
    "os.getppid() == int(sys.argv[1]) or sys.exit(); os.execv(sys.argv[2], sys.argv[2:])"
)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The command line under which Linux sends a program SIGTERM when the *thread* that starts it ends."""
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
