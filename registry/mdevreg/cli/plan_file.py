"""The file with a plan of waves that a campaign is to follow."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mdevreg.cli.files import read_whole
from mdevreg.errors import UsageError
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.wanted import WantedBuild

#: Of 100,000 migrations; a campaign keeps it in fewer bytes, of which it takes so many as ``mdevreg.campaigns`` says.
MAX_BYTES = 32 * 1024 * 1024


def plan_in(file: str, wanted: WantedBuild, *, now: datetime) -> UpgradeWaves:
    """The plan, if it is one to the wanted build. Raises ``StateError`` (FILE), ``UsageError``."""
    data, _ = read_whole(file, MAX_BYTES, now=now)
    try:
        plan = msgspec.json.decode(data, type=UpgradeWaves)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is no plan: {error}; `mdevreg plan waves … -o json` prints one") from error
    if plan.goal != str(wanted):
        raise UsageError(f"{file} is a plan to {plan.goal}, the campaign's build is {wanted}")
    return plan
