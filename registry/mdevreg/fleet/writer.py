"""The index of a fleet, kept up to date from what the registry publishes. One writer; readers take ``view``. Pure.

Rules of this file:

1. ``view`` is replaced, never changed: whoever holds one has a snapshot, at no cost.
2. What can't be understood changes nothing, is counted, and is told: ``Applied.refused``.
3. The facts of a host are as good as when they were last looked at; ``sweep`` looks again as time passes, and a view
   tells until when it holds (``FleetView.sound_until_us``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import structs

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.errors import DecodeError
from mdevreg.fleet.believing import Believing
from mdevreg.fleet.building import Builder
from mdevreg.fleet.edit import Edit
from mdevreg.fleet.heard import NOBODY_HEARD, Heard
from mdevreg.fleet.lookup import Directory
from mdevreg.fleet.naming import Naming
from mdevreg.fleet.shards import Shards
from mdevreg.fleet.soundness import Soundness
from mdevreg.fleet.table import RulingTable
from mdevreg.fleet.tally import Tally
from mdevreg.fleet.view import FleetView
from mdevreg.objects import Profiles, host_objects, parent_objects
from mdevreg.profiles import Profile
from mdevreg.published import (
    FleetDigest,
    HostHead,
    HostIndex,
    decode_digest,
    decode_head,
    decode_presence,
    decode_profile,
    decode_state,
    index_of,
)
from mdevreg.records import EMPTY_DIGEST
from mdevreg.subjects import FLEET
from mdevreg.times import micros, moment_of
from mdevreg.wire import decode_facts, decode_parent

_NO_HOST = b"null"


class Refused(msgspec.Struct, frozen=True):
    """A message that could not be understood; what its subject said before stays."""

    subject: str
    error: DecodeError


class Applied(msgspec.Struct, frozen=True):
    """What a lot of messages changed.

    ``hosts``: those whose answers may be others now. ``believed``: rules or catalog entries changed, which concerns
    all. ``differing``: buckets in which the registry has published something else than what is here. ``went_back``:
    its log ends before what is known here, as after an older copy was restored.
    """

    hosts: frozenset[str]
    believed: bool
    refused: tuple[Refused, ...]
    differing: tuple[int, ...]
    went_back: bool


class Fleet:
    """The index. ``stale_after_s``: the silence after which a host's facts are unknown."""

    def __init__(self, *, stale_after_s: float = DEFAULT_STALE_AFTER_S) -> None:
        self.profiles: dict[str, Profile] = {}
        self._believing, self._naming, self._tally = Believing(), Naming(), Tally()
        self._builder = Builder((), self.profiles)
        self._soundness = Soundness(int(stale_after_s * 1e6))
        self._heard = NOBODY_HEARD
        self._position = 0
        self._edit: Edit | None = None  # what is not in the view yet
        self._hosts: list[tuple[str, HostHead, HostIndex]] = []  # and what is not in the edit
        self._waiting: dict[str, tuple[str, HostHead, HostIndex]] = {}  # for their profiles
        self._believed, self._went_back = False, False
        self._told = 0  # the newest position of a host when the last digest came
        self._digests: dict[str, FleetDigest] = {}
        self.view = FleetView(
            Directory(Shards(), Shards()),
            types={},
            heard=self._heard,
            table=RulingTable(self._believing.knowledge, moment_of(0)),
            position=0,
            stale_after_us=self._soundness.stale_after_us,
            sound_until_us=2**63,
        )

    def apply(self, messages: Iterable[tuple[str, bytes]], *, now_us: int, more: bool = False) -> Applied:
        """Take in messages of the fleet stream, as (subject, data), in its order. ``now_us``: µs UTC.

        ``more``: others follow at once, before which nobody asks: ``view`` stays what it is, and what they change is
        told with the last of them. So a whole fleet is taken in faster.
        """
        edit = self._edit = self._edit or self._begun(now_us)
        refused: list[Refused] = []
        for subject, data in messages:
            try:
                self._one(edit, subject, data, refused)
            except DecodeError as error:
                refused.append(Refused(subject, error))
        self._put_hosts(edit, refused)
        return Applied(frozenset(), False, tuple(refused), (), False) if more else self._finished(edit, refused, now_us)

    def _finished(self, edit: Edit, refused: list[Refused], now_us: int) -> Applied:
        believed, digests, back = self._believed, list(self._digests.values()), self._went_back
        self._edit, self._believed, self._went_back = None, False, False
        self._digests.clear()
        if believed:
            self._rebuild(edit, moment_of(now_us))
        self.view = self._viewed(edit, now_us, believed=believed)
        differing = {bucket for digest in digests for bucket in self._tally.differing(digest)}
        return Applied(frozenset(edit.touched), believed, tuple(refused), tuple(sorted(differing)), back)

    def _begun(self, now_us: int) -> Edit:
        return Edit(self.view, self._naming, self._soundness, self._tally, now_us)

    def sweep(self, *, now_us: int) -> frozenset[str]:
        """Look again at hosts that were silent for too long by now. Returns those whose facts are no longer good."""
        due = self._soundness.due(now_us)
        if not due and self.view.table.from_us <= now_us < self.view.table.until_us:
            return frozenset()
        edit = self._begun(now_us)
        for bucket in due:
            edit.heard(bucket, edit.presence[bucket])
        self._rebuild(edit, moment_of(now_us))  # rules that are over tell no places apart any more
        self.view = self._viewed(edit, now_us, believed=False)
        return frozenset(edit.touched)

    def _one(self, edit: Edit, subject: str, data: bytes, refused: list[Refused]) -> None:
        kind, _, token = subject[len(FLEET) + 1 :].partition(".")
        if kind == "profile" and data:
            self.profiles[token] = decode_profile(data)
            self._hosts += self._waiting.values()
            self._waiting.clear()
            return
        head = decode_head(data) if kind == "host" and data else None
        if head is not None and head.epoch:
            index = head.index if head.index is not None else self._index(data)
            if not index.parents and index.hostname is None and head.digest != EMPTY_DIGEST:
                head = structs.replace(head, observed_at=None)  # too large to be published: nothing is known of it here
            self._hosts.append((subject, head, index))
            return
        self._put_hosts(edit, refused)  # what follows is about them
        match kind:
            case "host":
                self._waiting.pop(token, None)
                if (before := edit.entry(token)) is not None:
                    edit.put(before, None)
            case "presence" if data:
                edit.heard(_bucket(token), Heard(decode_presence(data)))
            case "digest" if data:
                self._digests[token] = digest = decode_digest(data)
                # Some of what came after its position may stand before it; nothing of before the last digest does.
                self._went_back |= digest.position < self._told
                self._told = self._position
            case "amendment":
                self._believed |= self._believing.tell(token, data)

    def _put_hosts(self, edit: Edit, refused: list[Refused]) -> None:
        """Put the hosts that were decoded last.

        Their names are made once more, one right after the other: lists of names are joined three times as fast if
        the names lie side by side in memory.
        """
        hosts, self._hosts = self._hosts, []
        names = [f"{index.hostname or head.host}\0"[:-1] for _, head, index in hosts]
        for (subject, head, index), name in zip(hosts, names, strict=True):
            self._waiting.pop(head.host, None)
            try:
                self._put_host(edit, head, index, name)
            except DecodeError as error:  # its profile: it may come yet
                self._waiting[head.host] = (subject, head, index)
                refused.append(Refused(subject, error))

    def _put_host(self, edit: Edit, head: HostHead, index: HostIndex, name: str) -> None:
        before = edit.entry(head.host)
        self._position = max(self._position, head.position)
        received_us = None if head.received_at is None else micros(head.received_at)
        edit.put(before, self._builder.entry(head, index, before, name), received_us)

    def _index(self, data: bytes) -> HostIndex:
        """The index of a host that an older registry published: made of its documents, as a newer one does."""
        state, profiles = decode_state(data), Profiles()
        facts, known = bytes(state.facts), [decode_parent(bytes(raw)) for raw in state.parents.values()]
        objects = {parent.path: parent_objects(parent, 0, profiles) for parent in known}
        if facts != _NO_HOST:
            objects[""] = host_objects(decode_facts(facts), 0)
        index = index_of(objects)
        self.profiles.update((digest, decode_profile(profiles.body(digest))) for digest in index.profiles)
        return index

    def _rebuild(self, edit: Edit, now: datetime) -> None:
        """Rules that tell places apart changed: every host is looked at again. Others change nothing here."""
        rules = [rule for rule in self._believing.knowledge.rules.values() if not rule.over(now)]
        if self._builder.knows_places_of(rules):
            return
        self._builder = Builder(rules, self.profiles)
        for entry in list(edit.entries()):
            edit.put(entry, self._builder.again(entry))

    def _viewed(self, edit: Edit, now_us: int, *, believed: bool) -> FleetView:
        table = self.view.table
        if believed or not table.from_us <= now_us < table.until_us:
            table = RulingTable(self._believing.knowledge, moment_of(now_us))
        return edit.done(table, max(self._position, self._believing.position), self._soundness)


def _bucket(token: str) -> int:
    if len(token) != len("ff") or not set(token) <= set("0123456789abcdef"):
        raise DecodeError(f"{token[:40]!r} is no bucket: two hex digits were expected")
    return int(token, 16)
