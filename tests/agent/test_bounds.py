"""A parent made to fit into one record."""

from __future__ import annotations

from mdevreg import wire
from mdevreg.records import MAX_RECORD_BYTES, Device, Fault, MdevType, Parent
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
