"""Looks at trees whose folders and links are missing, dangling, looping or pointing out of the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdevreg.errors import StateError
from mdevreg_agent.tree import Tree
from support.looking import PARENT, TYPES, UUID, faults, look
from support.sysfs_tree import HOSTS, build, folder, link, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The recorded host after step 06: mtty 0.1 with one mdev of type mtty-1 (and mdpy, mbochs)."""
    return build(tmp_path, HOSTS / "udev-6.12/host.tree", HOSTS / "udev-6.12/06-create-mtty-1.tree")


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
