"""``db check`` names what of the schema differs, and the way out."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from mdevreg_server.schema_faults import schema_faults
from support.processes import RunCli


def test_a_schema_as_the_program_makes_it_has_no_fault(engine: sa.Engine) -> None:
    """On both databases, whose catalogs spell things differently."""
    assert schema_faults(engine) == []


BY_NAME = "ix_device_name_reach_valid_from_us"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            f"DROP INDEX {BY_NAME}",
            [f"index {BY_NAME} is missing; CREATE INDEX {BY_NAME} ON device (name, reach, valid_from_us);"],
        ),
        ("CREATE INDEX mine ON device (kind)", ["index mine is not the program's; drop it"]),
        ("CREATE TABLE notes (x integer)", ["table notes is not the program's; drop it, or move it to another schema"]),
        ("ALTER TABLE device ADD COLUMN colour text", ["column device.colour is not the program's; drop it"]),
        ("ALTER TABLE profile DROP COLUMN body", ["column profile.body is missing; restore a copy of the database"]),
    ],
)
def test_what_differs_is_named(engine: sa.Engine, change: str, said: list[str]) -> None:
    """By name; an index with the statement that makes it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    assert schema_faults(engine) == said


def test_a_missing_table_is_named_with_its_statement(engine: sa.Engine) -> None:
    """Whoever knows what was in it may make it again."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE host_base")
    (said,) = schema_faults(engine)
    assert said.startswith("table host_base is missing; restore a copy of the database, or: CREATE TABLE host_base (")


def test_a_trigger_is_nobodys(engine: sa.Engine) -> None:
    """It could change what is written, unseen."""
    statements = {
        "sqlite": ["CREATE TRIGGER sly AFTER INSERT ON record_log BEGIN DELETE FROM quarantine; END"],
        "postgresql": [
            "CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER sly AFTER INSERT ON record_log FOR EACH ROW EXECUTE FUNCTION sly()",
        ],
    }
    with engine.begin() as connection:
        for statement in statements[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    assert schema_faults(engine) == ["trigger sly of table record_log is not the program's; drop it"]


def test_constraints_are_compared_too(engine: sa.Engine) -> None:
    """Which Alembic does not for checks: one is missing, the key is another, a NOT NULL is gone."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE profile")
        connection.exec_driver_sql("CREATE TABLE profile (digest text, body text CONSTRAINT odd CHECK (body <> ''))")
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE device DROP CONSTRAINT ck_device_valid")
    said = schema_faults(engine)
    assert "constraint odd of table profile is not the program's; drop it" in said
    assert "the primary key of table profile is [], not ['digest']; restore a copy of the database" in said
    assert "column profile.body: nullable is True, not False; restore a copy of the database" in said
    missing = "constraint ck_device_valid of table device is missing; restore a copy of the database"
    assert (missing in said) == (engine.dialect.name == "postgresql")


def test_the_command_tells_and_exits_2(engine: sa.Engine, run_cli: RunCli) -> None:
    """Each on its line."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX {BY_NAME}")
    url = engine.url.render_as_string(hide_password=False)
    done = run_cli(["mdevreg-server", "db", "check", "--database", url])
    assert (done.returncode, f"index {BY_NAME} is missing" in done.stdout) == (2, True)
    assert "NOT_WHOLE" in done.stderr
