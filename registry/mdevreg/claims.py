"""Claims: what each source says of one profile's streams, in order of precedence. Pure.

Precedence (ADR 7): ``operator`` > ``sysfs`` > ``nvml`` > ``exec`` > ``catalog``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from mdevreg.catalog import Catalog, Confidence, Entry, Ranked, Source, values_of
from mdevreg.errors import VersionError
from mdevreg.profiles import Profile
from mdevreg.statements import Statement, VersionSet
from mdevreg.streams import StreamSet, identity, read_set
from mdevreg.versions import stated

#: The stream format of NVIDIA's vGPUs, whose versions NVML tells.
NVIDIA_FORMAT = "nvidia-vgpu"


class Learned(msgspec.Struct, frozen=True):
    """Where something was learned: the source, and its entry, plug-in or attribute by name."""

    source: Source | Literal["stream"]  # "stream": it says so itself
    named: str = ""
    confidence: Confidence | None = None

    def __str__(self) -> str:
        return f"{self.source} {self.named}".rstrip()


class Claim(msgspec.Struct, frozen=True):
    """What one source says. ``rank``: how exactly it names the build; ``wrong``: what could not be understood."""

    learned: Learned
    statement: Statement = Statement()
    rank: int = 0
    entry: Entry | None = None
    fields: dict[str, str] = {}
    wrong: str | None = None

    @property
    def decides(self) -> bool:
        """Whether it says anything of versions, or that there is no migration."""
        said = self.statement
        return self.wrong is not None or not said.migratable or said.saves is not None or said.loads is not None

    def understood(self) -> tuple[StreamSet, StreamSet] | str | None:
        """What it saves and loads; text: what is wrong with it; ``None``: there is no migration."""
        said = self.statement
        if self.wrong is not None:
            return self.wrong
        if not said.migratable:
            return None
        if said.saves is None or said.loads is None:
            return f"it states no {'saves' if said.saves is None else 'loads'}"
        try:
            return read_set(said.saves, said.scheme), read_set(said.loads, said.scheme)
        except VersionError as error:
            return error.message

    def says_the_same(self, other: Claim) -> bool:
        """Whether two claims mean the same, however they are written."""
        return self._meaning() == other._meaning()

    def says_exactly(self, other: Claim) -> bool:
        """Whether they also compare the same match fields."""
        one, two = self.statement, other.statement
        return self.says_the_same(other) and (one.match, one.earliest_check) == (two.match, two.earliest_check)

    def __str__(self) -> str:
        understood = self.understood()
        if understood is None:
            return f"{self.learned} says that there is no migration"
        if isinstance(understood, str):
            return f"{self.learned} says what is not understood: {understood}"
        saves, loads = understood
        return f"{self.learned} says that it saves {saves} and loads {loads} of {self.statement.format or 'its own'}"

    def _meaning(self) -> object:
        understood = self.understood()
        if not isinstance(understood, tuple):
            return understood
        return (self.statement.format, self.statement.decided_by, *map(identity, understood))


def claims_of(profile: Profile, catalog: Catalog) -> list[Claim]:
    """Everything that is said of a profile with a driver, the strongest first. Requires ``profile.driver``."""
    assert profile.driver is not None
    operator, shipped = catalog.of(profile.driver, profile.type)
    return [
        *_entries(operator, "operator", profile),
        *_sysfs(profile, catalog),
        *_nvml(profile),
        *_answers(profile),
        *_entries(shipped, "catalog", profile),
    ]


def driver_name(profile: Profile) -> str:
    """The module names the namespace: two drivers never share one, two builds of a driver always do."""
    return (profile.driver.module or profile.driver.name) if profile.driver else ""


def _entries(ranked: list[Ranked], source: Source, profile: Profile) -> Iterator[Claim]:
    for rank, entry in ranked:
        if entry.confidence != "unverified":  # kept in view, and no evidence
            learned = Learned(source, entry.id, entry.confidence)
            yield Claim(learned, entry, rank, entry, values_of(entry, profile.type))


def _sysfs(profile: Profile, catalog: Catalog) -> Iterator[Claim]:
    form = catalog.format_of(driver_name(profile))
    version, minimum = profile.migration_stream_version, profile.migration_stream_version_min
    if version is not None:
        yield _stream_version(form, version, minimum)
    if profile.migration_version is not None:
        text = profile.migration_version.strip()
        said = Statement(format=form, scheme="opaque", saves=text, loads=text)
        yield Claim(Learned("sysfs", "migration_version"), said)


def _stream_version(form: str, version: str, minimum: str | None) -> Claim:
    """The interface that the kernel's maintainers sketched; without a minimum only the same version loads."""
    learned = Learned("sysfs", "migration_stream_version")
    try:
        saves = stated(version)
        low = saves if minimum is None else stated(minimum)
    except VersionError as error:
        return Claim(learned, wrong=error.message)
    if low.scheme != saves.scheme:
        return Claim(learned, wrong=f"the minimum {low} is {low.scheme}, the version {saves} is {saves.scheme}")
    loads = saves.raw if minimum is None else VersionSet(range=(low.raw, saves.raw))
    return Claim(learned, Statement(format=form, scheme=saves.scheme, saves=saves.raw, loads=loads))


def _nvml(profile: Profile) -> Iterator[Claim]:
    """NVIDIA's own range: what the host is pinned to, else what it supports; a running guest has settled on one."""
    nvml = profile.nvml
    if nvml is None:
        return
    if nvml.migration is False:
        yield Claim(Learned("nvml", "pgpuVirtualizationCaps"), Statement(migratable=False))
        return
    spans = (("pinned", nvml.pinned), ("supported", nvml.supported), ("gpu_range", nvml.gpu_range))
    for named, span in spans:
        if span is not None:
            loads = VersionSet(range=(str(span.minimum), str(span.maximum)))
            saves = loads if profile.guest_version is None else str(profile.guest_version)
            yield Claim(Learned("nvml", named), Statement(format=NVIDIA_FORMAT, saves=saves, loads=loads))
            return


def _answers(profile: Profile) -> Iterator[Claim]:
    for name, statements in profile.answers.items():
        for statement in statements:
            yield Claim(Learned("exec", name), statement, fields=dict(statement.fields))
