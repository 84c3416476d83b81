"""What was published of hosts, as running sums by bucket: the fleet's digest. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mdevreg.published import BUCKETS, FLEET_SCHEMA, FleetDigest, bucket_of, summed, token_of


class Sums:
    """The token of each published host, and each bucket's sum. ``changed``: to be told."""

    def __init__(self, hosts: Iterable[tuple[str, str, int]] = ()) -> None:
        """``hosts``: id, digest and position of those that are published."""
        self._tokens: list[dict[str, int]] = [{} for _ in range(BUCKETS)]
        self._totals = [0] * BUCKETS
        self.changed = True
        for host, digest, position in hosts:
            self.put(host, digest, position)

    def put(self, host: str, digest: str, position: int) -> None:
        """A host was published."""
        bucket, token = bucket_of(host), token_of(digest, position)
        before = self._tokens[bucket].get(host)
        self._tokens[bucket][host] = token
        self._totals[bucket] = summed(self._totals[bucket], token, less=before or 0)
        self.changed = self.changed or token != before

    def digest(self, position: int) -> FleetDigest:
        """What is published: everything up to ``position``, and perhaps some of what came later."""
        return FleetDigest(
            schema=FLEET_SCHEMA,
            position=position,
            hosts=sum(map(len, self._tokens)),
            buckets={f"{at:02x}": f"{self._totals[at]:016x}" for at in range(BUCKETS) if self._tokens[at]},
        )
