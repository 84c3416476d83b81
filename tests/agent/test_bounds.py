"""A parent made to fit into one record."""

from __future__ import annotations

from mdevreg import wire
from mdevreg.records import MAX_RECORD_BYTES, Answer, Device, Fault, MdevType, Nvml, Parent, VersionRange, VgpuInstance
from mdevreg.statements import Statement
from mdevreg_agent import bounds


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


def test_blobs_and_names_of_vgpu_types_go_before_any_device() -> None:
    """They are evidence; what verdicts depend on stays."""
    nvml = Nvml(pinned=VersionRange(minimum=1, maximum=2), metadata="A" * 4_000, vgpu_types={"nvidia-1": "n" * 4_000})
    vgpu = VgpuInstance(guest_version=7, metadata="B" * 4_000)
    devices = tuple(Device(name=f"{number:04}", vgpu=vgpu) for number in range(300))
    fitted = bounds.fitted(Parent(path="/devices/x", name="x", devices=devices, nvml=nvml))
    assert fitted.nvml == Nvml(pinned=VersionRange(minimum=1, maximum=2))
    assert {device.vgpu for device in fitted.devices} == {VgpuInstance(guest_version=7)}
    assert len(fitted.devices) == 300
    assert fitted.faults == (
        Fault(path="nvml", error="metadata and names of vGPU types left out: no room in one record"),
    )


def test_answers_and_attributes_leave_most_of_the_room_to_the_rest() -> None:
    """A talkative plug-in takes neither the parent's types nor another plug-in's answer along."""
    talk = Answer(types={f"t{number:04}": Statement(fields={"f": "v" * 4_000}) for number in range(250)})
    quiet = Answer(all=Statement(migratable=False))
    attributes = {f"a{number:02}": "x" * 4_000 for number in range(64)}
    devices = tuple(Device(name=f"{number:08}", type="t" * 200) for number in range(8_000))
    fitted = bounds.fitted(
        Parent(
            path="/devices/x",
            name="x",
            types=(MdevType(id="a"),),
            devices=devices,
            attributes=attributes,
            answers={"quiet": quiet, "talk": talk, "terse": quiet},
        )
    )
    assert fitted.answers == {"quiet": quiet, "terse": quiet}
    assert list(fitted.attributes) == list(attributes)[:28]
    assert fitted.types == (MdevType(id="a"),)
    assert 0.95 * bounds.MAX_PARENT_BYTES < len(wire.encode(fitted)) <= bounds.MAX_PARENT_BYTES
    assert [(fault.path, fault.error.partition(" left out")[0]) for fault in fitted.faults] == [
        ("answers", "1 of 3 answers"),
        ("attributes", "36 of 64 attributes"),
        ("devices", f"{8_000 - len(fitted.devices)} of 8000 devices"),
    ]


def test_more_attributes_than_a_record_may_hold_are_cut_and_told() -> None:
    """The decoder would refuse the whole record."""
    fitted = bounds.fitted(Parent(path="/devices/x", name="x", attributes={f"{n:02}": "" for n in range(70)}))
    assert len(fitted.attributes) == 64
    assert fitted.faults[0].error == "6 of 70 attributes left out: no room in one record"
