"""One run of one plug-in: a document in, bytes out, within limits; then its whole process group is gone.

Rules of this file:

1. The child gets three file descriptors, three variables, ``/`` as its folder and a session of its own: nothing of
   the agent's environment, no open file of the agent's.
2. Whatever happens, the group is killed before its leader is reaped, while its number can't be another's yet. A
   process that made a session of its own escapes that; the systemd unit's cgroup holds it.
3. Nothing is read without bound.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import msgspec

from mdevreg.errors import StateError
from mdevreg_agent.plugin_user import PluginUser

#: The input document's and the answer's schema.
PLUGIN_SCHEMA = "1.0"
#: Most bytes of an answer.
MAX_OUTPUT_BYTES = 256 * 1024
#: So much of the end of stderr is kept: its last line is quoted.
_STDERR_BYTES = 4_096
_ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "MDEVREG_PLUGIN_SCHEMA": PLUGIN_SCHEMA,
}
_STEP_S = 0.01
_PIECE_BYTES = 1 << 16
_REAP_S = 1.0


class Ran(msgspec.Struct, frozen=True):
    """What came of a run: its output, or what went wrong (``wrong``) and the output so far."""

    output: bytes = b""
    wrong: str | None = None


class Runs:
    """Runs plug-ins as ``user`` (``None``: as the agent), each at most ``timeout_s`` long.

    ``clock`` is in seconds and only ever goes forward; once ``stopped()`` is true, ``run`` raises ``StateError``.
    """

    def __init__(
        self, *, timeout_s: float, user: PluginUser | None, clock: Callable[[], float], stopped: Callable[[], bool]
    ) -> None:
        self.timeout_s = timeout_s
        self._user, self._clock, self._stopped = user, clock, stopped

    def run(self, command: tuple[str, ...], document: bytes) -> Ran:
        """Run to the end, or kill. Raises ``StateError`` only when stopped."""
        try:
            with _in_memory(document) as question:
                process = _started(command, question, self._user)
        except OSError as error:
            return Ran(wrong=f"can't be run: {errno.errorcode.get(error.errno or 0, error)}")
        return self._watched(process)

    def _watched(self, process: subprocess.Popen[bytes]) -> Ran:
        streams = _Streams(process)
        try:
            wrong = self._wait(process, streams)
        finally:
            reaped = _ended(process)
            streams.close()
        if not reaped:
            wrong = f"{wrong or 'done'}; it can't be killed"
        return Ran(output=bytes(streams.output), wrong=wrong or _exit_wrong(process.returncode, streams.last_words))

    def _wait(self, process: subprocess.Popen[bytes], streams: _Streams) -> str | None:
        """Until the leader has ended and both streams with it; else what is wrong."""
        deadline = self._clock() + self.timeout_s
        while True:
            exited = _has_exited(process)
            if exited:
                _kill_group(process)  # what it left behind must not hold the streams open
            streams.take(_STEP_S)
            if len(streams.output) > MAX_OUTPUT_BYTES:
                return f"more than {MAX_OUTPUT_BYTES} bytes of output; killed"
            if exited and not streams.open:
                return None
            if self._stopped():
                raise StateError("the agent is stopping; this look is given up", code="STOPPING")
            if self._clock() >= deadline:
                return f"no answer within {self.timeout_s:g} s; killed"


class _Streams:
    """stdout, whole; of stderr the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.output, self._errors = bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        self._files = (process.stdout, process.stderr)
        self._selector.register(process.stdout, selectors.EVENT_READ, self.output)
        self._selector.register(process.stderr, selectors.EVENT_READ, self._errors)

    @property
    def open(self) -> bool:
        return bool(self._selector.get_map())

    @property
    def last_words(self) -> str:
        """The last line of stderr that says anything."""
        lines = [line.strip() for line in self._errors.decode("utf-8", "backslashreplace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def take(self, timeout_s: float) -> None:
        """Read what is there, or wait for it that long."""
        for key, _ in self._selector.select(timeout_s):
            piece = os.read(key.fd, _PIECE_BYTES)
            key.data.extend(piece)
            if not piece:
                self._selector.unregister(key.fileobj)
        del self._errors[:-_STDERR_BYTES]

    def close(self) -> None:
        self._selector.close()
        for file in self._files:
            file.close()


def _in_memory(document: bytes) -> IO[bytes]:
    """A file that ends: neither a full pipe nor a plug-in that reads nothing holds us up."""
    file = os.fdopen(os.memfd_create("mdevreg-plugin-question"), "w+b")
    file.write(document)
    file.seek(0)
    return file


def _started(command: tuple[str, ...], question: IO[bytes], user: PluginUser | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=question,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_ENVIRON,
        close_fds=True,
        start_new_session=True,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )


def _has_exited(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the latter: all that is left became another user
        os.killpg(process.pid, signal.SIGKILL)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Kill the group and reap its leader; false for one that the kernel can't end now (disk sleep)."""
    _kill_group(process)
    try:
        process.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _exit_wrong(code: int | None, last_words: str) -> str | None:
    if not code:
        return None
    how = f"exit code {code}" if code > 0 else f"killed by {_signal_name(-code)}"
    return f"{how}: {last_words}" if last_words else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
