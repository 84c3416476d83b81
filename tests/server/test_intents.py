"""Campaigns and baselines in a real registry's log: entries that change no belief, and rows that are made again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg import wire
from mdevreg.baselines import BaselineClass, BaselineDraft, CheckAsked
from mdevreg.campaigns import CampaignAsked, CampaignChange, CampaignDraft, CampaignStatus
from mdevreg.errors import NotFoundError, StateError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.intents import decode_intent
from mdevreg.logged import LogAsked, bytes_in
from mdevreg.records import Device, DriverBuild, PciIds
from mdevreg.rules import Scope
from mdevreg.wanted import WantedBuild
from mdevreg_server import intents
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import Baseline, Campaign, RecordLog, table_of
from mdevreg_server.wholeness import faults_of
from support.door_fleet import _after
from support.hosts import crooked, look, mtty, some_life, told, uuid_of
from support.memory_door import MemoryDoor, MemoryHost, State
from support.pruned import prune_up_to
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, amendments, projections

DRAFT = CampaignDraft(name="to-2", wanted=WantedBuild(name="mtty", version="2"), author="alice", begins=EPOCH_START)
GOLD = BaselineDraft(name="gold", classes=(BaselineClass(type="mtty-1", loads="mtty [1, 2]"),), author="alice")
#: Whoever asks does so long after.
LATER = EPOCH_START + timedelta(days=1)


@pytest.fixture
def door(engine: sa.Engine) -> Iterator[SqlDoor]:
    with SqlDoor(engine, lambda: LATER) as found:
        yield found


def _at(second: float) -> datetime:
    return EPOCH_START + timedelta(seconds=second)


def _states(status: CampaignStatus) -> dict[str, str]:
    return {host.host: host.state for host in status.hosts}


def test_intents_are_entries_of_the_log_and_no_amendments(desk: Desk) -> None:
    """Counted in an epoch of their own, with who and when; nothing is believed otherwise."""
    desk.take(*told(Publisher("a"), [look(mtty())]))
    desk.book.create_campaign(DRAFT)
    desk.book.put_baseline(GOLD)
    desk.book.end_campaign("to-2", author="bob", reason="over")
    wanted = sa.select(RecordLog.epoch, RecordLog.seq, RecordLog.kind, RecordLog.body).where(RecordLog.host == "")
    with desk.engine.connect() as connection:
        rows = list(connection.execute(wanted.order_by(RecordLog.position)))
    assert [row[:3] for row in rows] == [
        ("intent", 1, "campaign"),
        ("intent", 2, "baseline"),
        ("intent", 3, "campaign"),
    ]
    assert [decode_intent(row.body).author for row in rows] == ["alice", "alice", "bob"]
    assert amendments(desk.engine) == []
    assert faults_of(desk.engine) == []


def test_rows_are_made_again_from_the_log(desk: Desk) -> None:
    """Lost, or changed by somebody: ``rebuild`` brings them back to the byte."""
    _intended(desk)
    before = projections(desk.engine)
    with desk.engine.begin() as connection:
        connection.execute(sa.delete(table_of(Baseline)))
        connection.execute(sa.update(table_of(Campaign)).values(body="{}"))
    faults = faults_of(desk.engine)
    assert faults == ["baseline: 3 have no row in it; run mdevreg-server rebuild"]
    desk.ledger.rebuild()
    assert projections(desk.engine) == before
    assert faults_of(desk.engine) == []


def test_a_row_of_no_entry_is_a_fault(desk: Desk) -> None:
    _intended(desk)
    with desk.engine.begin() as connection:
        connection.execute(sa.insert(table_of(Campaign)), [{"name": "ghost", "position": 99, "at_us": 0, "body": "{}"}])
    assert faults_of(desk.engine) == ["campaign: 1 of its rows are of no entry; run mdevreg-server rebuild"]


def test_what_a_newer_program_wrote_stops_readers(desk: Desk) -> None:
    with desk.ledger.tending() as connection:
        desk.ledger.append(connection, intents.EPOCH, "campaign", b'{"schema":"9.0"}', now_us=desk.now_us)
    assert any("can't be read by this program" in fault for fault in faults_of(desk.engine))
    with pytest.raises(StateError) as caught:
        desk.ledger.rebuild()
    assert caught.value.code == "LOG_UNREADABLE"


def test_nothing_is_written_of_what_is_refused(desk: Desk) -> None:
    desk.book.create_campaign(DRAFT)
    position = desk.ledger.position
    for refused in (
        lambda: desk.book.create_campaign(structs.replace(DRAFT, deadline=LATER)),
        lambda: desk.book.end_campaign("to-3", author="bob", reason=""),
        lambda: desk.book.end_campaign("to-2", author=" ", reason=""),
        lambda: desk.book.end_campaign("to-2", author="bob", reason="a\x07b"),
        lambda: desk.book.put_baseline(structs.replace(GOLD, classes=())),
        lambda: desk.book.end_baseline("gold", author="bob", reason=""),
    ):
        with pytest.raises((UsageError, NotFoundError)):
            refused()
    assert desk.ledger.position == position
    assert desk.book.create_campaign(DRAFT).name == "to-2", "the ledger goes on"


def test_history_knows_them_in_log_order(desk: Desk, door: SqlDoor) -> None:
    """Beside what is believed, and by their names."""
    desk.take(*told(Publisher("a"), [look(mtty())]))
    _intended(desk)
    every = door.history("registry", NOW, 100).changes
    assert [(each.object, each.name, each.event) for each in every] == [
        ("campaign", "to-2", "appeared"),
        ("baseline", "gold", "appeared"),
        ("baseline", "gold", "changed"),
        ("campaign", "to-2", "changed"),
        ("baseline", "gold", "changed"),
    ]
    assert door.history("registry", NOW, 2).changes == every[-2:]
    assert "by alice (driver=mtty) to mtty 2" in every[0].detail
    assert every[3].detail == "ended by bob: over"
    mine = door.history("to-2", NOW, 10)
    assert (mine.kind, [each.position for each in mine.changes]) == ("campaign", [every[0].position, every[3].position])
    assert door.history("gold", NOW, 10, "baseline").changes == (every[1], every[2], every[4])
    assert door.history("gold", Moment(known_at=every[1].position), 10).changes == (every[1],)
    with pytest.raises(NotFoundError) as caught:
        door.history("glod", NOW, 10, "baseline")
    assert caught.value.nearest == ("gold",)


def test_a_campaigns_name_takes_no_history_from_a_host(desk: Desk, door: SqlDoor) -> None:
    """Who asks for ``alpha`` means the host; the campaign is asked for by its kind."""
    desk.take(*told(Publisher("a"), [look(mtty())]))
    desk.book.create_campaign(structs.replace(DRAFT, name="alpha"))
    assert door.history("alpha", NOW, 10).kind == "host"
    assert door.history("alpha", NOW, 10, "campaign").kind == "campaign"


def test_the_log_hands_them_out(desk: Desk, door: SqlDoor) -> None:
    """Whoever exports the log has all of them, plans included."""
    plan = {"waves": [["alpha"]]}
    desk.book.create_campaign(structs.replace(DRAFT, plan=plan))
    (entry,) = door.entries(LogAsked()).entries
    assert (entry.kind, entry.host) == ("campaign", "")
    change = decode_intent(bytes_in(entry)).change
    assert isinstance(change, CampaignChange)
    assert change.plan == plan


def test_a_late_record_changes_progress_as_now_known(desk: Desk, door: SqlDoor) -> None:
    """The host was upgraded while it was cut off: as then known it was not."""
    publisher = Publisher("a")
    desk.take(*publisher.snapshot(look(mtty(version="1"))))
    desk.book.create_campaign(DRAFT)
    known = desk.ledger.position
    late = publisher.changes(look(mtty(version="2")))
    last = publisher.changes(look(mtty(version="2", free=1)))
    then = Moment(as_of=publisher.now)
    desk.take(*last)
    assert _states(_status(door, Moment(known_at=known))) == {"a": "pending"}
    desk.take(*late)
    assert _states(_status(door, Moment(then.as_of, known))) == {"a": "pending"}
    found = _status(door, then).hosts[0]
    assert (found.state, found.upgraded_at) == ("upgraded", publisher.now - timedelta(seconds=1))


class _Shifted(Publisher):
    """A host whose records may be observed later than one second after another."""

    shift = timedelta(0)

    @property
    def now(self) -> datetime:
        return super().now + self.shift


def test_what_comes_after_its_end_changes_nothing(desk: Desk, engine: sa.Engine) -> None:
    """Neither who is upgraded then, nor who would join, nor the deadline."""
    publisher = _Shifted("a")
    desk.take(*publisher.snapshot(look(mtty(version="1"))))
    ended = desk.book.create_campaign(structs.replace(DRAFT, deadline=_at(90_000)))
    desk.book.create_campaign(structs.replace(DRAFT, name="on", deadline=_at(90_000)))
    desk.book.end_campaign(ended.name, author="bob", reason="")
    publisher.shift = timedelta(days=1)
    desk.stream.delay_s += 90_000
    other = _Shifted("b")
    other.shift = publisher.shift
    desk.take(*publisher.changes(look(mtty(version="2"))), *told(other, [look(mtty(version="1"), hostname="beta")]))
    with SqlDoor(engine, lambda: EPOCH_START + timedelta(days=3)) as door:
        over, on = _status(door), _status(door, name="on")
    assert (_states(over), over.progress.outlook) == ({"a": "pending"}, "unknown")
    assert (_states(on), on.progress.outlook) == ({"a": "upgraded", "b": "pending"}, "overdue")


def test_a_host_is_in_it_while_its_site_and_its_offer_match_together(desk: Desk, door: SqlDoor) -> None:
    """It came to the site after it had left the old version."""
    publisher = Publisher("a")
    elsewhere, here = look(mtty(version="1")), look(mtty(version="2"))
    moved = structs.replace(here, facts=structs.replace(here.facts, site="b"))
    desk.take(*told(publisher, [elsewhere, here, moved]))
    draft = structs.replace(DRAFT, where=Scope(site=("b",), version=("1",)))
    desk.book.create_campaign(draft)
    desk.book.create_campaign(structs.replace(draft, name="other", where=Scope(site=("lab",), version=("1",))))
    assert _status(door).hosts == ()
    assert _states(_status(door, name="other")) == {"a": "upgraded"}


def test_parents_and_devices_can_be_selected(desk: Desk, door: SqlDoor) -> None:
    desk.take(*told(Publisher("a"), [look(mtty(version="1", devices=[1]), mtty("mtty2", version="2"))]))
    for name, where in (
        ("one", Scope(parent=("mtty",))),
        ("two", Scope(parent=("mtty2",))),
        ("dev", Scope(device=("*",))),
    ):
        desk.book.create_campaign(structs.replace(DRAFT, name=name, where=where))
    found = {name: _states(_status(door, name=name)) for name in ("one", "two", "dev")}
    assert found == {"one": {"a": "pending"}, "two": {"a": "upgraded"}, "dev": {"a": "pending"}}


@pytest.mark.parametrize("seed", range(8))
def test_progress_is_that_of_the_hosts_lives_whatever_came_late(desk: Desk, door: SqlDoor, seed: int) -> None:
    """Records out of order and twice, against a registry in memory that looks at every state."""
    chance = random.Random(seed)
    hosts = []
    for name in ("a", "b", "c"):
        records = told(Publisher(name), some_life(chance, 6))
        for batch in crooked(records, chance):
            desk.take(*batch)
        states = [State(EPOCH_START, 0, None)]
        for number, record in enumerate(records, 1):
            states.append(_after(states[-1], wire.decode(record), number))
        hosts.append(MemoryHost(name, tuple(states[1:])))
    other = MemoryDoor(hosts, clock=lambda: LATER)
    for name, where in (
        ("to-2", Scope()),
        ("old", Scope(version=("1",))),
        ("p", Scope(parent=("mtty2",), host=("a*",))),
    ):
        draft = structs.replace(DRAFT, name=name, where=where, begins=_at(chance.randint(0, 5)))
        desk.book.create_campaign(draft)
        other.create_campaign(draft)
        for second in (None, *range(1, 14)):
            moment = NOW if second is None else Moment(as_of=_at(second + 0.5))
            found, expected = (_status(each, moment, name) for each in (door, other))
            assert found.hosts == expected.hosts, (name, second)
            assert found.progress == expected.progress


def test_a_prune_leaves_them_and_their_answers(desk: Desk, door: SqlDoor, engine: sa.Engine) -> None:
    """Timelines stay, and their entries are nobody's documents."""
    publisher = Publisher("a")
    desk.take(*told(publisher, [look(mtty(version="1"))]))
    _intended(desk)
    for version in ("2", "1", "2", "3"):
        desk.take(*publisher.changes(look(mtty(version=version))))
    before = [_status(door, Moment(as_of=_at(second))) for second in (4, 5, 6)], projections(engine)
    prune_up_to(desk, desk.ledger.position)
    after = [_status(door, Moment(as_of=_at(second))) for second in (4, 5, 6)], projections(engine)
    assert [each.hosts for each in after[0]] == [each.hosts for each in before[0]]
    assert after[1] == before[1]
    desk.ledger.rebuild()
    assert projections(engine) == before[1]
    assert faults_of(engine) == []
    assert SqlAuditor(engine).verify().findings == ()


def test_a_class_is_of_a_model_where_it_says_so(desk: Desk, door: SqlDoor) -> None:
    """By the PCI ids of the parent, in whatever case; what is of no class is not concerned."""
    ids = PciIds(vendor="0x10DE", device="0x2331")
    card = structs.replace(mtty(version="1"), pci=ids)
    desk.take(*told(Publisher("a"), [look(card)]), *told(Publisher("b"), [look(mtty(version="1"), hostname="beta")]))
    wanted = WantedBuild(name="mtty", version="2")
    classes = (BaselineClass(vendor="0x10de", driver=wanted), BaselineClass(type="mtty-9", driver=wanted))
    desk.book.put_baseline(structs.replace(GOLD, classes=classes))
    found = door.check_baseline(CheckAsked("gold", stale_after_s=1e9))
    assert (found.hosts, found.uncovered) == (1, 1)
    assert [(each.what, each.expected, each.found) for each in found.rows[0].deviations] == [
        ("driver.version", "2", "1")
    ]
    exact = BaselineClass(vendor="0x10de", device="0x2331", driver=WantedBuild(name="mtty", version="1"))
    desk.book.put_baseline(structs.replace(GOLD, classes=(*classes, exact)))
    assert door.check_baseline(CheckAsked("gold", stale_after_s=1e9)).conforms == 1, "the class that says most"


def test_a_model_that_was_pruned_is_unknown(desk: Desk, door: SqlDoor) -> None:
    """Its document is gone: it can't be said which class it was in then."""
    publisher = Publisher("a")
    cards = [structs.replace(mtty(free=free), pci=PciIds(vendor="0x10de")) for free in range(6)]
    for record in told(publisher, [look(card) for card in cards]):
        desk.take(record)
    wanted = WantedBuild(name="mtty", version="2")
    desk.book.put_baseline(structs.replace(GOLD, classes=(BaselineClass(vendor="0x10de", driver=wanted),)))
    asked = CheckAsked("gold@1", as_of=_at(6.5))
    assert door.check_baseline(asked).conforms == 1
    prune_up_to(desk, desk.ledger.position)
    found = door.check_baseline(asked)
    assert (found.hosts, found.unknown) == (1, 1)
    assert [(each.what, each.found) for each in found.rows[0].deviations] == [("pci", None)]


def test_since_when_is_that_of_what_differs(desk: Desk, door: SqlDoor) -> None:
    """The driver since it was bound, whatever else is there; the kernel since the host told so."""
    publisher = Publisher("a")
    desk.take(*told(publisher, [look(mtty(version="1"), kernel="6.1"), look(mtty(version="3"), kernel="6.1")]))
    desk.take(*publisher.changes(look(mtty(version="3"), kernel="6.12")))
    mdev = Device(name=uuid_of(1), type="mtty-1", driver=DriverBuild(name="vfio_mdev"))
    desk.take(*publisher.changes(look(structs.replace(mtty(version="3"), devices=(mdev,)), kernel="6.12")))
    gold = BaselineClass(
        type="mtty-1", kernel_release="6.1", driver=WantedBuild(name="mtty", version="1"), saves="mtty 1"
    )
    desk.book.put_baseline(structs.replace(GOLD, classes=(gold,)))
    (host,) = door.check_baseline(CheckAsked("gold", stale_after_s=1e9)).rows
    assert [(each.what, each.found, each.since) for each in host.deviations] == [
        ("driver.version", "3", _at(4)),
        ("kernel_release", "6.12", _at(5)),
        ("saves", "mtty 3", _at(4)),
    ]


def test_a_host_that_never_told_anything_is_unknown(desk: Desk, door: SqlDoor) -> None:
    """All that came of it is that something is gone; it is not left out of the count."""
    desk.take(*told(Publisher("a"), [look(mtty())]))
    desk.take(told(Publisher("b"), [look(mtty(), hostname="beta"), look(hostname="beta")])[-1])
    desk.book.put_baseline(GOLD)
    found = door.check_baseline(CheckAsked("gold", stale_after_s=1e9))
    assert (found.hosts, found.conforms, found.unknown) == (2, 1, 1)
    assert [host.host for host in found.rows] == ["b"]
    assert found.rows[0].doubts


def test_an_unbound_driver_and_an_unknown_field_are_unknown(desk: Desk, door: SqlDoor) -> None:
    """What is not known deviates from nothing, and conforms to nothing."""
    unbound = structs.replace(mtty(), driver=None)
    desk.take(*told(Publisher("a"), [look(unbound)]))
    for classes in (
        (BaselineClass(type="mtty-1", driver=WantedBuild(name="mtty", version="2")),),
        (BaselineClass(type="mtty-1", fields={"psid": "MT_1"}),),
    ):
        desk.book.put_baseline(structs.replace(GOLD, classes=classes))
        found = door.check_baseline(CheckAsked("gold", stale_after_s=1e9))
        assert (found.unknown, found.rows[0].deviations[0].found) == (1, None)
    other = structs.replace(mtty(), driver=DriverBuild(name="vfio_mtty", version="2"))
    desk.take(*told(Publisher("c"), [look(other, hostname="gamma")]))
    desk.book.put_baseline(structs.replace(GOLD, classes=(BaselineClass(type="*", driver=WantedBuild(name="mtty")),)))
    found = door.check_baseline(CheckAsked("gold", stale_after_s=1e9))
    assert [(each.what, each.found) for each in found.rows[0].deviations] == [("driver", "vfio_mtty 2")]


def _intended(desk: Desk) -> None:
    """Two names, five entries."""
    desk.book.create_campaign(DRAFT)
    desk.book.put_baseline(GOLD)
    desk.book.put_baseline(structs.replace(GOLD, message="again"))
    desk.book.end_campaign("to-2", author="bob", reason="over")
    desk.book.end_baseline("gold", author="bob", reason="over")


def _status(door: SqlDoor | MemoryDoor, moment: Moment = NOW, name: str = "to-2") -> CampaignStatus:
    return door.campaign_status(CampaignAsked(name, as_of=moment.as_of, known_at=moment.known_at))
