"""How tables are declared: names of constraints, integers, and the metadata that all tables are in."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, Table
from sqlalchemy.orm import DeclarativeBase

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


def table_of(table: type[Base]) -> Table:
    """The Core table of a typed table definition: hot paths use Core."""
    found = table.__table__
    assert isinstance(found, Table)
    return found
