"""Looks at attributes that are unreadable, unknown, too long or not printable: told in faults, never fatal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdevreg.records import Fault, MdevType
from mdevreg_agent.tree import UnreadableError
from support.looking import MDEV, PARENT, TYPES, faults, look, mtty
from support.sysfs_tree import HOSTS, build, folder, without_file_override, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The recorded host after step 06: mtty 0.1 with one mdev of type mtty-1 (and mdpy, mbochs)."""
    return build(tmp_path, HOSTS / "udev-6.12/host.tree", HOSTS / "udev-6.12/06-create-mtty-1.tree")


def test_an_unreadable_attribute_is_a_fault(root: Path) -> None:
    """Not fatal: everything else is reported."""
    (root / TYPES[1:] / "mtty-1/name").chmod(0)
    (root / "sys/module/mtty/version").chmod(0)
    with without_file_override():
        picture = look(root)
    assert faults(picture) == [
        ("/sys/module/mtty/version", "EACCES", None),
        ("mdev_supported_types/mtty-1/name", "EACCES", None),
    ]
    driver = mtty(picture).driver
    assert driver is not None
    assert (driver.version, driver.srcversion) == (None, "0CFBC3668084E605BBD06DA")


def test_a_folder_in_place_of_an_attribute_is_a_fault(root: Path) -> None:
    """Read errors other than a vanished file are told by their errno."""
    (root / TYPES[1:] / "mtty-2/device_api").unlink()
    folder(root, f"{TYPES}/mtty-2/device_api")
    assert faults(look(root)) == [("mdev_supported_types/mtty-2/device_api", "EISDIR", None)]


def test_a_fifo_in_place_of_an_attribute_does_not_hang(root: Path) -> None:
    """The agent waits for nobody."""
    (root / TYPES[1:] / "mtty-2/available_instances").unlink()
    os.mkfifo(root / TYPES[1:] / "mtty-2/available_instances")
    assert faults(look(root)) == [("mdev_supported_types/mtty-2/available_instances", "not a count", "")]


def test_an_unreadable_list_of_devices_is_no_empty_list(root: Path) -> None:
    """Absence would delete; not knowing must not."""
    (root / "sys/class/mdev_bus").chmod(0)
    with without_file_override(), pytest.raises(UnreadableError, match="/sys/class/mdev_bus can't be read: EACCES"):
        look(root)


def test_a_type_without_its_mandatory_attributes_is_reported_with_faults(root: Path) -> None:
    """device_api and available_instances are mandatory, name and description are not."""
    folder(root, f"{TYPES}/mtty-3")
    picture = look(root)
    assert mtty(picture).types[2] == MdevType(id="mtty-3")
    assert faults(picture) == [
        ("mdev_supported_types/mtty-3/available_instances", "missing", None),
        ("mdev_supported_types/mtty-3/device_api", "missing", None),
    ]


def test_text_that_is_no_count_is_a_fault_with_the_text(root: Path) -> None:
    """Unknown is not zero."""
    write(root, f"{TYPES}/mtty-1/available_instances", "plenty\n")
    picture = look(root)
    assert mtty(picture).types[0].available_instances is None
    assert faults(picture) == [("mdev_supported_types/mtty-1/available_instances", "not a count", "plenty")]


def test_a_name_of_ten_thousand_characters_is_a_fault(root: Path) -> None:
    """sysfs itself can't hold more than a page."""
    write(root, f"{TYPES}/mtty-1/name", "n" * 10_000)
    picture = look(root)
    assert mtty(picture).types[0].name is None
    assert faults(picture) == [
        ("mdev_supported_types/mtty-1/name", "10000 characters; at most 4096 are kept", "n" * 256)
    ]


def test_control_characters_are_escaped_everywhere(root: Path) -> None:
    """In content, in names of types, in what only looks alike once escaped."""
    write(root, f"{TYPES}/mtty-1/name", b"bell\x07 \xff\n")
    for name in ("odd\n\x1b", "odd\\n\\x1b"):
        write(root, f"{TYPES}/{name}/device_api", "vfio-pci\n")
        write(root, f"{TYPES}/{name}/available_instances", "1\n")
    picture = look(root)
    assert [type_.id for type_ in mtty(picture).types] == ["mtty-1", "mtty-2", r"odd\n\x1b"]
    assert mtty(picture).types[0].name == r"bell\x07 \xff"
    assert faults(picture) == [(r"odd\n\x1b", "listed twice; the second is left out", None)]


def test_names_that_are_no_utf8_pass_the_wire(root: Path) -> None:
    """Linux file names are bytes."""
    folder(root, f"{TYPES}/\udcff\udcfe")
    assert [type_.id for type_ in mtty(look(root)).types] == [r"\udcff\udcfe", "mtty-1", "mtty-2"]


def test_two_hundred_types_are_all_reported_in_order(root: Path) -> None:
    """As many as no card has."""
    for number in range(200):
        write(root, f"{TYPES}/mtty-x{number:03}/device_api", "vfio-pci\n")
        write(root, f"{TYPES}/mtty-x{number:03}/available_instances", f"{number}\n")
    types = mtty(look(root)).types
    assert [type_.available_instances for type_ in types[2:]] == list(range(200))
    assert [type_.id for type_ in types] == sorted(type_.id for type_ in types)


def test_more_types_than_a_record_holds_are_cut_and_told(root: Path) -> None:
    """Bounded, and never silently."""
    for number in range(4_100):
        folder(root, f"{TYPES}/t{number:04}")
    parent = mtty(look(root))
    assert len(parent.types) <= 4_096
    assert Fault(path="mdev_supported_types", error="6 of 4102 left out; at most 4096 are reported") in parent.faults


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_sysfs_holds_the_record_passes_the_wire(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any bytes in any attribute, any name of a type (``look`` decodes every record)."""
    root = build(tmp_path_factory.mktemp("any"), HOSTS / "udev-6.12/06-create-mtty-1.tree")
    contents = st.one_of(st.binary(max_size=60), st.integers().map(lambda number: str(number).encode()))
    attributes = (
        *(f"{TYPES}/mtty-1/{name}" for name in ("name", "description", "device_api", "available_instances")),
        f"{TYPES}/mtty-1/migration_stream_version",
        f"{TYPES}/mtty-1/migration_version",
        f"{MDEV}/migration_version",
        f"{MDEV}/migration_stream_version_min",
        "/sys/module/mtty/version",
        "/sys/module/mtty/notes/.note.gnu.build-id",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/osrelease",
        "/etc/os-release",
    )
    for path in attributes:
        write(root, path, data.draw(contents, label=path))
    name = data.draw(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60))
    if name not in (".", ".."):
        folder(root, f"{TYPES}/{name}")
    look(root)


NIC = "/sys/devices/pci0000:80/0000:81:00.0"


@pytest.fixture
def nic(tmp_path: Path) -> Path:
    """A ConnectX-6 Dx with two VFs under the mlx5 variant driver."""
    return build(tmp_path, HOSTS / "made/host.tree", HOSTS / "made/mlx5-vfs.tree")


def test_of_several_rdma_devices_the_first_by_name_is_asked(nic: Path) -> None:
    """A port in a bond has one for each port; the board is the same."""
    write(nic, f"{NIC}/infiniband/mlx5_1/board_id", "MT_0000000001\n")
    write(nic, f"{NIC}/infiniband/mlx5_1/fw_ver", "1.0\n")
    attributes = look(nic).parents[0].attributes
    assert attributes == {"infiniband/board_id": "MT_0000000359", "infiniband/fw_ver": "22.36.1010"}


def test_a_nic_without_rdma_device_has_no_further_attributes(nic: Path) -> None:
    """mlx5_ib is not loaded: not known, and no fault."""
    shutil.rmtree(nic / NIC[1:] / "infiniband")
    parent = look(nic).parents[0]
    assert (parent.attributes, parent.faults) == ({}, ())


def test_an_unreadable_or_endless_further_attribute_is_a_fault(nic: Path) -> None:
    """It is left out; what it said before is not kept."""
    (nic / NIC[1:] / "infiniband/mlx5_0/board_id").chmod(0)
    write(nic, f"{NIC}/infiniband/mlx5_0/fw_ver", "9" * 5_000)
    with without_file_override():
        parent = look(nic).parents[0]
    assert parent.attributes == {}
    assert [(fault.path, fault.error) for fault in parent.faults] == [
        ("infiniband/mlx5_0/board_id", "EACCES"),
        ("infiniband/mlx5_0/fw_ver", "5000 characters; at most 4096 are kept"),
    ]


def test_further_attributes_are_asked_only_of_parents_that_can_have_them(root: Path) -> None:
    """Any driver may have a file of such a name and mean something else."""
    for path in ("features", "qat/cfg_services", "infiniband/mlx5_0/board_id"):
        write(root, f"{PARENT}/{path}", "something else\n")
    assert mtty(look(root)).attributes == {}


def test_a_vf_says_what_it_is_itself(nic: Path) -> None:
    """xe compares the VF's own device and revision, whatever its physical function is."""
    write(nic, "/sys/devices/pci0000:80/0000:81:00.3/revision", "0x01\n")
    pcis = [device.pci for device in look(nic).parents[0].devices]
    assert [pci and (pci.device, pci.revision) for pci in pcis] == [("0x101e", "0x00"), ("0x101e", "0x01")]


def test_a_type_that_is_not_migratable_has_no_migration_version(tmp_path: Path) -> None:
    """The type folder and the mdev's own folder are read apart."""
    root = build(tmp_path, HOSTS / "made/host.tree", HOSTS / "made/migration-version.tree")
    parent = look(root).parents[0]
    write(root, f"/sys{parent.path}/{parent.devices[0].name}/migration_version", "other\n")
    parent = look(root).parents[0]
    assert [kind.migration_version for kind in parent.types] == ["8086-5912-i915-GVTg_V5_4-00000001", None]
    assert parent.devices[0].migration_version == "other"
