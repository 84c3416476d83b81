"""Bad input never stops the line: it is kept whole, with the reason, counted, listed, and settled for its agent."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import sqlalchemy as sa

from mdevreg import wire
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW
from mdevreg.records import SCHEMA, Device, MdevType, ParentBody
from mdevreg_server import quarantine
from mdevreg_server.sql_door import SqlDoor
from support.hosts import look, mtty, uuid_of
from support.publisher import Publisher
from support.registry import Desk, logged, refused

#: One faulty record of a publisher that has sent three, and the code and the words with which it is refused.
Fault = tuple[Callable[[Publisher], bytes], str, str]


def _raw_parent(text: str) -> Callable[[Publisher], bytes]:
    return lambda publisher: publisher.record(ParentBody(path="/devices/a", parent=msgspec.Raw(text.encode())))


def _edited(old: str, new: str) -> Callable[[Publisher], bytes]:
    def make(publisher: Publisher) -> bytes:
        [record] = publisher.changes(look(mtty(devices=[1])))
        assert old.encode() in record
        return record.replace(old.encode(), new.encode())

    return make


def _many_types(publisher: Publisher) -> bytes:
    types = tuple(MdevType(id=f"t{number}") for number in range(100_000))
    return publisher.record(
        ParentBody(path="/devices/a", parent=msgspec.Raw(msgspec.json.encode({"path": "/devices/a", "types": types})))
    )


_SCHEMA = f'"{SCHEMA}"'.encode()
_NOT_JSON = b'{"schema":"1.0","host":"host-1","epoch":"epoch-1","seq":4'
_LONG = "n" * 10_000

FAULTS: dict[str, Fault] = {
    "a newer major schema": (
        _edited(f'"schema":"{SCHEMA}"', '"schema":"2.0"'),
        "SCHEMA_VERSION",
        "upgrade the registry",
    ),
    "an unknown field": (_edited('"cause":', '"because":1,"cause":'), "DECODE", "because"),
    "100,000 types": (_many_types, "TOO_LARGE", "at most 1000000"),
    "5,000 types": (
        _raw_parent('{"path":"/devices/a","name":"a","types":[' + ",".join(['{"id":"t"}'] * 5_000) + "]}"),
        "DECODE",
        "length <= 4096",
    ),
    "a control character": (_edited('"name":"mtty"', '"name":"m\\u001btty"'), "CONTROL_CHARACTER", "\\x1b"),
    "a NUL in the name of an unknown field": (
        _edited(f'"schema":"{SCHEMA}"', f'"schema":"{SCHEMA}","a\\u0000b":1'),
        "DECODE",
        "a\\x00b",
    ),
    "half of a surrogate pair": (_edited('"name":"mtty"', '"name":"\\ud800"'), "DECODE", ""),
    "bytes that are no UTF-8": (
        lambda publisher: publisher.changes(look(mtty(devices=[1])))[0].replace(b'"mtty-1"', b'"\xff\xfe"'),
        "DECODE",
        "",
    ),
    "a name of 10,000 characters": (_edited('"name":"mtty"', f'"name":"{_LONG}"'), "DECODE", "length <= 255"),
    "an mdev that is named by no uuid": (_edited(uuid_of(1), "not-a-uuid"), "DECODE", "named by its uuid"),
    "a uuid without its dashes": (_edited(uuid_of(1), uuid_of(1).replace("-", "")), "DECODE", "devices[0].name"),
    "two types of one id": (
        _raw_parent('{"path":"/devices/a","name":"a","types":[{"id":"t"},{"id":"t"}]}'),
        "DECODE",
        "listed twice",
    ),
    "a naive time": (_edited('Z"', '"'), "DECODE", "timezone"),
    "a negative count": (_edited('"available_instances":3', '"available_instances":-3'), "DECODE", ">= 0"),
}


def _items(engine: sa.Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [quarantine.item(connection, row["id"]) for row in quarantine.listed(connection, state=None)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_record_is_kept_whole_with_the_reason_and_the_next_one_is_applied(desk: Desk, name: str) -> None:
    """Nothing is dropped, nothing stops; the reason can be printed anywhere, and leads to the field."""
    make, code, words = FAULTS[name]
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    faulty = make(publisher)
    last = publisher.changes(look(mtty(free=1)))[0]
    applied = desk.take(faulty, last)
    [item] = _items(desk.engine)
    assert (item["code"], item["body"], item["state"]) == (code, faulty, "open")
    assert words in str(item["reason"])
    assert str(item["reason"]).isprintable()
    assert (applied.quarantined, len(applied.records)) == (1, 1)


def test_a_refused_record_is_settled_for_its_agent_though_it_came_alone(desk: Desk) -> None:
    """It is kept here, so that its agent may forget it: the receipt says so at once."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    [receipt] = desk.take(_edited('"name":"mtty"', f'"name":"{_LONG}"')(publisher)).publications
    assert receipt.settled == 4
    [receipt] = Desk(desk.engine, desk.stream).take(*publisher.changes(look(mtty()))).publications
    assert receipt.settled == 5


def test_what_was_refused_before_the_first_readable_record_is_settled_with_it(desk: Desk) -> None:
    """An agent's first record may be the one that is not understood."""
    publisher = Publisher()
    first, *rest = publisher.snapshot(look(mtty()))
    assert desk.take(first.replace(_SCHEMA, b'"2.0"')).publications == ()
    [receipt] = desk.take(*rest).publications
    assert receipt.settled == 3


@pytest.mark.parametrize(
    "data", [b"", b"not json", b"[1, 2]", b"null", _NOT_JSON, b"\x00" * 100, b"[" * 100_000], ids=range(7)
)
def test_what_is_no_record_at_all_is_kept_and_belongs_to_nobody(desk: Desk, data: bytes) -> None:
    """Whoever sent it can't be known: no receipt of anybody moves."""
    applied = desk.take(data)
    [item] = _items(desk.engine)
    assert (item["host"], item["epoch"], item["seq"], item["body"]) == (None, None, None, data)
    assert (applied.publications, applied.position) == ((), 0)
    assert desk.ledger.where() == desk.stream.where


def test_a_record_on_another_hosts_subject_is_refused_and_settles_nothing(desk: Desk) -> None:
    """A host may only speak for itself; the broker's permissions are the first fence, this is the second."""
    publisher = Publisher("host-1")
    records = publisher.snapshot(look(mtty()))
    desk.take(records[0])
    applied = desk.take(records[1], subject="mdevreg.v1.record.host-2")
    assert refused(desk.engine) == [("open", "SUBJECT_MISMATCH", 1)]
    [item] = _items(desk.engine)
    assert (item["host"], item["subject"]) == (None, "mdevreg.v1.record.host-2")
    assert "came on the subject of 'host-2'" in str(item["reason"])
    assert applied.publications == ()
    with SqlDoor(desk.engine) as door:
        assert door.hosts(NOW).hosts[0].parents == 0


def test_a_newer_minor_with_unknown_fields_is_applied_and_logged_as_it_came(desk: Desk) -> None:
    """Agents may be newer by a minor: what is not known is kept in the bytes, and the digest is theirs."""
    publisher = Publisher()
    records = [record.replace(_SCHEMA, b'"1.7"') for record in publisher.snapshot(look(mtty(devices=[1])))]
    newer = records[1].replace(b'"cause":', b'"mood":{"a\\u0000b":"\\u001b"},"cause":')
    applied = desk.take(records[0], newer, records[2])
    assert (applied.quarantined, len(applied.records)) == (0, 3)
    assert applied.publications[0].digest == publisher.digest


def test_the_same_refused_record_again_is_counted_and_kept_once(desk: Desk) -> None:
    """An agent without a receipt sends again; quarantine does not grow by it."""
    for _ in range(3):
        desk.take(_NOT_JSON)
    assert refused(desk.engine) == [("open", "DECODE", 3)]


def test_a_refused_record_is_applied_when_it_comes_again_after_an_upgrade(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late, but in its place: the past as now known has it, and the item is marked as applied."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    created, removed = publisher.changes(look(mtty(devices=[1]))), publisher.changes(look(mtty()))
    with monkeypatch.context() as older:  # a program that does not know this schema yet
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        desk.take(*created)
    desk.take(*removed)
    applied = desk.take(*created)
    assert (len(applied.records), applied.quarantined, applied.duplicates) == (1, 0, 0)
    assert refused(desk.engine) == [("applied", "SCHEMA_VERSION", 1)]
    assert [seq for _, _, seq in logged(desk.engine)] == [1, 2, 3, 5, 4]


def _decided(engine: sa.Engine) -> tuple[str, str | None]:
    [item] = _items(engine)
    return str(item["state"]), str(item["resolution"])


def test_a_drop_needs_a_reason_and_an_open_item(desk: Desk) -> None:
    """A decision without a reason is none, and one decision is not written over another."""
    desk.take(_NOT_JSON)
    with desk.engine.begin() as connection:
        [number] = [row["id"] for row in quarantine.listed(connection)]
        with pytest.raises(UsageError, match="the reason is blank"):
            quarantine.drop(connection, number, reason=" \t")
        quarantine.drop(connection, number, reason="a test host")
        with pytest.raises(UsageError, match=rf"{number} is dropped already \(a test host\)"):
            quarantine.drop(connection, number, reason="another")
        with pytest.raises(NotFoundError):
            quarantine.drop(connection, number + 1, reason="nothing there")
        assert (quarantine.count(connection), quarantine.count(connection, state="dropped")) == (0, 1)
    assert _decided(desk.engine) == ("dropped", "a test host")


def test_a_dropped_item_that_is_opened_again_is_marked_as_applied_when_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why it had been dropped stays readable until then; afterwards nobody can open it."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    [created] = publisher.changes(look(mtty(devices=[1])))
    with monkeypatch.context() as older:  # a program that does not know this schema yet
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        desk.take(created)
    with desk.engine.begin() as connection:
        [number] = [row["id"] for row in quarantine.listed(connection)]
        quarantine.reopen(connection, number)
        assert quarantine.item(connection, number)["resolution"] is None
        quarantine.drop(connection, number, reason="too new")
        quarantine.reopen(connection, number)
    assert _decided(desk.engine) == ("open", "opened again; it had been dropped: too new")
    desk.take(created)
    assert _decided(desk.engine)[0] == "applied"
    with desk.engine.begin() as connection, pytest.raises(UsageError, match=f"{number} is applied already"):
        quarantine.reopen(connection, number)


def test_vfs_need_no_uuid(desk: Desk) -> None:
    """A VF is named by its PCI address."""
    parent = msgspec.structs.replace(mtty(), devices=(Device(name="0000:3b:00.4", kind="vf", type="mtty-1"),))
    assert desk.take(*Publisher().snapshot(look(parent))).quarantined == 0
