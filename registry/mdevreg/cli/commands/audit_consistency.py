"""``mdevreg audit consistency A B``."""

from __future__ import annotations

import click

from mdevreg.cli.audit_files import tree_named
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.query.auditing import auditor_of, check_auditable
from mdevreg.verdict import Outcome

_COLUMNS = ("first", "second", "first_root", "second_root", "consistent", "proof")


@click.command(
    "consistency",
    cls=Present,
    examples=(
        ("mdevreg audit consistency 000000004096.checkpoint latest.checkpoint", "Was only appended between them?"),
        ("mdevreg audit consistency 1000 2000 -o json", "The proof itself, by RFC 9162 section 2.1.4."),
    ),
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.pass_obj
def command(session: Session, first: str, second: str) -> View:
    """Prove that the log of checkpoint B begins with that of A; sizes or files of checkpoints.

    Exits 1 if that can't be. Signatures are not looked at: audit verify does that.
    """
    one, other = (tree_named(name, session.now) for name in (first, second))
    check_auditable(session.address.url)
    with session.door() as door:
        found = auditor_of(door).consistency(one, other)
    outcome = Outcome.COMPATIBLE if found.consistent else Outcome.INCOMPATIBLE
    answer = "yes" if found.consistent else "no"
    row = tuple(" ".join(found.proof) if name == "proof" else getattr(found, name) for name in _COLUMNS)
    return View(
        document=document_of(found, answer=answer),
        sheet=Sheet(_COLUMNS, [row]),
        head=(Line(f"{answer}: {found.text}", outcome), *(Line(f"  {each}") for each in found.proof)),
        exit_code=0 if found.consistent else 1,
    )
