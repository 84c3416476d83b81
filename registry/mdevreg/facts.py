"""What a door hands out: facts, with the log position they were read at. Verdicts are made of them by ``judge``.

Times are aware UTC. Nothing here is stored; the wire form of these structs is the query protocol.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

import msgspec

from mdevreg.outcomes import OutcomeReport
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild, HostFacts, Parent
from mdevreg.rules import Rule
from mdevreg.support import NoSupport, Support


class Moment(msgspec.Struct, frozen=True):
    """The two times of a question.

    ``as_of``: when it was true on the host, ``None`` = now. ``known_at``: a log position, or a time, by the
    registry's clock: what the registry knew then, ``None`` = the latest.
    """

    as_of: datetime | None = None
    known_at: int | datetime | None = None


NOW = Moment()


class Evidence(msgspec.Struct, frozen=True):
    """How good the facts of one host are."""

    host: str
    hostname: str
    site: str | None = None
    changed_at: datetime | None = None  # valid time of the newest fact
    last_seen: datetime | None = None  # last heartbeat or record; None in answers about the past
    leaving: bool = False  # the agent said goodbye
    in_sync: bool = True  # the registry's digest is the agent's
    missing: int = 0  # records of the agent's present epoch that never arrived; a snapshot took their place
    conflict: bool = False  # two live agents claim this id
    historical: bool = False  # a question about the past: staleness does not apply
    # Host's clock less the registry's, if it is beyond the registry's bound; positive: ahead. None in the past.
    clock_skew_s: float | None = None


class Side(msgspec.Struct, frozen=True):
    """One side of a question: an existing device (``device`` set), or a type that a parent offers."""

    evidence: Evidence
    parent: str  # name of the parent
    profile: Profile
    support: Support = NoSupport("nothing_stated", "nothing was concluded")  # as the registry understands the profile
    device: str | None = None
    available_instances: int | None = None
    digest: str = ""  # of the profile; none for a saved stream, or a scan at hand


class Retention(msgspec.Struct, frozen=True):
    """How long documents are kept, and what was pruned: of records up to a log position, committed before a time.

    Timelines stay complete; what is gone are documents, except those that held at that time or later, and the first and
    the last of every object.
    """

    policy: str  # "400d", "forever": as of now, whatever moment was asked about
    pruned_before: datetime | None = None
    pruned_position: int = 0


class HostSummary(msgspec.Struct, frozen=True):
    """One host in a list."""

    evidence: Evidence
    kernel_release: str | None = None
    parents: int = 0
    types: int = 0
    devices: int = 0


class Hosts(msgspec.Struct, frozen=True):
    """All hosts, by hostname, then id. ``snapshot``, of every list: the token that gives it again."""

    position: int
    hosts: tuple[HostSummary, ...]
    snapshot: str = ""
    retention: Retention | None = None  # of answers about the past, unless everything is kept for ever


class HostView(msgspec.Struct, frozen=True):
    """Everything known of one host."""

    position: int
    evidence: Evidence
    facts: HostFacts | None
    parents: tuple[Parent, ...]
    supports: dict[str, Support] = {}  # by PARENT/TYPE and PARENT/DEVICE, as the registry understands them
    snapshot: str = ""
    pruned: tuple[str, ...] = ()  # paths of parents of which only timelines are left; "": the host's own facts
    retention: Retention | None = None


class Pair(msgspec.Struct, frozen=True):
    """A source, and all that one target host offers."""

    position: int
    source: Side
    target: Evidence
    offers: tuple[Side, ...]
    rules: tuple[Rule, ...] = ()  # all that were known, in force or not
    outcomes: tuple[OutcomeReport, ...] = ()  # the newest of each two profiles, there and back, failed ones aside


class Candidates(msgspec.Struct, frozen=True):
    """A source, and every offer of its type in the fleet, by hostname, host, parent."""

    position: int
    source: Side
    offers: tuple[Side, ...]
    rules: tuple[Rule, ...] = ()
    outcomes: tuple[OutcomeReport, ...] = ()


class Offers(msgspec.Struct, frozen=True):
    """Offers of the fleet, by hostname, host, parent, type."""

    position: int
    offers: tuple[Side, ...]
    rules: tuple[Rule, ...] = ()


class DriverSpread(msgspec.Struct, frozen=True):
    """One driver build and how many hosts run it."""

    build: DriverBuild
    hosts: int
    parents: int


class Drivers(msgspec.Struct, frozen=True):
    """The driver builds of the fleet, by name, then most hosts first."""

    position: int
    drivers: tuple[DriverSpread, ...]
    snapshot: str = ""


#: What a history may be of; the last five are the registry's own entries.
HistoryKind = Literal["host", "device", "driver", "type", "rule", "catalog", "registry", "campaign", "baseline"]
OwnKind = Literal["rule", "catalog", "registry"]
HISTORY_KINDS: tuple[HistoryKind, ...] = get_args(HistoryKind)
#: The name of all of the registry's own entries together.
OWN = "registry"


class Change(msgspec.Struct, frozen=True):
    """One change in the life of an object, in ``[valid_from, valid_to)``; ``None`` = until further notice.

    The registry's own entries, such as rules, are on no host; their time is that of the decision.
    ``observed_at`` is the host's clock, ``received_at`` the broker's, ``committed_at`` the registry's, all of the
    record at ``position``; ``None``: the log no longer has it. ``flag``: why ``observed_at`` is not to be relied on
    (``mdevreg.clocks``), with ``clock_skew_s``: the host's clock less the others', positive: ahead by at least that.
    """

    valid_from: datetime
    valid_to: datetime | None
    position: int  # of the record that told it
    host: str  # id; "" for the registry's own entries
    object: str  # "host", "parent", "offer", "device", "driver", "rule", "catalog", "campaign", "baseline"
    name: str  # "mtty", "mtty/mtty-1", the uuid, the rule's id
    event: str  # "appeared", "changed", "gone"
    detail: str = ""
    observed_at: datetime | None = None
    received_at: datetime | None = None
    committed_at: datetime | None = None
    flag: str | None = None  # "CLOCK_AHEAD", "CLOCK_BEHIND"
    clock_skew_s: float | None = None
    hostname: str | None = None  # the newest one


class History(msgspec.Struct, frozen=True):
    """The changes of what was named, oldest first; ``host`` is the id of a host or of a device's last host, or ""."""

    position: int
    host: str
    changes: tuple[Change, ...]
    snapshot: str = ""
    retention: Retention | None = None  # unless everything is kept for ever
    kind: HistoryKind = "host"


class RuleList(msgspec.Struct, frozen=True):
    """Every rule that was ever known by then, ended ones included, oldest first."""

    position: int
    rules: tuple[Rule, ...]
    snapshot: str = ""
