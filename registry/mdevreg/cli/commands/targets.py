"""``mdevreg targets DEVICE``, ``mdevreg targets --stream FILE``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.streams import read_stream
from mdevreg.cli.targets_view import targets_view
from mdevreg.cli.view import View
from mdevreg.errors import UsageError
from mdevreg.inspection import Inspected, known_formats
from mdevreg.query.questions import Targets, targets, targets_of_stream
from mdevreg.verdict import Outcome


@click.command(
    "targets",
    cls=Question,
    examples=(
        ("mdevreg targets 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "Every host that offers its type, best first."),
        (
            "mdevreg targets alpha/mtty/mtty-1 --outcome compatible --limit 3",
            "The three best of those that would load it.",
        ),
        ("mdevreg targets --stream saved.bin --type mtty-1", "Which hosts can load the stream of a suspended VM?"),
    ),
)
@click.argument("device", required=False)
@click.option("--stream", metavar="FILE|-", help="A saved stream in the place of DEVICE.")
@click.option("--type", "kind", metavar="TYPE", help="The type of the stream's device, which it does not tell itself.")
@click.option("--format", "expected", type=click.Choice(known_formats()), help="The format that the stream must have.")
@click.option("--limit", type=click.IntRange(min=1), help="List at most so many hosts.")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="List only these.")
@click.pass_obj
def command(
    session: Session,
    *,
    device: str | None,
    stream: str | None,
    kind: str | None,
    expected: str | None,
    limit: int | None,
    outcome: str | None,
) -> View:
    """List the hosts that could take DEVICE, best first.

    Those that could not are listed after them, with the reasons.

    DEVICE is an mdev's uuid, HOST/VF (a PCI address), or HOST/PARENT/TYPE for a device that could be created; with
    --stream it is a saved stream, and only hosts are asked whose drivers are known to load its format.
    The exit code and the first line are about all hosts, whatever is listed.
    """
    if (device is None) == (stream is None):
        raise UsageError("expected either DEVICE or --stream FILE; see: mdevreg targets --help")
    chosen = None if outcome is None else Outcome(outcome)
    if stream is not None:
        saved = read_stream(stream, expected)
        return targets_view(_of_stream(session, stream, saved, kind, limit, chosen), saved.notes)
    if device is None or kind is not None or expected is not None:
        raise UsageError("--type and --format are about a saved stream; they go with --stream FILE")
    moment = session.moment
    with session.door() as door:
        found = targets(door, device, now=session.now, moment=moment, rules=session.rules, limit=limit, outcome=chosen)
    return targets_view(found)


def _of_stream(
    session: Session, file: str, stream: Inspected, kind: str | None, limit: int | None, outcome: Outcome | None
) -> Targets:
    moment = session.moment
    if stream.format not in known_formats():  # its records are those of several drivers
        raise UsageError(f"{file} may be of several formats: {' '.join(stream.notes)} Name it with --format")
    with session.door() as door:
        return targets_of_stream(
            door,
            stream,
            kind=kind,
            now=session.now,
            moment=moment,
            rules=session.rules,
            limit=limit,
            outcome=outcome,
        )
