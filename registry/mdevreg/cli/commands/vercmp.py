"""``mdevreg vercmp A B``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Local
from mdevreg.cli.schemes import read_alike
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.cli.words import EXIT_CODE
from mdevreg.verdict import Outcome
from mdevreg.versions import SCHEMES, UNORDERED, Scheme, StreamVersion, compare

_COLUMNS = ("order", "scheme", "a", "b", "a_sort_key", "b_sort_key")


@click.command(
    "vercmp",
    cls=Local,
    examples=(
        ("mdevreg vercmp 1.9 1.10 --scheme dotted", "Prints <: number by number, not letter by letter."),
        ("mdevreg vercmp 0x1f 31 --scheme hex -o json", "With the keys that sort them in a database."),
        ("mdevreg vercmp hisi-v1 hisi-v2 --scheme tag", "unknown: tags have no order; exits 3."),
    ),
)
@click.argument("a")
@click.argument("b")
@click.option("--scheme", type=click.Choice(SCHEMES), help="How to read both [what both look like].")
def command(a: str, b: str, scheme: Scheme | None) -> View:
    """Compare two stream versions: <, = or >.

    No registry is asked. Where they have no common order the answer is `unknown: …`, and the exit code 3: different
    tags or opaque texts, versions of different devices.
    """
    one, other = read_alike((a, b), scheme)
    order = compare(one, other)
    row = (order, one.scheme, one.raw, other.raw, one.sort_key, other.sort_key)
    return View(
        document=dict(zip(_COLUMNS, row, strict=True)),
        sheet=Sheet(_COLUMNS, [row]),
        head=(Line(order) if order else Line(_no_order(one, other), Outcome.UNKNOWN),),
        exit_code=0 if order else EXIT_CODE[Outcome.UNKNOWN],
    )


def _no_order(one: StreamVersion, other: StreamVersion) -> str:
    if one.scheme in UNORDERED:
        return f"unknown: {one} and {other} differ, and {one.scheme} versions have no order"
    return f"unknown: {one} and {other} are versions of different devices ({one.family}, {other.family})"
