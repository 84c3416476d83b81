"""From documents to profiles and the objects whose history is kept; names that go into subjects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg import subjects
from mdevreg.errors import UsageError
from mdevreg.objects import KINDS, Profiles, host_objects, parent_effects, parent_objects
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import Answer, Device, DriverBuild, HostFacts, MdevType, Nvml, Parent, PciIds, VgpuInstance
from mdevreg.statements import Statement
from support.strategies import UUID_1, parents, profiles, tokens


@given(parents())
def test_each_object_of_a_parent_has_one_row(parent: Parent) -> None:
    """Itself, its types, its devices, its driver builds; keys begin with a kind and the parent's path."""
    interned = Profiles()
    found = parent_objects(parent, 7, interned)
    assert all(key[0] in KINDS and key[1] == parent.path for key in found)
    assert {key[2] for key in found if key[0] == "offer"} == {kind.id for kind in parent.types}
    assert {key[2] for key in found if key[0] == "device"} == {device.name for device in parent.devices}
    builds = {parent.driver, *(device.driver for device in parent.devices)} - {None}
    assert {key[2] for key in found if key[0] == "driver"} == {build.name for build in builds if build}
    assert found["parent", parent.path][:2] == (parent.name, 7)


@given(parents())
def test_the_rows_name_the_profiles_of_their_types_and_devices(parent: Parent) -> None:
    """Whatever shortcut is taken: the digest is that of the profile, and its body decodes to it."""
    interned, plain = Profiles(), Profiles()
    found = parent_objects(parent, 7, interned)
    for kind in parent.types:
        digest = found["offer", parent.path, kind.id][0]
        assert digest == plain.digest(profile_of_type(parent, kind))
        assert msgspec.json.decode(interned.body(digest), type=Profile) == profile_of_type(parent, kind)
    for device in parent.devices:
        assert found["device", parent.path, device.name][2] == plain.digest(profile_of_device(parent, device))


@given(parents(), st.data())
def test_capacity_touches_the_parents_row_alone(parent: Parent, data: st.DataObject) -> None:
    """One created mdev moves the free instances of every type, and must not rewrite the offers."""
    free = data.draw(st.lists(st.integers(0, 9), min_size=len(parent.types), max_size=len(parent.types)))
    types = [
        msgspec.structs.replace(kind, available_instances=left) for kind, left in zip(parent.types, free, strict=True)
    ]
    interned = Profiles()
    before = parent_objects(parent, 7, interned)
    after = parent_objects(msgspec.structs.replace(parent, types=tuple(types)), 7, interned)
    changed = {key[0] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    was = [kind.available_instances for kind in parent.types]
    assert changed == ({"parent"} if free != was else set())


@given(parents(path="/devices/p"), parents(path="/devices/p"), st.data())
def test_the_short_road_ends_where_the_long_one_does(one: Parent, other: Parent, data: st.DataObject) -> None:
    """Effects and objects of an everyday change are those of a comparison of everything, or it says it can't tell."""
    after = data.draw(
        st.one_of(
            st.just(other),
            st.just(msgspec.structs.replace(one, devices=other.devices)),
            st.just(msgspec.structs.replace(one, devices=one.devices[1:])),
        )
    )
    interned = Profiles()
    before, wanted = parent_objects(one, 7, interned), parent_objects(after, 8, interned)
    made = dict(before)
    effects = parent_effects(one, after, made, 8, interned)
    if effects is None:
        assert made == before
        return
    assert made == wanted
    assert len({key for key, _ in effects}) == len(effects)
    differing = {key: wanted.get(key) for key in before.keys() | wanted.keys() if before.get(key) != wanted.get(key)}
    assert dict(effects) == differing


@given(profiles, profiles)
def test_two_profiles_have_one_digest_exactly_if_they_are_equal(one: Profile, other: Profile) -> None:
    """Interning loses nothing a verdict depends on."""
    interned = Profiles()
    assert (interned.digest(one) == interned.digest(other)) == (one == other)
    assert interned.digest(one) == Profiles().digest(one)


_MTTY = Parent(
    path="/devices/virtual/mtty/mtty",
    name="mtty",
    driver=DriverBuild(name="mtty", module="mtty", kernel_release="6.12.0-1-amd64", version="0.1", srcversion="A" * 23),
    types=(
        MdevType(
            id="mtty-1",
            device_api="vfio-pci",
            name="Single port serial",
            available_instances=3,
            migration_stream_version="2",
            migration_stream_version_min="1",
        ),
        MdevType(id="mtty-2"),
    ),
    devices=(Device(name=UUID_1, type="mtty-1", migration_stream_version="1"),),
)
_QAT = Parent(
    path="/devices/pci0000:6b/0000:6b:00.0",
    name="0000:6b:00.0",
    driver=DriverBuild(name="4xxx"),
    pci=PciIds(vendor="0x8086", device="0x4940"),
    types=(MdevType(id="pci-8086:4941", device_api="vfio-pci"),),
    devices=(
        Device(
            name="0000:6b:00.1",
            kind="vf",
            type="pci-8086:4941",
            driver=DriverBuild(
                name="qat_vfio_pci", module="qat_vfio_pci", kernel_release="6.12.117", build_id="0f" * 20
            ),
        ),
    ),
)


def test_a_record_of_schema_1_0_has_the_profiles_that_it_had() -> None:
    """Byte for byte: what 1.1 added is left out where it was not seen, so that a log may be read again for ever."""
    interned = Profiles()
    of_types = [interned.digest(profile_of_type(each, kind)) for each in (_MTTY, _QAT) for kind in each.types]
    of_devices = [interned.digest(profile_of_device(each, device)) for each in (_MTTY, _QAT) for device in each.devices]
    assert of_types == [
        "06de53f7445c39248a5400df9bd42f6e022417d6a359b5bb20caa332cc97ff5b",
        "17675493c060e447f6a3fd63db1af71ea889cd4d11e870c8d39af5a5eb214706",
        "b8290504b6bcd2573ed469a06cc9f4333f378d95fc9445920f4853f110aa6d93",
    ]
    assert of_devices == ["61f23ebcf6d8e1a48b397a53e85acc8965bfd17222333577aaa100870b819b98", of_types[2]]
    assert interned.digest(Profile()) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    "changed",
    [
        {"attributes": {"infiniband/board_id": "MT_0000000359"}},
        {"nvml": Nvml(ecc=True)},
        {"answers": {"plug-in": Answer(all=Statement(migratable=False))}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_seen_of_a_parent_is_in_each_of_its_profiles(changed: dict[str, Any]) -> None:
    """A match rule may ask for it; a change of it is told for every type and device."""
    now = msgspec.structs.replace(_MTTY, **changed)
    interned = Profiles()
    before, after = (parent_objects(each, 7, interned) for each in (_MTTY, now))
    assert {key[0] for key in before if before[key] != after[key]} == {"offer", "device"}
    assert all(before[key] != after[key] for key in before if key[0] in ("offer", "device"))
    assert parent_effects(_MTTY, now, dict(before), 8, interned) is None


def test_what_is_evidence_only_makes_no_profile() -> None:
    """NVML's blobs differ from card to card; they stay in the record."""
    cards = [
        msgspec.structs.replace(
            _MTTY, nvml=Nvml(ecc=True, metadata=blob, metadata_text=blob, vgpu_types={"nvidia-1": blob})
        )
        for blob in ("QQ==", "Qg==")
    ]
    assert profile_of_type(cards[0], _MTTY.types[0]) == profile_of_type(cards[1], _MTTY.types[0])
    vgpus = [
        Device(name=UUID_1, type="mtty-1", vgpu=VgpuInstance(guest_version=3, metadata=blob)) for blob in ("A", "B")
    ]
    assert len({profile_of_device(_MTTY, vgpu).guest_version for vgpu in vgpus}) == 1
    assert profile_of_device(_MTTY, vgpus[0]) == profile_of_device(_MTTY, vgpus[1])


def test_a_plug_in_speaks_of_a_device_before_its_type_before_all() -> None:
    """The most special first; of other types and devices it says nothing here."""
    all_, kind, device = (Statement(format=name) for name in ("all", "type", "device"))
    answer = Answer(all=all_, types={"mtty-1": kind, "mtty-2": all_}, devices={UUID_1: device, "other": all_})
    parent = msgspec.structs.replace(_MTTY, answers={"b": answer, "a": Answer(devices={"other": device})})
    assert profile_of_device(parent, parent.devices[0]).answers == {"b": (device, kind, all_)}
    assert profile_of_type(parent, parent.types[0]).answers == {"b": (kind, all_)}


def test_a_host_is_one_row() -> None:
    """Names are attributes: another name is a changed row, not another host."""
    one, other = (host_objects(HostFacts(hostname=name, site="lab"), 3) for name in ("alpha", "beta"))
    assert list(one) == list(other) == [("host",)]
    assert one["host",] == ("alpha", "lab", None, 3)


_OLD, _NEW = DriverBuild(name="vf_driver", version="1"), DriverBuild(name="vf_driver", version="2")
_PF = DriverBuild(name="pf_driver")


def _parent(*devices: Device, version: str | None = "5") -> Parent:
    kind = MdevType(id="t", device_api="vfio-pci", migration_stream_version=version, migration_stream_version_min="1")
    return Parent(path="/devices/p", name="p", driver=_PF, types=(kind,), devices=devices)


def _vf(name: str, driver: DriverBuild | None) -> Device:
    return Device(name=name, kind="vf", type="t", driver=driver)


@pytest.mark.parametrize(
    ("vfs", "expected"),
    [
        ([], _PF),
        ([_vf("1", _NEW), _vf("2", _NEW)], _NEW),
        ([_vf("1", _NEW), _vf("2", _OLD)], _PF),
        ([_vf("1", None)], _PF),
    ],
)
def test_a_type_of_vfs_is_driven_by_their_driver_if_they_agree(vfs: list[Device], expected: DriverBuild) -> None:
    """Else by the parent's."""
    parent = _parent(*vfs)
    assert profile_of_type(parent, parent.types[0]).driver == expected


def test_what_a_device_states_itself_wins_over_its_type() -> None:
    """Both attributes together: a minimum of the type says nothing of a version of the device."""
    parent = _parent()
    plain = profile_of_device(parent, Device(name="u", type="t"))
    assert (plain.migration_stream_version, plain.migration_stream_version_min) == ("5", "1")
    own = profile_of_device(parent, Device(name="u", type="t", migration_stream_version="4"))
    assert (own.migration_stream_version, own.migration_stream_version_min) == ("4", None)


def test_an_mdev_beside_vfs_of_its_type_keeps_its_parents_driver() -> None:
    """The type's profile is the VFs', and is not at hand for the mdev."""
    parent = _parent(_vf("1", _NEW), Device(name=UUID_1, type="t"))
    interned = Profiles()
    found = parent_objects(parent, 1, interned)
    digest = found["device", parent.path, UUID_1][2]
    assert msgspec.json.decode(interned.body(digest), type=Profile).driver == _PF


def test_a_vf_saves_its_own_drivers_stream_and_an_mdev_its_parents() -> None:
    """A VF without a driver has none; the parent's is another driver."""
    parent = _parent()
    assert profile_of_device(parent, _vf("1", _NEW)).driver == _NEW
    assert profile_of_device(parent, _vf("1", None)).driver is None
    assert profile_of_device(parent, Device(name="u", type="t", driver=_NEW)).driver == _PF


def test_a_device_of_no_listed_type_has_what_it_states_alone() -> None:
    """The mdev_type link never appeared."""
    profile = profile_of_device(_parent(), Device(name="u"))
    assert profile == Profile(driver=_PF)


@given(tokens)
def test_a_subject_ends_with_the_host(host: str) -> None:
    """And has as many tokens whatever the host."""
    for name in (subjects.record, subjects.beat, subjects.fleet_host):
        assert subjects.host_of(name(host)) == host
        assert name(host).count(".") == name("h").count(".")


@pytest.mark.parametrize(
    "host",
    ["", ".", "a.b", "*", ">", "a b", "a\n", "\na", "a\x00", "ä", "a/b", "$SYS", "h" * 65, "a.>", "٣"],
    ids=ascii,
)
def test_no_name_can_reach_into_anothers_subject(host: str) -> None:
    """Dots, wildcards, spaces, control characters and other alphabets are refused before anything is sent."""
    for name in (subjects.record, subjects.beat, subjects.fleet_host):
        with pytest.raises(UsageError, match="is no host id"):
            name(host)
