"""The monitor on a real netlink socket: the kernel's own uevents, a real overrun, and umockdev's mdevs."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mdevreg.errors import StateError
from mdevreg_agent.hints import Hint, hint_of
from mdevreg_agent.monitor import MAX_EVENTS, Monitor
from support import umockdev, umockdev_scene

MEM = Path("/sys/class/mem/null/uevent")
LONGEST_WAIT_S = 10
PARENT = "/devices/virtual/mtty/mtty"
MDEV = f"{PARENT}/{umockdev_scene.UUID}"


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    monitor = Monitor()
    yield monitor
    monitor.close()


@pytest.fixture
def driver() -> Path:
    """A driver whose uevents the kernel makes on request (needs root)."""
    found = next(
        (path for path in sorted(Path("/sys/bus").glob("*/drivers/*/uevent")) if os.access(path, os.W_OK)), None
    )
    if found is None or not os.access(MEM, os.W_OK):
        pytest.skip("synthetic uevents need root and a writable /sys")
    return found


@contextmanager
def small_buffer(monitor: Monitor) -> Iterator[None]:
    """A receive buffer of a few events, for so long."""
    with socket.socket(fileno=os.dup(monitor.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        yield
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def devpath(uevent: Path) -> str:
    return str(uevent.parent.resolve()).removeprefix("/sys")


def hints_until(monitor: Monitor, device: str) -> list[Hint]:
    """All hints up to the first of that device."""
    hints: list[Hint] = []
    deadline = time.monotonic() + LONGEST_WAIT_S
    while all(hint.device != device for hint in hints):
        assert time.monotonic() < deadline, f"no event of {device}, only {hints}"
        select.select([monitor], [], [], 1)
        hints += monitor.read()
    return hints


def test_the_kernels_own_uevent_arrives_as_a_hint(monitor: Monitor, driver: Path) -> None:
    """Without udevd, straight from the kernel: action, subsystem, DEVPATH and the number that tells the order."""
    driver.write_text("change\n")
    hint = hints_until(monitor, devpath(driver))[-1]
    assert (hint.action, hint.subsystem, hint.device) == ("change", "drivers", devpath(driver))
    assert hint.seqnum is not None
    assert not hint.overrun


def test_events_of_other_subsystems_are_no_hints(monitor: Monitor, driver: Path) -> None:
    """The kernel source has no filter of its own: what no record depends on is dropped here."""
    MEM.write_text("change\n")
    driver.write_text("change\n")
    assert "mem" not in {hint.subsystem for hint in hints_until(monitor, devpath(driver))}


def test_reading_never_blocks_and_is_bounded(monitor: Monitor, driver: Path) -> None:
    """A storm can't keep the caller's loop: one read takes at most 256 events, the rest waits for the next."""
    for _ in range(MAX_EVENTS + 50):
        driver.write_text("change\n")
    reads = [monitor.read()]
    while sum(hint.device == devpath(driver) for hints in reads for hint in hints) < MAX_EVENTS + 50:
        assert reads[-1], "the events ended early"
        reads.append(monitor.read())
    assert len(reads) >= 2
    assert max(map(len, reads)) <= MAX_EVENTS


def test_an_overrun_is_told_once_and_later_events_still_arrive(monitor: Monitor, driver: Path) -> None:
    """ENOBUFS makes poll fail for ever until the error is taken off the socket; then the monitor goes on."""
    with small_buffer(monitor):
        for _ in range(500):
            MEM.write_text("change\n")
    assert [hint for hint in monitor.read() if hint.overrun] == [
        Hint(action=None, subsystem=None, device=None, seqnum=None, overrun=True)
    ]
    monitor.read()
    driver.write_text("change\n")
    assert not any(hint.overrun for hint in hints_until(monitor, devpath(driver)))


def test_overruns_in_a_row_are_all_survived(monitor: Monitor, driver: Path) -> None:
    """Each burst that is too big for the buffer gives one overrun, however often it comes."""
    for _ in range(3):
        with small_buffer(monitor):
            for _ in range(200):
                MEM.write_text("change\n")
        assert sum(hint.overrun for hint in monitor.read()) == 1
        monitor.read()


def test_the_receive_buffer_is_never_lowered() -> None:
    """libudev asks for 128 MiB itself; a smaller wish must not shrink that."""
    plain, wished = Monitor(), Monitor(receive_buffer_bytes=65_536)
    try:
        assert wished.receive_buffer_bytes == plain.receive_buffer_bytes
    finally:
        plain.close()
        wished.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a larger receive buffer than rmem_max needs root")
def test_the_receive_buffer_is_raised_on_request(monitor: Monitor) -> None:
    """What there is now is told in ``receive_buffer_bytes``."""
    size = monitor.receive_buffer_bytes + 1_048_576
    raised = Monitor(receive_buffer_bytes=size)
    try:
        assert raised.receive_buffer_bytes >= size
    finally:
        raised.close()


def test_the_udev_source_without_udevd_is_refused(tmp_path: Path) -> None:
    """It would be silent for ever; the way out is in the message."""
    with pytest.raises(StateError, match="--source kernel"):
        Monitor(source="udev", udev_control=tmp_path / "control")


def test_the_udev_source_listens_where_udevd_runs(tmp_path: Path) -> None:
    """Its control socket is how one knows."""
    (tmp_path / "control").touch()
    monitor = Monitor(source="udev", udev_control=tmp_path / "control")
    assert monitor.read() == []
    monitor.close()


def test_closing_gives_the_sockets_back_and_is_safe_twice() -> None:
    """An agent that starts and stops many times leaks nothing."""
    before = open_files()
    for _ in range(5):
        monitor = Monitor()
        monitor.close()
        monitor.close()
    assert open_files() == before


def test_an_mdevs_life_gives_its_hints_in_order() -> None:
    """A real libudev under umockdev: registered, add, bind, change, unbind, remove, unregistered; nothing else."""
    reason = umockdev.missing()
    if reason:
        pytest.skip(reason)
    done = subprocess.run(
        ["umockdev-wrapper", sys.executable, umockdev_scene.__file__],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hints = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(hint["action"], hint["subsystem"], hint["device"], hint["driver"]) for hint in hints] == [
        ("change", "mtty", PARENT, None),
        ("add", "mdev", MDEV, None),
        ("bind", "mdev", MDEV, "mtty"),
        ("change", "mdev", MDEV, None),
        ("unbind", "mdev", MDEV, None),
        ("remove", "mdev", MDEV, None),
        ("change", "mtty", PARENT, None),
    ]
    assert [hint["seqnum"] for hint in hints] == sorted(hint["seqnum"] for hint in hints)


@pytest.mark.parametrize(
    ("subsystem", "action", "wanted"),
    [
        ("pci", "change", True),
        ("pci", "bind", True),
        ("pci", "unbind", True),
        ("pci", "add", False),
        ("pci", "remove", False),
        ("mdev", "anything", True),
        ("vfio-dev", "add", True),
        ("module", "add", True),
        ("drivers", "remove", True),
        ("ap", "change", True),
        ("css", "bind", True),
        ("matrix", "bind", True),
        ("vfio", "add", False),
        ("net", "add", False),
        ("mtty", "change", False),
    ],
)
def test_only_events_that_a_record_can_depend_on_are_hints(subsystem: str, action: str, wanted: bool) -> None:
    """And every event that carries MDEV_STATE, whatever its subsystem."""
    event = {"ACTION": action, "SUBSYSTEM": subsystem, "DEVPATH": "/devices/x", "SEQNUM": "7"}
    assert (hint_of(event) is not None) is wanted
    assert hint_of({**event, "MDEV_STATE": "registered"}) is not None


def test_a_hint_is_printable_and_bounded_whatever_the_event_says() -> None:
    """Its parts become the cause of a record."""
    event = {"ACTION": "a\x1bb", "SUBSYSTEM": "mdev", "DEVPATH": "/" + "x" * 5_000, "SEQNUM": "9" * 30, "DRIVER": ""}
    hint = hint_of(event)
    assert hint is not None
    assert (hint.action, hint.seqnum, hint.driver) == (r"a\x1bb", None, None)
    assert len(hint.device or "") == 1_024
