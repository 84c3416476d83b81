"""pytest plugin: with MDEVREG_NO_SKIP=1 a skipped test is a failed one.

A part that is missing on a developer's machine may skip a test, with its reason. The gate runs where every part was
installed, so that there a skip is a hole.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

VARIABLE = "MDEVREG_NO_SKIP"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get(VARIABLE) == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped, though {VARIABLE}=1 forbids it: {reason}"
