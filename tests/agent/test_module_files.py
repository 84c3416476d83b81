"""What is on disk of drivers' modules: read whole or compressed, or told why not; never guessed."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.objects import Profiles
from mdevreg.profiles import profile_of_device, profile_of_type
from mdevreg.records import Device, DriverBuild, HostFacts, MdevType, ModuleFile, Parent
from mdevreg_agent.additions import additions_of
from mdevreg_agent.config import Settings
from mdevreg_agent.modinfo import Modinfo, NoModuleError, read_modinfo
from mdevreg_agent.module_files import ModuleFiles
from mdevreg_agent.scan import as_table, scan
from support.elf import modinfo, module
from support.host_root import MTTY, HostRoot
from support.sysfs_tree import link, write

RELEASE = "6.12.0-test"
FACTS = HostFacts(hostname="h", kernel_release=RELEASE)
FOLDER = f"/usr/lib/modules/{RELEASE}"
BUILD_ID = "5c8b1f0e9d7a6b3c2d1e0f9a8b7c6d5e4f3a2b1c"
SAID = modinfo(license="GPL", version="580.95.05", srcversion="ABCDEF0123456789", version_="x", depends="")
FOUND = Modinfo("580.95.05", "ABCDEF0123456789", BUILD_ID)
PARENT = Parent(
    path="/devices/x",
    name="x",
    driver=DriverBuild(name="nvidia", module="nvidia", version="570.1"),
    types=(MdevType(id="nvidia-1"),),
    devices=(
        Device(name="0000:01:00.1", kind="vf", type="nvidia-1", driver=DriverBuild(name="v", module="mlx5_vfio")),
    ),
)


def _host(root: Path, *listed: str) -> Path:
    """A root whose /lib is a link, as on merged-usr systems, and its modules.dep."""
    link(root, "/lib", "usr/lib")
    write(root, f"{FOLDER}/modules.dep", "".join(f"{path}: kernel/other.ko\n" for path in listed))
    return root


def _file(root: Path) -> ModuleFile:
    (parent,) = ModuleFiles(root).added(FACTS, (PARENT,))
    return parent.modules["nvidia"]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_module_says_what_it_is(bits: int, order: str) -> None:
    """Of any class and byte order."""
    data = module(bits=bits, order=order, modinfo=SAID, build_id=BUILD_ID)
    assert read_modinfo(io.BytesIO(data)) == FOUND
    bare = module(bits=bits, order=order, modinfo=modinfo(license="GPL"))
    assert read_modinfo(io.BytesIO(bare)) == Modinfo()
    assert read_modinfo(io.BytesIO(module(bits=bits, order=order, modinfo=None))) == Modinfo()


def test_a_real_object_file_is_read(tmp_path: Path) -> None:
    """This interpreter's own file is ELF, made by a real linker: sections are found, a build-id may be."""
    with Path(os.path.realpath("/proc/self/exe")).open("rb") as file:
        found = read_modinfo(file)
    assert (found.version, found.srcversion) == (None, None)
    shown = subprocess.run(["readelf", "-n", "/proc/self/exe"], capture_output=True, text=True, check=False).stdout
    assert found.build_id is None or not shown or found.build_id in shown or "Build ID" in shown


@given(st.integers(0, 5_000), st.binary(max_size=8))
def test_what_is_no_module_is_told_and_nothing_else_happens(at: int, other: bytes) -> None:
    """Cut off, or damaged anywhere."""
    data = module(modinfo=SAID, build_id=BUILD_ID)
    for wrong in (data[:at], data[:at] + other + data[at + len(other) :]):
        with suppress(NoModuleError):
            read_modinfo(io.BytesIO(wrong))


@pytest.mark.parametrize(
    ("ending", "packed"),
    [(".ko", bytes), (".ko.gz", gzip.compress), (".ko.xz", lzma.compress)],
)
def test_files_are_found_by_modules_dep(tmp_path: Path, ending: str, packed: type[bytes]) -> None:
    """Compressed or not; dashes of a file's name are underscores of a module's."""
    root = _host(tmp_path, f"updates/dkms/nvidia{ending}", f"kernel/mlx5-vfio{ending}", "kernel/nvidia-uvm.ko")
    write(root, f"{FOLDER}/updates/dkms/nvidia{ending}", packed(module(modinfo=SAID, build_id=BUILD_ID)))
    write(root, f"{FOLDER}/kernel/mlx5-vfio{ending}", packed(module(modinfo=modinfo(srcversion="EE"))))
    (parent,) = ModuleFiles(root).added(FACTS, (PARENT,))
    folder = f"/lib/modules/{RELEASE}"
    assert parent.modules == {
        "mlx5_vfio": ModuleFile(path=f"{folder}/kernel/mlx5-vfio{ending}", srcversion="EE"),
        "nvidia": ModuleFile(
            path=f"{folder}/updates/dkms/nvidia{ending}",
            version=FOUND.version,
            srcversion=FOUND.srcversion,
            build_id=BUILD_ID,
        ),
    }


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    """zstd has no reader here; a file may be missing, cut off, or not ours to read; a module may be listed nowhere."""
    root = _host(tmp_path, "kernel/nvidia.ko.zst")
    assert _file(root) == ModuleFile(
        path=f"/lib/modules/{RELEASE}/kernel/nvidia.ko.zst", error="zstd is not readable here"
    )
    _host(tmp_path, "kernel/nvidia.ko.xz")
    assert _file(root).error == "missing"
    for wrong in (b"", b"no xz", lzma.compress(b"no ELF"), lzma.compress(module(modinfo=SAID))[:200]):
        write(root, f"{FOLDER}/kernel/nvidia.ko.xz", wrong)
        found = _file(root)
        assert (found.version, found.srcversion) == (None, None)
        assert found.error
    _host(tmp_path, "kernel/other.ko")
    assert _file(root) == ModuleFile(error="modules.dep lists none")
    _host(tmp_path, "kernel/nvidia.ko/../nvidia.ko")
    (root / FOLDER[1:] / "kernel/nvidia.ko").mkdir()
    assert _file(root).error


def test_without_a_list_nothing_is_said(tmp_path: Path) -> None:
    """A root without /lib/modules, a kernel that tells no release, parents without modules: as they were."""
    files = ModuleFiles(tmp_path)
    assert files.added(FACTS, (PARENT,)) == (PARENT,)
    _host(tmp_path, "kernel/nvidia.ko")
    bare = Parent(path="/devices/y", name="y")
    for facts in (HostFacts(hostname="h"), HostFacts(hostname="h", kernel_release="../x"), FACTS):
        assert files.added(facts, (bare,)) == (bare,)
    assert files.added(HostFacts(hostname="h", kernel_release="../x"), (PARENT,)) == (PARENT,)


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    """Large modules take a second to decompress, and a host is looked at every minute."""
    root = _host(tmp_path, "nvidia.ko")
    place = root / FOLDER[1:] / "nvidia.ko"
    place.write_bytes(module(modinfo=modinfo(version="1")))
    files = ModuleFiles(root)

    def version() -> str | None:
        return files.added(FACTS, (PARENT,))[0].modules["nvidia"].version

    assert version() == "1"
    before = place.stat()
    with place.open("r+b") as file:
        file.write(module(modinfo=modinfo(version="2")))
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert version() == "1"
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert version() == "2"
    write(root, f"{FOLDER}/modules.dep", "other/nvidia.ko:\n\n")
    assert files.added(FACTS, (PARENT,))[0].modules["nvidia"].error == "missing"


def test_no_profile_depends_on_it() -> None:
    """A module that is installed changes no verdict, and no digest of a profile."""
    with_file = Parent(
        path=PARENT.path,
        name=PARENT.name,
        driver=PARENT.driver,
        types=PARENT.types,
        devices=PARENT.devices,
        modules={"nvidia": ModuleFile(path="/lib/modules/x/nvidia.ko", version="580.95.05")},
    )
    profiles = Profiles()

    def digests(parent: Parent) -> list[str]:
        of_both = (profile_of_type(parent, parent.types[0]), profile_of_device(parent, parent.devices[0]))
        return [profiles.digest(profile) for profile in of_both]

    assert digests(with_file) == digests(PARENT)
    assert b"modules" not in wire.encode(PARENT)


def test_it_is_seen_by_a_scan(tmp_path: Path) -> None:
    """By the real reader, of a host whose mtty is to be loaded anew."""
    root = HostRoot(tmp_path)
    root.mtty(version="0.1")
    link(tmp_path, "/sys/bus/mdev/drivers/mtty/module", "../../../../module/mtty")
    link(tmp_path, f"/sys{MTTY}/subsystem", "../../../../class/mtty")
    _host(tmp_path, "kernel/samples/mtty.ko.xz")
    write(tmp_path, f"{FOLDER}/kernel/samples/mtty.ko.xz", lzma.compress(module(modinfo=modinfo(version="0.2"))))
    settings = Settings(root=str(tmp_path), plugins="", nvml=False)
    picture = scan(settings, agent_version="test")
    (parent,) = [each for each in picture.parents if each.modules]
    assert parent.modules["mtty"].version == "0.2"
    assert "  module mtty  on disk 0.2  /lib/modules/6.12.0-test/kernel/samples/mtty.ko.xz" in as_table(picture)
    additions_of(settings, clock=time.monotonic).close()
