"""The README's fenced blocks, and what the README may ask of them.

A block that is tagged ``console`` is run: each line that starts with ``$ `` is a command for bash (``> `` continues
it), the lines below it are what it shows. A command that is to end with another code than 0 says so: ``# exits 1``.
A block tagged ``python`` is run by itself. ``<!-- not run: REASON -->`` above a block has it read only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\S*)\s*$")
NOT_RUN = re.compile(r"^<!--\s*not run:\s*(.*?)\s*-->\s*$")
EXITS = re.compile(r"#\s*exits (\d+)\s*$")


@dataclass(frozen=True)
class Command:
    """A command of a console block; ``shown`` is the output that the README prints below it."""

    line: int
    text: str
    shown: str

    @property
    def exit_code(self) -> int:
        found = EXITS.search(self.text)
        return int(found.group(1)) if found else 0


@dataclass(frozen=True)
class Block:
    """A fenced block. ``not_run`` is the reason why it is only read, if there is one."""

    line: int
    tag: str
    text: str
    not_run: str | None

    @property
    def commands(self) -> list[Command]:
        found: list[Command] = []
        for number, text in enumerate(self.text.splitlines(), self.line + 1):
            if text.startswith("$ "):
                found.append(Command(number, text[2:], ""))
            elif not found:
                raise AssertionError(f"README line {number}: a console block starts with a command, '$ …'")
            elif text.startswith("> ") and not found[-1].shown:
                found[-1] = Command(found[-1].line, f"{found[-1].text}\n{text[2:]}", "")
            else:
                found[-1] = Command(found[-1].line, found[-1].text, f"{found[-1].shown}{text}\n")
        return found


def blocks(path: Path) -> list[Block]:
    """Every fenced block, in order. A fence that never closes, or a bare ``not run``, is refused."""
    found: list[Block] = []
    reason: str | None = None
    opened: tuple[int, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence, not_run = FENCE.match(line), NOT_RUN.match(line)
        if opened is not None:
            if line.startswith("```"):
                found.append(Block(opened[0], opened[1], "\n".join(inside), reason))
                opened, inside, reason = None, [], None
            else:
                inside.append(line)
        elif fence is not None:
            opened = (number, fence.group(1))
        elif not_run is not None:
            assert not_run.group(1), f"README line {number}: 'not run' without a reason"
            reason = not_run.group(1)
        elif line.strip():
            assert reason is None, f"README line {number}: 'not run' stands above no block"
    assert opened is None, f"README: the block of line {opened and opened[0]} never ends"
    return found
