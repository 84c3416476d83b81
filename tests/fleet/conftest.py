"""Hypothesis, the same in every run: a failure seen in the gate is seen again at the desk.

``MDEVREG_HYPOTHESIS=search`` looks further, with new examples each time.
"""

from __future__ import annotations

import os

from hypothesis import Phase, settings

# No explain phase: before Python 3.12 it traces each line of every example, which is tenfold the time.
_PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("ci", derandomize=True, max_examples=60, deadline=None, database=None, phases=_PHASES)
settings.register_profile("search", max_examples=2_000, deadline=None, database=None)
settings.load_profile(os.environ.get("MDEVREG_HYPOTHESIS", "ci"))
