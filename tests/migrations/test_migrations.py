"""Migrations: from nothing, from each revision with data in it, and back; the same tables as the program's, always."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mdevreg import query
from mdevreg.errors import UnreachableError, WrongRevisionError
from mdevreg.rules import Rule
from mdevreg_server import revision, schema
from mdevreg_server.base import NAMING
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.ledger import Ledger
from mdevreg_server.serve import ServeConfig
from mdevreg_server.tables import Base, table_of
from mdevreg_server.tables import RecordLog as Log
from mdevreg_server.wholeness import faults_of
from support.audit import BASELINE, CAMPAIGN
from support.door_fleet import records_of
from support.processes import RunCli
from support.pruned import prune_up_to
from support.publisher import EPOCH_START
from support.registry import Desk, projections, rows
from support.released import answers_at, answers_now
from support.serving import Serving, serving

#: Databases as released programs left them, at their revisions: rows by table, and what their doors said.
RELEASED = Path(__file__).parent / "released"
RULE = Rule(id="draft", effect="deny", author="alice", message="known-bad", valid_from=EPOCH_START)
#: Every revision, oldest first: a new one is tested without a word here.
REVISIONS = [script.revision for script in ScriptDirectory(str(schema.migrations_folder())).walk_revisions()][::-1]


@pytest.fixture
def empty(database_url: str) -> Iterator[sa.Engine]:
    """The writer's engine of a database with nothing in it."""
    engine = open_engine(database_url, writer=True, create=True)
    yield engine
    engine.dispose()


def _downgrade(engine: sa.Engine, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    config.attributes["engine"] = engine
    command.downgrade(config, target)


def _differences(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def _constraints(engine: sa.Engine) -> dict[str, Any]:
    """What Alembic does not compare: checks, and the names of all constraints."""
    inspector = sa.inspect(engine)
    found: dict[str, Any] = {}
    for table in sorted(set(inspector.get_table_names()) - {"alembic_version"}):
        checks = {check["name"]: check["sqltext"] for check in inspector.get_check_constraints(table)}
        unique = {each["name"] for each in inspector.get_unique_constraints(table)}
        key = inspector.get_pk_constraint(table)
        indexes = {index["name"] for index in inspector.get_indexes(table)}
        found[table] = (checks, unique, key["name"], key["constrained_columns"], indexes)
    return found


def test_there_is_one_head_and_it_is_the_programs() -> None:
    """Two heads are two people's work that nobody has joined."""
    assert ScriptDirectory(str(schema.migrations_folder())).get_heads() == [schema.head()]
    assert REVISIONS[-1] == schema.head() == revision.EXPECTED


def test_the_migrations_of_a_checkout_are_those_beside_the_program() -> None:
    """An editable install must not run a stale copy."""
    root = Path(__file__).resolve().parents[2]
    assert schema.migrations_folder() == root / "migrations"


def test_each_revision_says_why_when_and_what_it_locks() -> None:
    """An operator reads this before the night shift."""
    for script in ScriptDirectory(str(schema.migrations_folder())).walk_revisions():
        for word in ("Why:", "Release:", "Phase:", "Locks:"):
            assert word in script.longdoc, script.revision


def test_a_fresh_database_has_exactly_the_tables_of_the_program(empty: sa.Engine) -> None:
    """Columns, types, keys, indexes, checks, and the name of each."""
    assert schema.upgrade(empty) == schema.head()
    assert _differences(empty) == []
    migrated = _constraints(empty)
    _downgrade(empty, "base")
    with empty.begin() as connection:
        Base.metadata.create_all(connection)
    assert _constraints(empty) == migrated
    assert migrated.keys() == {table.name for table in Base.metadata.tables.values()}


def test_names_obey_the_convention(empty: sa.Engine) -> None:
    """A constraint without a name can't be dropped by a later migration."""
    schema.upgrade(empty)
    for table, (checks, unique, key, _, indexes) in _constraints(empty).items():
        assert key == NAMING["pk"] % {"table_name": table}
        for prefix, names in (("ck", checks), ("uq", unique), ("ix", indexes)):
            plain = {name for name in names if name not in unique or prefix == "uq"}  # PostgreSQL lists both
            assert all(name.startswith(f"{prefix}_{table}_") for name in plain), (table, names)


@pytest.mark.parametrize("step", REVISIONS)
def test_a_database_at_any_revision_keeps_its_history_on_the_way_to_head(empty: sa.Engine, step: str) -> None:
    """Filled with a fleet's log at that revision; migrated; rebuilt: what the program makes of it is the same."""
    schema.upgrade(empty, step)
    _fill_log(empty)
    log = _log(empty)
    schema.upgrade(empty)
    assert _log(empty) == log
    assert _differences(empty) == []
    assert Ledger(empty).rebuild() == len(log)
    kept = projections(empty)
    _downgrade(empty, "base")
    schema.upgrade(empty)
    Desk(empty).take(*records_of())
    assert kept == projections(empty)


@pytest.mark.parametrize("released", sorted(RELEASED.glob("*.json")), ids=lambda file: file.stem)
def test_the_database_of_a_released_program_is_answered_the_same(
    empty: sa.Engine, released: Path, nats_server: Broker
) -> None:
    """Its rows as it wrote them, projections too: upgraded, nothing has to be rebuilt, and the history goes on."""
    told = json.loads(released.read_text(encoding="utf-8"))
    schema.upgrade(empty, told["revision"])
    _fill(empty, told["tables"])
    schema.upgrade(empty)
    before, log = projections(empty), rows(empty, Log)
    _assert_answers(empty, told)
    assert faults_of(empty) == []
    url = empty.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
        rule = door.add_rule(RULE)
        registry.until(lambda: len(registry.amendments) == 2, "what is shipped and the rule are amendments on top")
    assert rule.id == f"r{len(log) + 2}"
    assert Ledger(empty).rebuild() == sum(1 for row in log if row[1])
    assert projections(empty) == before
    assert [row for row in rows(empty, Log) if row in log] == log
    _assert_answers(empty, told, known_at=len(log))


def _assert_answers(engine: sa.Engine, told: dict[str, Any], known_at: int | None = None) -> None:
    """What the older program said: a newer one may add to it, and changes nothing. Positions of now count on."""
    now = answers_now(engine, told["answers"]["pairs"], known_at)
    for name in ("hosts", "drivers", "history", "device"):
        now[name]["position"] = told["answers"][name]["position"]
    assert _within(told["answers"], now), now
    for moment in told.get("moments", ()):
        said = answers_at(engine, moment)
        assert _within(moment["answers"], said), (moment, said)


def _within(old: Any, new: Any) -> bool:
    """Whether everything of an answer is in another."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _within(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return bool(old == new)


def _fill(engine: sa.Engine, tables: dict[str, list[dict[str, Any]]]) -> None:
    with engine.begin() as connection:
        for name, found in tables.items():
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            if found:
                connection.execute(sa.insert(table), [{key: _value(row[key]) for key in row} for row in found])


def _value(stored: Any) -> Any:
    return base64.b64decode(stored["base64"]) if isinstance(stored, dict) else stored


def test_a_log_with_amendments_is_not_taken_back_to_a_program_that_can_not_read_them(empty: sa.Engine) -> None:
    """Refused, and nothing is changed; the way back is a copy of before."""
    schema.upgrade(empty)
    desk = Desk(empty)
    desk.take(*records_of())
    desk.book.add_rule(RULE)
    log = rows(empty, Log)
    with pytest.raises(RuntimeError, match="holds 1 amendments, which the program before can't read"):
        _downgrade(empty, "0001")
    assert revision.current(empty) == "0002"  # the steps above it are taken back
    assert rows(empty, Log) == log


def test_a_pruned_log_is_not_taken_back_to_a_program_that_knows_no_bases(empty: sa.Engine) -> None:
    """It would rebuild from records that are not there."""
    schema.upgrade(empty)
    desk = Desk(empty)
    for record in records_of():
        desk.take(record)
    prune_up_to(desk, desk.ledger.position)
    before = (projections(empty), rows(empty, Log))
    with pytest.raises(RuntimeError, match="records of 7 hosts were pruned"):
        _downgrade(empty, "0002")
    assert revision.current(empty) == "0006"  # the steps above it are taken back
    schema.upgrade(empty)
    assert (projections(empty), rows(empty, Log)) == before


def test_a_log_with_campaigns_is_not_taken_back_to_a_program_that_knows_none(empty: sa.Engine) -> None:
    """It could not say what these entries are, and would lose their tables."""
    schema.upgrade(empty)
    desk = Desk(empty)
    desk.take(*records_of())
    desk.book.create_campaign(CAMPAIGN)
    desk.book.put_baseline(BASELINE)
    before = (projections(empty), rows(empty, Log))
    with pytest.raises(RuntimeError, match="holds 2 campaigns and baselines"):
        _downgrade(empty, "0006")
    assert revision.current(empty) == "0007"
    assert (projections(empty), rows(empty, Log)) == before
    assert desk.ledger.rebuild() == len(records_of())
    assert (projections(empty), rows(empty, Log)) == before


def _fill_log(engine: sa.Engine) -> None:
    """The truth as any revision has it; columns that it lacks are left out."""
    there = {column["name"] for column in sa.inspect(engine).get_columns("record_log")}
    made = _made_elsewhere()
    with engine.begin() as connection:
        table = sa.Table("record_log", sa.MetaData(), autoload_with=connection)
        connection.execute(sa.insert(table), [{name: row[name] for name in row if name in there} for row in made])


def _made_elsewhere() -> list[dict[str, Any]]:
    """Log rows as the program writes them, of a database in memory."""
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
        Desk(engine).take(*records_of())
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(table_of(Log))).mappings()]
    finally:
        engine.dispose()


def _log(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT position, host, epoch, seq, body FROM record_log ORDER BY 1")))


@pytest.mark.parametrize("step", REVISIONS)
def test_each_step_down_and_up_again_ends_at_the_same_tables(empty: sa.Engine, step: str) -> None:
    """The tables; a step that can't take the data back says so in its script, and refuses."""
    schema.upgrade(empty, step)
    before = _constraints(empty)
    _downgrade(empty, "-1")
    schema.upgrade(empty, step)
    assert _constraints(empty) == before


def test_upgrading_again_changes_nothing(empty: sa.Engine) -> None:
    """It is run at every installation."""
    schema.upgrade(empty)
    Desk(empty).take(*records_of())
    before = (projections(empty), rows(empty, Log))
    assert schema.upgrade(empty) == schema.head()
    assert (projections(empty), rows(empty, Log)) == before


def test_a_step_that_fails_is_rolled_back_whole(empty: sa.Engine) -> None:
    """Half a schema would need a surgeon: here a table is in the way of the last one that is made."""
    with empty.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE stream_position (something integer)")
    with pytest.raises(Exception, match="stream_position"):
        schema.upgrade(empty)
    assert set(sa.inspect(empty).get_table_names()) - {"alembic_version"} == {"stream_position"}
    assert revision.current(empty) is None


@pytest.mark.parametrize("found", [None, "0000"])
def test_the_wrong_revision_is_refused_with_the_command_to_run(
    empty: sa.Engine, found: str | None, run_cli: RunCli, database_url: str
) -> None:
    """A registry does not guess: neither an empty database nor one of another program is written to."""
    if found is not None:
        schema.upgrade(empty)
        with empty.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
    with pytest.raises(WrongRevisionError, match="run: mdevreg-server db upgrade") as caught:
        revision.check(empty)
    assert (caught.value.found, caught.value.expected) == (found, schema.head())
    refused = Serving(ServeConfig(database=database_url, nats="nats://127.0.0.1:9"))
    refused.start()
    assert isinstance(refused.wait(), WrongRevisionError)
    done = run_cli(["mdevreg-server", "db", "check", "--database", database_url])
    assert (done.returncode, "db upgrade" in done.stderr) == (2, True)


def test_the_command_upgrades_and_checks(database_url: str, run_cli: RunCli) -> None:
    """Said: where, from what, to what."""
    done = run_cli(["mdevreg-server", "db", "upgrade", "--database", database_url])
    assert (done.returncode, done.stdout.rstrip().endswith(f"empty → {schema.head()}")) == (0, True)
    assert "***" in done.stdout or database_url.startswith("sqlite")
    check = run_cli(["mdevreg-server", "db", "check", "--database", database_url])
    assert (check.returncode, check.stdout.rstrip().endswith("whole")) == (0, True)


def test_a_database_that_does_not_answer_is_unreachable() -> None:
    """Exit code 5."""
    engine = open_engine("postgresql+psycopg://x@127.0.0.1:9/x", writer=True, create=True, timeout_s=1.0)
    with pytest.raises(UnreachableError):
        schema.upgrade(engine)
    engine.dispose()
