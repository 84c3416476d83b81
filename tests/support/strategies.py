"""What hosts, records and facts may look like, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from mdevreg.catalog import Catalog
from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.records import (
    Answer,
    Cause,
    Device,
    DriverBuild,
    Fault,
    HostFacts,
    MdevType,
    ModuleFile,
    Nvml,
    Parent,
    PciIds,
    VersionRange,
    VgpuInstance,
)
from mdevreg.statements import MatchRule, Statement, VersionSet
from mdevreg.support import support_of
from mdevreg.versions import SCHEMES
from support.publisher import Look

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
#: All that a name may hold: everything but C0 controls, DEL and halves of surrogate pairs.
_CHARS = st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"])
names = st.text(_CHARS, min_size=1, max_size=12)
lines = st.text(_CHARS, max_size=12)
texts = st.text(_CHARS | st.sampled_from("\t\n"), max_size=12)
tokens = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
counts = st.integers(0, 2**53 - 1)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
#: Stream versions as drivers might state them, the unreadable ones included.
versions = st.sampled_from(["0", "1", "2", "3", "0x2", " 2 ", "1.0", "1.1", "1.1.0", "2.0", "r7", "", "-1"])


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """It, or nothing."""
    return st.none() | strategy


module_files = st.builds(
    ModuleFile,
    path=st.none() | names.map("/lib/modules/{}".format),
    version=st.none() | lines,
    srcversion=st.none() | lines,
    build_id=st.none() | lines,
    error=st.none() | lines,
)
builds = st.builds(
    DriverBuild,
    name=names,
    module=maybe(names),
    kernel_release=maybe(lines),
    version=maybe(lines),
    srcversion=maybe(lines),
    build_id=maybe(lines),
)
mdev_types = st.builds(
    MdevType,
    id=st.sampled_from(["mtty-1", "mtty-2", "nvidia-42"]) | names,
    device_api=maybe(lines),
    name=maybe(lines),
    description=maybe(texts),
    available_instances=maybe(counts),
    migration_stream_version=maybe(versions),
    migration_stream_version_min=maybe(versions),
    migration_version=maybe(lines),
)
UUID_1, UUID_2 = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000B"
uuids = st.sampled_from([UUID_1, UUID_2]) | st.uuids().map(str)
_seen_of_devices = {
    "type": maybe(st.sampled_from(["mtty-1", "mtty-2", "nvidia-42"])),
    "driver": maybe(builds),
    "iommu_group": maybe(counts),
    "migration_stream_version": maybe(versions),
    "migration_stream_version_min": maybe(versions),
    "migration_version": maybe(lines),
}
pci_ids = st.builds(PciIds, vendor=maybe(lines), device=maybe(lines), class_=maybe(lines), revision=maybe(lines))
_vgpus = st.builds(VgpuInstance, guest_version=maybe(counts), migration=maybe(st.booleans()), metadata=maybe(lines))
devices = st.builds(Device, name=uuids, kind=st.just("mdev"), vgpu=maybe(_vgpus), **_seen_of_devices) | st.builds(
    Device, name=names, kind=st.just("vf"), pci=maybe(pci_ids), vgpu=maybe(_vgpus), **_seen_of_devices
)
faults = st.builds(Fault, path=names, error=lines, text=maybe(texts))
_ranges = st.builds(VersionRange, minimum=st.integers(0, 3), maximum=st.integers(0, 3))
nvmls = st.builds(
    Nvml,
    driver_version=maybe(lines),
    supported=maybe(_ranges),
    pinned=maybe(_ranges),
    gpu_range=maybe(_ranges),
    migration=maybe(st.booleans()),
    ecc=maybe(st.booleans()),
    board=maybe(lines),
    vgpu_types=st.dictionaries(names, lines, max_size=1),
    metadata=maybe(lines),
)
#: What somebody says, understandable or not: any text may stand where versions are expected.
stated_versions = st.one_of(
    versions,
    st.lists(versions, max_size=2).map(tuple),
    st.builds(VersionSet, range=st.tuples(versions, versions)),
    st.builds(VersionSet, up_to=versions),
    st.builds(VersionSet, tags=st.lists(lines, max_size=2).map(tuple)),
    st.builds(VersionSet, exact=maybe(versions), opaque=st.booleans()),
)
match_rules = st.builds(
    MatchRule,
    field=names,
    rule=st.sampled_from(["equal", "superset", "advisory"]),
    differing=st.sampled_from(["no", "unknown"]),
    from_=maybe(st.sampled_from(["pci.revision", "attributes.board", "nvml.ecc", "nowhere"])),
    about=maybe(lines),
)
statements = st.builds(
    Statement,
    migratable=st.booleans(),
    format=maybe(names),
    scheme=st.sampled_from(SCHEMES),
    saves=maybe(stated_versions),
    loads=maybe(stated_versions),
    decided_by=st.sampled_from(["driver", "device"]),
    earliest_check=st.sampled_from([None, "pre_copy", "downtime"]),
    match=st.lists(match_rules, max_size=1).map(tuple),
    fields=st.dictionaries(names, lines, max_size=1),
)
answers = st.builds(
    Answer,
    all=maybe(statements),
    types=st.dictionaries(st.sampled_from(["mtty-1", "nvidia-42"]), statements, max_size=1),
    devices=st.dictionaries(st.sampled_from([UUID_1, UUID_2]), statements, max_size=1),
)
host_facts = st.builds(
    HostFacts,
    hostname=lines,
    site=maybe(lines),
    machine_id=maybe(lines),
    boot_id=maybe(lines),
    kernel_release=maybe(lines),
    os_release=st.dictionaries(names, lines, max_size=3),
    agent_version=maybe(lines),
)
causes = st.builds(
    Cause,
    kind=st.sampled_from(["startup", "uevent", "rescan", "overrun", "operator", "resync", "overflow", "shutdown"]),
    action=maybe(lines),
    subsystem=maybe(lines),
    device=maybe(lines),
    seqnum=maybe(counts),
    events=counts,
)
_PATHS = ("/devices/a", "/devices/b", "/devices/c d")


@st.composite
def parents(draw: st.DrawFn, path: str | None = None) -> Parent:
    """A parent as an agent describes it: types by id, devices by name, each once."""
    here = path or "/devices/" + draw(names)
    return Parent(
        path=here,
        name=here.rpartition("/")[2][:255] or "none",
        subsystem=draw(st.none() | names),
        driver=draw(st.none() | builds),
        pci=draw(st.none() | pci_ids),
        types=tuple(draw(st.lists(mdev_types, max_size=3, unique_by=lambda each: each.id))),
        devices=tuple(draw(st.lists(devices, max_size=3, unique_by=lambda each: each.name))),
        faults=tuple(draw(st.lists(faults, max_size=2))),
        attributes=draw(st.dictionaries(names, lines, max_size=2)),
        nvml=draw(st.none() | nvmls),
        answers=draw(st.just({}) | st.dictionaries(names, answers, max_size=2)),
        modules=draw(st.just({}) | st.dictionaries(names, module_files, max_size=2)),
    )


drivers = st.sampled_from(
    [
        DriverBuild(name="mtty", module="mtty"),
        DriverBuild(name="mtty", module="mtty", kernel_release="6.12.0"),
        DriverBuild(name="built_in"),
        DriverBuild(name="other", module="mtty"),
    ]
)
_OFFERS = st.sampled_from([MdevType(id=kind, available_instances=free) for kind in ("a", "b") for free in (0, 1)])
_GUESTS = st.sampled_from([Device(name=name, type=kind) for name in (UUID_1, UUID_2) for kind in ("a", "b")])
_FACTS = [HostFacts(hostname="alpha", kernel_release=release) for release in ("6.12.0", "6.12.1")]


@st.composite
def plain_parents(draw: st.DrawFn, path: str) -> Parent:
    """A parent of few kinds, quickly drawn: what matters in a life is what comes, changes and goes."""
    return Parent(
        path=path,
        name=path[-1],
        driver=draw(st.none() | drivers),
        types=tuple(draw(st.lists(_OFFERS, max_size=2, unique_by=lambda each: each.id))),
        devices=tuple(draw(st.lists(_GUESTS, max_size=2, unique_by=lambda each: each.name))),
    )


@st.composite
def lives(draw: st.DrawFn, *, max_looks: int = 6) -> list[Look]:
    """A host over time: parents come, change, go and come back as they were."""
    wardrobe = {path: draw(st.lists(plain_parents(path), min_size=1, max_size=2)) for path in _PATHS}
    dress = st.fixed_dictionaries({}, optional={path: st.sampled_from(worn) for path, worn in wardrobe.items()})
    looks = st.builds(Look, facts=st.sampled_from(_FACTS), parents=dress)
    return draw(st.lists(looks, min_size=1, max_size=max_looks))


profiles = st.builds(
    Profile,
    type=maybe(st.sampled_from(["mtty-1", "mtty-2"])),
    device_api=maybe(st.sampled_from(["vfio-pci", "vfio-ccw"])),
    driver=maybe(drivers),
    migration_stream_version=maybe(versions),
    migration_stream_version_min=maybe(versions),
    migration_version=maybe(st.sampled_from(["", "a", "b"])),
    nvml=maybe(nvmls),
    answers=st.just({}) | st.dictionaries(names, st.tuples(statements), max_size=1),
)
evidences = st.builds(
    Evidence,
    host=st.sampled_from(["host-1", "host-2"]),
    hostname=st.sampled_from(["alpha", "beta"]),
    changed_at=st.just(NOW),
    last_seen=maybe(st.integers(-100, 200).map(lambda seconds: NOW - timedelta(seconds=seconds))),
    leaving=st.booleans(),
    in_sync=st.booleans(),
    conflict=st.booleans(),
    historical=st.booleans(),
)


#: No entries: what is known is what was observed.
NO_CATALOG = Catalog()


def side_of(evidence: Evidence, profile: Profile, *, device: str | None = None, free: int | None = None) -> Side:
    """One side, understood without a catalog, as a door hands it out."""
    support = support_of(profile, NO_CATALOG)
    return Side(evidence, "mtty", profile, support, device=device, available_instances=free)


sides = st.builds(
    side_of,
    evidence=evidences,
    profile=profiles,
    device=st.none() | st.just("uuid"),
    free=st.none() | st.integers(0, 3),
)
