"""The registry's database, and a desk where records are handed in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from support.registry import Desk, migrated


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """The writer's engine of a migrated database, on SQLite and on PostgreSQL."""
    with migrated(database_url) as engine:
        yield engine


@pytest.fixture
def desk(engine: sa.Engine) -> Desk:
    """A ledger on it, and the stream that feeds it."""
    return Desk(engine)
