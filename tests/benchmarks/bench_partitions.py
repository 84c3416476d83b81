"""The same backlog taken in by 1, 2 and 4 registries that share it, and by one that shares nothing."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench_storm import measured, storm

from support.postgres import PostgresMissingError, private_cluster

#: Each process has as many of them, whatever their number.
PARTITIONS = 4
WORKERS = (0, 1, 2, 4)


def report(folder: Path, *, rounds: int, records: int) -> None:
    """Measure, rounds interleaved, and print."""
    backlog = storm(records // 4)
    print(
        f"\npartitioned ingest on PostgreSQL: {len(backlog):,} records, {PARTITIONS} partitions, {rounds} rounds; "
        "median (min to max)"
    )
    seen: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    try:
        with private_cluster() as cluster:
            for _ in range(rounds):
                for workers in WORKERS:
                    done = measured(folder, backlog, cluster=cluster, workers=workers, partitions=PARTITIONS)
                    seen[workers].append(done.rate)
    except PostgresMissingError as error:
        print(f"  not measured, {error}")
        return
    sole = statistics.median(seen[0])
    for workers, rates in seen.items():
        name = f"{workers} sharing" if workers else "1 alone, sharing nothing"
        middle = statistics.median(rates)
        print(
            f"  {name}: {middle:,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) records/s, {middle / sole:.2f} of alone"
        )
