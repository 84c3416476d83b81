"""Whether what can't be derived from the log any more is what the log says of it."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.keeping import Prune, Pruned
from mdevreg_server.frozen import Pulse, bases_digest, frozen_digest
from mdevreg_server.keeping import latest, unfinished


def frozen_faults(connection: sa.Connection, pulse: Pulse = lambda: None) -> list[str]:
    """What of the part that can't be derived any more differs from what the log says of it; empty where all is well."""
    begun, ended = latest(connection, Prune), latest(connection, Pruned)
    faults = []
    if begun is not None and frozen_digest(connection, begun[1].horizon, pulse) != begun[1].frozen:
        faults.append(
            f"the projections as known at {begun[1].horizon} are not those of the prune at position {begun[0]}"
        )
    if ended is not None and unfinished(connection) is None and bases_digest(connection) != ended[1].bases:
        faults.append(f"host_base is not what the prune that ended at position {ended[0]} left")
    return faults
