"""Recorded and hand-made hosts, read by the real reader: the complete picture, and the hints of recorded events."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mdevreg_agent.hints import hint_of
from support.looking import look
from support.sysfs_tree import HOSTS, build

TREES = sorted(tree for tree in HOSTS.glob("*/*.tree") if tree.stem != "host")
EVENTS = sorted(HOSTS.glob("*/*.events.json"))


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name.partition('.')[0]}" if path.name.endswith(".json") else path.stem


@pytest.mark.parametrize("tree", TREES, ids=_name)
def test_a_host_gives_exactly_its_picture(tree: Path, tmp_path: Path) -> None:
    """The expected picture is written out whole; a second look at the same state gives identical bytes."""
    root = build(tmp_path, tree.with_name("host.tree"), tree)
    picture = look(root)
    expected = tree.with_name(f"{tree.stem}.expected.json")
    assert json.loads(msgspec.json.encode(picture)) == json.loads(expected.read_bytes())
    assert msgspec.json.encode(look(root)) == msgspec.json.encode(picture)


@pytest.mark.parametrize("events", EVENTS, ids=_name)
def test_recorded_events_give_exactly_their_hints(events: Path) -> None:
    """One line per kernel uevent, in order: what an agent keeps of it, or ``-`` where no record can depend on it."""
    hints = [hint_of(properties) for properties in json.loads(events.read_bytes())]
    lines = [
        "-"
        if hint is None
        else f"{hint.seqnum} {hint.action} {hint.subsystem} {hint.device} {hint.driver or ''}".rstrip()
        for hint in hints
    ]
    assert lines == events.with_name(events.name.replace(".events.json", ".hints.txt")).read_text().splitlines()


def test_a_uuid_created_anew_with_another_type_has_the_new_type(tmp_path: Path) -> None:
    """Steps 13, 18, 19 of the recording: unbound (keeps its type), removed, created again as mtty-2."""
    uuid, previous, seen = "00000001-1111-4222-8333-444455556666", None, []
    for step in ("13-unbind", "18-remove-unbound", "19-create-again"):
        root = build(tmp_path / step, HOSTS / "udev-6.12/host.tree", HOSTS / f"udev-6.12/{step}.tree")
        previous = look(root, previous=previous)
        found = [device for parent in previous.parents for device in parent.devices if device.name == uuid]
        seen.append([(device.type, device.driver and device.driver.name) for device in found])
    assert seen == [[("mtty-1", None)], [], [("mtty-2", "mtty")]]


def test_two_builds_of_one_driver_are_told_apart(tmp_path: Path) -> None:
    """Steps 23 and 26 of the recording: mtty 0.1, then 0.2, on the same kernel."""
    builds = []
    for step in ("23-remove", "26-insmod-mtty-0.2"):
        picture = look(build(tmp_path / step, HOSTS / "udev-6.12/host.tree", HOSTS / f"udev-6.12/{step}.tree"))
        builds += [parent.driver for parent in picture.parents if parent.name == "mtty"]
    assert [(build.version, build.kernel_release) for build in builds if build] == [
        ("0.1", "6.12.117+deb12-amd64"),
        ("0.2", "6.12.117+deb12-amd64"),
    ]
