"""Who a plug-in runs as, and what it must not inherit or read of the agent: capabilities and memory.

Linux: capabilities(7), prctl(2). No root is needed, but for a user other than the agent's own.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from pathlib import Path

import msgspec

from mdevreg.errors import StateError, UsageError

_PR_SET_DUMPABLE = 4
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
#: linux/capability.h. To become the user, to leave all groups, and to kill what runs as it.
_NEEDED = {"CAP_SETUID": 7, "CAP_SETGID": 6, "CAP_KILL": 5}


class PluginUser(msgspec.Struct, frozen=True):
    """The user that plug-ins run as, without further groups."""

    uid: int
    gid: int


def user_of(name: str | None, *, status: Path = Path("/proc/self/status")) -> PluginUser | None:
    """The user of that name, ready to be taken; ``None`` without a name: plug-ins run as the agent.

    The agent's ambient capabilities are given up, because an exec would hand them on. Raises ``UsageError`` if
    there is no such user, or if it would keep plug-ins from nothing; ``StateError`` if the agent can't become it.
    """
    if name is None:
        return None
    user = _looked_up(name)
    if user.uid in (0, os.geteuid()):
        whose = "root" if user.uid == 0 else "the agent's own user"
        raise UsageError(f"plugin_user: {name} is {whose}; a user that may read nothing of the agent's was expected")
    lacking = _lacking(status)
    if lacking:
        raise StateError(
            f"plugin_user: the agent lacks {', '.join(lacking)} to run plug-ins as {name}; give it "
            "AmbientCapabilities= (docs/operations.md, Plug-ins), or leave plugin_user out",
            code="PLUGIN_USER",
        )
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    return user


def hide_memory() -> None:
    """Keep processes of the same user from this one's memory, environment and open files in /proc."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _looked_up(name: str) -> PluginUser:
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise UsageError(f"plugin_user: this host has no user {name!r}") from error
    return PluginUser(uid=entry.pw_uid, gid=entry.pw_gid)


def _lacking(status: Path) -> list[str]:
    lines = status.read_text(encoding="utf-8").splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return [name for name, bit in _NEEDED.items() if not effective >> bit & 1]


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *(ctypes.c_ulong(each) for each in (value, 0, 0, 0))) != 0:
        error = os.strerror(ctypes.get_errno())
        raise StateError(f"prctl({option}, {value}) failed: {error}; plug-ins can't be kept from the agent's secrets")
