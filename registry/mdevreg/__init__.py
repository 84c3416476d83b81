"""The language of mdevreg: records, stream support, verdicts, timelines.

Everything importable from here is pure: no IO, no clock, no logging. The doors to a registry live in
``mdevreg.query`` and are not re-exported, so that a host agent importing a record never loads them.
"""

from mdevreg.catalog import Catalog
from mdevreg.compatibility import judge
from mdevreg.errors import MdevregError
from mdevreg.facts import Evidence, Moment, Side
from mdevreg.records import DriverBuild, MdevType, Parent, Record
from mdevreg.rules import Rule
from mdevreg.support import StreamSupport, support_of
from mdevreg.verdict import Outcome, Reason, Verdict
from mdevreg.versions import StreamVersion

__all__ = [
    "Catalog",
    "DriverBuild",
    "Evidence",
    "MdevType",
    "MdevregError",
    "Moment",
    "Outcome",
    "Parent",
    "Reason",
    "Record",
    "Rule",
    "Side",
    "StreamSupport",
    "StreamVersion",
    "Verdict",
    "judge",
    "support_of",
]
