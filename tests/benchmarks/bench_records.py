"""A backlog of realistic records: the simulated fleet's own, each host's in order, hosts interleaved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mdevreg import subjects
from mdevreg.records import Cause
from mdevreg_agent.fleet import fleet, picture_of
from mdevreg_agent.picture import documents_of
from mdevreg_agent.scenario import events
from mdevreg_agent.simulate import SimAgent


def backlog(count: int, *, hosts: int = 250, seed: int = 1) -> list[tuple[str, bytes]]:
    """``count`` records of ``hosts`` hosts as (subject, bytes): start-up snapshots, then mdevs coming and going."""
    state = fleet(hosts, seed=seed)
    agents = [SimAgent(host.id, "bench") for host in state]
    at = datetime.now(UTC) - timedelta(hours=1)
    made: list[tuple[str, bytes]] = []

    def look(index: int, cause: Cause) -> None:
        documents = documents_of(picture_of(current[index]))
        records = agents[index].look(documents, cause=cause, observed_at=at)
        made.extend((subjects.record(current[index].id), data) for _, data in records)

    current = list(state)
    for index in range(hosts):
        look(index, Cause(kind="startup"))
    for event in events("churn", state, seed=seed):
        at += timedelta(milliseconds=10)
        current[event.index] = event.host
        look(event.index, event.cause)
        if len(made) >= count:
            break
    return made[:count]
