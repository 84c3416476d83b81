"""``mdevreg explain CODE``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Local
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER
from mdevreg.errors import UsageError
from mdevreg.reasons import EXPLAINED, Explanation, explained

_COLUMNS = ("code", "says", "about", "meaning")


@click.command(
    "explain",
    cls=Local,
    examples=(
        ("mdevreg explain STREAM_VERSION_TOO_NEW", "What the reason means, what causes it, what to do."),
        ("mdevreg explain", "Every code with its meaning."),
    ),
)
@click.argument("code", required=False)
@click.option("--all", "everything", is_flag=True, help="Every code; the same as without CODE.")
def command(code: str | None, everything: bool) -> View:
    """Explain the reason codes of the answers.

    CODE is one of those that stand before the reasons. No registry is asked.
    """
    if code is None:
        return _listed()
    if everything:
        raise UsageError(f"either the code {code} or --all was expected, found both")
    return _one(explained(code))


def _listed() -> View:
    sheet = Sheet(_COLUMNS, [_row(each) for each in EXPLAINED.values()])
    document = {"reasons": [document_of(each) for each in EXPLAINED.values()]}
    return View(document, sheet, table=sheet)


def _one(found: Explanation) -> View:
    lines = [
        f"{found.code} ({_says(found)}, about {found.about}): {found.meaning}",
        "causes:",
        *(f"  {text}" for text in found.causes),
        "what to do:",
        *(f"  {text}" for text in found.remedy),
    ]
    return View(document_of(found), Sheet(_COLUMNS, [_row(found)]), head=tuple(map(Line, lines)))


def _row(found: Explanation) -> tuple[Cell, ...]:
    return (found.code, _says(found), found.about, found.meaning)


def _says(found: Explanation) -> str:
    return "told beside" if found.says is None else ANSWER[found.says]
