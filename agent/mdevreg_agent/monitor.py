"""One netlink monitor of uevents, for the caller's own poll loop. Reads nothing but the socket.

Not pyudev's MonitorObserver: its thread dies on an overrun. And not ``filter_by``: parents are of any
subsystem (mtty's is "mtty"), so what matters is decided here, by ``hint_of``.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Literal

import pyudev

from mdevreg.errors import StateError
from mdevreg_agent.hints import OVERRUN, Hint, hint_of

#: Events taken per ``read``, so that a storm does not keep the loop from its other work.
MAX_EVENTS = 256


class Monitor:
    """Hints from the kernel (default) or from udevd, which answers later, reorders, and must be running.

    Poll ``fileno()`` for reading (level-triggered), then ``read()``. Belongs to the thread that made it.
    """

    def __init__(
        self,
        *,
        source: Literal["kernel", "udev"] = "kernel",
        receive_buffer_bytes: int | None = None,
        udev_control: Path = Path("/run/udev/control"),
    ) -> None:
        """Start listening. Raises ``StateError``: no udevd for ``source="udev"``, or no netlink socket to be had."""
        if source == "udev" and not udev_control.exists():
            raise StateError(
                f"source udev was asked for, but udevd is not running here ({udev_control} is missing), "
                "so that no event would ever arrive; use --source kernel"
            )
        self._monitor = _started(source)
        self._socket = socket.socket(fileno=os.dup(self._monitor.fileno()))
        if receive_buffer_bytes is not None and receive_buffer_bytes > self.receive_buffer_bytes:
            self._enlarge(receive_buffer_bytes)

    @property
    def receive_buffer_bytes(self) -> int:
        """The socket's receive buffer as the kernel has it; an event takes about 830 bytes of it."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def fileno(self) -> int:
        """The socket to poll for reading."""
        return self._monitor.fileno()

    def read(self) -> list[Hint]:
        """What is readable now, at most 256 events of it; never blocks.

        After lost events the list holds one hint with ``overrun`` set. Raises ``StateError`` if the socket broke.
        """
        hints: list[Hint] = []
        for _ in range(MAX_EVENTS):
            try:
                device = self._monitor.poll(0)
            except OSError as error:
                self._clear(error)
                hints += [] if OVERRUN in hints else [OVERRUN]
                continue
            if device is None:
                break
            hint = hint_of(dict(device.properties))  # before anything else: Device.driver would add to them
            hints += [] if hint is None else [hint]
        return hints

    def close(self) -> None:
        """Stop listening; a second time does nothing."""
        self._socket.close()
        vars(self).pop("_monitor", None)  # libudev closes its socket with the last reference

    def _clear(self, error: OSError) -> None:
        """Take the pending error off the socket: poll fails on it for ever, readable events or not."""
        pending = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or error.errno
        if pending != errno.ENOBUFS:
            name = errno.errorcode.get(pending or 0, str(error))
            raise StateError(f"the uevent socket broke: {name}; open a new monitor") from error

    def _enlarge(self, size_bytes: int) -> None:
        try:
            self._monitor.set_receive_buffer_size(size_bytes)
        except PermissionError:
            return  # needs CAP_NET_ADMIN; ``receive_buffer_bytes`` tells what there is


def _started(source: Literal["kernel", "udev"]) -> pyudev.Monitor:
    try:
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
        monitor.start()
    except (OSError, ImportError) as error:
        raise StateError(
            f"can't listen to uevents ({source}): {error}; libudev and a netlink socket are needed"
        ) from error
    return monitor
