"""Who is at the keyboard, for rules that name nobody."""

from __future__ import annotations

import os
import pwd


def author() -> str:
    """``user@host``: the effective user's name, else number."""
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return f"{name}@{os.uname().nodename}"
