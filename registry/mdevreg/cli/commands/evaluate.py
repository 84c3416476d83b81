"""``mdevreg eval --from A.json --to B.json``: the verdict without a registry."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from mdevreg.catalog import Catalog
from mdevreg.catalog_folder import read_catalogs
from mdevreg.cli.answered import answer_view
from mdevreg.cli.files import STDIN, read_whole
from mdevreg.cli.options import Local
from mdevreg.cli.overall import counted_by_outcome, overall
from mdevreg.cli.rows import ANSWER_COLUMNS, answer_row
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, age, counted
from mdevreg.errors import UsageError
from mdevreg.offline import MAX_SCAN_BYTES, Desk, Scan, read_scan
from mdevreg.query.questions import Answer, Evaluation, answer_of, evaluate
from mdevreg.shipped import shipped_entries

_TABLE = ("answer", "type", "parent", "target_parent", "free", "way_back", "negotiated", "why")


@click.command(
    "eval",
    cls=Local,
    examples=(
        ("mdevreg eval --from alpha.json --to beta.json", "Every type that alpha offers: would beta load its stream?"),
        ("mdevreg eval --from alpha.json --to beta.json --device 0000:3b:00.4", "One device, with every reason."),
        ("mdevreg eval --from alpha.json --to - --catalog ours/ < beta.json", "With entries of yours."),
    ),
)
@click.option("--from", "source", required=True, metavar="FILE|-", help="The source: mdevreg-agent scan -o json.")
@click.option("--to", "target", required=True, metavar="FILE|-", help="The target: the same of another host.")
@click.option("--device", metavar="DEVICE", help="An mdev's uuid, a VF, or PARENT/TYPE of the source [every type].")
@click.option("--to-parent", default="", metavar="PARENT[/TYPE]", help="Where at the target [wherever it fits best].")
@click.option("--catalog", "folders", multiple=True, metavar="DIR", help="Catalog files of yours, beside the shipped.")
@click.pass_obj
def command(
    session: Session, source: str, target: str, device: str | None, to_parent: str, folders: tuple[str, ...]
) -> View:
    """Judge two scanned hosts without a registry.

    The verdict, its reasons and exit codes are those of can-migrate. Without --device every type of the source is
    judged; it exits 0 if one would load, 3 if none would but some are unknown, 1 if none would.
    How old the facts are only the files tell; operators' rules are a registry's, none are in force here.
    """
    if source == target == STDIN:
        raise UsageError("both --from and --to are stdin; one of them must be a file")
    catalog = Catalog(operator=read_catalogs(map(Path, folders)), shipped=shipped_entries())
    desk, here, there = Desk(catalog), _scan(source, session.now), _scan(target, session.now)
    read = _read_line((here, there), catalog, session.now)
    if device is not None:
        pair = desk.pair(desk.source(here, device), there)
        return answer_view(answer_of(pair, to_parent, now=session.now), read)
    found = evaluate((desk.pair(side, there) for side in desk.sources(here)), to_parent, now=session.now)
    return _view(found, (here, there), read)


def _scan(name: str, now: datetime) -> Scan:
    data, written = read_whole(name, MAX_SCAN_BYTES, now=now)
    return read_scan(data, "stdin" if name == STDIN else name, at=written)


def _view(found: Evaluation, scans: tuple[Scan, Scan], read: Line) -> View:
    outcome = overall(found.counts)
    here, there = (scan.evidence.hostname for scan in scans)
    total = counted(len(found.answers), "type")
    said = f"of {total} that {here} offers, at {there}: {counted_by_outcome(found.counts)}"
    return View(
        document=document_of(found, answer=ANSWER[outcome]),
        sheet=Sheet(ANSWER_COLUMNS, [answer_row(answer) for answer in found.answers]),
        head=(Line(f"{ANSWER[outcome]}: {said if found.answers else f'{here} offers no type'}", outcome),),
        table=Sheet(_TABLE, [_row(answer) for answer in found.answers]),
        foot=(read,),
        exit_code=EXIT_CODE[outcome],
    )


def _row(answer: Answer) -> tuple[Cell, ...]:
    verdict, source = answer.verdict, answer.source
    why = (reason.code for reason in verdict.reasons if reason.says in (verdict.outcome, None))
    return (
        ANSWER[verdict.outcome],
        source.profile.type,
        source.parent,
        answer.target_parent,
        verdict.available_instances,
        ANSWER[answer.way_back],
        verdict.negotiated,
        " ".join(dict.fromkeys(why)),
    )


def _read_line(scans: tuple[Scan, Scan], catalog: Catalog, now: datetime) -> Line:
    """No scan tells when it was made; when its file was written is what is known."""
    shipped, yours = len(catalog.shipped), len(catalog.operator)
    ages = ", ".join(f"{scan.evidence.host} written {_age(scan, now)} ago" for scan in scans)
    return Line(f"facts: as of the scans ({ages}); catalog: {shipped} shipped entries, {yours} of yours")


def _age(scan: Scan, now: datetime) -> str:
    written = scan.evidence.changed_at or now
    return age(max(0.0, (now - written).total_seconds()))
