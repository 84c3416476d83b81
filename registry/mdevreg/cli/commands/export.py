"""``mdevreg export FOLDER``."""

from __future__ import annotations

from pathlib import Path

import click

from mdevreg.addresses import shown
from mdevreg.cli.moments import METAVAR, position_in
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import counted
from mdevreg.errors import UsageError
from mdevreg.export.files import Format
from mdevreg.export.folder import Period, export, faults_of
from mdevreg.export.manifest import Manifest
from mdevreg.times import past_time
from mdevreg.verdict import Outcome

DAMAGED = 1
_COLUMNS = ("file", "table", "format", "rows", "bytes", "sha256")


@click.command(
    "export",
    cls=Question,
    examples=(
        ("mdevreg export /var/tmp/november --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z", "A month."),
        ("mdevreg export slice --from seq:1000 --to seq:1999 --format parquet", "A thousand entries, for analysts."),
        ("mdevreg export slice --check", "Is it as it was written?"),
    ),
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--from", "begin", metavar=METAVAR, help="Only what was committed at or after [the beginning].")
@click.option("--to", "end", metavar=METAVAR, help="Only what was committed before; seq: up to, included [now].")
@click.option(
    "--format",
    "formats",
    type=click.Choice(("jsonl", "parquet")),
    multiple=True,
    default=("jsonl",),
    show_default=True,
    help="Of the files; may be given twice.",
)
@click.option("--check", is_flag=True, help="Export nothing: see whether the folder's files are as its manifest says.")
@click.pass_obj
def command(
    session: Session,
    *,
    folder: Path,
    begin: str | None,
    end: str | None,
    formats: tuple[Format, ...],
    check: bool,
) -> View:
    """Write a period of the log and its timelines into a folder.

    The manifest is written last: a folder without one is unfinished. Timelines are told as they were known at the
    period's end, or with --known-at. Exit codes of --check: 0 whole, 1 not.
    """
    if session.given.get("as_of") is not None:
        raise UsageError("--as-of has no meaning here: the period is named by --from and --to")
    if check:
        return _checked(folder)
    period = _period(session, begin, end)
    with session.door() as door:
        made = export(
            door,
            period,
            folder,
            tuple(sorted(set(formats))),
            registry=shown(session.address.url),
            now=session.now,
        )
    return _view(made, Line(f"exported {_counted(made)} to {folder}"))


def _period(session: Session, begin: str | None, end: str | None) -> Period:
    first, last = (None if text is None else position_in(text) for text in (begin, end))
    since = None if begin is None or first is not None else past_time(begin, session.now)
    until = None if last is not None else session.now if end is None else past_time(end, session.now)
    return Period(since, until, first, last, session.moment.known_at)


def _checked(folder: Path) -> View:
    manifest, faults = faults_of(folder)
    if faults:
        head = (Line("no: it is not as it was written", Outcome.INCOMPATIBLE), *map(Line, faults))
    else:
        head = (Line(f"yes: whole, {_counted(manifest)}", Outcome.COMPATIBLE),)
    return _view(manifest, *head, faults=faults)


def _view(manifest: Manifest, *head: Line, faults: tuple[str, ...] | None = None) -> View:
    rows = [(each.name, each.table, each.format, each.rows, each.bytes, each.sha256) for each in manifest.files]
    beside = {} if faults is None else {"whole": not faults, "faults": faults}
    sheet = Sheet(_COLUMNS, rows)
    return View(
        document=document_of(manifest, **beside),
        sheet=sheet,
        head=head,
        table=Sheet(_COLUMNS[:-1], [row[:-1] for row in rows]),
        foot=(Line(f"timelines as known at position {manifest.known_at}"),),
        exit_code=DAMAGED if faults else 0,
    )


def _counted(manifest: Manifest) -> str:
    entries = max(0, next(file.rows for file in manifest.files if file.table == "log"))
    between = f" (positions {manifest.first_position} to {manifest.last_position})" if entries else ""
    return f"{entries} entries{between} in {counted(len(manifest.files), 'file')}"
