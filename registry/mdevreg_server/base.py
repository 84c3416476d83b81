"""What all tables have in common: one metadata, the names of constraints, 64-bit integers."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

#: 64-bit everywhere; SQLite only aliases the rowid for plain INTEGER.
Big = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables of the registry."""

    metadata = MetaData(naming_convention=NAMING)


#: Small rows, found by their key: SQLite keeps them in the key's own tree, once instead of twice.
_CLUSTERED = {"sqlite_with_rowid": False}


def _arguments(found_by: tuple[str, ...]) -> tuple[Any, ...]:
    """What holds at a time is found for one host and for the fleet (``reach``)."""
    return (
        CheckConstraint("valid_from_us < valid_to_us", name="valid"),
        CheckConstraint("system_from < system_to", name="system"),
        Index(None, "host", "reach", "valid_from_us"),
        Index(None, "reach", "valid_from_us"),
        *(Index(None, column, "reach", "valid_from_us") for column in found_by),
        _CLUSTERED,
    )


class Interval:
    """Columns of every interval table. A row is added, and its periods closed; nothing else."""

    found_by: ClassVar[tuple[str, ...]] = ()  # columns by which rows of the whole fleet are looked for
    host: Mapped[str] = mapped_column(Text, primary_key=True)
    valid_from_us: Mapped[int] = mapped_column(Big, primary_key=True, sort_order=90)
    valid_to_us: Mapped[int] = mapped_column(Big, sort_order=92)
    ended_at: Mapped[int] = mapped_column(Big, sort_order=93)  # the position that told valid_to_us
    system_from: Mapped[int] = mapped_column(Big, primary_key=True, sort_order=91)
    system_to: Mapped[int] = mapped_column(Big, sort_order=94)
    reach: Mapped[int] = mapped_column(Integer, server_default="63", sort_order=95)  # mdevreg_server.reach

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805  (SQLAlchemy's convention)
        return _arguments(cls.found_by)


class Intent:
    """What an entry of the log says of a campaign or baseline, to be found by its name. Rows are only ever added."""

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(Big, primary_key=True, autoincrement=False)
    at_us: Mapped[int] = mapped_column(Big)
    body: Mapped[str] = mapped_column(Text)


def table_of(table: type[Base]) -> Table:
    """The Core table of a typed table definition: hot paths use Core."""
    found = table.__table__
    assert isinstance(found, Table)
    return found
