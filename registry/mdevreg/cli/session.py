"""What one run of the command line has around it, and what it was told by options.

Options may stand before or after the command; what stands last wins. Then come the environment, the running
``mdevreg-server up``, the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import StateError, UsageError
from mdevreg.facts import Moment
from mdevreg.moments import known_at_of, moment_in
from mdevreg.query.door import Door
from mdevreg.times import past_time

Format = Literal["table", "json", "yaml", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "yaml", "csv")
DEFAULT_URL = "nats://127.0.0.1:4222"
DEFAULT_TIMEOUT_S = 5.0
#: ``open_door(url, timeout_s=…, creds=…)``
OpenDoor = Callable[..., Door]


@dataclass(frozen=True)
class Address:
    """A registry's URL, and where it was learned."""

    url: str
    learned_from: str


@dataclass(frozen=True)
class Session:
    """One run. ``now`` is when it began; ``width`` is the terminal's, ``None`` if stdout is none."""

    environ: Mapping[str, str]
    now: datetime
    open_door: OpenDoor
    width: int | None = None
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Which registry to ask."""
        if url := self.given.get("url"):
            return Address(url, "--url")
        if url := self.environ.get("MDEVREG_URL"):
            return Address(url, "MDEVREG_URL")
        path = self._state_folder / "mdevreg" / "url"
        if url := _written(path):
            return Address(url, str(path))
        return Address(DEFAULT_URL, "the default")

    @property
    def format(self) -> Format:
        """What to print."""
        return self.given.get("output") or "table"

    @property
    def rules(self) -> Rules:
        """The operator's rules as far as options state them."""
        return Rules(stale_after_s=self.given.get("stale_after") or DEFAULT_STALE_AFTER_S)

    @property
    def moment(self) -> Moment:
        """The two times that are asked about. Raises ``UsageError``."""
        as_of, known_at, snapshot = (self.given.get(name) for name in ("as_of", "known_at", "snapshot"))
        if snapshot is not None:
            if as_of is not None or known_at is not None:
                raise UsageError("--snapshot fixes both times; give it without --as-of and --known-at")
            return moment_in(snapshot)
        return Moment(
            as_of=None if as_of is None else past_time(as_of, self.now),
            known_at=None if known_at is None else known_at_of(known_at, self.now),
        )

    @property
    def color(self) -> bool:
        """Whether to colour: a terminal that can, and nobody who minds (https://no-color.org)."""
        if self.width is None or self.given.get("no_color") or self.environ.get("NO_COLOR"):
            return False
        return self.environ.get("TERM") != "dumb"

    def door(self) -> Door:
        """Open the registry; use it in ``with``. Raises what ``mdevreg.query.open`` raises."""
        timeout_s = self.given.get("timeout") or DEFAULT_TIMEOUT_S
        return self.open_door(self.address.url, timeout_s=timeout_s, creds=self.given.get("creds"))

    @property
    def _state_folder(self) -> Path:
        """$XDG_STATE_HOME; a relative one is invalid and ignored (XDG Base Directory Specification)."""
        stated = Path(self.environ.get("XDG_STATE_HOME", ""))
        return stated if stated.is_absolute() else Path(self.environ.get("HOME", "/")) / ".local" / "state"


def _written(path: Path) -> str | None:
    """The first line of a file that may not be there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"can't read the registry's address from {path}: {error}; give it with --url") from error
    return lines[0].strip() if lines else None
