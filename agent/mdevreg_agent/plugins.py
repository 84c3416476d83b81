"""Plug-ins: executables and Python entry points that state what sysfs does not say of a parent.

They run one after another, each in a process of its own, and what they say is remembered for ``max_age_s``: looks
at an unchanged parent ask nobody. An answer is never kept beyond that: without a new one nothing is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from mdevreg.records import HostFacts, Parent
from mdevreg_agent.plugin_answers import Outcome, question, understood, with_outcomes
from mdevreg_agent.plugin_files import Plugin, fault_of, find
from mdevreg_agent.plugin_runs import Runs

_Key = tuple[str, str]  # plug-in's name, parent's path


class _Job(msgspec.Struct, frozen=True):
    plugin: Plugin
    parent: Parent
    document: bytes
    digest: str

    @property
    def key(self) -> _Key:
        return self.plugin.name, self.parent.path


class _Known(msgspec.Struct, frozen=True):
    """What was said last, by whom, to which document, and when."""

    identity: tuple[str | int, ...]
    digest: str
    at: float
    outcome: Outcome


class Plugins:
    """The plug-ins of ``folder`` (``None``: no folder) and the ``packaged`` ones, and what they said last.

    ``root``: where the host's files are. ``max_age_s``: how long an answer counts. ``budget_s``: how long all runs
    of one look may take together; at least one is made. ``clock``: seconds, only ever forward.
    """

    def __init__(
        self,
        *,
        folder: Path | None,
        packaged: tuple[Plugin, ...],
        root: str,
        runs: Runs,
        max_age_s: float,
        budget_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._folder, self._packaged, self._root = folder, packaged, root
        self._runs, self._max_age_s, self._budget_s, self._clock = runs, max_age_s, budget_s, clock
        self._known: dict[_Key, _Known] = {}

    def added(self, facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        """The parents with what plug-ins say of them. Raises ``StateError`` when the agent is stopping."""
        found = find(self._folder, self._packaged)
        jobs = [job for parent in parents for job in _jobs(parent, facts, self._root, found.plugins)]
        outcomes = self._outcomes(jobs)
        by_parent: dict[str, dict[str, Outcome]] = {parent.path: {} for parent in parents}
        for (name, path), outcome in outcomes.items():
            by_parent[path][name] = outcome
        return tuple(with_outcomes(parent, by_parent[parent.path], found.faults) for parent in parents)

    def _outcomes(self, jobs: list[_Job]) -> dict[_Key, Outcome]:
        """Who was asked longest ago has the first turn, so that everyone has one in some look."""
        before, self._known = self._known, {}
        outcomes: dict[_Key, Outcome] = {}
        spent_s: float | None = None  # of the budget; None: nobody was asked yet
        for job in sorted(jobs, key=lambda job: before[job.key].at if job.key in before else float("-inf")):
            known = self._fresh(job, before)
            has_turn = spent_s is None or spent_s + self._runs.timeout_s <= self._budget_s
            if has_turn and (known is None or known.digest != job.digest):
                began = self._clock()
                known = self._asked(job)
                spent_s = (spent_s or 0.0) + known.at - began
            if known is not None:
                self._known[job.key] = known
            outcomes[job.key] = known.outcome if known else self._no_turn(job)
        return outcomes

    def _fresh(self, job: _Job, before: dict[_Key, _Known]) -> _Known | None:
        """What this very plug-in said of the parent, if that still counts."""
        known = before.get(job.key)
        if known is None or known.identity != job.plugin.identity or self._clock() - known.at >= self._max_age_s:
            return None
        return known

    def _asked(self, job: _Job) -> _Known:
        ran = self._runs.run(job.plugin.command, job.document)
        outcome = understood(job.plugin.name, ran)
        return _Known(identity=job.plugin.identity, digest=job.digest, at=self._clock(), outcome=outcome)

    def _no_turn(self, job: _Job) -> Outcome:
        error = f"not asked: all plug-ins together have {self._budget_s:g} s in one look"
        return Outcome(fault=fault_of(job.plugin.name, error))


def _jobs(parent: Parent, facts: HostFacts, root: str, plugins: tuple[Plugin, ...]) -> list[_Job]:
    if not plugins:
        return []
    document = question(parent, facts, root)
    digest = hashlib.sha256(document).hexdigest()
    return [_Job(plugin, parent, document, digest) for plugin in plugins]
