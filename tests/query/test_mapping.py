"""Matrix and accepting: alike through every door with an index, refused by those without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from mdevreg import query
from mdevreg.errors import MdevregError, NotFoundError, StateError, UsageError
from mdevreg.fleet import Matrix
from mdevreg.query.door import Door
from mdevreg.query.mapping import accepting, matrix
from mdevreg.rules import Scope, scope_in, words_of
from mdevreg_server.http.config import HttpConfig
from support.databases import sqlite_url
from support.door_fleet import fill, memory_door
from support.nats_server import brokers
from support.registry import migrated
from support.serving import serving

DOORS = ("replica", "nats", "http")
PAIR = ("alpha/mtty/mtty-1", "beta")


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The fleet of the door contract, served."""
    folder = tmp_path_factory.mktemp("mapping")
    with migrated(sqlite_url(folder)) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start()
        with serving(sqlite_url(folder), broker.url, http=HttpConfig("127.0.0.1:0")) as registry:
            yield {"replica": f"replica+{broker.url}", "nats": broker.url, "http": registry.http_url}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, urls: dict[str, str]) -> Iterator[Door]:
    """A door with an index behind it, which a registry has soon after it has started."""
    with query.open(urls[request.param]) as found:
        deadline = time.monotonic() + 10
        while not _has_index(found):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield found


def _has_index(door: Door) -> bool:
    try:
        matrix(door, now=datetime.now(UTC))
    except MdevregError as error:
        if error.code != "NO_INDEX":
            raise
        return False
    return True


def _told(found: Matrix) -> list[tuple[str | None, str | None, str, str]]:
    """Driver versions of source and target, outcome, way back."""
    pairs = [(found.sources[cell.source], found.targets[cell.target], cell.ruling) for cell in found.cells]
    return sorted(
        ((a.driver and a.driver.version) or "", (b.driver and b.driver.version) or "", str(r.outcome), str(r.way_back))
        for a, b, r in pairs
        if a.type == b.type == "mtty-1"
    )


def test_kinds_against_kinds(door: Door) -> None:
    """Four kinds of mtty-1 in the fleet: new loads old down to its minimum, old refuses new."""
    found = matrix(door, now=datetime.now(UTC), sources=Scope(host=("alpha",)))
    assert _told(found) == [
        ("2", "2", "compatible", "compatible"),
        ("2", "2", "compatible", "compatible"),
        ("2", "3", "compatible", "incompatible"),
    ]
    assert [kind.hosts for kind in found.sources] == [1]
    assert sorted(kind.hosts for kind in found.targets if kind.type == "mtty-1") == [1, 1, 5]


def test_a_site_selects_and_every_type_has_its_own_cells(door: Door) -> None:
    """All hosts are of the site lab; nothing is of another."""
    now = datetime.now(UTC)
    whole, lab = matrix(door, now=now), matrix(door, now=now, sources=Scope(site=("lab",)), targets=Scope(site=("l*",)))
    assert (lab.cells, lab.sources) == (whole.cells, whole.sources)
    assert matrix(door, now=now, targets=Scope(site=("x",))).cells == ()
    assert all(whole.sources[cell.source].type == whole.targets[cell.target].type for cell in whole.cells)
    assert {kind.type for kind in whole.sources} == {"mtty-1", "mtty-2", "mtty-7"}


def test_what_a_host_would_take_in(door: Door) -> None:
    """beta offers two builds of mtty-1; each kind of the fleet is judged at its best offer, with its capacity."""
    found = accepting(door, "beta", now=datetime.now(UTC))
    assert (found.host, found.hostname) == ("host-b", "beta")
    assert {each.source.type for each in found.accepted} == {"mtty-1"}
    assert [each.available_instances for each in found.accepted].count(9) >= 1


def test_an_unknown_host_is_told_with_the_nearest(door: Door) -> None:
    """As everywhere."""
    with pytest.raises(NotFoundError) as caught:
        accepting(door, "bata", now=datetime.now(UTC))
    assert caught.value.nearest == ("beta",)


def test_a_database_has_no_index(tmp_path: Path) -> None:
    """Said with the way out, not computed for minutes."""
    with pytest.raises(StateError, match="no index") as caught:
        matrix(memory_door(), now=datetime.now(UTC))
    assert caught.value.code == "NO_INDEX"


def test_a_registry_may_do_without_an_index(tmp_path: Path) -> None:
    """``serve --no-index``: verdicts come from its database, for good; a replica of it maps all the same."""
    with migrated(sqlite_url(tmp_path)) as engine:
        fill(engine)
    with (
        brokers(tmp_path) as start,
        serving(sqlite_url(tmp_path), (broker := start()).url, index=False),
        query.open(broker.url) as door,
        query.open(f"replica+{broker.url}") as replica,
    ):
        until = time.monotonic() + 1.5  # one with an index has it long before
        while time.monotonic() < until:
            assert not _has_index(door)
            time.sleep(0.1)
        assert _has_index(replica)
        verdicts = [query.can_migrate(each, *PAIR, now=datetime.now(UTC)).verdict for each in (door, replica)]
        told = [(verdict.outcome, [reason.code for reason in verdict.reasons]) for verdict in verdicts]
        assert told[0] == told[1]
        assert told[0][1]


def test_scopes_are_said_in_words_and_understood_again() -> None:
    """What str makes of a scope is a scope again; what words can't say is refused, not changed."""
    scope = Scope(host=("a*", "b"), site=("lab",), kernel_release=("6.1.*",))
    assert scope_in(words_of(scope)) == scope
    for wrong in ("site", "site=", "=x", "planet=mars", "site=a site=b"):
        with pytest.raises(UsageError, match="KEY=PATTERN"):
            scope_in(wrong)
    with pytest.raises(UsageError, match="space or"):
        words_of(structs.replace(scope, host=("a|b",)))
