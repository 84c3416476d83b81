"""Every NATS name that mdevreg uses: subjects, streams, durables, headers (design section 8).

An identifier is one token: letters, digits, ``-`` and ``_`` only, so that no name can reach into another's
subject.
"""

from __future__ import annotations

import hashlib
import re

from mdevreg.errors import UsageError

ROOT = "mdevreg.v1"
RECORDS_STREAM = "MDEVREG_RECORDS"
FLEET_STREAM = "MDEVREG_FLEET"
RECORDS_SUBJECTS = f"{ROOT}.record.*"
FLEET = f"{ROOT}.fleet"
FLEET_SUBJECTS = f"{FLEET}.>"
FLEET_HOSTS = f"{FLEET}.host.*"
FLEET_DIGESTS = f"{FLEET}.digest.*"
BEATS = f"{ROOT}.beat.*"
QUERIES = f"{ROOT}.q"
#: What changes what the registry believes: apart from questions, so that permissions can tell them apart.
DECISIONS = f"{ROOT}.decide"
#: Where one registry of several that share a fleet tells the others whose states are to be published again.
REPUBLISH = f"{ROOT}.care.republish"
#: Where the registry publishes each signed checkpoint of its log (docs/audit.md).
CHECKPOINTS = f"{ROOT}.checkpoint"
#: What happened in the fleet, in log order (docs/events.md).
EVENTS_STREAM = "MDEVREG_EVENTS"
EVENTS = f"{ROOT}.event"
EVENTS_SUBJECTS = f"{EVENTS}.>"
SERVICE = "mdevreg"
#: The registry's durable pull consumer of MDEVREG_RECORDS.
DURABLE = "mdevreg-registry"
#: Into how many slots the broker deals the hosts' records, where several registries share them. Never to be changed:
#: a stored record keeps its slot.
SLOTS = 64
_SLOT = f"{ROOT}.slot"
#: The subject under which the broker then stores a record (its subject transform): slot, host.
DEALT = f"{_SLOT}.{{{{partition({SLOTS},1)}}}}.{{{{wildcard(1)}}}}"

#: Headers of a fleet message: an agent reads its receipt without decoding the state.
EPOCH_HEADER = "Mdevreg-Epoch"
SEQ_HEADER = "Mdevreg-Seq"
DIGEST_HEADER = "Mdevreg-Digest"
POSITION_HEADER = "Mdevreg-Position"
#: Header of a reply that is an error: its stable code.
CODE_HEADER = "Mdevreg-Code"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def record(host: str) -> str:
    """Where an agent publishes its records."""
    return f"{ROOT}.record.{_token(host)}"


def beat(host: str) -> str:
    """Where an agent's heart beats (core NATS)."""
    return f"{ROOT}.beat.{_token(host)}"


def fleet_host(host: str) -> str:
    """Where the registry publishes a host's state, which is the agent's receipt."""
    return f"{FLEET}.host.{_token(host)}"


def fleet_profile(digest: str) -> str:
    """Where the registry publishes a profile, before the hosts that have it."""
    return f"{FLEET}.profile.{digest}"


def fleet_amendment(position: int, part: int) -> str:
    """Where the registry publishes what is believed from a log position on; large amendments in parts."""
    return f"{FLEET}.amendment.{position}" + (f"-{part}" if part else "")


def fleet_presence(bucket: int) -> str:
    """Where the registry publishes who was heard when, of a bucket of hosts."""
    return f"{FLEET}.presence.{bucket:02x}"


def fleet_digest(partition: int) -> str:
    """Where the registry publishes what it has published so far."""
    return f"{FLEET}.digest.{partition}"


def event(kind: str, host: str | None) -> str:
    """Where the registry publishes an event of a type; of no host in particular: ``_``."""
    return f"{EVENTS}.{kind}.{'_' if host is None else _token(host)}"


def slot(number: int) -> str:
    """The subjects of a slot's stored records."""
    return f"{_SLOT}.{number}.*"


def slot_of(host: str) -> int:
    """The slot into which nats-server's ``partition(64,…)`` deals a host: FNV-1a, 32 bits, modulo."""
    value = 0x811C9DC5
    for byte in host.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % SLOTS


def as_published(subject: str) -> str:
    """The subject on which a stored record was published: the broker may have dealt it into a slot."""
    return f"{ROOT}.record.{host_of(subject)}" if subject.startswith(f"{_SLOT}.") else subject


def query(endpoint: str) -> str:
    """Where the registry answers a question."""
    return f"{QUERIES}.{endpoint}"


def decision(endpoint: str) -> str:
    """Where the registry takes decisions: rules added and ended, catalog entries imported."""
    return f"{DECISIONS}.{endpoint}"


def host_of(subject: str) -> str:
    """The host token of a record, beat or fleet subject: the last token."""
    return subject.rpartition(".")[2]


def message_id(host: str, epoch: str, seq: int, data: bytes) -> str:
    """``Nats-Msg-Id`` of a record: the broker's duplicate window is an optimisation, SQL is the guarantee.

    It names the content too: what a cloned agent sends under a number that was used must not vanish as a duplicate.
    """
    return f"{host}.{epoch}.{seq}.{hashlib.sha256(data).hexdigest()[:16]}"


def _token(text: str) -> str:
    if not _IDENTIFIER.match(text):
        raise UsageError(f"{text!r} is no host id: 1 to 64 letters, digits, '-' or '_' were expected")
    return text
