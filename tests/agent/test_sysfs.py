"""One look at hosts that are odd, broken, changing or huge: it answers, and what it saw passes the wire."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.errors import StateError
from mdevreg.records import MAX_RECORD_BYTES, Device, Fault, MdevType, Parent
from mdevreg_agent import bounds
from mdevreg_agent.picture import Picture
from mdevreg_agent.sysfs import read_picture
from mdevreg_agent.tree import Tree, UnreadableError
from support.looking import look
from support.sysfs_tree import HOSTS, build, folder, link, mdev_parent, without_file_override, write

UUID = "00000001-1111-4222-8333-444455556666"
PARENT = "/sys/devices/virtual/mtty/mtty"
MDEV = f"{PARENT}/{UUID}"
TYPES = f"{PARENT}/mdev_supported_types"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The recorded host after step 06: mtty 0.1 with one mdev of type mtty-1 (and mdpy, mbochs)."""
    return build(tmp_path, HOSTS / "udev-6.12/host.tree", HOSTS / "udev-6.12/06-create-mtty-1.tree")


def mtty(picture: Picture) -> Parent:
    return next(parent for parent in picture.parents if parent.name == "mtty")


def mdevs(picture: Picture) -> list[tuple[str, str | None]]:
    return [(device.name, device.type) for device in mtty(picture).devices]


def faults(picture: Picture) -> list[tuple[str, str, str | None]]:
    return [(fault.path, fault.error, fault.text) for fault in mtty(picture).faults]


# --- mdevs that come and go -----------------------------------------------------------------------------------


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
    for function in (5, 6):
        vf = f"/sys/devices/pci0000:40/0000:41:00.{function}/nvidia"
        write(root, f"{vf}/current_vgpu_type", "1420\n")
        write(root, f"{vf}/creatable_vgpu_types", "")
    after = look(root, previous=before).parents[0]
    assert [(type_.id, type_.name, type_.available_instances) for type_ in after.types] == [
        ("nvidia-1420", "NVIDIA H200X-17C", 0),
        ("nvidia-1428", None, 0),
    ]
    assert [device.type for device in after.devices] == ["nvidia-1428", "nvidia-1420", "nvidia-1420"]


# --- folders and links ----------------------------------------------------------------------------------------


def test_a_parent_without_its_class_link_is_found_by_its_types(root: Path) -> None:
    """The kernel only warns when it can't make the link in /sys/class/mdev_bus."""
    whole = look(root)
    (root / "sys/class/mdev_bus/mtty").unlink()
    (root / "sys/bus/mdev/devices" / UUID).unlink()
    assert look(root) == whole


def test_dangling_links_are_normal(root: Path) -> None:
    """Something vanished between two steps of the look."""
    whole = look(root)
    link(root, "/sys/class/mdev_bus/gone", "../../devices/virtual/gone/gone")
    link(root, "/sys/class/vfio-dev/vfio9", "../../devices/pci0000:00/0000:00:09.0/vfio-dev/vfio9")
    link(root, "/sys/bus/pci/drivers/mlx5_vfio_pci/0000:00:09.0", "../../../../devices/pci0000:00/0000:00:09.0")
    link(root, f"/sys/bus/mdev/devices/{UUID[:-1]}7", f"../../../devices/virtual/mtty/mtty/{UUID[:-1]}7")
    assert look(root) == whole


def test_loops_end(root: Path) -> None:
    """Links to themselves, to each other, to folders above them: neither followed for ever nor reported as parents."""
    whole = look(root)
    link(root, "/sys/class/mdev_bus/self", "self")
    link(root, "/sys/class/mdev_bus/ping", "pong")
    link(root, "/sys/class/mdev_bus/pong", "ping")
    link(root, "/sys/class/loop/up", "../../class/loop")
    link(root, f"{PARENT}/again", ".")
    link(root, f"{TYPES}/again", "..")
    for number in range(40):  # each doubles the links to follow
        link(root, f"/sys/class/mdev_bus/l{number}", f"l{number - 1}/../l{number - 1}" if number else "../mdev_bus")
    assert look(root) == whole


def test_absolute_links_stay_inside_the_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in a chroot: the tree says /sys/devices/..., and our own /sys is not asked."""
    whole = look(root)
    link(root, "/sys/class/mdev_bus/mtty", PARENT)
    link(root, "/sys/bus/mdev/drivers/mtty/module", "/sys/module/mtty")
    link(root, "/etc/os-release", "/../../usr/lib/os-release")
    assert look(root) == whole


def test_links_out_of_the_root_are_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An attribute that is a link is a fault; nothing outside is read."""
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret\n")
    link(root, f"{TYPES}/mtty-1/name", str(outside))
    link(root, "/etc/machine-id", str(outside))
    picture = look(root)
    assert faults(picture) == [("mdev_supported_types/mtty-1/name", "ELOOP", None)]
    assert picture.facts.machine_id is None


def test_a_root_without_sys_is_refused(tmp_path: Path) -> None:
    """It is not a host without parents: publishing that would empty the registry's picture of it."""
    with pytest.raises(StateError, match="has no folder sys"):
        look(tmp_path)


def test_a_host_without_mdev_has_no_parents(tmp_path: Path) -> None:
    """An empty /sys, no /proc, no /etc: facts are unknown, nothing fails."""
    folder(tmp_path, "/sys")
    picture = look(tmp_path)
    assert picture.parents == ()
    assert (picture.facts.hostname, picture.facts.kernel_release, picture.facts.os_release) == ("", None, {})


def test_the_canonical_path_is_that_of_a_chroot(tmp_path: Path) -> None:
    """``..`` above the root is the root, a file is no folder on the way, more than 40 links are a loop."""
    folder(tmp_path, "/a/b")
    write(tmp_path, "/a/file", "x")
    link(tmp_path, "/a/up", "../../../../a/b")
    tree = Tree(tmp_path)
    assert tree.canonical("/a/up/../b/./") == "/a/b"
    assert tree.canonical("/../..") == "/"
    assert tree.canonical("/a/file/b") is None
    for number in range(41):
        link(tmp_path, f"/c{number + 1}", f"c{number}")
    link(tmp_path, "/c0", "a")
    assert (tree.canonical("/c39"), tree.canonical("/c40")) == ("/a", None)


# --- content --------------------------------------------------------------------------------------------------


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


# --- bounds ---------------------------------------------------------------------------------------------------


def test_a_parent_that_fits_is_left_as_it_is() -> None:
    """Nothing is taken away without need."""
    parent = Parent(path="/devices/x", name="x", types=(MdevType(id="a", description="d"),))
    assert bounds.fitted(parent) is parent


def test_a_parent_too_large_for_a_record_loses_descriptions_first() -> None:
    """They decide nothing."""
    types = tuple(MdevType(id=f"t{number:04}", description="d" * 4_000) for number in range(300))
    fitted = bounds.fitted(Parent(path="/devices/x", name="x", types=types))
    assert [type_.id for type_ in fitted.types] == [type_.id for type_ in types]
    assert fitted.faults == (Fault(path="mdev_supported_types", error="descriptions left out: no room in one record"),)


def test_then_devices_then_types_and_says_how_many() -> None:
    """As many as fit are kept, the first ones in order."""
    devices = tuple(Device(name=f"{number:08}", type="t" * 200) for number in range(8_000))
    fitted = bounds.fitted(Parent(path="/devices/x", name="x", types=(MdevType(id="a"),), devices=devices))
    left_out = 8_000 - len(fitted.devices)
    assert fitted.devices == devices[: len(fitted.devices)]
    assert fitted.faults[-1].error == f"{left_out} of 8000 devices left out: no room in one record"
    assert 0.95 * bounds.MAX_PARENT_BYTES < len(wire.encode(fitted)) <= bounds.MAX_PARENT_BYTES < MAX_RECORD_BYTES
    assert fitted.types == (MdevType(id="a"),)


def test_thousands_of_faults_become_some_and_their_number() -> None:
    """A broken driver must not push the facts out of the record."""
    faults_ = tuple(Fault(path=f"{number:05}", error="EIO", text="x" * 250) for number in range(5_000))
    fitted = bounds.fitted(Parent(path="/devices/x", name="x", faults=faults_))
    assert len(fitted.faults) == 64
    assert fitted.faults[-1] == Fault(path="faults", error="4033 of 4096 faults left out: no room in one record")


# --- size -----------------------------------------------------------------------------------------------------


def test_a_full_host_is_read_completely_and_each_module_once(tmp_path: Path) -> None:
    """8 parents, 12 types, 64 mdevs each; two looks give identical bytes."""
    for number in range(8):
        mdev_parent(tmp_path, f"0000:{number + 1:02x}:00.0", types=12, mdevs_per_type=6)
    picture = read_picture(tmp_path, agent_version="test", wait=lambda: None)
    assert [(len(parent.types), len(parent.devices), parent.faults) for parent in picture.parents] == [(12, 72, ())] * 8
    again = read_picture(tmp_path, agent_version="test", wait=lambda: None)
    assert msgspec.json.encode(again) == msgspec.json.encode(picture)
