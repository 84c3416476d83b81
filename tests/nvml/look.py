"""Looks through NVML in a process of its own: a line of parents in, a line of what became of them out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from mdevreg import wire
from mdevreg.records import Parent
from mdevreg_agent.nvml import open_nvml


def main(patience_s: float) -> None:
    """Until there are no more lines."""
    library = open_nvml(patience_s=patience_s)
    if library is None:
        sys.exit("no nvidia-ml-py")
    for line in sys.stdin:
        added = library.added(msgspec.json.decode(line, type=tuple[Parent, ...]), host_os="made 1.0")
        loaded = "libnvidia-ml" in Path("/proc/self/maps").read_text()
        print(json.dumps({"parents": [json.loads(wire.encode(parent)) for parent in added], "loaded": loaded}))
        sys.stdout.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
