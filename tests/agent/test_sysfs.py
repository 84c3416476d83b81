"""Looks at a host whose mdevs come and go, and at a full one."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import msgspec
import pytest

from mdevreg_agent.sysfs import read_picture
from support.looking import MDEV, PARENT, UUID, faults, look, mdevs, mtty
from support.sysfs_tree import HOSTS, build, folder, link, mdev_parent, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The recorded host after step 06: mtty 0.1 with one mdev of type mtty-1 (and mdpy, mbochs)."""
    return build(tmp_path, HOSTS / "udev-6.12/host.tree", HOSTS / "udev-6.12/06-create-mtty-1.tree")


def test_a_late_mdev_type_link_is_waited_for(root: Path) -> None:
    """The kernel makes it after add and bind: look again, as often as it takes within the bound."""
    (root / MDEV[1:] / "mdev_type").unlink()
    waits = count(1)

    def wait() -> None:
        if next(waits) == 2:
            link(root, f"{MDEV}/mdev_type", "../mdev_supported_types/mtty-1")

    assert mdevs(look(root, wait=wait)) == [(UUID, "mtty-1")]
    assert next(waits) == 3


def test_a_link_that_never_comes_is_waited_for_a_bounded_time(root: Path) -> None:
    """Then the mdev is reported without a type: it was seen, its type was not."""
    (root / MDEV[1:] / "mdev_type").unlink()
    waited: list[None] = []
    assert mdevs(look(root, wait=lambda: waited.append(None))) == [(UUID, None)]
    assert len(waited) == 3


def test_a_phantom_mdev_vanishes_while_waiting(root: Path) -> None:
    """A create that the driver refuses shows an mdev for a moment, without type."""
    phantom = "0000000f-1111-4222-8333-444455556666"
    folder(root, f"{PARENT}/{phantom}")
    link(root, f"{PARENT}/{phantom}/subsystem", "../../../../../bus/mdev")

    def wait() -> None:
        (root / PARENT[1:] / phantom / "subsystem").unlink(missing_ok=True)
        (root / PARENT[1:] / phantom).rmdir()

    assert mdevs(look(root, wait=wait)) == [(UUID, "mtty-1")]


def test_an_mdev_being_removed_keeps_the_type_it_had(root: Path) -> None:
    """The link goes first, the device only when the last user has closed it."""
    before = look(root)
    (root / MDEV[1:] / "mdev_type").unlink()
    (root / MDEV[1:] / "driver").unlink()
    after = look(root, previous=before, wait=lambda: None)
    assert mdevs(after) == [(UUID, "mtty-1")]
    assert mtty(after).devices[0].driver is None


def test_the_link_counts_more_than_the_memory(root: Path) -> None:
    """A uuid may be created anew with another type between two looks."""
    before = look(root)
    link(root, f"{MDEV}/mdev_type", "../mdev_supported_types/mtty-2")
    assert mdevs(look(root, previous=before)) == [(UUID, "mtty-2")]


def test_an_mdev_that_the_bus_does_not_list_says_itself_that_it_is_one(root: Path) -> None:
    """Its subsystem link is enough."""
    (root / "sys/bus/mdev/devices" / UUID).unlink()
    assert mdevs(look(root)) == [(UUID, "mtty-1")]


def test_an_mdev_is_one_when_the_bus_lists_it(root: Path) -> None:
    """Even without its subsystem link."""
    (root / MDEV[1:] / "subsystem").unlink()
    assert mdevs(look(root)) == [(UUID, "mtty-1")]


def test_a_folder_named_by_a_uuid_is_not_yet_an_mdev(root: Path) -> None:
    """Neither on the bus nor saying so."""
    folder(root, f"{PARENT}/0000000f-1111-4222-8333-444455556666")
    assert mdevs(look(root)) == [(UUID, "mtty-1")]


def test_an_mdev_whose_name_is_no_uuid_is_a_fault(root: Path) -> None:
    """The kernel never makes one."""
    link(root, "/sys/bus/mdev/devices/not-a-uuid", "../../../devices/virtual/mtty/mtty/not-a-uuid")
    folder(root, f"{PARENT}/not-a-uuid")
    picture = look(root)
    assert mdevs(picture) == [(UUID, "mtty-1")]
    assert faults(picture) == [("not-a-uuid", "on the mdev bus, but its name is no uuid", None)]


def test_a_used_up_vgpu_type_keeps_the_name_it_had(tmp_path: Path) -> None:
    """When no VF can take it any more, no creatable_vgpu_types lists it."""
    root = build(tmp_path, HOSTS / "made/host.tree", HOSTS / "made/nvidia-h200-vfio.tree")
    before = look(root)
    for function, current in ((4, "1428\n"), (5, "1420\n"), (6, "1420\n")):
        vf = f"/sys/devices/pci0000:40/0000:41:00.{function}/nvidia"
        write(root, f"{vf}/current_vgpu_type", current)
        write(root, f"{vf}/creatable_vgpu_types", "")
    after = look(root, previous=before).parents[0]
    assert [(type_.id, type_.name, type_.available_instances) for type_ in after.types] == [
        ("nvidia-1420", "NVIDIA H200X-17C", 0),
        ("nvidia-1428", None, 0),
    ]
    assert [device.type for device in after.devices] == ["nvidia-1428", "nvidia-1420", "nvidia-1420"]


def test_a_full_host_is_read_completely_and_repeatably(tmp_path: Path) -> None:
    """8 parents, 12 types, 72 mdevs each; two looks give identical bytes."""
    for number in range(8):
        mdev_parent(tmp_path, f"0000:{number + 1:02x}:00.0", types=12, mdevs_per_type=6)
    picture = read_picture(tmp_path, agent_version="test", wait=lambda: None)
    assert [(len(parent.types), len(parent.devices), parent.faults) for parent in picture.parents] == [(12, 72, ())] * 8
    again = read_picture(tmp_path, agent_version="test", wait=lambda: None)
    assert msgspec.json.encode(again) == msgspec.json.encode(picture)
