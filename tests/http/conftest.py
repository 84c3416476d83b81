"""Fixtures of the HTTP tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mdevreg_server.http.config import HttpConfig
from support.faces import LOOPBACK, Face, faced
from support.serving import Serving


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of the module, which may only be read; where its HTTP face is."""
    with faced(tmp_path_factory.mktemp("face"), HttpConfig(LOOPBACK)) as (registry, _):
        yield registry.http_url


@pytest.fixture
def face(tmp_path: Path) -> Iterator[Face]:
    """Starts a registry of this test alone."""
    with ExitStack() as stack:

        def start(config: HttpConfig) -> Serving:
            return stack.enter_context(faced(tmp_path, config))[0]

        yield start
