"""A whole fleet of real processes per test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mdevreg_server.broker import Broker
from support.scene import OpenScene, Scene


@pytest.fixture
def open_scene(tmp_path: Path, nats_server: Broker) -> Iterator[OpenScene]:
    """Makes the scene on a database that is named: no host yet, no registry."""
    with ExitStack() as stack:
        yield lambda database: stack.enter_context(Scene(tmp_path, nats_server, database))


@pytest.fixture
def scene(open_scene: OpenScene, sqlite_database_url: str) -> Scene:
    """A scene on SQLite."""
    return open_scene(sqlite_database_url)
