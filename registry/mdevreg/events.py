"""Events: what changed in the fleet, told in log order as CloudEvents 1.0 (docs/events.md). Pure.

An event is derived from the log, or from who was heard when: nothing is invented, and who derives it again tells the
same event with the same id. Types and fields only ever come, so that readers pass over what they don't know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from mdevreg.errors import DecodeError
from mdevreg.records import DriverBuild
from mdevreg.verdict import Outcome

#: What every ``type`` begins with.
PREFIX = "io.mdevreg."
#: What makes pairs of kinds turn: a record, or what is believed, or a rule that begins or ends by its time.
Because = Literal["record", "rule", "catalog", "outcome", "time"]


class _OnHost(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is: a host by id, as it is called, and its site."""

    host: str
    hostname: str
    site: str | None = None


class DriverChanged(_OnHost, frozen=True, kw_only=True):
    """The driver build of a parent, or of its VFs, is another one; ``None``: there was none, or is none."""

    parent: str
    path: str
    driver: str
    before: DriverBuild | None = None
    after: DriverBuild | None = None


class _Offered(_OnHost, frozen=True, kw_only=True):
    parent: str
    path: str
    type: str
    profile: str
    build: DriverBuild | None = None


class OfferAppeared(_Offered, frozen=True, kw_only=True):
    """A parent offers a type with this profile. ``replaces``: the profile with which it offered the type before."""

    replaces: str | None = None


class OfferVanished(_Offered, frozen=True, kw_only=True):
    """A parent offers a type no longer."""


class PairEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a pair of kinds: a profile, its driver build, how many hosts offer it.

    ``places``: the scopes of operators' rules that tell these hosts from others with the same profile.
    """

    profile: str
    build: DriverBuild | None = None
    hosts: int
    places: tuple[str, ...] = ()


class PairTurned(msgspec.Struct, frozen=True, kw_only=True):
    """Streams of one kind of sides load on another, or don't, other than before. ``before``: ``None``: no such pair.

    True of every two hosts of these kinds whose facts are good; free instances aside. ``codes``: the reasons.
    """

    type: str
    source: PairEnd
    target: PairEnd
    before: Outcome | None = None
    after: Outcome
    codes: tuple[str, ...] = ()
    way_back: Outcome
    because: Because


class _OfDevice(_OnHost, frozen=True, kw_only=True):
    parent: str
    path: str
    device: str
    type: str
    profile: str
    build: DriverBuild | None = None


class DeviceStranded(_OfDevice, frozen=True, kw_only=True):
    """No other host could take the device. ``best``: the best verdict there is; ``None``: no other offers its type.

    By drivers, types and rules alone: free instances, and hosts that are silent, are no matter here.
    """

    best: Outcome | None = None
    because: Because


class DeviceRescued(_OfDevice, frozen=True, kw_only=True):
    """Another host could take the device again; or it is ``gone``, and strands no more."""

    because: Because
    gone: bool = False


class HostStale(_OnHost, frozen=True, kw_only=True):
    """Nothing was heard of a host for too long, or its agent said goodbye: its facts are unknown from now on."""

    why: Literal["silent", "left"]
    last_seen: datetime


class HostFresh(_OnHost, frozen=True, kw_only=True):
    """A host is heard again, or its conflict is resolved. ``before``: what was wrong."""

    before: Literal["stale", "conflict"]
    last_seen: datetime


class HostConflict(_OnHost, frozen=True, kw_only=True):
    """Two live agents claim to be this host: its facts are unknown until a person decides."""

    last_seen: datetime
    detail: str = ""


class CampaignTold(msgspec.Struct, frozen=True):
    """A campaign as its entry of the log has it: created, or ended by ``ended_by``."""

    name: str
    author: str = ""
    wanted: dict[str, Any] = {}
    where: dict[str, Any] = {}
    begins: datetime | None = None
    deadline: datetime | None = None
    message: str = ""
    ended: datetime | None = None
    ended_by: str | None = None
    reason: str = ""


class CampaignProgressed(msgspec.Struct, frozen=True):
    """How far a campaign came: its hosts by state. ``expected_end``: by the pace of late; ``None``: not known."""

    name: str
    hosts: int
    upgraded: int
    pending: int = 0
    offers_nothing: int = 0
    elsewhere: int = 0
    rolled_back: int = 0
    deadline: datetime | None = None
    expected_end: datetime | None = None


class CampaignDeviated(msgspec.Struct, frozen=True):
    """What is left of a campaign's plan would leave devices without a place to go: why, the first ones; none: it holds.

    ``mdevreg plan check NAME`` tells all.
    """

    name: str
    endangering: tuple[str, ...] = ()


#: What ``data`` holds, by type without its prefix.
DATA: dict[str, type[msgspec.Struct]] = {
    "driver.changed": DriverChanged,
    "offer.appeared": OfferAppeared,
    "offer.vanished": OfferVanished,
    "pair.became_compatible": PairTurned,
    "pair.became_incompatible": PairTurned,
    "pair.became_unknown": PairTurned,
    "device.stranded": DeviceStranded,
    "device.rescued": DeviceRescued,
    "host.stale": HostStale,
    "host.fresh": HostFresh,
    "host.conflict": HostConflict,
    "campaign.created": CampaignTold,
    "campaign.ended": CampaignTold,
    "campaign.progressed": CampaignProgressed,
    "campaign.completed": CampaignProgressed,
    "campaign.in_danger": CampaignProgressed,
    "campaign.overdue": CampaignProgressed,
    "campaign.deviated": CampaignDeviated,
    "campaign.on_course": CampaignDeviated,
}
#: Asked for by a person, of one subscription: whether its receiver is there.
PING = "webhook.ping"
TYPES = tuple(DATA)
BECAUSE: tuple[Because, ...] = get_args(Because)


class Event(msgspec.Struct, frozen=True):
    """One event, as it is published: a CloudEvent in structured mode.

    ``position``: the log position that it follows from; of what follows from the clock, the newest one by then.
    ``source`` names the registry, ``subject`` the host, HOST/DEVICE, or the pair. ``id`` is unique within ``source``.
    """

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    subject: str
    time: datetime
    position: int
    datacontenttype: Literal["application/json"]
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type without its prefix: ``driver.changed``."""
        return self.type.removeprefix(PREFIX)


class Happening(msgspec.Struct, frozen=True):
    """An event before it has a place. ``kind``: its type without the prefix; ``key``: what tells it from its like."""

    kind: str
    subject: str
    data: msgspec.Struct
    key: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where happenings follow from. ``name`` begins their ids; ``origin``: what else tells this place from others.

    A log position, with the digest of its entry: where an older copy was restored, the same position is another place.
    """

    name: str
    origin: str
    position: int
    at: datetime


_encoder = msgspec.json.Encoder(order=None)
_decoder = msgspec.json.Decoder(Event)


def event_of(happening: Happening, place: Place, source: str) -> Event:
    """The event that it is, there. ``source``: the registry's."""
    told = f"{place.origin}\0{happening.kind}\0{happening.subject}\0{happening.key}"
    return Event(
        specversion="1.0",
        id=f"{place.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}",
        source=source,
        type=f"{PREFIX}{happening.kind}",
        subject=happening.subject,
        time=place.at,
        position=place.position,
        datacontenttype="application/json",
        data=msgspec.to_builtins(happening.data),
    )


def encode_event(event: Event) -> bytes:
    """As it is published: a CloudEvent in JSON."""
    return _encoder.encode(event)


def decode_event(data: bytes) -> Event:
    """Read a published event, of a newer registry too. Raises ``DecodeError``."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no event: {error}", code="EVENT") from error


def typed(event: Event) -> msgspec.Struct | None:
    """Its data as the struct of its type; ``None``: a type that this program does not know. Raises ``DecodeError``."""
    kind = DATA.get(event.kind)
    try:
        return None if kind is None else msgspec.convert(event.data, kind)
    except msgspec.ValidationError as error:
        raise DecodeError(f"no data of {event.type}: {error}", code="EVENT") from error


def build_in(value: Any) -> str:
    """A driver build of ``data`` in words; none is ``none``."""
    if not isinstance(value, Mapping):
        return "none"
    which = value.get("version") or value.get("srcversion") or value.get("build_id") or value.get("kernel_release")
    return " ".join(str(each) for each in (value.get("name"), which) if each)
