"""What tests do to a real nats-server beyond starting and stopping it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mdevreg_server.broker import Broker

StartBroker = Callable[..., Broker]


@contextmanager
def brokers(folder: Path) -> Iterator[StartBroker]:
    """A function that starts brokers, each in a folder of its own on a free port; all are stopped at the end.

    It takes what ``Broker`` takes: ``jetstream=False``, ``max_payload=…``, ``sync_interval="always"``, ``port=…``.
    """
    with ExitStack() as stack:
        started = 0

        def start(**options: Any) -> Broker:
            nonlocal started
            started += 1
            return stack.enter_context(Broker(folder / f"broker-{started}", **options))

        yield start


def restart(broker: Broker) -> None:
    """Pull the plug and start again on the same port, over the same store."""
    broker.kill()
    broker.start()


def wipe(broker: Broker) -> None:
    """Pull the plug, lose every stream and consumer, start again on the same port."""
    broker.kill()
    shutil.rmtree(broker.store / "jetstream", ignore_errors=True)
    broker.start()
