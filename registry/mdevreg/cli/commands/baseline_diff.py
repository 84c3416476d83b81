"""``mdevreg baseline diff NAME OTHER``."""

from __future__ import annotations

import click
import msgspec

from mdevreg.baselines import differences
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.cli.words import counted, where_read
from mdevreg.verdict import Outcome

_COLUMNS = ("class", "what", "before", "after")


@click.command(
    "diff",
    cls=Question,
    examples=(
        ("mdevreg baseline diff gold@1 gold", "What did later versions change?"),
        ("mdevreg baseline diff site-a site-b", "In what do two baselines differ?"),
    ),
)
@click.argument("name", metavar="NAME[@VERSION]")
@click.argument("other", metavar="OTHER[@VERSION]")
@click.pass_obj
def command(session: Session, name: str, other: str) -> View:
    """Show in what two baselines, or two versions of one, differ.

    Exit codes: 0 in nothing, 1 in something.
    """
    moment = session.moment
    with session.door() as door:
        before, after = door.baseline(name, moment), door.baseline(other, moment)
    found = list(differences(before.baseline, after.baseline))
    sheet = Sheet(_COLUMNS, [(each.key, each.what, each.before, each.after) for each in found])
    one, two = (f"{view.baseline.name}@{view.baseline.version}" for view in (before, after))
    first = f"{one} → {two}: {counted(len(found), 'difference') if found else 'no difference'}"
    says = Outcome.INCOMPATIBLE if found else Outcome.COMPATIBLE
    document = {
        "before": one,
        "after": two,
        "differences": msgspec.to_builtins(found),
        "position": after.position,
        "snapshot": after.snapshot,
    }
    read = where_read(after.position, moment.as_of, after.snapshot)
    return View(document, sheet, head=(Line(first, says),), table=sheet, foot=(read,), exit_code=1 if found else 0)
