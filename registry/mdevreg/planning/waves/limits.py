"""What an order of upgrades must keep. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mdevreg.shapes import Strict

#: More hosts at once than any fleet has.
MANY = 10_000_000


class Limits(Strict, frozen=True):
    """The limits of every wave.

    ``at_once``: hosts that are away at the same time, ``per_site``: of them at one site (``None``: any number).
    ``spare``: free instances of each type in use that stay on hosts that are up. ``return_path``: a device goes only
    where it could come back from, to its old host upgraded. ``reload``: only the driver is loaded anew, so that what is
    under other drivers of the same host stays; else the whole host is away.
    """

    at_once: Annotated[int, Meta(ge=1, le=MANY)] = 1
    per_site: Annotated[int, Meta(ge=1, le=MANY)] | None = None
    spare: Annotated[int, Meta(ge=0, le=MANY)] = 0
    return_path: bool = False
    reload: bool = False

    def __str__(self) -> str:
        said = [f"{self.at_once} at once"]
        said += [f"{self.per_site} per site"] if self.per_site is not None else []
        said += [f"{self.spare} spare of each type"] if self.spare else []
        said += ["with a way back"] if self.return_path else []
        said += ["reloading the driver only"] if self.reload else []
        return ", ".join(said)
