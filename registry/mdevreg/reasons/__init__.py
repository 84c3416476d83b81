"""Every reason code explained: what it means, what causes it, what to do. Data, and pure.

``docs/reasons.md`` is what ``as_markdown`` renders.
"""

from __future__ import annotations

from mdevreg.errors import NotFoundError
from mdevreg.nearest import nearest
from mdevreg.reasons.explanation import Explanation
from mdevreg.reasons.of_decisions import EVIDENCE, FIELDS, OPERATORS, TRIED
from mdevreg.reasons.of_devices import DEVICES
from mdevreg.reasons.of_versions import VERSIONS
from mdevreg.verdict import CODES

__all__ = ["EXPLAINED", "Explanation", "as_markdown", "explained"]

_WRITTEN = {each.code: each for group in (DEVICES, VERSIONS, FIELDS, TRIED, OPERATORS, EVIDENCE) for each in group}
#: All explanations by code, in the order of ``CODES``.
EXPLAINED: dict[str, Explanation] = {code: _WRITTEN[code] for code in CODES}

_HEAD = """\
# Reason codes

Every verdict of mdevreg carries reasons. A reason's code is frozen once released; the sentence beside it may change.
`mdevreg explain CODE` prints one of these. Generated from `mdevreg.reasons`; change it there.
"""


def explained(code: str) -> Explanation:
    """The explanation of a code, in any case, ``-`` or spaces for ``_``. Raises ``NotFoundError``."""
    found = EXPLAINED.get(code.strip().upper().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise NotFoundError("reason code", code, nearest(code.replace("-", "_"), EXPLAINED))
    return found


def as_markdown() -> str:
    """All of them as a page: a table of the codes, then a section for each."""
    table = ["| code | says | about |", "|---|---|---|"]
    table += [
        f"| [`{each.code}`](#{each.code.lower()}) | {_says(each)} | {each.about} |" for each in EXPLAINED.values()
    ]
    return "\n".join([_HEAD, *table, "", *map(_section, EXPLAINED.values())])


def _section(each: Explanation) -> str:
    causes, remedy = ("\n".join(f"* {text}" for text in texts) for texts in (each.causes, each.remedy))
    return f"## {each.code}\n\n{each.meaning}\n\nCauses:\n\n{causes}\n\nWhat to do:\n\n{remedy}\n"


def _says(each: Explanation) -> str:
    return each.says or "told beside"
