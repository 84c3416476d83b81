"""Small fleets to plan for, and how thoroughly properties are tried."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

_PHASES = [Phase.explicit, Phase.generate, Phase.target, Phase.shrink]
settings.register_profile("ci", derandomize=True, max_examples=60, deadline=None, database=None, phases=_PHASES)
settings.register_profile("search", max_examples=2_000, deadline=None, database=None)
settings.load_profile(os.environ.get("MDEVREG_HYPOTHESIS", "ci"))
