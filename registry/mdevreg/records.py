"""Version records: what an agent saw on its host, as it goes over the wire and into the log.

A record is state, not a delta: the complete state of one parent, its tombstone, the host's own facts, or
the list of all that the host has (a complete snapshot ends with it). Nothing here is a conclusion; stream
support is derived by ``mdevreg.support``. The JSON form of these structs *is* the wire format
(``docs/protocol.md``); bytes are read and written by ``mdevreg.wire``.

Kernel sources: Documentation/ABI/testing/sysfs-bus-vfio-mdev, Documentation/ABI/stable/sysfs-module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from mdevreg.shapes import Count, Digest, Line, Name, Path, Seq, Strict, Text, Time, Token
from mdevreg.statements import Statement

SCHEMA_MAJOR = 1
#: 1.1: NVML, plug-ins, attributes, VFs. 1.2: ``Parent.modules``.
SCHEMA_MINOR = 2
SCHEMA = f"{SCHEMA_MAJOR}.{SCHEMA_MINOR}"
#: Beats have a minor of their own. 1.2: ``at``.
BEAT_MINOR = 2
BEAT_SCHEMA = f"{SCHEMA_MAJOR}.{BEAT_MINOR}"

#: Longest accepted record. Below nats-server's default ``max_payload`` (1 MiB) by room for headers.
MAX_RECORD_BYTES = 1_000_000
#: Bounds of one parent. 4,096 types or devices is over 50 times what any known parent offers.
MAX_TYPES = 4_096
MAX_DEVICES = 8_192
MAX_PARENTS = 4_096

#: Further attributes and plug-ins of one parent.
MAX_ATTRIBUTES = 64
MAX_PLUGINS = 32
MAX_MODULES = 64


class DriverBuild(Strict, frozen=True):
    """The exact driver binary. Every identity but the name may be absent (few modules declare MODULE_VERSION)."""

    name: Name  # basename of <device>/driver
    module: Name | None = None  # basename of <device>/driver/module; None for a built-in driver
    kernel_release: Line | None = None  # /proc/sys/kernel/osrelease
    version: Line | None = None  # /sys/module/<module>/version
    srcversion: Line | None = None  # /sys/module/<module>/srcversion
    build_id: Line | None = None  # /sys/module/<module>/notes/.note.gnu.build-id, hex


class ModuleFile(Strict, frozen=True):
    """The file of a driver's module on disk, of the running kernel: what would be loaded next.

    Sources: modules.dep(5); the sections ``.modinfo`` and ``.note.gnu.build-id`` of the file.
    """

    path: Path | None = None  # None: modules.dep lists none of that name
    version: Line | None = None
    srcversion: Line | None = None
    build_id: Line | None = None  # hex
    error: Line | None = None  # why less is known of it than there is: "zstd is not readable here", "EACCES"


class MdevType(Strict, frozen=True):
    """One type that a parent offers: a folder of ``mdev_supported_types``, a vGPU type of a VF, or a VF itself."""

    id: Name  # folder name; "nvidia-<n>" for creatable_vgpu_types; "pci-<vendor>:<device>" for a VF
    device_api: Line | None = None
    name: Line | None = None  # optional before kernel 6.1
    description: Text | None = None
    available_instances: Count | None = None
    migration_stream_version: Line | None = None  # sketched by the kernel's maintainers; raw text
    migration_stream_version_min: Line | None = None
    migration_version: Line | None = None  # proposed 2019-2020; opaque, compared whole


class PciIds(Strict, frozen=True):
    """PCI identity as sysfs spells it (``0x10de``)."""

    vendor: Line | None = None
    device: Line | None = None
    subsystem_vendor: Line | None = None
    subsystem_device: Line | None = None
    class_: Line | None = msgspec.field(name="class", default=None)
    revision: Line | None = None


class VersionRange(Strict, frozen=True):
    """``[minimum, maximum]`` of NVIDIA's vGPU versions, both included (nvmlVgpuVersion_t)."""

    minimum: Count
    maximum: Count


class Nvml(Strict, frozen=True):
    """What NVIDIA's management library answers of one GPU; each is absent where it did not answer.

    Source: NVML API reference, vGPU migration; nvmlVgpuPgpuMetadata_t.
    """

    driver_version: Line | None = None  # of the host: the vGPU manager
    supported: VersionRange | None = None  # nvmlGetVgpuVersion, what the host could
    pinned: VersionRange | None = None  # what it is set to (nvmlSetVgpuVersion); no event tells a change
    gpu_range: VersionRange | None = None  # hostSupportedVgpuRange in this GPU's metadata
    migration: bool | None = None  # pgpuVirtualizationCaps, bit 0
    ecc: bool | None = None
    mig: bool | None = None
    name: Line | None = None  # "NVIDIA H100 PCIe"
    board: Line | None = None  # board part number
    virtualization_mode: Line | None = None
    vgpu_types: Annotated[dict[Name, Line], Meta(max_length=MAX_TYPES)] = {}  # id ("nvidia-558") to name
    host_os: Line | None = None  # ID and VERSION_ID of os-release(5): vendor rules name them
    metadata: Line | None = None  # the GPU's blob, base64: kept as evidence, only NVML may judge it
    metadata_text: Line | None = None  # nvmlDeviceGetPgpuMetadataString


class VgpuInstance(Strict, frozen=True):
    """What NVML answers of a running vGPU (nvmlVgpuMetadata_t)."""

    guest_version: Count | None = None  # negotiated with the guest's driver: what its stream is
    guest_driver_version: Line | None = None
    migration: bool | None = None  # vgpuVirtualizationCaps, bit 0
    metadata: Line | None = None  # base64


class Answer(Strict, frozen=True):
    """What one exec plug-in says of a parent: of all its types, of single types, of single devices."""

    all: Statement | None = None
    types: Annotated[dict[Name, Statement], Meta(max_length=MAX_TYPES)] = {}
    devices: Annotated[dict[Name, Statement], Meta(max_length=MAX_DEVICES)] = {}


class Device(Strict, frozen=True):
    """An mdev (named by uuid) or a VF (named by PCI address)."""

    name: Name
    kind: Literal["mdev", "vf"] = "mdev"
    type: Name | None = None  # None: the mdev_type link never appeared
    driver: DriverBuild | None = None  # None: unbound
    iommu_group: Count | None = None
    migration_stream_version: Line | None = None  # in the device's own folder
    migration_stream_version_min: Line | None = None
    migration_version: Line | None = None
    pci: PciIds | None = None  # of a VF
    vgpu: VgpuInstance | None = None  # of a running vGPU


class Fault(Strict, frozen=True):
    """An attribute that could not be read or understood; reported, never fatal."""

    path: Path  # relative to the parent's folder
    error: Line  # errno name ("EACCES", "EIO"), or what was wrong with the text
    text: Text | None = None  # the raw text, where there was one


class Parent(Strict, frozen=True):
    """The complete state of one parent device."""

    path: Path  # DEVPATH, unique on the host: /devices/pci0000:3a/0000:3b:00.0
    name: Name  # its basename
    subsystem: Name | None = None
    driver: DriverBuild | None = None
    pci: PciIds | None = None
    types: Annotated[tuple[MdevType, ...], Meta(max_length=MAX_TYPES)] = ()  # by id
    devices: Annotated[tuple[Device, ...], Meta(max_length=MAX_DEVICES)] = ()  # by name
    faults: Annotated[tuple[Fault, ...], Meta(max_length=MAX_TYPES)] = ()
    # Raw text by path below the parent ("infiniband/board_id"): what migration rules of its driver ask for.
    attributes: Annotated[dict[Name, Line], Meta(max_length=MAX_ATTRIBUTES)] = {}
    nvml: Nvml | None = None
    answers: Annotated[dict[Name, Answer], Meta(max_length=MAX_PLUGINS)] = {}  # by plug-in
    # Of the drivers' modules, by name as in /sys/module. No verdict depends on it, so it is in no profile.
    modules: Annotated[dict[Name, ModuleFile], Meta(max_length=MAX_MODULES)] = {}


class HostFacts(Strict, frozen=True):
    """The host's own facts. Names are attributes, never the identity (design section 7)."""

    hostname: Line
    site: Line | None = None  # set by the operator
    machine_id: Line | None = None
    boot_id: Line | None = None
    kernel_release: Line | None = None
    os_release: dict[Name, Line] = {}  # ID, VERSION_ID, PRETTY_NAME of /etc/os-release
    agent_version: Line | None = None


class Cause(Strict, frozen=True):
    """Why the agent looked. Informational: the record's body is true whatever the cause."""

    kind: Literal["startup", "uevent", "rescan", "overrun", "operator", "resync", "overflow", "shutdown"]
    action: Line | None = None  # of the first uevent of a burst
    subsystem: Line | None = None
    device: Line | None = None  # DEVPATH
    seqnum: Count | None = None  # kernel SEQNUM
    events: Count = 0  # how many uevents this look answers


class HostBody(Strict, frozen=True, tag_field="kind", tag="host"):
    """The host's own facts."""

    facts: Raw  # HostFacts


class ParentBody(Strict, frozen=True, tag_field="kind", tag="parent"):
    """The complete state of one parent."""

    path: Path
    parent: Raw  # Parent


class TombstoneBody(Strict, frozen=True, tag_field="kind", tag="tombstone"):
    """The parent of that path is gone."""

    path: Path


class CompleteBody(Strict, frozen=True, tag_field="kind", tag="complete"):
    """The end of a complete snapshot: all that the host has, by digest. What is not listed is gone.

    ``skipped`` names sequence numbers that the agent dropped (its outbox was full); they will never arrive.
    """

    facts: Digest
    parents: Annotated[dict[Path, Digest], Meta(max_length=MAX_PARENTS)]
    skipped: tuple[Seq, Seq] | None = None


Body = HostBody | ParentBody | TombstoneBody | CompleteBody


class Record(Strict, frozen=True):
    """One version record: envelope and body.

    ``seq`` counts without gaps from 1 inside one ``epoch`` (one life of the agent's outbox); ``digest`` is
    the digest of the host's whole state after this record (``state_digest``).
    """

    schema: Line
    host: Token
    epoch: Token
    seq: Seq
    digest: Digest
    observed_at: Time
    cause: Cause
    body: Body


class Beat(Strict, frozen=True):
    """A heartbeat (core NATS): where the agent is. ``leaving`` is its goodbye, ``at`` its clock when it was sent."""

    schema: Line
    host: Token
    epoch: Token
    seq: Count
    digest: Digest
    leaving: bool = False
    unsent: Count = 0
    at: Time | None = None  # None: sent by an agent of before 1.2


def digest_of(raw: bytes) -> str:
    """Digest of one document (facts or parent), over its bytes as sent: SHA-256, hex."""
    return hashlib.sha256(raw).hexdigest()


def state_digest(facts: str | None, parents: Mapping[str, str]) -> str:
    """Digest of a host's whole state: SHA-256 over one line per document, parents by path.

    ``facts`` and the values of ``parents`` are ``digest_of`` the documents; ``None`` = no facts yet.
    """
    lines = [f"host {facts or '-'}\n", *(f"parent {path} {parents[path]}\n" for path in sorted(parents))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


EMPTY_DIGEST = state_digest(None, {})
