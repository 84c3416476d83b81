"""``mdevreg audit check FILE``."""

from __future__ import annotations

import click

from mdevreg.audit.proofs import read_proof, verify_proof
from mdevreg.cli.audit_files import MAX_PROOF_BYTES, public_keys
from mdevreg.cli.files import read_whole
from mdevreg.cli.options import Local
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View
from mdevreg.errors import AuditError, UsageError
from mdevreg.signing import verify
from mdevreg.verdict import Outcome


@click.command(
    "check",
    cls=Local,
    examples=(("mdevreg audit check 4711.tlog-proof --public-key audit.pub", "Needs neither registry nor database."),),
)
@click.argument("file", metavar="FILE|-")
@click.option("--public-key", "keys", multiple=True, metavar="FILE|KEY", help="Of the log; a file or the line itself.")
@click.pass_obj
def command(session: Session, file: str, keys: tuple[str, ...]) -> View:
    """Verify a proof of a record, and show what it proves. Exits 1 if it proves nothing."""
    known = public_keys(keys, session.now)
    if not known:
        raise UsageError("--public-key is missing: a proof is verified with the log's public key")
    data, _ = read_whole(file, MAX_PROOF_BYTES, now=session.now)
    try:
        checkpoint, columns = verify_proof(read_proof(data), known, verify)
    except AuditError as error:
        document: dict[str, Cell] = {"answer": "no", "code": error.code, "text": error.message}
        line = Line(f"no: {error.message}", Outcome.INCOMPATIBLE)
        return View(document, Sheet(tuple(document), [tuple(document.values())]), head=(line,), exit_code=1)
    said: dict[str, Cell] = {"answer": "yes", "origin": checkpoint.origin, "size": checkpoint.size, **columns}
    sentence = f"yes: {checkpoint.origin} signed a log of {checkpoint.size} records with this one in it"
    lines = [Line(f"  {name}: {value}") for name, value in columns.items()]
    return View(said, Sheet(tuple(said), [tuple(said.values())]), head=(Line(sentence, Outcome.COMPATIBLE), *lines))
