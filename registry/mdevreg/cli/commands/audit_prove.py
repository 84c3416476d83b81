"""``mdevreg audit prove POSITION -o FILE``."""

from __future__ import annotations

from typing import Any

import click

from mdevreg.audit.notes import read_checkpoint, read_note
from mdevreg.audit.proofs import write_proof
from mdevreg.cli.audit_files import note_in, write_whole
from mdevreg.cli.options import Timeless, output_options, registry_options
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.query.auditing import auditor_of, check_auditable


class Proving(Timeless):
    """A command whose ``-o`` names a file; how its answer is printed is said before the command."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [*registry_options(), output_options()[1]]


@click.command(
    "prove",
    cls=Proving,
    examples=(
        ("mdevreg audit prove 4711 -o 4711.tlog-proof", "By the newest checkpoint; the proof has the record in it."),
        ("mdevreg audit prove 4711 --checkpoint kept.checkpoint", "By a checkpoint that you kept."),
    ),
)
@click.argument("position", type=click.IntRange(1))
@click.option("-o", "file", metavar="FILE", help="Where the proof is written.  [default: POSITION.tlog-proof]")
@click.option("--checkpoint", metavar="FILE", help="Prove it by this checkpoint.")
@click.pass_obj
def command(session: Session, position: int, file: str | None, checkpoint: str | None) -> View:
    """Write a proof that the record at POSITION is in the log.

    It verifies offline, with the log's public key alone.
    """
    given = None if checkpoint is None else note_in(checkpoint, session.now)
    check_auditable(session.address.url)
    with session.door() as door:
        proof = auditor_of(door).prove(position, checkpoint=given)
    name = file or f"{position}.tlog-proof"
    write_whole(name, write_proof(proof))
    found = read_checkpoint(read_note(proof.checkpoint.encode()))
    record = "its record" if proof.body is not None else "its columns; the record itself was pruned"
    return View(
        document={"file": name, "position": position, "size": found.size, "origin": found.origin},
        sheet=Sheet(("file", "position", "size", "origin"), [(name, position, found.size, found.origin)]),
        head=(
            Line(f"yes: position {position} is in the log of {found.size} records that {found.origin} signed"),
            Line(f"proof: {name}, with {record}"),
        ),
    )
