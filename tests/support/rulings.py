"""Sides and operators' rules as ``judge`` may meet them, for property tests: small, and good more often than not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from mdevreg.claims import Learned
from mdevreg.facts import Evidence, Side
from mdevreg.outcomes import OutcomeReport, Result
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Effect, Rule, Scope
from mdevreg.statements import Versions, VersionSet
from mdevreg.streams import StreamSet, read_set
from mdevreg.support import MatchField, NoSupport, NotMigratable, StreamSupport
from support.strategies import NOW

T = TypeVar("T")
_TEXTS = st.integers(0, 3).map(str)


def mostly(good: T, other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """It, and one time in eight something else."""
    return mainly(st.just(good), other)


def mainly(usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The usual thing, and one time in eight another. (``one_of`` gives equal weight, however often one is named.)"""
    return st.integers(0, 7).flatmap(lambda die: other if die == 7 else usual)


def _table(**said: Any) -> VersionSet:
    return VersionSet(**said)


_BOUNDS = st.tuples(_TEXTS, _TEXTS).map(lambda pair: (min(pair), max(pair)))
#: Versions of small integers as somebody states them.
integer_sets: st.SearchStrategy[Versions] = st.one_of(
    _TEXTS,
    st.lists(_TEXTS, min_size=1, max_size=3).map(tuple),
    st.builds(_table, range=_BOUNDS),
    st.builds(_table, up_to=_TEXTS),
)
_OTHER_SETS: st.SearchStrategy[Versions] = st.one_of(
    st.builds(_table, tags=st.lists(st.sampled_from("ab"), min_size=1, max_size=2, unique=True).map(tuple)),
    st.just(VersionSet(opaque=True)),
)


def _read(stated: Versions) -> StreamSet:
    return read_set(stated, "integer")


#: Stream sets of every kind, mainly of integers.
sets: st.SearchStrategy[StreamSet] = mainly(
    integer_sets.map(_read), st.one_of(_OTHER_SETS.map(_read), _TEXTS.map(lambda text: read_set(text, "dotted")))
)

_FIELDS = st.sampled_from(["a", "b"])


def match_field(name: str) -> st.SearchStrategy[MatchField]:
    """A match rule of that name, and a value that mostly agrees."""
    return st.builds(
        MatchField,
        field=st.just(name),
        rule=st.sampled_from(["equal", "superset", "advisory"]),
        differing=st.sampled_from(["no", "unknown"]),
        value=mostly("1", st.sampled_from([None, "2", "3", "x;y", "x"])),
    )


_MATCHES: st.SearchStrategy[tuple[MatchField, ...]] = mainly(
    st.just(()) | st.tuples(match_field("a")), st.tuples(match_field("a"), match_field("b"))
)
_LEARNED = Learned("catalog", "entry", "source")
stream_supports = st.builds(
    StreamSupport,
    format=mostly("f", st.just("g")),
    saves=sets,
    loads=sets,
    learned=st.just(_LEARNED),
    match=_MATCHES,
    decided_by=mostly("driver", st.just("device")),
    earliest_check=st.sampled_from([None, "pre_copy", "downtime"]),
    contradictions=mostly((), st.just(("exec p says otherwise",))),
)
supports = mainly(
    stream_supports,
    st.just(NotMigratable("driver", _LEARNED)) | st.just(NoSupport("nothing_stated", "nothing is stated")),
)
_BUILDS = [DriverBuild(name="d", module="d", kernel_release=release) for release in ("6.12.0", "6.12.117")]
side_profiles = st.builds(
    Profile,
    type=mostly("t", st.sampled_from([None, "u"])),
    device_api=mostly("vfio-pci", st.sampled_from([None, "vfio-ccw"])),
    driver=st.sampled_from(_BUILDS),
)


def fresh(name: str, **changed: Any) -> Evidence:
    """A host that nobody doubts."""
    good = Evidence(host=f"id-{name}", hostname=name, site="lab", changed_at=NOW, last_seen=NOW)
    return msgspec.structs.replace(good, **changed)


#: What makes a host doubtful, one thing at a time.
DOUBTS: list[dict[str, Any]] = [
    {"last_seen": NOW - timedelta(seconds=61)},
    {"last_seen": None},
    {"leaving": True},
    {"in_sync": False},
    {"conflict": True},
]


def known_sides(name: str) -> st.SearchStrategy[Side]:
    """One side on the host of that name."""
    return st.builds(
        Side,
        evidence=mostly({}, st.sampled_from(DOUBTS)).map(lambda changed: fresh(name, **changed)),
        parent=st.just("p"),
        profile=side_profiles,
        support=supports,
        available_instances=st.none() | st.integers(0, 2),
    )


@st.composite
def nearly(draw: st.DrawFn, good: Side) -> Side:
    """A good side with up to two of its parts as they might be otherwise."""
    odd = draw(known_sides(good.evidence.hostname))
    assert isinstance(good.support, StreamSupport)
    support = draw(stream_supports)
    parts: list[tuple[str, msgspec.Struct, str]] = [
        *(("evidence", odd.evidence, name) for name in ("last_seen", "leaving", "in_sync", "conflict")),
        *(("profile", odd.profile, name) for name in ("type", "device_api")),
        *(("support", support, name) for name in ("format", "saves", "loads", "match", "decided_by")),
    ]
    for of, other, name in draw(st.lists(st.sampled_from(parts), max_size=2)):
        changed = msgspec.structs.replace(getattr(good, of), **{name: getattr(other, name)})
        good = msgspec.structs.replace(good, **{of: changed})
    return good if draw(st.integers(0, 9)) else msgspec.structs.replace(good, support=odd.support)


#: A source on alpha and a target on beta.
pairs = st.tuples(known_sides("alpha"), known_sides("beta"))

_SCOPES = mostly(
    FLEET,
    st.sampled_from(
        [
            Scope(host=("alpha",)),
            Scope(host=("id-beta",)),
            Scope(site=("lab",)),
            Scope(type=("t",)),
            Scope(driver=("d",), kernel_release=("6.12.0",)),
            Scope(host=("nobody",)),
        ]
    ),
)


@st.composite
def rules(draw: st.DrawFn, *effects: Effect, versions: bool = True, name: str | None = None) -> Rule:
    """A rule of one of the effects; ``versions``: false for denials of everything in their scope."""
    effect = draw(st.sampled_from(effects))
    named = effect == "pin" or (effect == "deny" and versions and draw(st.booleans()))
    return Rule(
        id=name or draw(st.uuids()).hex,
        effect=effect,
        author="op",
        message="why",
        valid_from=NOW - timedelta(days=1),
        where=draw(_SCOPES),
        source=draw(_SCOPES),
        target=draw(_SCOPES),
        format="f" if named else draw(st.sampled_from([None, "f"])),
        versions=draw(integer_sets) if named else None,
        fields=tuple(draw(st.lists(_FIELDS, min_size=1, max_size=2, unique=True))) if effect == "match" else (),
    )


def outcome(result: Result, source: str, target: str, **changed: Any) -> OutcomeReport:
    """A report on two profiles, by their digests."""
    told = OutcomeReport(
        id="o7",
        result=result,
        at=NOW,
        author="nova",
        source=source,
        target=target,
        device="alpha/p/t",
        to="beta/p/t",
        source_host="id-alpha",
        target_host="id-beta",
    )
    return msgspec.structs.replace(told, **changed)


def rule_lists(*effects: Effect, versions: bool = True) -> st.SearchStrategy[tuple[Rule, ...]]:
    """Up to three rules of these effects."""
    return st.lists(rules(*effects, versions=versions), max_size=3, unique_by=lambda rule: rule.id).map(tuple)
