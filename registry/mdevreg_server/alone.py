"""Deciding without a running registry: the database is claimed for as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from mdevreg.errors import StateError
from mdevreg_server import revision
from mdevreg_server.claim import Claim, claim_of
from mdevreg_server.engine import open_engine
from mdevreg_server.ledger import Ledger
from mdevreg_server.rulebook import Rulebook


@contextmanager
def writing_alone(url: sa.URL | str) -> Iterator[Rulebook]:
    """The rulebook of a database that no registry is writing to. Raises ``StateError`` (SECOND_WRITER) otherwise."""
    with ledger_alone(url) as ledger:
        yield Rulebook(ledger, time.time_ns() // 1_000)


@contextmanager
def ledger_alone(url: sa.URL | str) -> Iterator[Ledger]:
    """The ledger of a database that no registry is writing to. Raises ``StateError`` (SECOND_WRITER) otherwise."""
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    engine = open_engine(text, writer=True)
    claim = claim_of(engine)
    try:
        revision.check(engine)
        yield _ledger(engine, claim)
    finally:
        claim.release()
        engine.dispose()


def _ledger(engine: sa.Engine, claim: Claim) -> Ledger:
    try:
        return Ledger(engine, claim=claim)
    except StateError as error:
        if error.code != "SECOND_WRITER":
            raise
        where = engine.url.render_as_string(hide_password=True)
        text = f"a registry is running on {where}; ask it: --url nats://… (mdevreg-server: --nats nats://…)"
        raise StateError(text, code=error.code) from error
