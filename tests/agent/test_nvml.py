"""What NVIDIA's management library adds to the parents: a real shared library of our own, loaded by real processes."""

from __future__ import annotations

import base64
import ctypes
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdevreg.records import Device, Fault, Nvml, Parent, PciIds, VersionRange, VgpuInstance
from support.looking import look
from support.nvml_stub import Looker, NvmlStub
from support.processes import RunCli
from support.sysfs_tree import HOSTS, build, write

A40_MDEV = "4f3b6e47-0baa-4900-b0b1-284c1ecc192f"
OPAQUE = bytes(range(256))
HOST = "driver 535.161.05\nsupported 1 19\npinned 5 10\ngpus 1\n"
A40 = f"""{HOST}
gpu0.bus 0 3b 0
gpu0.name NVIDIA A40
gpu0.board 900-2G133-0100-030
gpu0.ecc 1 0
gpu0.mig 0 1
gpu0.mode 3
gpu0.types 559 558
type558.name NVIDIA A40-1B
type559.name NVIDIA A40-2B
gpu0.caps 1
gpu0.range 1 19
gpu0.opaque {OPAQUE.hex()}
gpu0.text c5 00 9f
gpu0.active 7
vgpu7.type 558
vgpu7.uuid {A40_MDEV.upper()}
vgpu7.caps 1
vgpu7.state 1
vgpu7.guest 9
vgpu7.driver 535.154.05
vgpu7.opaque {OPAQUE[::-1].hex()}
"""
H200 = f"{HOST}gpu0.bus 0 41 0\ngpu0.caps 1\n"
H200_VF = "vgpu{0}.type 1428\nvgpu{0}.caps 1\nvgpu{0}.state 1\nvgpu{0}.guest {1}\n"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> NvmlStub:
    """Compiled once."""
    stub = NvmlStub(tmp_path_factory.mktemp("nvml"))
    stub.build()
    return stub


@pytest.fixture
def nvml(library: NvmlStub) -> NvmlStub:
    """It answers nothing yet."""
    library.says("")
    return library


@pytest.fixture
def looker(nvml: NvmlStub, home: Path) -> Iterator[Looker]:
    """A process that finds the library."""
    with Looker(home, nvml.environment) as process:
        yield process


@pytest.fixture
def a40(tmp_path: Path) -> Parent:
    """The VF of an A40 that is an mdev parent, with one mdev, as sysfs shows it."""
    root = build(tmp_path / "a40", HOSTS / "made/host.tree", HOSTS / "made/nvidia-a40-mdev.tree")
    return look(root).parents[0]


@pytest.fixture
def h200_root(tmp_path: Path) -> Path:
    """An H200 with three VFs, the first of which has a vGPU type."""
    return build(tmp_path / "h200", HOSTS / "made/host.tree", HOSTS / "made/nvidia-h200-vfio.tree")


def gpu(address: str) -> Parent:
    return Parent(path=f"/devices/{address}", name=address, subsystem="pci", pci=PciIds(vendor="0x10de"))


def pgpu_blob(*, driver: str, capabilities: int, versions: tuple[int, int], opaque: bytes) -> bytes:
    """nvmlVgpuPgpuMetadata_t, as the stub makes it."""
    head = struct.pack("=II80sI5I2I", 3, 1, driver.encode(), capabilities, *(0,) * 5, *versions)
    return head + struct.pack("=I", len(opaque)) + opaque


def test_everything_that_nvml_says_is_added(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """Of the GPU to its VF, which is the parent; of the running vGPU to its mdev. The rest stays as sysfs shows it."""
    nvml.says(A40)
    (added,) = looker.added(a40)
    blob = pgpu_blob(driver="535.161.05", capabilities=1, versions=(1, 19), opaque=OPAQUE)
    assert added.nvml == Nvml(
        driver_version="535.161.05",
        supported=VersionRange(minimum=1, maximum=19),
        pinned=VersionRange(minimum=5, maximum=10),
        gpu_range=VersionRange(minimum=1, maximum=19),
        migration=True,
        ecc=True,
        mig=False,
        name="NVIDIA A40",
        board="900-2G133-0100-030",
        virtualization_mode="host_vgpu",
        vgpu_types={"nvidia-558": "NVIDIA A40-1B", "nvidia-559": "NVIDIA A40-2B"},
        host_os="made 1.0",
        metadata=base64.b64encode(blob).decode(),
        metadata_text="c5 00 9f",
    )
    (mdev,) = added.devices
    assert mdev.vgpu is not None
    assert mdev.vgpu.metadata is not None
    vgpu_blob = base64.b64decode(mdev.vgpu.metadata)
    assert (len(vgpu_blob), vgpu_blob[208:]) == (208 + 256, OPAQUE[::-1])
    assert mdev.vgpu == VgpuInstance(
        guest_version=9, guest_driver_version="535.154.05", migration=True, metadata=mdev.vgpu.metadata
    )
    assert (added.faults, added.types, added.driver, mdev.type) == ((), a40.types, a40.driver, "nvidia-558")


@pytest.mark.parametrize("length", [0, 1, 256, 2_948])
def test_a_blob_survives_byte_for_byte(nvml: NvmlStub, looker: Looker, length: int) -> None:
    """Of whatever size NVML says, also beyond what nvidia-ml-py has room for."""
    opaque = (OPAQUE * 12)[:length]
    nvml.says(f"driver 1\ngpus 1\ngpu0.bus 0 41 0\ngpu0.caps 3\ngpu0.range 2 7\ngpu0.opaque {opaque.hex()}\n")
    (added,) = looker.added(gpu("0000:41:00.0"))
    assert added.nvml is not None
    assert added.nvml.metadata is not None
    assert base64.b64decode(added.nvml.metadata) == pgpu_blob(
        driver="1", capabilities=3, versions=(2, 7), opaque=opaque
    )
    assert added.faults == ()


def test_a_blob_larger_than_a_record_takes_is_a_fault(nvml: NvmlStub, looker: Looker) -> None:
    """Half a blob would be none."""
    nvml.says(f"gpus 1\ngpu0.bus 0 41 0\ngpu0.caps 1\ngpu0.opaque {bytes(2_949).hex()}\n")
    (added,) = looker.added(gpu("0000:41:00.0"))
    assert added.nvml is not None
    assert added.nvml.metadata is None
    assert added.faults == (Fault(path="nvml/nvmlDeviceGetVgpuMetadata", error="3073 bytes; at most 3072 are kept"),)


def test_metadata_too_short_for_its_head_is_kept_and_told(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """Nothing is read beyond its end."""
    nvml.says(A40 + "gpu0.short 119\nvgpu7.short 203\n")
    (added,) = looker.added(a40)
    assert added.nvml is not None
    assert (added.nvml.migration, added.nvml.gpu_range) == (None, None)
    assert added.nvml.metadata is not None
    assert len(base64.b64decode(added.nvml.metadata)) == 119
    assert added.devices[0].vgpu is None
    assert [fault.error for fault in added.faults] == [
        "a structure of 119 bytes, too short for its head",
        "a structure of 203 bytes, too short for its head",
    ]


def test_a_range_that_is_not_stated_is_unknown(nvml: NvmlStub, looker: Looker) -> None:
    """Zeros are what a structure from before the range has there."""
    nvml.says("gpus 1\ngpu0.bus 0 41 0\ngpu0.caps 0\n")
    (added,) = looker.added(gpu("0000:41:00.0"))
    assert added.nvml is not None
    assert (added.nvml.gpu_range, added.nvml.migration, added.nvml.supported) == (None, False, None)


def test_what_a_guest_has_not_negotiated_yet_is_unknown(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """Without its driver in the guest the fields hold anything."""
    nvml.says(A40.replace("vgpu7.state 1", "vgpu7.state 0"))
    vgpu = looker.added(a40)[0].devices[0].vgpu
    assert vgpu is not None
    assert (vgpu.guest_version, vgpu.guest_driver_version, vgpu.migration) == (None, None, True)


def test_an_old_library_leaves_out_what_it_does_not_have(home: Path, tmp_path: Path, a40: Parent) -> None:
    """Functions that are not exported are no faults; its metadata has reserved words where the range came later."""
    old = NvmlStub(tmp_path / "old")
    old.build("-DOLD_LIBRARY")
    old.says(A40)
    with Looker(home, old.environment) as looker:
        (added,) = looker.added(a40)
    assert added.nvml is not None
    assert added.faults == ()
    absent = ("supported", "pinned", "gpu_range", "mig", "metadata_text")
    assert [getattr(added.nvml, name) for name in absent] == [None] * len(absent)
    assert (added.nvml.migration, added.nvml.ecc, added.nvml.name) == (True, True, "NVIDIA A40")
    assert added.devices[0].vgpu is None  # nothing says which mdev it is


def test_a_gpu_without_vgpu_says_what_it_is(nvml: NvmlStub, looker: Looker) -> None:
    """An H100 under the bare-metal driver: NOT_SUPPORTED to everything of vGPU, which is no fault."""
    nvml.says("gpus 1\ngpu0.bus 0 19 0\ngpu0.name NVIDIA H100 80GB HBM3\ngpu0.ecc 1 1\ngpu0.mig 0 0\ngpu0.mode 0\n")
    (added,) = looker.added(gpu("0000:19:00.0"))
    assert added.faults == ()
    assert added.nvml == Nvml(
        driver_version="550.90.05",
        ecc=True,
        mig=False,
        name="NVIDIA H100 80GB HBM3",
        virtualization_mode="none",
        host_os="made 1.0",
    )


def test_an_unexpected_error_is_a_fault_of_its_question_only(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """The error has NVML's own name, or its number where nvidia-ml-py knows none; all else is there."""
    nvml.says(A40 + "error.nvmlDeviceGetName 999\nerror.nvmlGetVgpuVersion 4\nerror.nvmlDeviceGetEccMode 777\n")
    (added,) = looker.added(a40)
    assert [(fault.path, fault.error) for fault in added.faults] == [
        ("nvml/nvmlDeviceGetEccMode", "NVML_ERROR_777"),
        ("nvml/nvmlDeviceGetName", "NVML_ERROR_UNKNOWN"),
        ("nvml/nvmlGetVgpuVersion", "NVML_ERROR_NO_PERMISSION"),
    ]
    assert added.nvml is not None
    assert (added.nvml.name, added.nvml.ecc, added.nvml.supported, added.nvml.pinned) == (None, None, None, None)
    assert (added.nvml.board, added.nvml.migration) == ("900-2G133-0100-030", True)
    assert added.devices[0].vgpu is not None


@pytest.mark.parametrize("code", [2, 6])
def test_a_vgpu_that_ends_while_it_is_asked_is_no_fault(nvml: NvmlStub, looker: Looker, a40: Parent, code: int) -> None:
    """INVALID_ARGUMENT or NOT_FOUND for what was listed a moment ago."""
    nvml.says(A40 + f"error.nvmlVgpuInstanceGetMetadata {code}\n")
    (added,) = looker.added(a40)
    assert (added.devices[0].vgpu, added.faults) == (None, ())


def test_a_list_that_grows_while_it_is_read_is_read_again(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """NVML answers INSUFFICIENT_SIZE to the second of its two calls."""
    nvml.says(A40 + "grows 2\n")
    (added,) = looker.added(a40)
    assert added.nvml is not None
    assert (len(added.nvml.vgpu_types), added.faults) == (2, ())


def test_types_that_can_still_be_created_stand_in_for_those_supported(nvml: NvmlStub, looker: Looker) -> None:
    """Where the driver does not list all."""
    nvml.says("gpus 1\ngpu0.bus 0 41 0\ngpu0.creatable 1428\ntype1428.name NVIDIA H200X-141C\n")
    (added,) = looker.added(gpu("0000:41:00.0"))
    assert added.nvml is not None
    assert added.nvml.vgpu_types == {"nvidia-1428": "NVIDIA H200X-141C"}


def test_texts_are_made_printable(nvml: NvmlStub, looker: Looker) -> None:
    """As sysfs's are; bytes that are no UTF-8 are a fault where nvidia-ml-py refuses them."""
    nvml.says(b"gpus 1\ngpu0.bus 0 41 0\ngpu0.name bell\x07 \xc3\xbc\ngpu0.board \xff\xfe\ngpu0.text a\xffb\x1b\n")
    (added,) = looker.added(gpu("0000:41:00.0"))
    assert added.nvml is not None
    assert (added.nvml.name, added.nvml.board) == (r"bell\x07 ü", None)
    assert added.nvml.metadata_text == r"a\xffb\x1b"
    assert added.faults == (Fault(path="nvml/nvmlDeviceGetBoardPartNumber", error="text that is no UTF-8"),)


def test_two_gpus_are_told_apart_by_their_addresses(nvml: NvmlStub, looker: Looker) -> None:
    """The domain has eight digits in NVML and four in sysfs (five under Intel VMD)."""
    nvml.says("gpus 2\ngpu0.bus 10000 e1 0\ngpu0.name one\ngpu1.bus 0 3b 0\ngpu1.name two\n")
    parents = (gpu("0000:3b:00.0"), gpu("0000:3b:01.3"), gpu("10000:e1:00.0"), gpu("0000:99:00.0"))
    names = [parent.nvml and parent.nvml.name for parent in looker.added(*parents)]
    assert names == ["two", "two", "one", None]  # the VF 3b:01.3 is on its card's bus, nothing is on bus 99


def test_two_gpus_on_one_bus_share_nothing_with_a_third_address(nvml: NvmlStub, looker: Looker) -> None:
    """In a guest all devices can be on the root bus."""
    nvml.says("gpus 2\ngpu0.bus 0 0 5\ngpu0.name one\ngpu1.bus 0 0 6\ngpu1.name two\n")
    parents = (gpu("0000:00:05.0"), gpu("0000:00:06.0"), gpu("0000:00:07.0"))
    assert [parent.nvml and parent.nvml.name for parent in looker.added(*parents)] == ["one", "two", None]


def test_a_gpu_that_is_lost_does_not_hide_the_other(nvml: NvmlStub, looker: Looker) -> None:
    """What no question of it can be answered with is told once."""
    two = "gpus 2\ngpu0.bus 0 3b 0\ngpu0.name one\ngpu1.bus 0 5e 0\ngpu1.name two\n"
    lost = "".join(f"error.nvmlDevice{name}.0 15\n" for name in ("GetName", "GetEccMode", "GetVgpuMetadata"))
    nvml.says(two + lost)
    one, other = looker.added(gpu("0000:3b:00.0"), gpu("0000:5e:00.0"))
    assert one.faults == (Fault(path="nvml", error="NVML_ERROR_GPU_IS_LOST"),)
    assert other.nvml is not None
    assert (other.nvml.name, other.faults) == ("two", ())


def test_a_gpu_that_does_not_say_which_one_it_is_is_told_at_all(nvml: NvmlStub, looker: Looker) -> None:
    """NVML has one more than can be placed."""
    nvml.says("gpus 2\ngpu0.bus 0 3b 0\ngpu0.name one\nerror.nvmlDeviceGetHandleByIndex_v2.1 4\n")
    one, other = looker.added(gpu("0000:3b:00.0"), gpu("0000:5e:00.0"))
    fault = Fault(path="nvml/nvmlDeviceGetHandleByIndex", error="NVML_ERROR_NO_PERMISSION")
    assert (one.nvml is not None, one.faults) == (True, (fault,))
    assert (other.nvml is not None, other.faults) == (False, (fault,))


def test_a_library_that_does_not_fit_the_driver_is_told(nvml: NvmlStub, looker: Looker) -> None:
    """On NVIDIA's parents, not on others'; the next look finds it mended."""
    nvml.says(H200 + "error.nvmlInitWithFlags 18\n")
    nic = Parent(path="/devices/nic", name="0000:42:00.0", pci=PciIds(vendor="0x15b3"))
    one, other = looker.added(gpu("0000:41:00.0"), nic)
    assert one.faults == (Fault(path="nvml", error="NVML_ERROR_LIB_RM_VERSION_MISMATCH"),)
    assert (one.nvml, other) == (None, nic)
    nvml.says(H200)
    (mended,) = looker.added(gpu("0000:41:00.0"))
    assert (mended.nvml is not None, mended.faults) == (True, ())


@pytest.mark.parametrize("code", [9, 28])
def test_a_library_without_driver_or_gpu_is_silent(nvml: NvmlStub, looker: Looker, code: int) -> None:
    """DRIVER_NOT_LOADED, GPU_NOT_FOUND: the GPU is given to a guest whole, for example."""
    nvml.says(f"error.nvmlInitWithFlags {code}\n")
    parent = gpu("0000:41:00.0")
    assert looker.added(parent) == (parent,)
    nvml.says("gpus 0\n")
    assert looker.added(parent) == (parent,)


def test_an_absent_library_is_silent_until_it_comes(home: Path, tmp_path: Path) -> None:
    """A driver that is installed while the agent runs."""
    late = NvmlStub(tmp_path / "late")
    late.says(H200)
    parent = gpu("0000:41:00.0")
    with Looker(home, late.environment) as looker:
        assert looker.added(parent) == (parent,)
        late.build()
        (added,) = looker.added(parent)
    assert added.nvml is not None
    assert added.nvml.driver_version == "535.161.05"


def test_without_nvidia_ml_py_there_is_nothing_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed: not even a fault."""
    import sys

    for name in [name for name in sys.modules if name.startswith(("pynvml", "mdevreg_agent.nvml"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    from mdevreg_agent.nvml import open_nvml

    assert open_nvml() is None


def test_an_upgraded_library_is_the_one_that_answers_next(home: Path, tmp_path: Path) -> None:
    """Nothing is held between two looks: the driver can be unloaded, and its new library is loaded."""
    nvml = NvmlStub(tmp_path / "upgraded")
    nvml.says("gpus 1\ngpu0.bus 0 41 0\n")
    seen = []
    with Looker(home, nvml.environment) as looker:
        for release in ("550.90.05", "570.133.10"):
            nvml.build(f'-DRELEASE="{release}"')
            (added,) = looker.added(gpu("0000:41:00.0"))
            seen.append(added.nvml and added.nvml.driver_version)
            assert looker.loaded is False
    assert seen == ["550.90.05", "570.133.10"]


def test_a_driver_that_never_answers_holds_up_one_look_for_a_bounded_time(nvml: NvmlStub, home: Path) -> None:
    """The next looks do not wait again, the process can end, and its parents are published without NVML."""
    nvml.says(H200 + "hang.nvmlDeviceGetVgpuMetadata 1\n")
    with Looker(home, nvml.environment, patience_s=0.3) as looker:
        for _ in range(2):
            (added,) = looker.added(gpu("0000:41:00.0"))
            assert added.nvml is None
            assert added.faults == (Fault(path="nvml", error="no answer within 0.3 s"),)
        assert looker.ended() == 0


def test_a_vf_has_the_vgpu_that_alone_can_be_on_it(nvml: NvmlStub, looker: Looker, h200_root: Path) -> None:
    """NVML does not name the VF, but there is one VF and one vGPU of the type."""
    nvml.says(H200 + "gpu0.active 3 4\n" + H200_VF.format(3, 11) + "vgpu4.type 1420\nvgpu4.caps 1\n")
    (vf,) = looker.added(*look(h200_root).parents)[0].devices
    assert vf.vgpu is not None
    assert (vf.name, vf.vgpu.guest_version, vf.vgpu.metadata is not None) == ("0000:41:00.4", 11, True)


@pytest.mark.parametrize(
    ("guests", "known"),
    [
        ((11, 11), VgpuInstance(guest_version=11, guest_driver_version=None, migration=True)),  # which is which: alike
        ((11, 12), None),
        ((11,), None),  # the other VF is idle, or was it this one?
    ],
)
def test_vfs_of_one_type_have_what_all_their_vgpus_agree_on(
    nvml: NvmlStub, looker: Looker, h200_root: Path, guests: tuple[int, ...], known: VgpuInstance | None
) -> None:
    """What can't be told apart is not guessed."""
    write(h200_root, "/sys/devices/pci0000:40/0000:41:00.5/nvidia/current_vgpu_type", "1428\n")
    running = "".join(H200_VF.format(number, guest) for number, guest in enumerate(guests))
    nvml.says(f"{H200}gpu0.active {' '.join(map(str, range(len(guests))))}\n{running}")
    devices: tuple[Device, ...] = looker.added(*look(h200_root).parents)[0].devices
    assert [device.vgpu for device in devices] == [known, known]


def test_two_looks_at_the_same_gpu_are_equal(nvml: NvmlStub, looker: Looker, a40: Parent) -> None:
    """Else each look would be a record."""
    nvml.says(A40 + "error.nvmlDeviceGetName 999\nerror.nvmlDeviceGetEccMode 999\n")
    assert looker.added(a40) == looker.added(a40)


def test_a_scan_shows_what_nvml_says(nvml: NvmlStub, h200_root: Path, run_cli: RunCli) -> None:
    """The whole agent, on a root that says that it is this host."""
    write(h200_root, "/proc/sys/kernel/random/boot_id", Path("/proc/sys/kernel/random/boot_id").read_bytes())
    nvml.says(H200 + "gpu0.name NVIDIA H200\ngpu0.active 3\n" + H200_VF.format(3, 11))
    done = run_cli(["mdevreg-agent", "scan", "--root", h200_root, "--plugins", ""], env=nvml.environment)
    assert (done.returncode, done.stderr) == (0, "")
    (parent,) = json.loads(done.stdout)["parents"]
    assert (parent["nvml"]["name"], parent["nvml"]["host_os"]) == ("NVIDIA H200", "made 1.0")
    assert parent["nvml"]["pinned"] == {"minimum": 5, "maximum": 10}
    assert parent["devices"][0]["vgpu"]["guest_version"] == 11


def _gpus_of_this_machine() -> list[str]:
    """Addresses of the GPUs that a real NVML can be asked of; none without the library."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    found = Path("/sys/bus/pci/drivers/nvidia").glob("*:*:*.0")
    return sorted(path.name for path in found)


if _gpus_of_this_machine():  # a test that is not there can't be reported as skipped

    def test_the_real_library_names_the_gpus_of_this_machine(home: Path) -> None:
        """NVIDIA's own, if this machine has it: it says the driver that the kernel says."""
        parents = [gpu(address) for address in _gpus_of_this_machine()]
        with Looker(home, {}) as looker:
            seen = looker.added(*parents)
            assert looker.loaded is False
        driver = Path("/sys/module/nvidia/version").read_text().strip()
        assert [(parent.nvml and parent.nvml.driver_version, parent.faults) for parent in seen] == [
            (driver, ()) for _ in parents
        ]
        assert all(parent.nvml and parent.nvml.name for parent in seen)
