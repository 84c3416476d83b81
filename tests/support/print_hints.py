"""A reader of its own process: prints ``ready``, then each hint as a line of JSON; ends after so many (argument)."""

from __future__ import annotations

import select
import sys

import msgspec

from mdevreg_agent.monitor import Monitor

LONGEST_WAIT_S = 20


def main(wanted: int) -> None:
    monitor = Monitor()
    print("ready", flush=True)
    seen = 0
    while seen < wanted and select.select([monitor], [], [], LONGEST_WAIT_S)[0]:
        for hint in monitor.read():
            print(msgspec.json.encode(hint).decode(), flush=True)
            seen += 1
    monitor.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
