"""Facts as a reader of events has them, and the same found out naively: host against host, by ``judge``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from mdevreg.compatibility import Rules, judge
from mdevreg.deriving import HostFacts, Told
from mdevreg.events import DeviceRescued, DeviceStranded, OfferAppeared, OfferVanished, PairTurned
from mdevreg.facts import Evidence, Side
from mdevreg.knowledge import Knowledge
from mdevreg.objects import Key, Profiles, Value, host_objects, parent_objects
from mdevreg.profiles import Profile
from mdevreg.rules import in_force
from mdevreg.verdict import Outcome
from support.publisher import Look

Device = tuple[str, str, str]  # host, path, name
Pair = tuple[str, str]  # digests


def facts_of(look: Look | None, profiles: Profiles) -> HostFacts:
    """What a host looks like, as events are derived from it."""
    if look is None:
        return {}
    found: dict[Key, Value] = {("host",): (look.facts.hostname, look.facts.site)}
    assert host_objects(look.facts, 0)[("host",)][:2] == found[("host",)]
    for parent in look.parents.values():
        for key, value in parent_objects(parent, 0, profiles).items():
            found[key] = value[:1] if key[0] == "parent" else value
    return found


class Reader:
    """Believes what it is told, and nothing else."""

    def __init__(self) -> None:
        self.offers: dict[tuple[str, str, str], str] = {}
        self.stranded: set[Device] = set()
        self.pairs: dict[Pair, Outcome] = {}
        self.ids: list[str] = []

    def take(self, told: Sequence[Told]) -> None:
        """Take in what happened. Fails for what contradicts what was told before."""
        for happening in (each for one in told for each in one.happenings):
            match happening.data:
                case OfferAppeared() as data:
                    assert self.offers.get((data.host, data.path, data.type)) == data.replaces
                    assert data.profile != data.replaces
                    self.offers[data.host, data.path, data.type] = data.profile
                case OfferVanished() as data:
                    assert self.offers.pop((data.host, data.path, data.type)) == data.profile
                case DeviceStranded() as data:
                    assert (data.host, data.path, data.device) not in self.stranded
                    self.stranded.add((data.host, data.path, data.device))
                case DeviceRescued() as data:
                    self.stranded.remove((data.host, data.path, data.device))
                case PairTurned(source=source, target=target) as data:
                    assert data.before is not data.after
                    assert happening.kind == f"pair.became_{data.after}"
                    if not source.places and not target.places:
                        self.pairs[source.profile, target.profile] = data.after
        standing = set(self.offers.values())
        self.pairs = {pair: each for pair, each in self.pairs.items() if standing.issuperset(pair)}


class Naive:
    """The fleet, looked through host by host."""

    def __init__(
        self,
        facts: Mapping[str, HostFacts],
        profiles: Mapping[str, Profile],
        knowledge: Knowledge,
        now: datetime,
    ) -> None:
        self._facts, self._profiles, self._knowledge, self._now = facts, profiles, knowledge, now

    @property
    def offers(self) -> dict[tuple[str, str, str], str]:
        """Each offer's profile."""
        return {
            (host, key[1], key[2]): value[0]
            for host, facts in self._facts.items()
            for key, value in facts.items()
            if key[0] == "offer"
        }

    @property
    def stranded(self) -> set[Device]:
        """Devices that no other host could take."""
        found = set()
        for host, side, key in self._devices():
            others = (
                offer for there, offer in self._sides() if there != host and offer.profile.type == side.profile.type
            )
            if all(self._outcome(side, offer) is not Outcome.COMPATIBLE for offer in others):
                found.add((host, key[1], key[2]))
        return found

    @property
    def pairs(self) -> dict[Pair, Outcome]:
        """What becomes of each profile at each other of its type."""
        sides = {side.digest: side for _, side in self._sides()}
        return {
            (source.digest, target.digest): self._outcome(source, target)
            for source in sides.values()
            for target in sides.values()
            if source.profile.type == target.profile.type
        }

    def _outcome(self, source: Side, target: Side) -> Outcome:
        rules = in_force(tuple(self._knowledge.rules.values()), self._now)
        tried = self._knowledge.tried_between(source.digest, (target.digest,))
        return judge(source, target, Rules(in_force=rules, outcomes=tried), self._now).outcome

    def _sides(self) -> Iterator[tuple[str, Side]]:
        for host, facts in self._facts.items():
            for key, value in facts.items():
                if key[0] == "offer":
                    yield host, self._side(host, facts, key[1], value[0], None)

    def _devices(self) -> Iterator[tuple[str, Side, tuple[str, ...]]]:
        for host, facts in self._facts.items():
            for key, value in facts.items():
                if key[0] == "device":
                    yield host, self._side(host, facts, key[1], value[2], key[2]), key

    def _side(self, host: str, facts: HostFacts, path: str, digest: str, device: str | None) -> Side:
        hostname, site = facts[("host",)]
        evidence = Evidence(host, hostname, site, changed_at=self._now, last_seen=self._now)
        profile = self._profiles[digest]
        support = self._knowledge.support(digest, profile)
        return Side(evidence, facts["parent", path][0], profile, support, device, digest=digest)
