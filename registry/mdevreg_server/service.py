"""A service of the NATS services API (ADR-32) whose endpoints answer in tasks of their own.

``nats.micro`` says who is there (PING, INFO, STATS). Its endpoints are not used: they take one request at a time,
count a request as done when the handler returns, and drop what waits when they are stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.micro.service import (
    DEFAULT_QUEUE_GROUP,
    EndpointInfo,
    EndpointStats,
    Service,
    ServiceConfig,
    ServiceInfo,
    ServiceStats,
)


class Endpoint:
    """A subject where questions are taken, and how they fared."""

    def __init__(self, name: str, subject: str, metadata: dict[str, str]) -> None:
        self.name, self.subject, self.metadata = name, subject, metadata
        self.requests = self.errors = self.time_ns = 0
        self.last_error: str | None = None

    def count(self, time_ns: int, error: str | None) -> None:
        """A request was answered, after so long; ``error``: with this one."""
        self.requests += 1
        self.time_ns += time_ns
        if error is not None:
            self.errors += 1
            self.last_error = error

    def stats(self) -> EndpointStats:
        """As STATS tells it; a request counts when it has been answered."""
        return EndpointStats(
            name=self.name,
            subject=self.subject,
            queue_group=DEFAULT_QUEUE_GROUP,
            num_requests=self.requests,
            num_errors=self.errors,
            processing_time=self.time_ns,
            average_processing_time=self.time_ns // max(1, self.requests),
            last_error=self.last_error,
        )


Handle = Callable[[Endpoint, Msg], Awaitable[None]]


class EndpointService(Service):
    """Serves endpoints by one queue group, so that several instances share the load."""

    def __init__(self, client: Client, config: ServiceConfig) -> None:
        super().__init__(client, config)
        self._nats = client
        self._served: list[tuple[Endpoint, Callable[[], Awaitable[Any]]]] = []  # how to drain its subscription

    async def serve(self, endpoint: Endpoint, handle: Handle) -> None:
        """Take questions from now on. ``handle`` is awaited for one at a time: what takes time goes into a task."""
        subscription = await self._nats.subscribe(
            endpoint.subject, queue=DEFAULT_QUEUE_GROUP, cb=partial(handle, endpoint)
        )
        self._served.append((endpoint, subscription.drain))

    async def drain(self, timeout_s: float) -> None:
        """Take no more questions; returns when those that the broker has sent are handed to their handlers."""
        draining = [asyncio.ensure_future(drain()) for _, drain in self._served]
        if draining:
            _, late = await asyncio.wait(draining, timeout=timeout_s)
            for task in late:
                task.cancel()
            ended = await asyncio.gather(*draining, return_exceptions=True)
            _raise_other_than(Error, ended)  # a broker that is away asks nothing

    def info(self) -> ServiceInfo:
        """As INFO tells it."""
        info = super().info()
        info.endpoints = [
            EndpointInfo(each.name, each.subject, DEFAULT_QUEUE_GROUP, each.metadata) for each, _ in self._served
        ]
        return info

    def stats(self) -> ServiceStats:
        """As STATS tells it."""
        stats = super().stats()
        stats.endpoints = [each.stats() for each, _ in self._served]
        return stats


def _raise_other_than(kind: type[Exception], results: list[BaseException | None]) -> None:
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, kind):
            raise result
