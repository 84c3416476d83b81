"""Pages of targets, over any door: together they are the whole list, and no page has a host twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from msgspec import structs

from mdevreg import query
from mdevreg.answering import brief_of
from mdevreg.compatibility import DEFAULT_RULES
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment
from mdevreg.query.batch import Asked, BriefAnswer, BriefAnswers, can_migrate_many, one_by_one
from mdevreg.query.gathered import can_migrate_each
from mdevreg.query.nats_door import NatsDoor
from mdevreg.query.pages import MAX_LIMIT, PageAsked, TargetPage, TargetRow, every_target, key_of, targets_page
from mdevreg.query.parts import LONGEST_NAME, in_parts, parts_of
from mdevreg.query.questions import targets
from mdevreg.rulings import Brief
from mdevreg.verdict import Outcome
from support.databases import sqlite_url
from support.door_fleet import ASKED, fill, memory_door
from support.hosts import look, mtty, uuid_of
from support.memory_door import MemoryDoor, MemoryHost, State
from support.nats_server import brokers
from support.publisher import EPOCH_START
from support.registry import migrated
from support.serving import serving

SITES = ("north", "south", None)


def _host(number: int, *, free: int | None, version: str = "2", age_s: float = 3.0) -> MemoryHost:
    seen = look(mtty(version=version, free=free, devices=[1] if number == 0 else []), hostname=f"host{number % 7}")
    facts = structs.replace(seen.facts, site=SITES[number % 3])
    state = State(EPOCH_START, number + 1, facts, tuple(seen.parents.values()))
    return MemoryHost(f"id-{number:03}", (state,), ASKED - timedelta(seconds=age_s))


def _fleet(size: int, seed: int = 1) -> list[MemoryHost]:
    """Hosts of every outcome, with few hostnames and few counts of free instances, so that many keys tie."""
    chance = random.Random(seed)
    first = _host(0, free=1)
    return [first] + [
        _host(
            number,
            free=chance.choice([None, 0, 1, 2]),
            version=chance.choice(["0", "1", "2", "2"]),
            age_s=chance.choice([3.0, 3.0, 900.0]),
        )
        for number in range(1, size)
    ]


def _door(hosts: Sequence[MemoryHost]) -> MemoryDoor:
    return MemoryDoor(hosts, clock=lambda: ASKED)


def _walk(door: MemoryDoor, asked: PageAsked) -> list[TargetPage]:
    pages = []
    while True:
        page = targets_page(
            door,
            asked.device,
            now=ASKED,
            limit=asked.limit,
            outcome=asked.outcome,
            site=asked.site,
            cursor=asked.cursor,
        )
        pages.append(page)
        if page.next is None:
            return pages
        asked = structs.replace(asked, cursor=page.next)


@pytest.mark.parametrize("limit", [1, 2, 7, 39, 40, 100])
@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("site", [None, "north"])
def test_pages_together_are_the_whole_list(limit: int, outcome: Outcome | None, site: str | None) -> None:
    """The same hosts in the same order with the same briefs as ``targets``; ``counts`` are of the site's hosts."""
    door = _door(_fleet(40))
    whole = [a for a in targets(door, uuid_of(1), now=ASKED).answers if site in (None, a.target.site)]
    wanted = [answer for answer in whole if outcome in (None, answer.verdict.outcome)]
    pages = _walk(door, PageAsked(uuid_of(1), limit=limit, outcome=outcome, site=site))
    rows = [row for page in pages for row in page.rows]
    assert [row.host for row in rows] == [answer.target.host for answer in wanted]
    assert [_brief(row) for row in rows] == [structs.replace(brief_of(answer), position=0) for answer in wanted]
    counts = {each.value: sum(answer.verdict.outcome is each for answer in whole) for each in Outcome}
    assert all(page.counts == counts for page in pages)
    assert all(len(page.rows) == limit for page in pages[:-1])
    assert len(pages) == max(1, -(-len(wanted) // limit))


def test_the_fleet_has_all_outcomes_and_ties() -> None:
    """Otherwise the test above says little."""
    rows = targets_page(_door(_fleet(40)), uuid_of(1), now=ASKED).rows
    assert {row.ruling.outcome for row in rows} == set(Outcome)
    assert len({key_of(row)[:3] for row in rows}) < len(rows) == 39


def test_the_best_come_first() -> None:
    """What a scheduler looks at: those that can, those that perhaps can, then the others and why."""
    rows = targets_page(_door(_fleet(40)), uuid_of(1), now=ASKED).rows
    outcomes = [row.ruling.outcome for row in rows]
    assert list(dict.fromkeys(outcomes)) == [Outcome.COMPATIBLE, Outcome.UNKNOWN, Outcome.INCOMPATIBLE]
    assert len([here for here, after in pairwise(outcomes) if here is not after]) == 2


def _brief(row: TargetRow) -> Brief:
    return Brief(row.ruling, row.available_instances, row.facts_age_s, row.reliable_for_s, 0)


def test_a_page_says_what_is_asked_about_and_where_it_was_read() -> None:
    """The source by its names; a device that could be created has none of its own."""
    door = _door(_fleet(3))
    page = targets_page(door, uuid_of(1), now=ASKED)
    source = page.source
    assert (source.host, source.hostname, source.parent, source.type, source.device) == (
        "id-000",
        "host0",
        "mtty",
        "mtty-1",
        uuid_of(1),
    )
    assert (page.position, page.answered_at, page.as_of, page.next) == (3, ASKED, None, None)
    assert targets_page(door, "id-000/mtty/mtty-1", now=ASKED).source.device is None


def test_a_fleet_that_moves_between_pages_gives_no_host_twice() -> None:
    """Whatever becomes of outcomes, free instances and hosts: each page has a host once, and a walk has it once.

    Hosts that stayed as they were are all in it.
    """
    for seed in range(30):
        chance = random.Random(seed)
        hosts = _fleet(30, seed)
        still = {host.id for host in chance.sample(hosts[1:], 15)}
        fleet = _Moving(hosts, still, chance)
        told = [row.host for row in every_target(fleet.door, PageAsked(uuid_of(1), limit=4), now=ASKED)]
        assert len(told) == len(set(told))
        assert still <= set(told)
        assert fleet.moves > 3


class _Moving:
    """A fleet in which, whenever it has been asked, other hosts than those of ``still`` change."""

    def __init__(self, hosts: list[MemoryHost], still: set[str], chance: random.Random) -> None:
        self._hosts, self._still, self._chance, self.moves = hosts, still, chance, 0
        self.door = MemoryDoor((), ask=self._move, clock=lambda: ASKED)
        self._set()

    def _move(self) -> None:
        self.moves += 1
        for index, host in enumerate(self._hosts[1:], start=1):
            if host.id not in self._still:
                version = self._chance.choice(["0", "1", "2"])
                self._hosts[index] = _host(index, free=self._chance.choice([None, 0, 1, 2, 3]), version=version)
        self._set()

    def _set(self) -> None:
        self.door._hosts = tuple(self._hosts)


@pytest.mark.parametrize(
    "other",
    [
        {"device": "id-001/mtty/mtty-1"},
        {"outcome": Outcome.COMPATIBLE},
        {"site": "north"},
        {"stale_after_s": 61.0},
        {"moment": Moment(as_of=ASKED)},
        {"moment": Moment(known_at=3)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_cursor_of_another_question_is_refused(other: dict[str, object]) -> None:
    """What would be skipped or told twice is told instead; another limit is no other question."""
    door, asked = _door(_fleet(20)), PageAsked(uuid_of(1), limit=5)
    cursor = targets_page(door, uuid_of(1), now=ASKED, limit=5).next
    with pytest.raises(UsageError, match="is of another question") as caught:
        list(every_target(door, structs.replace(asked, cursor=cursor, **other), now=ASKED))
    assert caught.value.code == "BAD_CURSOR"
    rest = list(every_target(door, structs.replace(asked, cursor=cursor, limit=3), now=ASKED))
    assert len(rest) == 14


@pytest.mark.parametrize("cursor", ["", "x", "é", "!!!!", "W10", "WzEsMl0", "A" * 20_000, "WzIsIiIsWzAsMCwiIiwiIl1d"])
def test_a_cursor_that_nobody_made_is_refused(cursor: str) -> None:
    """No base64, no JSON, the wrong shape, another version."""
    with pytest.raises(UsageError, match="was not made by this registry") as caught:
        targets_page(_door(_fleet(3)), uuid_of(1), now=ASKED, cursor=cursor)
    assert caught.value.code == "BAD_CURSOR"


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_page_has_bounds(limit: int) -> None:
    """1 to 1,000 rows."""
    with pytest.raises(UsageError, match=f"limit is {limit}"):
        targets_page(_door(_fleet(3)), uuid_of(1), now=ASKED, limit=limit)


def test_a_door_that_makes_pages_is_asked_for_them() -> None:
    """With all that was asked; the check of limit and cursor comes first."""
    door = _Paging(_fleet(3))
    page = targets_page(door, uuid_of(1), now=ASKED, limit=9, outcome=Outcome.UNKNOWN, site="north")
    assert (page.position, door.asked) == (77, [PageAsked(uuid_of(1), limit=9, outcome=Outcome.UNKNOWN, site="north")])
    with pytest.raises(UsageError):
        targets_page(door, uuid_of(1), now=ASKED, cursor="x")
    assert len(door.asked) == 1


class _Paging(MemoryDoor):
    def __init__(self, hosts: Sequence[MemoryHost]) -> None:
        super().__init__(hosts, clock=lambda: ASKED)
        self.asked: list[PageAsked] = []

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:
        self.asked.append(asked)
        return structs.replace(targets_page(_door(self._hosts), asked.device, now=now), position=77)


@pytest.fixture(scope="module")
def nats_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsDoor]:
    """A door to a registry with the fleet of all doors, at a broker whose messages are small."""
    folder = tmp_path_factory.mktemp("served")
    with migrated(sqlite_url(folder)) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start(max_payload=16_384)
        with serving(sqlite_url(folder), broker.url), query.open(broker.url) as door:
            assert isinstance(door, NatsDoor)
            yield door


PAIRS = [
    Asked(device, to)
    for device in (
        uuid_of(1),
        "alpha/mtty/mtty-1",
        "eta/mtty/mtty-2",
        "nobody/mtty/x",
        "",
        "a\nb",
        "\ud800",
        "x" * 1025,
    )
    for to in ("beta", "beta/mtty2", "gamma", "host-d", "eta", "nobody", "b\x00")
]


def _plain(answers: Sequence[BriefAnswer]) -> list[tuple[object, ...]]:
    """Without the clock and the wording."""
    return [
        (
            each.device,
            each.to,
            each.answer and (each.answer.ruling, each.answer.available_instances, each.answer.position),
            each.problem is None,
        )
        for each in answers
    ]


def test_a_batch_over_nats_is_answered_as_one_by_one(nats_door: NatsDoor) -> None:
    """In several requests, since one message could not hold the answers; a name that is impossible costs its pair."""
    moment = Moment(known_at=memory_door().position)  # as known then: no clock plays a part
    found = can_migrate_many(nats_door, PAIRS, now=ASKED, moment=moment)
    expected = one_by_one(memory_door(), PAIRS, now=ASKED, moment=moment, rules=DEFAULT_RULES)
    assert _plain(found.answers) == _plain(expected.answers)
    assert found.position == expected.position
    assert sum(each.answer is not None for each in found.answers) > 10
    assert len(list(parts_of([pair for pair in PAIRS if pair.device.isascii()], 16_384))) > 1


def test_pages_over_nats_are_those_of_any_door(nats_door: NatsDoor) -> None:
    """The cursor of one is the other's too."""
    moment = Moment(known_at=memory_door().position)
    asked = PageAsked("alpha/mtty/mtty-1", moment, limit=2)
    rows = list(every_target(nats_door, asked, now=ASKED))
    assert rows == list(every_target(memory_door(), asked, now=ASKED))
    assert len(rows) == 5
    cursor = targets_page(memory_door(), asked.device, now=ASKED, moment=moment, limit=2).next
    assert list(every_target(nats_door, structs.replace(asked, cursor=cursor), now=ASKED)) == rows[2:]
    assert list(every_target(nats_door, structs.replace(asked, site="nowhere"), now=ASKED)) == []
    with pytest.raises(UsageError) as caught:
        targets_page(nats_door, asked.device, now=ASKED, cursor=cursor)
    assert caught.value.code == "BAD_CURSOR"
    with pytest.raises(NotFoundError, match="alpah"):
        targets_page(nats_door, "alpah/mtty/mtty-1", now=ASKED)


def _answers(pairs: Sequence[Asked], position: int) -> BriefAnswers:
    return BriefAnswers(tuple(BriefAnswer(pair.device, pair.to) for pair in pairs), position, ASKED)


def test_an_answer_that_is_too_large_is_asked_for_in_halves() -> None:
    """The estimate may be wrong; the order stays, and the newest position is told."""
    pairs = [Asked(f"d{number}", "t") for number in range(100)]
    asked: list[int] = []

    def ask(part: Sequence[Asked]) -> BriefAnswers:
        asked.append(len(part))
        if len(part) > 30:
            raise UsageError("too large", code="ANSWER_TOO_LARGE")
        return _answers(part, len(asked))

    found = in_parts(pairs, 1_000_000, ask, now=ASKED)
    assert [answer.device for answer in found.answers] == [pair.device for pair in pairs]
    assert asked == [100, 50, 25, 25, 50, 25, 25]
    assert found.position == len(asked)


def test_one_answer_that_is_too_large_is_an_error() -> None:
    """It can't be halved."""

    def ask(_: Sequence[Asked]) -> BriefAnswers:
        raise UsageError("too large", code="ANSWER_TOO_LARGE")

    with pytest.raises(UsageError, match="too large"):
        in_parts([Asked("d", "t")], 1_000_000, ask, now=ASKED)


def test_impossible_names_are_not_asked_for() -> None:
    """They have a problem in their place; of nothing but such nothing is asked at all."""
    pairs = [Asked("d", ""), Asked("d", "x" * (LONGEST_NAME + 1)), Asked("a\nb", "t"), Asked("d", "\udc00")]

    def ask(_: Sequence[Asked]) -> BriefAnswers:
        raise AssertionError

    found = in_parts(pairs, 1_000_000, ask, now=ASKED)
    assert [answer.problem and answer.problem.code for answer in found.answers] == ["USAGE"] * 4
    mixed = in_parts([pairs[0], Asked("d", "t"), pairs[1]], 1_000_000, lambda part: _answers(part, 1), now=ASKED)
    assert [answer.problem is None for answer in mixed.answers] == [False, True, False]


def test_parts_hold_what_a_message_holds() -> None:
    """Every pair is in one part; no part's request or expected answer is over the limit; 1,000 pairs at most."""
    chance = random.Random(1)
    pairs = [Asked("d" * chance.randint(1, 1_000), "t" * chance.randint(1, 1_000)) for _ in range(300)]
    parts = list(parts_of(pairs, 65_536))
    assert [pair for part in parts for pair in part] == pairs
    assert max(sum(len(pair.device) + len(pair.to) + 700 for pair in part) for part in parts) < 65_536
    assert len(parts) < 20
    assert [len(part) for part in parts_of([Asked("d", "t")] * 2_500, 8_000_000)] == [1_000, 1_000, 500]
    assert list(parts_of([], 1_000)) == []


@pytest.mark.parametrize(
    "moment", [Moment(), Moment(as_of=EPOCH_START + timedelta(seconds=4.5)), Moment(known_at=8)], ids=str
)
def test_pairs_that_share_a_device_are_answered_as_one_by_one(moment: Moment) -> None:
    """Hosts by id, by hostname, ambiguous, unknown; parents and types that are there or not; the source's own host."""
    places = [
        "",
        "/mtty",
        "/mtty2",
        "/mtty/mtty-1",
        "/mtty/mtty-2",
        "/mtty7/mtty-7",
        "/nowhere",
        "/",
        "//mtty-1",
        "/mtty/",
    ]
    hosts = ["alpha", "beta", "host-b", "gamma", "twin", "host-d", "eta", "zeta", "nobody", ""]
    devices = [uuid_of(1), "host-a/mtty/mtty-1", "eta/mtty/mtty-2", "eta/mtty7/mtty-7", "nobody/mtty/x", uuid_of(9)]
    pairs = [Asked(device, host + place) for host in hosts for place in places for device in devices]
    found = can_migrate_each(memory_door(), pairs, now=ASKED, moment=moment, worth_it=100)
    expected = one_by_one(memory_door(), pairs, now=ASKED, moment=moment, rules=DEFAULT_RULES)
    assert found == expected
    assert sum(each.answer is not None for each in found.answers) > 20


def test_pairs_that_share_a_device_cost_few_questions() -> None:
    """Two for all of them; one that is left over costs its own."""
    asked: list[int] = []
    door = MemoryDoor(_fleet(200), ask=lambda: asked.append(1), clock=lambda: ASKED)
    pairs = [Asked(uuid_of(1), f"id-{number:03}") for number in range(1, 200)]
    assert all(each.answer is not None for each in can_migrate_each(door, pairs, now=ASKED, worth_it=100).answers)
    assert len(asked) == 2
    can_migrate_each(door, [*pairs, Asked("id-001/mtty/mtty-1", "id-002")], now=ASKED, worth_it=100)
    assert len(asked) == 2 + 3
    can_migrate_each(door, pairs[:99], now=ASKED, worth_it=100)
    assert len(asked) == 2 + 3 + 99


def test_too_many_pairs_are_refused_before_anything_is_asked() -> None:
    """10,000 is the most."""
    door = MemoryDoor((), ask=lambda: pytest.fail("it was asked"))
    with pytest.raises(UsageError) as caught:
        can_migrate_each(door, [Asked("d", "t")] * 10_001, now=ASKED)
    assert caught.value.code == "TOO_MANY_PAIRS"
