"""``mdevreg audit verify``."""

from __future__ import annotations

import click

from mdevreg.audit.findings import Finding, Verification
from mdevreg.cli.audit_files import note_in, public_keys
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, counted
from mdevreg.query.auditing import auditor_of, check_auditable
from mdevreg.verdict import Outcome

_COLUMNS = ("code", "table", "position", "last_position", "key", "column", "text")


@click.command(
    "verify",
    cls=Present,
    examples=(
        ("mdevreg audit verify --public-key audit.pub", "Against the checkpoints that were signed with this key."),
        (
            "mdevreg audit verify --checkpoint latest.checkpoint --public-key audit.pub",
            "Against one that was kept elsewhere too: a cut-off end is found only so.",
        ),
        ("mdevreg audit verify --log-only --url sqlite:///registry.sqlite3", "The log alone, without its projections."),
    ),
)
@click.option(
    "--checkpoint", "checkpoints", multiple=True, metavar="FILE", help="A checkpoint that was kept elsewhere."
)
@click.option("--public-key", "keys", multiple=True, metavar="FILE|KEY", help="Of the log; a file or the line itself.")
@click.option("--log-only", is_flag=True, help="Leave the projections out.")
@click.pass_obj
def command(session: Session, checkpoints: tuple[str, ...], keys: tuple[str, ...], *, log_only: bool) -> View:
    """Find out whether anything was changed behind the registry's back.

    Exits 0: nothing was; 1: something was, and where; 3: nothing vouches for the log, so it can't be said.
    """
    files = [(name, note_in(name, session.now)) for name in checkpoints]
    known = public_keys(keys, session.now)
    check_auditable(session.address.url)
    with session.door() as door:
        found = auditor_of(door).verify(checkpoints=files, keys=known, log_only=log_only)
    outcome = _outcome(found)
    sheet = Sheet(_COLUMNS, [_row(finding) for finding in found.findings])
    return View(
        document=document_of(found, answer=ANSWER[outcome], answered_at=session.now),
        sheet=sheet,
        head=(Line(_sentence(found, outcome), outcome), *map(Line, _traces(found))),
        foot=tuple(map(Line, _foot(found, log_only=log_only))),
        exit_code=EXIT_CODE[outcome],
    )


def _outcome(found: Verification) -> Outcome:
    if found.counts:
        return Outcome.INCOMPATIBLE
    return Outcome.COMPATIBLE if found.vouched_size and not found.unvouched_prune else Outcome.UNKNOWN


def _sentence(found: Verification, outcome: Outcome) -> str:
    traces = counted(sum(found.counts.values()), "trace")
    if outcome is Outcome.INCOMPATIBLE:
        return f"no: {traces} of tampering in {counted(found.records, 'record')} and what is derived of them"
    if outcome is Outcome.COMPATIBLE:
        return f"yes: the log is the one that was signed: {found.vouched_size} of {counted(found.records, 'record')}"
    if found.vouched_size:
        return (
            f"unknown: the log is whole, but nobody vouches yet for what was pruned at position {found.unvouched_prune}"
        )
    return f"unknown: {counted(found.records, 'record')} agree with themselves, and nobody vouches for them"


def _traces(found: Verification) -> list[str]:
    lines = [f"  {finding.code}  {finding.text}" for finding in found.findings]
    told = {code: sum(finding.code == code for finding in found.findings) for code in found.counts}
    more = [f"  {code}  and {count - told[code]} more" for code, count in found.counts.items() if count > told[code]]
    return [*lines, *more]


def _foot(found: Verification, *, log_only: bool) -> list[str]:
    lines = [f"tree: {counted(found.integrated, 'record')}, root of the log {found.root}"]
    lines.append(f"checkpoints: {found.compared} compared, {found.believed} of them believed")
    if found.vouched_size < found.records and found.vouched_size:
        lines.append(f"not vouched for yet: positions {found.vouched_size + 1} to {found.records}")
    if found.pruned_bodies:
        lines.append(f"pruned: {found.pruned_bodies} bodies, whose rows and digests are whole")
    lines.append("projections: left out (--log-only)" if log_only else f"projections: {_tables(found)}")
    return [*lines, *_way_out(found)]


def _tables(found: Verification) -> str:
    return ", ".join(f"{name} {rows}" for name, rows in found.tables.items()) or "not compared"


def _way_out(found: Verification) -> list[str]:
    if any(code.startswith("PROJECTION") for code in found.counts):
        return ["what to do: projections are mended by mdevreg-server rebuild; find out first who changed them"]
    if found.counts:
        return ["what to do: keep this database as evidence, restore a backup beside it, and verify that"]
    if not found.compared:
        return [
            "what to do: nothing is signed yet: wait for a registry with a key, or run mdevreg-server audit checkpoint"
        ]
    if not found.vouched_size:
        return ["what to do: give --public-key (mdevreg-server audit public-key FILE), or a --checkpoint that you kept"]
    if found.unvouched_prune:
        return ["what to do: let the prune end and the next checkpoint be made, then verify again"]
    return []


def _row(finding: Finding) -> tuple[Cell, ...]:
    return tuple(getattr(finding, name) for name in _COLUMNS)
