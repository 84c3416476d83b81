"""The questions about driver upgrades, answered in memory by looking at every state of every host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from mdevreg.distribution import Distribution, DistributionAsked, DriverShare, StreamShare, check, model_of
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment
from mdevreg.knowledge import Knowledge
from mdevreg.nearest import nearest
from mdevreg.objects import Profiles
from mdevreg.profiles import Profile, profile_of_type
from mdevreg.records import DriverBuild, HostFacts, Parent
from mdevreg.scopes import fits, told_of
from mdevreg.stragglers import MAX_STRAGGLERS, Straggler, Stragglers, StragglersAsked
from mdevreg.stragglers import check_scope as check_stragglers
from mdevreg.support import NoSupport, NotMigratable, StreamSupport, Support, support_of
from mdevreg.times import micros
from mdevreg.trends import Trend, TrendAsked, TrendRow, step_of, times_of
from mdevreg.upgrades import MAX_UPGRADES, Upgrade, UpgradePage, UpgradesAsked, check_scope, covers
from support.upgrade_oracle import Oracle, Seen


class Told(msgspec.Struct, frozen=True):
    """A host from ``since`` on."""

    since: datetime
    position: int
    facts: HostFacts | None
    parents: tuple[Parent, ...]


class Life(msgspec.Struct, frozen=True):
    """All that was told of a host up to a moment; of the newest, its name and site."""

    host: str
    states: list[Told]

    @property
    def facts(self) -> HostFacts:
        found = self.states[-1].facts
        assert found is not None
        return found

    @property
    def names(self) -> tuple[str, str]:
        return (self.host, self.facts.hostname)


def builds_of(parent: Parent) -> list[DriverBuild]:
    found = {device.driver.name: device.driver for device in parent.devices if device.driver}
    return list((found | ({parent.driver.name: parent.driver} if parent.driver else {})).values())


class MemoryTracking:
    """Part of ``MemoryDoor``."""

    @property
    def position(self) -> int:
        raise NotImplementedError

    def _lives(self, moment: Moment) -> list[Life]:
        raise NotImplementedError

    def _beliefs(self, moment: Moment) -> Knowledge:
        raise NotImplementedError

    def _told(self, moment: Moment) -> str:
        raise NotImplementedError

    def distribution(self, asked: DistributionAsked) -> Distribution:
        check(asked)
        found: dict[tuple[str | None, DriverBuild], set[tuple[str, str]]] = {}
        streams: dict[tuple[str | None, DriverBuild], dict[StreamShare, set[tuple[str, str]]]] = {}
        for life in self._lives(asked.moment):
            for parent in life.states[-1].parents:
                for build in builds_of(parent):
                    for group, profile in self._groups(life, parent, build, asked):
                        found.setdefault((group, build), set()).add((life.host, parent.path))
                        if profile is not None:
                            share = _share(support_of(profile, self._beliefs(asked.moment).catalog))
                            told = streams.setdefault((group, build), {}).setdefault(share, set())
                            told.add((life.host, profile.type or ""))
        shares = [
            DriverShare(
                build,
                hosts=len({host for host, _ in places}),
                parents=len(places),
                group=group,
                streams=_counted(streams.get((group, build), {})),
            )
            for (group, build), places in found.items()
        ]
        shares.sort(key=lambda each: (each.group is None, each.group or "", each.build.name, -each.hosts, repr(each)))
        return Distribution(self.position, tuple(shares), self._told(asked.moment), asked.by)

    def _groups(
        self, life: Life, parent: Parent, build: DriverBuild, asked: DistributionAsked
    ) -> Iterator[tuple[str | None, Profile | None]]:
        told: dict[str, tuple[str | None, ...]]
        told = {"host": life.names, "site": (life.facts.site,), "parent": (parent.name,), **told_of(build)}
        profiles = [profile_of_type(parent, kind) for kind in parent.types]
        mine: list[Profile | None] = [profile for profile in profiles if profile.driver == build]
        for profile in mine or [None]:
            kind: dict[str, tuple[str | None, ...]] = {}
            if profile is not None:
                kind = {"type": (profile.type,), "device_api": (profile.device_api,)}
            model, name = (None, None) if profile is None else (model_of(profile), profile.type)
            if fits(asked.where, told | kind):
                yield {None: None, "site": life.facts.site, "model": model, "type": name}[asked.by], profile

    def trend(self, asked: TrendAsked) -> Trend:
        snapshot = self._told(asked.moment)
        times = times_of(asked, asked.moment.as_of or datetime.now(UTC))
        sites = {life.host: life.facts.site for life in self._lives(asked.moment)}
        names = {life.host: life.names for life in self._lives(asked.moment)}
        counts: dict[DriverBuild, list[int]] = {}
        for place, time in enumerate(times):
            for host, states in ((life.host, life.states) for life in self._lives(asked.moment)):
                for build in {build for at in _until(states, time) for p in at.parents for build in builds_of(p)}:
                    if fits(asked.where, {"host": names[host], "site": (sites[host],), **told_of(build)}):
                        counts.setdefault(build, [0] * len(times))[place] += 1
        rows = [TrendRow(build, tuple(hosts)) for build, hosts in counts.items()]
        rows.sort(key=lambda row: (row.build.name, -row.hosts[-1], repr(row.build)))
        return Trend(self.position, times, tuple(rows), step_of(asked), snapshot)

    def upgrades(self, asked: UpgradesAsked) -> UpgradePage:
        if not 1 <= asked.limit <= MAX_UPGRADES:
            raise UsageError(f"limit is {asked.limit}")
        check_scope(asked.where)
        lives = self._lives(asked.moment)
        named = [life for life in lives if asked.host in (None, *life.names)]
        if not named:
            raise NotFoundError("host", asked.host or "")
        found = sorted((each for life in named for each in self._upgrades(life, asked.moment)), key=_order)
        drivers = {b.name for life in lives for state in life.states for p in state.parents for b in builds_of(p)}
        if asked.driver is not None and asked.driver not in drivers:
            raise NotFoundError("driver", asked.driver, nearest(asked.driver, drivers))
        meant = [
            each
            for each in found
            if asked.driver in (None, each.driver)
            and (asked.since is None or each.last_at >= asked.since)
            and (asked.until is None or each.last_at < asked.until)
            and covers(asked.where, each)
        ]
        end = len(meant) if asked.cursor is None else int(asked.cursor)
        first = max(0, end - asked.limit)
        return UpgradePage(
            self.position, tuple(meant[first:end]), str(first) if first else None, self._told(asked.moment)
        )

    def _upgrades(self, life: Life, moment: Moment) -> list[Upgrade]:
        profiles, known, bodies = Profiles(), self._beliefs(moment), {}
        states = []
        for state in life.states:
            offers = {}
            for parent in state.parents:
                for kind in parent.types:
                    profile = profile_of_type(parent, kind)
                    offers[parent.path, kind.id] = digest = profiles.digest(profile)
                    bodies[digest] = profile
            builds = {(parent.path, build.name): build for parent in state.parents for build in builds_of(parent)}
            devices = {parent.path: len(parent.devices) for parent in state.parents}
            states.append(Seen(micros(state.since), state.position, builds, offers, devices))
        names = {parent.path: parent.name for state in life.states for parent in state.parents}
        return Oracle(
            states,
            lambda digest: support_of(bodies[digest], known.catalog),
            names.__getitem__,
            host=life.host,
            hostname=life.facts.hostname,
            site=life.facts.site,
        ).upgrades()

    def stragglers(self, asked: StragglersAsked) -> Stragglers:
        if not 1 <= asked.limit <= MAX_STRAGGLERS:
            raise UsageError(f"limit is {asked.limit}")
        check_stragglers(asked.where)
        hosts, late = 0, []
        lives = self._lives(asked.moment)
        for life in sorted(lives, key=lambda life: life.host):
            mine = [
                (build, parent)
                for parent in life.states[-1].parents
                for build in builds_of(parent)
                if asked.wanted.name in (build.name, build.module)
            ]
            told = {"host": life.names, "site": (life.facts.site,), **told_of(*(build for build, _ in mine))}
            if not mine or not fits(asked.where, told):
                continue
            hosts += 1
            other = [(build, parent) for build, parent in mine if not asked.wanted.is_met_by(build)]
            if other:
                late.append(
                    Straggler(
                        host=life.host,
                        hostname=life.facts.hostname,
                        builds=tuple(sorted({build for build, _ in other}, key=repr)),
                        since=min(_since(life, parent.path, build) for build, parent in other),
                        parents=tuple(sorted(parent.name for _, parent in other)),
                        site=life.facts.site,
                        upgraded=len(mine) - len(other),
                        devices=sum(len(parent.devices) for _, parent in other),
                        **_on_disk(asked, other),
                    )
                )
        drivers = {b.name for life in lives for parent in life.states[-1].parents for b in builds_of(parent)}
        if asked.wanted.name not in drivers:
            raise NotFoundError("driver", asked.wanted.name, nearest(asked.wanted.name, drivers))
        page = [each for each in late if each.host > (asked.cursor or "")]
        following = page[asked.limit - 1].host if len(page) > asked.limit else None
        told_page = tuple(each for each in page[: asked.limit] if each.half or not asked.half)
        snapshot = self._told(asked.moment)
        return Stragglers(self.position, str(asked.wanted), hosts, len(late), told_page, following, snapshot)


def _on_disk(asked: StragglersAsked, runs: list[tuple[DriverBuild, Parent]]) -> dict[str, Any]:
    half, files = 0, []
    for build, parent in runs:
        file = parent.modules.get(build.module or "")
        if file is None:
            continue
        said = {key: getattr(file, key) for key in ("version", "srcversion", "build_id")}
        if any(value not in (None, getattr(build, key)) and getattr(build, key) for key, value in said.items()):
            files.append(file)
            half += asked.wanted.is_met_by(msgspec.structs.replace(build, **said))
    return {"half": half, "on_disk": tuple(sorted(set(files), key=repr))}


def _since(life: Life, path: str, build: DriverBuild) -> datetime:
    since = life.states[-1].since
    for state in reversed(life.states):
        if not any(parent.path == path and build in builds_of(parent) for parent in state.parents):
            break
        since = state.since
    return since


def _until(states: list[Told], time: datetime) -> list[Told]:
    return [state for state in states if state.since <= time][-1:]


def _order(upgrade: Upgrade) -> tuple[datetime, datetime, str]:
    return (upgrade.last_at, upgrade.first_at, upgrade.host)


def _share(support: Support) -> StreamShare:
    match support:
        case StreamSupport():
            return StreamShare("streams", format=support.format, saves=support.saves, loads=support.loads)
        case NotMigratable():
            return StreamShare("not_migratable")
        case NoSupport():
            return StreamShare("unknown", unknown=support.why)


def _counted(streams: dict[StreamShare, set[tuple[str, str]]]) -> tuple[StreamShare, ...]:
    found = [
        msgspec.structs.replace(
            share, hosts=len({host for host, _ in told}), types=tuple(sorted({kind for _, kind in told}))
        )
        for share, told in streams.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.hosts, each.types, repr(each))))
