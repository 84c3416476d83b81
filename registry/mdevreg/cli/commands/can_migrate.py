"""``mdevreg can-migrate DEVICE --to HOST``, ``mdevreg can-migrate --batch FILE``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mdevreg.cli.answered import answer_view
from mdevreg.cli.batch_file import pairs_in
from mdevreg.cli.batch_view import batch_view
from mdevreg.cli.files import STDIN, read_whole
from mdevreg.cli.options import Question
from mdevreg.cli.recording import Keeping, decided_view, draft_of, recorded_batch, recording
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View
from mdevreg.cli.when import duration_s
from mdevreg.cli.words import reliance, where_read
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.query.gathered import can_migrate_each
from mdevreg.query.questions import Answer, can_migrate
from mdevreg.query.waiting import can_migrate_when

#: 10,000 pairs of the longest names.
MAX_FILE_BYTES = 32 * 1024 * 1024


@click.command(
    "can-migrate",
    cls=Question,
    examples=(
        ("mdevreg can-migrate 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --to beta", "Would beta load this mdev's stream?"),
        ("mdevreg can-migrate alpha/mtty/mtty-1 --to beta/mtty", "Would it, before any device exists?"),
        ("mdevreg can-migrate alpha/0000:3b:00.4 --to beta && echo go", "A VF; the exit code answers."),
        ("mdevreg can-migrate --batch pairs.txt -o csv", "Many at once: a line each of DEVICE HOST."),
        ("mdevreg can-migrate alpha/0000:3b:00.4 --to beta --wait=2h", "Tell when it can, or what is so in two hours."),
        (
            'mdevreg can-migrate alpha/0000:3b:00.4 --to beta --record --note "rack 7"',
            "Keep the answer, with who asked.",
        ),
    ),
)
@click.argument("device", required=False)
@click.option("--to", metavar="HOST[/PARENT[/TYPE]]", help="Where the stream would be loaded.")
@click.option("--batch", metavar="FILE|-", help="Pairs in the place of DEVICE and --to: lines of DEVICE HOST, or JSON.")
@click.option(
    "--wait",
    is_flag=False,
    flag_value="",
    metavar="[DURATION]",
    help="Wait until the answer is yes; at most so long, if a duration is given: --wait=2h30m.",
)
@click.option("--record", is_flag=True, help="Keep the answer in the log, with who asked: mdevreg decisions.")
@click.option("--for", "asked_for", metavar="WHO", help="With --record: on whose behalf.")
@click.option("--note", metavar="TEXT", help="With --record: what is to be kept beside it.")
@click.option("--author", help="With --record: who asks [user@host].")
@click.pass_obj
def command(
    session: Session,
    *,
    device: str | None,
    to: str | None,
    batch: str | None,
    wait: str | None,
    record: bool,
    asked_for: str | None,
    note: str | None,
    author: str | None,
) -> View:
    """Tell whether DEVICE can migrate to a host, and why (not).

    It can if its migration stream would load there.

    DEVICE is an mdev's uuid, HOST/VF (a PCI address), or HOST/PARENT/TYPE for a device that could be created.
    `mdevreg explain CODE` tells what a reason means and what to do.

    With --batch up to 10,000 pairs are answered in codes, and the exit code is the worst of theirs: 2 if one has no
    answer, else 1, 3 or 0. JSON is [{"device": "…", "to": "…"}, …].

    With --wait the answer is told when it is yes, or after the DURATION: the last one then, with its exit code.

    With --record the registry keeps the whole answer (of a batch, up to 1,000): `mdevreg decisions` lists them.
    """
    keeping = recording(author=author, asked_for=asked_for, note=note, record=record)
    if wait is not None and (batch is not None or record):
        raise UsageError("--wait is for one answer that is not kept; give it without --batch and --record")
    if batch is not None:
        if device is not None or to is not None:
            raise UsageError("DEVICE and --to are in the lines of the --batch file; see: mdevreg can-migrate --help")
        return _batch(session, batch, keeping)
    if device is None and wait:
        raise UsageError(f"--wait took {wait[:80]!r} for its DURATION; write --wait=DURATION, or --wait at the end")
    if device is None or to is None:
        raise UsageError("expected DEVICE --to HOST, or --batch FILE; see: mdevreg can-migrate --help")
    moment = session.moment
    if keeping is not None:
        with session.door() as door:
            return decided_view(door.record(draft_of(session, keeping, device, to)))
    if wait is not None:
        answer = _waited(session, device, to, wait, moment)
    else:
        with session.door() as door:
            answer = can_migrate(door, device, to, now=session.now, moment=moment, rules=session.rules)
    return answer_view(answer, Line(reliance(answer)), where_read(answer.position, answer.as_of, answer.snapshot))


def _waited(session: Session, device: str, to: str, wait: str, moment: Moment) -> Answer:
    if moment != NOW:
        raise UsageError("--wait is about what is yet to come; give it without --as-of, --known-at and --snapshot")
    wait_s = duration_s(wait) if wait else None
    with session.door() as door:
        return can_migrate_when(door, device, to, clock=_clock, wait_s=wait_s, rules=session.rules)


def _clock() -> datetime:
    """Time goes on while it waits."""
    return datetime.now(UTC)


def _batch(session: Session, file: str, keeping: Keeping | None) -> View:
    data, _ = read_whole(file, MAX_FILE_BYTES, now=session.now)
    pairs = pairs_in(data, "stdin" if file == STDIN else file)
    moment = session.moment
    with session.door() as door:
        if keeping is not None:
            return recorded_batch(door, session, pairs, keeping)
        return batch_view(can_migrate_each(door, pairs, now=session.now, moment=moment, rules=session.rules))
