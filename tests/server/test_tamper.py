"""Whatever straight SQL does to the log, its tree, its checkpoints or its projections is found, and where."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import sqlalchemy as sa

from mdevreg.audit.merkle import node_hash
from mdevreg.audit.notes import Checkpoint, signed
from mdevreg.signing import new_key
from mdevreg_server.audit.suspect import UNTOLD
from mdevreg_server.audit.tree import tree_of
from mdevreg_server.tables import PROJECTIONS, table_of
from support.audit import RECORDS, SIGNED, Archive
from support.registry import migrated

Place = tuple[Any, ...]
LOG, TILE, KEPT = "record_log", "log_tile", "log_checkpoint"


def row(position: int, column: str | None) -> Place:
    return ("ROW_CHANGED", LOG, position, None, None, column)


def body(position: int) -> Place:
    return ("BODY_CHANGED", LOG, position, None, None, "body")


def missing(first: int, last: int) -> Place:
    return ("ROWS_MISSING", LOG, first, last, None, None)


@pytest.fixture
def archive(engine: sa.Engine) -> Archive:
    return Archive(engine)


def test_an_untouched_database_verifies(archive: Archive) -> None:
    """Log, tree, checkpoints, projections; and it says how far somebody vouches."""
    found = archive.verify(SIGNED[1], log_only=False)
    assert found.findings == ()
    assert (found.records, found.integrated, found.vouched_size) == (RECORDS, RECORDS, SIGNED[-1])
    assert [(each.size, each.trust, each.matches) for each in found.checkpoints] == [
        (100, "signed", True),
        (260, "signed", True),
        (260, "signed", True),
        (500, "signed", True),
    ]
    assert set(found.tables) == {table.__tablename__ for table in PROJECTIONS}
    assert found.tables["parent"] > 500
    assert archive.verify(known=False).vouched_size == 0
    assert archive.verify(260, known=False).vouched_size == 260


def test_each_column_of_a_row_is_bound(archive: Archive) -> None:
    """A changed column is found at its row, and named where the body says what it was."""
    changes = {
        "host": ("host = 'other'", "host"),
        "epoch": ("epoch = 'other'", "epoch"),
        "seq": ("seq = 9999", "seq"),
        "kind": ("kind = 'other'", "kind"),
        "sha256": (f"sha256 = '{'0' * 64}'", "sha256"),
        "observed_at_us": ("observed_at_us = observed_at_us + 1", "observed_at_us"),
        "received_at_us": ("received_at_us = received_at_us + 1", UNTOLD),
        "committed_at_us": ("committed_at_us = 0", UNTOLD),
    }
    for position in (7, 257, 515):  # below a full tile, at its edge, in the partial one
        for change, column in changes.values():
            archive.sql(f"UPDATE record_log SET {change} WHERE position = {position}")
            assert archive.found() == [row(position, column)], (position, change)
            archive.mended()
    archive.sql("UPDATE record_log SET observed_at_us = observed_at_us + 1 WHERE position = 1")  # the registry's own
    assert archive.found() == [row(1, "observed_at_us")]


def test_bodies_are_bound(archive: Archive) -> None:
    """Edited, emptied, exchanged; with its digest adjusted too."""
    archive.sql("UPDATE record_log SET body = :body WHERE position = 300", body=b"{}")
    assert archive.found() == [body(300)]
    archive.sql("UPDATE record_log SET body = :body WHERE position = 300", body=b"")
    assert archive.found() == [body(300)]
    digest = hashlib.sha256(b"{}").hexdigest()
    archive.sql("UPDATE record_log SET body = :body, sha256 = :sha WHERE position = 300", body=b"{}", sha=digest)
    assert [place[:3] for place in archive.found()] == [("ROW_CHANGED", LOG, 300)]


def test_deleted_rows_are_found(archive: Archive) -> None:
    """In the middle, over tiles, at the end, all of them."""
    for first, last in ((300, 300), (200, 290), (500, RECORDS), (1, 1), (1, RECORDS)):
        archive.sql(f"DELETE FROM record_log WHERE position BETWEEN {first} AND {last}")
        found = archive.found()
        assert missing(first, last) in found, (first, last)
        assert {place[0] for place in found} == {"ROWS_MISSING"}, found
        archive.mended()


def test_a_cut_off_end_is_found_by_the_outside_checkpoint_alone(archive: Archive) -> None:
    """All of it cut alike, the writer's mark too: the database agrees with itself, and a kept file doesn't."""
    archive.sql("DELETE FROM record_log WHERE position > 260", "DELETE FROM log_checkpoint WHERE size > 260")
    archive.sql("UPDATE stream_position SET position = 260", "DELETE FROM log_tile")
    archive.integrated()
    inside = archive.verify()
    assert (inside.findings, inside.vouched_size, inside.records) == ((), 260, 260)
    assert archive.found(500) == [missing(261, 500)]


def test_rows_that_were_not_in_the_tree_yet_are_counted_by_the_writer(archive: Archive) -> None:
    """Between two integrations: one more or one fewer than the registry wrote."""
    archive.sql("DELETE FROM log_tile")
    assert archive.found() == [("TILE_MISSING", TILE, 1, 100, None, None)] + [
        ("TILE_MISSING", TILE, 1, size, None, None) for size in SIGNED[1:]
    ]
    archive.sql("DELETE FROM log_checkpoint", f"DELETE FROM record_log WHERE position = {RECORDS}")
    assert archive.found() == [missing(RECORDS, RECORDS)]
    archive.mended()
    copied = "SELECT {} + 0, 'forged', epoch, seq, kind, sha256, observed_at_us, received_at_us, committed_at_us, body"
    insert = "INSERT INTO record_log " + copied + " FROM record_log WHERE position = 3"
    archive.sql(insert.format(RECORDS + 1))
    assert archive.found() == [("ROW_INSERTED", LOG, RECORDS + 1, RECORDS + 1, None, None)]
    archive.mended()
    archive.sql(insert.format(10**12))
    assert archive.found() == [
        missing(RECORDS + 1, 10**12 - 1),
        ("ROW_INSERTED", LOG, 10**12, None, None, None),
    ]


def test_an_inserted_row_shifts_what_follows(archive: Archive) -> None:
    """There is no room between two positions: whoever inserts has to move the others."""
    archive.sql(
        "UPDATE record_log SET position = position + 1000000 WHERE position > 400",
        "UPDATE record_log SET position = position - 999999 WHERE position > 1000000",
        "INSERT INTO record_log SELECT 401, 'forged', epoch, seq, kind, sha256, observed_at_us, received_at_us, "
        "committed_at_us, body FROM record_log WHERE position = 3",
    )
    found = archive.verify()
    assert (found.findings[0].code, found.findings[0].position) == ("ROW_CHANGED", 401)
    assert found.counts["ROW_CHANGED"] == RECORDS - 400
    assert found.counts["ROW_INSERTED"] == 1
    assert sum(finding.code == "ROW_CHANGED" for finding in found.findings) == 20  # bounded, and counted


def test_exchanged_rows_are_found(archive: Archive) -> None:
    """Positions are part of the leaf."""
    archive.sql(
        "UPDATE record_log SET position = 1000000 WHERE position = 120",
        "UPDATE record_log SET position = 120 WHERE position = 400",
        "UPDATE record_log SET position = 400 WHERE position = 1000000",
    )
    assert [place[:3] for place in archive.found()] == [("ROW_CHANGED", LOG, 120), ("ROW_CHANGED", LOG, 400)]


def test_tiles_are_bound(archive: Archive) -> None:
    """Edited at each level, gone, cut, and one too many."""
    with archive.engine.connect() as connection:
        tiles = {
            (level, number): bytes(hashes)
            for level, number, hashes in connection.execute(sa.text("SELECT level, number, hashes FROM log_tile"))
        }
    assert {place: len(tile) // 32 for place, tile in tiles.items()} == {(0, 0): 256, (0, 1): 256, (0, 2): 9, (1, 0): 2}

    def put(level: int, number: int, tile: bytes) -> None:
        text = f"UPDATE log_tile SET hashes = :tile WHERE level = {level} AND number = {number}"
        archive.sql(text, tile=tile)

    for (level, number), tile in tiles.items():
        key = f"level={level} number={number}"
        put(level, number, bytes([tile[0] ^ 1]) + tile[1:])
        (place,) = {place[:2] + place[4:] for place in archive.found()}
        unknown = (level, number) == (0, 2)  # nothing is above it, nothing signed covers it
        assert place == (("ROW_CHANGED", LOG, None, UNTOLD) if unknown else ("TILE_CHANGED", TILE, key, "hashes"))
        archive.mended()
        put(level, number, tile[:-5])
        assert key in [place[4] for place in archive.found()], key
        archive.mended()
    archive.sql("DELETE FROM log_tile WHERE number = 1")
    assert ("TILE_MISSING", TILE, None, None, "level=0 number=1", "hashes") in archive.found()
    archive.mended()
    for far in (3, 10**9):
        archive.sql("INSERT INTO log_tile SELECT 5, :far, hashes FROM log_tile WHERE level = 1", far=far)
        archive.sql("INSERT INTO log_tile SELECT 0, 10000000, hashes FROM log_tile WHERE level = 1")
        found = archive.found()
        assert ("TILE_INSERTED", TILE, None, None, f"level=5 number={far}", "hashes") in found
        assert ("TILE_INSERTED", TILE, None, None, "level=0 number=10000000", "hashes") in found
        assert len(found) == 2
        archive.mended()


def test_an_edited_tile_of_the_last_ones_is_told_from_an_edited_row_by_a_checkpoint(archive: Archive) -> None:
    """The checkpoint of 100 vouches for what is in the first tile even when its upper one is forged along."""
    with archive.engine.connect() as connection:
        tile = bytes(connection.scalar(sa.text("SELECT hashes FROM log_tile WHERE level = 0 AND number = 0")) or b"")
    archive.sql("DELETE FROM log_tile WHERE level > 0 OR number > 0")
    archive.sql("DELETE FROM record_log WHERE position > 200", "DELETE FROM log_checkpoint WHERE size > 100")
    archive.sql("UPDATE stream_position SET position = 200")
    forged = tile[: 32 * 49] + bytes(32) + tile[32 * 50 : 32 * 200]
    archive.sql("UPDATE log_tile SET hashes = :tile", tile=forged)
    assert archive.found() == [("TILE_CHANGED", TILE, 50, None, "level=0 number=0", "hashes")]


def test_checkpoints_are_bound(archive: Archive) -> None:
    """Each column, and a note that somebody else signed."""
    changed = ("CHECKPOINT_CHANGED", KEPT, None, None, "size=260")
    archive.sql("UPDATE log_checkpoint SET root = 'AAAA' WHERE size = 260")
    assert archive.found() == [(*changed, "root")]
    archive.mended()
    archive.sql("UPDATE log_checkpoint SET note = replace(note, '260', '250') WHERE size = 260")
    assert archive.found() == [(*changed, "note")]
    archive.mended()
    archive.sql("UPDATE log_checkpoint SET size = 261 WHERE size = 260")
    assert archive.found() == [("CHECKPOINT_CHANGED", KEPT, None, None, "size=261", "size")]
    archive.mended()
    stranger = new_key("log.example")
    note = signed(Checkpoint("log.example", 260, bytes(32)).text, stranger.public, stranger.sign)
    archive.sql("UPDATE log_checkpoint SET note = :note, root = :root WHERE size = 260", note=note, root="A" * 43 + "=")
    assert archive.found() == [(*changed, "note")]


def test_an_attacker_without_the_key_can_hash_everything_anew_and_is_found(archive: Archive) -> None:
    """Row, digest, tree: all consistent again. What was signed lies before and after."""
    archive.sql("UPDATE record_log SET committed_at_us = 0 WHERE position = 222", "DELETE FROM log_tile")
    archive.integrated()
    rewritten = ("HISTORY_REWRITTEN", LOG, 101, 260, None, None)
    assert archive.found()[0] == rewritten
    stranger = new_key("log.example")
    with archive.engine.connect() as connection:
        roots = {size: tree_of(connection, size).root() for size in SIGNED}
    archive.sql("DELETE FROM log_checkpoint")
    for size, root in roots.items():
        note = signed(Checkpoint("log.example", size, root).text, stranger.public, stranger.sign)
        values = {"size": size, "note": note}
        archive.sql("INSERT INTO log_checkpoint VALUES (:size, 'x', :note, 0)", **values)
    forged = archive.verify()
    assert forged.vouched_size == 0  # nobody vouches for it with a key that is known
    assert ("HISTORY_REWRITTEN", LOG, 101, 260, None, None) in archive.found(260)
    assert node_hash(roots[100], roots[260]) != roots[500]


def test_whatever_type_sqlite_is_given_is_found(sqlite_database_url: str) -> None:
    """It takes any value in any column: text that is no UTF-8, numbers for bytes, bytes for text."""
    with migrated(sqlite_database_url) as engine:
        archive = Archive(engine)
        for change, place in (
            ("host = CAST(x'ff41' AS TEXT)", row(300, "host")),
            ("epoch = x'ff'", row(300, "epoch")),
            ("seq = 'many'", row(300, "seq")),
            ("seq = 1.5", row(300, "seq")),
            ("body = 5", body(300)),
            ("body = 'text'", body(300)),
        ):
            archive.sql(f"UPDATE record_log SET {change} WHERE position = 300")
            found = archive.found(log_only=False)
            assert found[0] == place, change
            assert "LOG_UNREADABLE" in {each[0] for each in found} or archive.verify(log_only=False).tables, change
            archive.mended()
        for level in (0, 1):
            archive.sql(f"UPDATE log_tile SET hashes = 'text' WHERE number = 0 AND level = {level}")
            assert archive.found()[0][:2] in (("TILE_CHANGED", TILE), ("TILE_MISSING", TILE))
            archive.mended()
        archive.sql("UPDATE log_tile SET level = 'zero' WHERE number = 0 AND level = 0")
        assert archive.found()[0][:2] == ("TILE_INSERTED", TILE)
        archive.mended()
        archive.sql("UPDATE stream_position SET position = 'end'")
        assert [each[0] for each in archive.found()] == ["MARK_CHANGED"]
        archive.mended()
        archive.sql("UPDATE log_checkpoint SET note = x'00ff' WHERE size = 100")
        assert archive.found() == [("CHECKPOINT_CHANGED", KEPT, None, None, "size=100", "note")]
        archive.mended()
        for change, column in (("name = x'ff'", "name"), ("position = 'x'", "position"), ("free = 7.5", "free")):
            archive.sql(f"UPDATE parent SET {change} WHERE host = 'b'")
            assert {each[5] for each in archive.found(log_only=False)} == {column}, change
            archive.mended()
        archive.sql("UPDATE profile SET digest = CAST(x'ff' AS TEXT)")
        assert {each[0] for each in archive.found(log_only=False)} == {"PROJECTION_MISSING", "PROJECTION_INSERTED"}


@pytest.mark.parametrize("kind", ["edited", "deleted", "inserted"])
def test_each_projection_is_bound(archive: Archive, kind: str) -> None:
    """A row of each table edited, deleted, inserted: found at table, key and column."""
    wanted = set()
    for table in map(table_of, PROJECTIONS):
        with archive.engine.connect() as connection:
            first = connection.execute(sa.select(table).order_by(*table.primary_key)).mappings().first()
        assert first is not None
        key = [column.name for column in table.primary_key]
        shown = " ".join(f"{name}={first[name]}" for name in key)
        text = next(column for column in reversed(list(table.columns)) if column.name not in key)
        with archive.engine.begin() as connection:
            here = sa.and_(*(table.c[name] == first[name] for name in key))
            if kind == "edited":
                other = "other" if isinstance(text.type, sa.Text) else first[text.name] - 1
                connection.execute(sa.update(table).where(here).values({text.name: other}))
                wanted.add(("PROJECTION_CHANGED", table.name, None, None, shown, text.name))
            elif kind == "deleted":
                connection.execute(sa.delete(table).where(here))
                wanted.add(("PROJECTION_MISSING", table.name, None, None, shown, None))
            else:
                connection.execute(sa.insert(table), {**first, key[0]: "Zebra"})
                shown = shown.replace(f"{key[0]}={first[key[0]]}", f"{key[0]}=Zebra")
                wanted.add(("PROJECTION_INSERTED", table.name, None, None, shown, None))
    assert set(archive.found(log_only=False)) == wanted
    archive.desk.ledger.rebuild()
    assert archive.found(log_only=False) == []
