"""The shipped catalog: every driver is there, every entry is honest about what it knows, no build is guessed."""

from __future__ import annotations

from datetime import date
from importlib.resources import files

import pytest

from mdevreg import shipped
from mdevreg.catalog import BuildKey, Catalog, Entry, release_of, specificity
from mdevreg.catalog_file import read_catalog_file
from mdevreg.places import observed_at
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild, PciIds
from mdevreg.shipped import shipped_entries
from mdevreg.streams import Exact, OneOf
from mdevreg.support import NoSupport, NotMigratable, StreamSupport, Support, support_of

ENTRIES = shipped_entries()
CATALOG = Catalog(shipped=ENTRIES)
MIGRATABLE = {
    "mtty": {"mtty"},
    "hisi_acc_vfio_pci": {"hisi_acc"},
    "qat_vfio_pci": {"qat"},
    "mlx5_vfio_pci": {"mlx5", "mlx5-raw"},
    "pds_vfio_pci": {"pds"},
    "virtio_vfio_pci": {"virtio"},
    "xe_vfio_pci": {"xe"},
    "nvidia": {"nvidia-vgpu"},
}
NOT_MIGRATABLE = [
    *("nvgrace_gpu_vfio_pci", "ism_vfio_pci", "vfio_ap", "vfio_ccw", "kvmgt", "mdpy", "mbochs"),
    *("vfio-pci", "vfio-cdx", "vfio-fsl-mc", "vfio-platform"),
]
_KEYED = [(entry, key) for entry in ENTRIES for key in entry.builds]


def _support(driver: str, kernel: str, kind: str = "pci-0000:0000", **build: str) -> Support:
    found = DriverBuild(name=driver, module=driver, kernel_release=kernel, **build)
    return support_of(Profile(type=kind, device_api="vfio-pci", driver=found), CATALOG)


def _saves(support: Support) -> str:
    """The one version that is saved, or why none is known."""
    match support:
        case StreamSupport(saves=Exact(version=version)):
            return version.raw
        case NoSupport():
            return "unknown"
    return type(support).__name__


def _build(entry: Entry, key: BuildKey, release: str | None = None) -> DriverBuild:
    """A build that the key is of; ``release``: instead of the first that it names."""
    named = (key.kernel_release or key.from_ or "").replace("*", "12-amd64") + key.suffix.replace("*", "-45-generic")
    identities = {"version": key.version, "srcversion": key.srcversion, "build_id": key.build_id}
    return DriverBuild(name=entry.drivers[0], kernel_release=release or named, **identities)


def _id(value: object) -> str | None:
    return value.id if isinstance(value, Entry) else None


def test_every_file_reads_and_gives_entries() -> None:
    """File by file as an operator's would be read; nothing else lies beside them."""
    found = [each for each in files(shipped).iterdir() if each.name.endswith(".toml")]
    read = [entry for file in found for entry in read_catalog_file(file.read_text(encoding="utf-8"), file.name)]
    assert len(found) == len(MIGRATABLE) + len(NOT_MIGRATABLE)
    assert sorted(entry.id for entry in read) == sorted(entry.id for entry in ENTRIES)
    assert shipped_entries() is ENTRIES


def test_ids_are_unique_over_all_files() -> None:
    """An amendment replaces entries by id: one of two would be lost."""
    ids = [entry.id for entry in ENTRIES]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize(("driver", "formats"), MIGRATABLE.items(), ids=MIGRATABLE)
def test_a_driver_that_migrates_is_there_with_its_formats(driver: str, formats: set[str]) -> None:
    """Each states versions, but NVIDIA's, which its library tells."""
    mine = [entry for entry in ENTRIES if driver in entry.drivers]
    assert {entry.format for entry in mine} == formats
    assert [entry.id for entry in mine if not entry.migratable] == []
    assert all(entry.saves is not None or entry.beside == "nvml" for entry in mine)


@pytest.mark.parametrize("driver", NOT_MIGRATABLE)
def test_a_driver_that_does_not_migrate_is_there(driver: str) -> None:
    """All its entries say so."""
    mine = [entry for entry in ENTRIES if driver in entry.drivers]
    assert mine
    assert [entry.id for entry in mine if entry.migratable] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=_id)
def test_an_entry_says_whence_it_is_known_and_what_a_person_needs_to_know(entry: Entry) -> None:
    """Source, date, confidence and words; what is unverified says so in words as well."""
    assert len(entry.source) > 15
    assert not entry.source.startswith("as "), "an entry is shown alone"
    assert date(2026, 1, 1) <= entry.date <= date(2026, 11, 24)
    assert entry.about
    if entry.confidence == "source":
        assert "linux-source-" in entry.source
        assert all("+deb" in (key.kernel_release or "") for key in entry.builds), "read in Debian's package"
    if any(key.from_ is not None for key in entry.builds):
        assert entry.confidence == "derived", "nobody read every release of a span"


@pytest.mark.parametrize(("entry", "key"), _KEYED, ids=_id)
def test_no_build_is_keyed_on_less_than_three_numbers(entry: Entry, key: BuildKey) -> None:
    """Major.minor decides nothing, nor does a module's version alone."""
    ends = [each for each in (key.from_, key.before, key.kernel_release) if each is not None]
    assert ends
    assert [each for each in ends if release_of(each) is None] == []
    low, high = release_of(key.from_ or "0.0.0"), release_of(key.before or "0.0.0")
    assert low is not None
    assert high is not None
    read = (6, 20, 0) if entry.drivers == ("xe_vfio_pci",) else (6, 18, 0)  # xe: its first form, merged for 6.19
    assert high[0] <= read, "no source newer than that was read"


@pytest.mark.parametrize(("entry", "key"), _KEYED, ids=_id)
def test_a_build_that_is_meant_is_found(entry: Entry, key: BuildKey) -> None:
    """A plausible build of each key, and no other driver's on the same kernel."""
    assert specificity(entry, _build(entry, key)) is not None
    stranger = DriverBuild(name="stranger", kernel_release=_build(entry, key).kernel_release)
    assert specificity(entry, stranger) is None


@pytest.mark.parametrize(("entry", "key"), [(e, k) for e, k in _KEYED if k.from_ is not None], ids=_id)
def test_a_span_ends_where_it_says(entry: Entry, key: BuildKey) -> None:
    """The first release is of it, the one at its end is not, nor a distribution's where mainline is meant."""
    alone = Entry(
        id="alone", drivers=entry.drivers, builds=(key,), source=entry.source, date=entry.date, confidence="derived"
    )
    assert specificity(alone, _build(entry, key, key.from_)) == 1
    assert specificity(alone, _build(entry, key, key.before)) is None
    followed = [specificity(alone, _build(entry, key, f"{key.from_}{suffix}")) for suffix in ("-rc1", "+", "-generic")]
    assert followed == ([1, 1, 1] if key.suffix == "*" else [None, None, None])


def test_a_span_of_any_suffix_is_of_drivers_that_never_migrated() -> None:
    """A distribution may have backported a stream's change; that there is none needs no backport."""
    wide = [entry.id for entry, key in _KEYED if key.suffix]
    assert {entry.id for entry in ENTRIES if entry.id in wide and entry.migratable} == set()


@pytest.mark.parametrize(
    ("kernel", "saves"),
    [
        ("5.18.0", "1.0"),
        ("6.1.0", "1.0"),
        ("6.1.1", "unknown"),
        ("6.1.191", "unknown"),
        ("6.1.192", "2.1"),
        ("6.12.0", "1.0"),
        ("6.12.1", "unknown"),
        ("6.12.116", "unknown"),
        ("6.12.117", "2.1"),
        ("6.12.117+deb12-arm64", "2.1"),
        ("6.12.118", "2.1"),
        ("6.13.0", "1.0"),
        ("6.13.1", "unknown"),
        ("6.15.0", "1.0"),
        ("6.15.4", "unknown"),
        ("6.16.0", "2.1"),
        ("6.17.9", "2.1"),
        ("6.18.0", "unknown"),
        ("6.16.0-rc1", "unknown"),
        ("6.12.0+", "unknown"),
        ("6.1.0-37-arm64", "unknown"),
        ("6.8.0-45-generic", "unknown"),
        ("5.14.0-427.13.1.el9_4.aarch64", "unknown"),
    ],
)
def test_hisi_knows_the_backport_trap(kernel: str, saves: str) -> None:
    """First releases have the old stream, those that were read the new one, those between are unknown."""
    assert _saves(_support("hisi_acc_vfio_pci", kernel)) == saves


def test_hisi_loads_the_old_stream_where_it_saves_the_new_one() -> None:
    """New accepts V1 and V2, old V1 only; what V2 adds is not loaded by the old."""
    for kernel, loads in (("6.12.0", ["1.0"]), ("6.12.117", ["1.0", "2.1"]), ("6.16.3", ["1.0", "2.1"])):
        support = _support("hisi_acc_vfio_pci", kernel)
        assert isinstance(support, StreamSupport)
        assert isinstance(support.loads, OneOf)
        assert [version.raw for version in support.loads.versions] == loads


@pytest.mark.parametrize(
    "driver", [driver for driver in MIGRATABLE if driver not in ("nvidia", "mtty")] + ["nvgrace_gpu_vfio_pci"]
)
@pytest.mark.parametrize("kernel", ["6.1.0-37-amd64", "6.8.0-45-generic", "6.12.0-124.8.1.el10_1.x86_64"])
def test_a_distributions_kernel_is_unknown_whatever_its_numbers(driver: str, kernel: str) -> None:
    """Debian's 6.1.0-37 is the number of an ABI; the others carry backports."""
    assert isinstance(_support(driver, kernel), NoSupport)


@pytest.mark.parametrize(
    ("kind", "build", "saves"),
    [
        ("mtty-1", {"version": "0.1", "srcversion": "0CFBC3668084E605BBD06DA"}, "1.0"),
        ("mtty-1", {"version": "0.1", "srcversion": "00000000000000000000000"}, "1.0"),
        ("mtty-2", {"version": "0.2", "srcversion": "81B07FD5AC910A686434B10"}, "1.0"),
        ("mtty-2", {"version": "1.0", "srcversion": "2646F13F80BA763E3D66717"}, "unknown"),
    ],
)
def test_the_recorded_builds_of_mtty_are_told_apart(kind: str, build: dict[str, str], saves: str) -> None:
    """Three builds ran on one kernel; of the third nobody says what it writes."""
    support = _support("mtty", "6.12.117+deb12-amd64", kind, **build)
    assert _saves(support) == saves
    if isinstance(support, StreamSupport):
        assert [(field.field, field.value) for field in support.match] == [("nr_ports", kind[-1])]


@pytest.mark.parametrize("driver", ["ism_vfio_pci"])
def test_what_is_unverified_is_no_evidence(driver: str) -> None:
    """The entry names the build, and the support stays unknown."""
    build = DriverBuild(name=driver, module=driver, kernel_release="6.19.0")
    assert any(specificity(entry, build) for entry in ENTRIES)
    assert isinstance(_support(driver, "6.19.0"), NoSupport)


@pytest.mark.parametrize(
    ("driver", "kernel", "kind"),
    [
        ("i915", "6.8.0-45-generic", "i915-GVTg_V5_4"),
        ("vfio_ap", "6.8.0-45-generic", "vfio_ap-passthrough"),
        ("vfio_ccw", "5.14.0-427.13.1.el9_4.s390x", "vfio_ccw-io"),
        ("mdpy", "6.12.117+deb12-amd64", "mdpy-hd"),
        ("mbochs", "6.12.117+deb12-amd64", "mbochs-small"),
        ("vfio-pci", "6.1.0-37-amd64", "pci-8086:1889"),
        ("vfio-platform", "6.12.117", "platform"),
    ],
)
def test_a_driver_without_migration_is_told_on_every_kernel_that_was_read(driver: str, kernel: str, kind: str) -> None:
    """By the driver that the agent reports for such a parent; GVT-g's is i915."""
    assert isinstance(_support(driver, kernel, kind), NotMigratable)
    assert isinstance(_support(driver, "7.0.0-1-generic", kind), NoSupport)


def test_entries_never_contradict_each_other() -> None:
    """No build that some entry means is named by another one that says otherwise."""
    for entry, key in _KEYED:
        kind = entry.types[0].replace("*", "V5_4") if entry.types else "mtty-1"
        support = support_of(Profile(type=kind, driver=_build(entry, key)), CATALOG)
        assert not isinstance(support, NoSupport) or support.why == "nothing_stated"
        assert getattr(support, "contradictions", ()) == ()


def test_what_sysfs_shows_is_compared() -> None:
    """Match rules that say where their value is found, find it in what agents report."""
    profile = Profile(
        pci=PciIds(device="0xa251", revision="0x21"),
        attributes={"infiniband/board_id": "MT_0000000359", "infiniband/fw_ver": "22.36.1010"},
    )
    places = {rule.from_ for entry in ENTRIES for rule in entry.match if rule.from_ is not None}
    mine = {place: observed_at(profile, place) for place in places if not place.startswith("nvml.")}
    assert mine == {
        "pci.device": "0xa251",
        "pci.revision": "0x21",
        "attributes.infiniband/board_id": "MT_0000000359",
        "attributes.infiniband/fw_ver": "22.36.1010",
    }
