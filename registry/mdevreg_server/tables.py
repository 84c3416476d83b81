"""The tables. Constraint names by convention; periods as in ``mdevreg.timeline``.

Four kinds of tables, and it matters which is which:

* ``record_log`` is the truth: append-only, gapless positions, bytes as received.
* *Projections* (``PROJECTIONS``) are recreated from it by ``mdevreg-server rebuild``; where bodies were pruned, from
  ``host_base`` and the rows that were known there.
* ``log_tile`` and ``log_checkpoint`` are evidence about the log (docs/audit.md).
* The rest is the registry's own memory: where it is in the streams, who was heard when, whose clock was wrong, what was
  refused, whom it tells of events and how that went.

Times are integers, µs since 1970-01-01 UTC (``…_us``), alike on both databases. System time is a log position
(ADR 2). ``OPEN`` (2^63 - 1) ends a period that holds until further notice.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mdevreg_server.base import NAMING, Base, Big, Intent, Interval, table_of
from mdevreg_server.event_tables import CampaignNews, EventMark, HostDoubt, Webhook, WebhookDelivery

#: Declared elsewhere, for whoever needs them beside the tables.
__all__ = ["Base", "CampaignNews", "EventMark", "HostDoubt", "NAMING", "Webhook", "WebhookDelivery", "table_of"]  # noqa: RUF022  (by letter)


class RecordLog(Base):
    """Every record, as it came, in the order in which it was committed.

    An empty ``body`` was pruned (ADR 15): the one thing in a row that is ever changed. No record is empty.
    """

    __tablename__ = "record_log"
    __table_args__ = (
        UniqueConstraint("host", "epoch", "seq"),
        CheckConstraint("position >= 1", name="position"),
        Index(None, "committed_at_us"),  # what was known at a time
    )

    position: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    host: Mapped[str] = mapped_column(Text)
    epoch: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(Big)
    kind: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    observed_at_us: Mapped[int] = mapped_column(Big)
    received_at_us: Mapped[int] = mapped_column(Big)
    committed_at_us: Mapped[int] = mapped_column(Big)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Profile(Base):
    """Interned profiles (``mdevreg.profiles``), by digest. Only ever added to."""

    __tablename__ = "profile"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    body: Mapped[str] = mapped_column(Text)


class _Standing:
    """The part of ``mdevreg.state.HostFold`` that is not in the interval tables."""

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    epoch: Mapped[str] = mapped_column(Text)
    retired: Mapped[str] = mapped_column(Text)  # JSON: epochs left behind
    received: Mapped[str] = mapped_column(Text)  # JSON: ranges of sequence numbers of the epoch
    settled: Mapped[int] = mapped_column(Big)
    last_seq: Mapped[int] = mapped_column(Big)
    position: Mapped[int] = mapped_column(Big)
    valid_at_us: Mapped[int] = mapped_column(Big)
    received_at_us: Mapped[int] = mapped_column(Big)
    in_sync: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(Text)


class HostState(_Standing, Base):
    """Where each host stands."""

    __tablename__ = "host_state"
    __table_args__ = (Index(None, "position"),)


class HostBase(_Standing, Base):
    """Where each host stood at ``position``, up to which bodies of records were pruned: ``rebuild`` begins there."""

    __tablename__ = "host_base"


class HostFact(Interval, Base):
    """The host's own facts; ``position`` names the record that holds them whole."""

    __tablename__ = "host_fact"

    hostname: Mapped[str] = mapped_column(Text, index=True, sort_order=10)
    site: Mapped[str | None] = mapped_column(Text, sort_order=11)
    kernel_release: Mapped[str | None] = mapped_column(Text, sort_order=12)
    position: Mapped[int] = mapped_column(Big, sort_order=13)


class Parent(Interval, Base):
    """A parent; ``position`` names the record that holds it whole, ``free`` is JSON: type → instances."""

    __tablename__ = "parent"

    path: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=1)
    name: Mapped[str] = mapped_column(Text, sort_order=10)
    position: Mapped[int] = mapped_column(Big, sort_order=11)
    free: Mapped[str] = mapped_column(Text, sort_order=12)


class Offer(Interval, Base):
    """A type that a parent offers, with its profile."""

    __tablename__ = "offer"
    found_by = ("type",)

    path: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=1)
    type: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=2)
    profile: Mapped[str] = mapped_column(Text, sort_order=10)


class Device(Interval, Base):
    """An mdev or VF."""

    __tablename__ = "device"
    found_by = ("name",)

    path: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=1)
    name: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=2)
    kind: Mapped[str] = mapped_column(Text, sort_order=10)
    type: Mapped[str | None] = mapped_column(Text, sort_order=11)
    profile: Mapped[str] = mapped_column(Text, sort_order=12)
    iommu_group: Mapped[int | None] = mapped_column(Big, sort_order=13)


class DriverBuild(Interval, Base):
    """The driver build behind a parent or its VFs."""

    __tablename__ = "driver_build"
    found_by = ("name",)

    path: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=1)
    name: Mapped[str] = mapped_column(Text, primary_key=True, sort_order=2)
    module: Mapped[str | None] = mapped_column(Text, sort_order=10)
    kernel_release: Mapped[str | None] = mapped_column(Text, sort_order=11)
    version: Mapped[str | None] = mapped_column(Text, sort_order=12)
    srcversion: Mapped[str | None] = mapped_column(Text, sort_order=13)
    build_id: Mapped[str | None] = mapped_column(Text, sort_order=14)


class Campaign(Intent, Base):
    """Campaigns (``mdevreg.campaigns``), without their plans: each as it was from a log position on."""

    __tablename__ = "campaign"


class Baseline(Intent, Base):
    """Baselines (``mdevreg.baselines``): each version, from a log position on."""

    __tablename__ = "baseline"


class StreamPosition(Base):
    """How far each stream was dealt with: written in the same transaction as the effect.

    ``created`` tells one life of a stream from the next (a wiped broker starts counting anew).
    For MDEVREG_FLEET, ``position`` is the newest log position whose hosts were published.
    """

    __tablename__ = "stream_position"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    created: Mapped[str] = mapped_column(Text)
    stream_seq: Mapped[int] = mapped_column(Big)
    position: Mapped[int] = mapped_column(Big)


class HostPresence(Base):
    """When each host was last heard, how far its clock is off, and whether two agents claim to be it."""

    __tablename__ = "host_presence"

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    last_seen_us: Mapped[int] = mapped_column(Big)
    leaving: Mapped[int] = mapped_column(Integer)
    conflict: Mapped[str | None] = mapped_column(Text)  # what was seen; NULL: none
    conflict_since_us: Mapped[int | None] = mapped_column(Big)
    skew_us: Mapped[int | None] = mapped_column(Big)  # its clock less the registry's; NULL: not measured
    skew_at_us: Mapped[int | None] = mapped_column(Big)  # when that was measured
    skew_beyond_us: Mapped[int | None] = mapped_column(Big)  # the same, if it was beyond the bound


class RecordClock(Base):
    """Records of hosts whose clocks were measured beyond the bound when these were committed. Only ever added to."""

    __tablename__ = "record_clock"

    position: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    skew_us: Mapped[int] = mapped_column(Big)


class Quarantine(Base):
    """What could not be applied, whole, with the reason. ``state``: open, dropped or applied."""

    __tablename__ = "quarantine"
    __table_args__ = (
        UniqueConstraint("sha256", "subject"),
        Index(None, "host", "epoch", "seq"),
        CheckConstraint("state in ('open', 'dropped', 'applied')", name="state"),
    )

    id: Mapped[int] = mapped_column(Big, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    host: Mapped[str | None] = mapped_column(Text)
    epoch: Mapped[str | None] = mapped_column(Text)
    seq: Mapped[int | None] = mapped_column(Big)
    sha256: Mapped[str] = mapped_column(Text)
    received_at_us: Mapped[int] = mapped_column(Big)
    last_received_at_us: Mapped[int] = mapped_column(Big)
    times: Mapped[int] = mapped_column(Big)
    resolution: Mapped[str | None] = mapped_column(Text)  # why it was dropped
    body: Mapped[bytes] = mapped_column(LargeBinary)


class LogTile(Base):
    """A tile of the Merkle tree over the log (``mdevreg.audit.tiles``); the last one of a level grows in place."""

    __tablename__ = "log_tile"

    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class LogCheckpoint(Base):
    """A signed checkpoint of that tree (``mdevreg.audit.notes``). ``root``: base64, as in the note."""

    __tablename__ = "log_checkpoint"

    size: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    root: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    created_at_us: Mapped[int] = mapped_column(Big)


#: Recreated from ``record_log``.
PROJECTIONS = (HostFact, Parent, Offer, Device, DriverBuild, HostState, Profile, Campaign, Baseline)
#: ``record_log.kind`` of an intent → the table that it is found in.
INTENTS: dict[str, type[Campaign | Baseline]] = {"campaign": Campaign, "baseline": Baseline}
#: ``mdevreg.objects`` kind → its interval table. Key, then value columns, in table order.
INTERVALS: dict[str, type[HostFact | Parent | Offer | Device | DriverBuild]] = {
    "host": HostFact,
    "parent": Parent,
    "offer": Offer,
    "device": Device,
    "driver": DriverBuild,
}
