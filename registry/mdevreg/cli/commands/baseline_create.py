"""``mdevreg baseline create NAME``."""

from __future__ import annotations

import click

from mdevreg.baselines import BaselineClass, BaselineDraft, check
from mdevreg.cli.baseline_file import MAX_FILE_BYTES, classes_in
from mdevreg.cli.baseline_words import baseline_view
from mdevreg.cli.files import read_whole
from mdevreg.cli.options import Decision
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.whoami import author as whoami
from mdevreg.deviations import classes_like, classes_of_most
from mdevreg.errors import UsageError
from mdevreg.facts import NOW
from mdevreg.query.door import Door


@click.command(
    "create",
    cls=Decision,
    examples=(
        ("mdevreg baseline create gold --from-host alpha", "What alpha looks like is how hosts should be."),
        ("mdevreg baseline create site-a --where site=a", "Of each type, the configuration that most hosts have."),
        ("mdevreg baseline create gold --file gold.toml --message CASE-7", "As a file says it: the next version."),
    ),
)
@click.argument("name")
@click.option("--from-host", metavar="HOST", help="A host that is as others should be.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="What most of these have.")
@click.option("--file", "file", metavar="FILE", help="TOML, or JSON as `baseline show -o json` prints it; - for stdin.")
@click.option("--message", default="", help="Why.")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    from_host: str | None,
    where: tuple[str, ...],
    file: str | None,
    message: str,
    author: str | None,
) -> View:
    """Keep a baseline, or its next version.

    Of a host each type makes a class, with the PCI ids of its parent where these are known. Of several (--where) each
    type makes one, as it looks on most of them; PCI ids are left out. In a file stands what matters and nothing else:

    \b
    [[classes]]
    type = "nvidia-*"            # and, or instead: vendor = "0x10de", device = "0x2331"
    driver = { name = "nvidia", version = "580.95.05" }
    kernel_release = "6.12.0"
    loads = "nvidia-vgpu [16, 18]"

    The same again changes nothing. Keys and patterns of --where: as of `mdevreg rule add`.
    """  # noqa: D301  (Click's mark for lines that stay as they are)
    if sum((from_host is not None, bool(where), file is not None)) != 1:
        raise UsageError("one of --from-host, --where and --file was expected: what the baseline is made of")
    classes = None if file is None else classes_in(read_whole(file, MAX_FILE_BYTES, now=session.now)[0], file)
    with session.door() as door:
        made = _made(door, from_host, where) if classes is None else classes
        draft = BaselineDraft(name=name, classes=made, author=whoami() if author is None else author, message=message)
        kept = door.put_baseline(check(draft))
    return baseline_view(kept, "kept: ")


def _made(door: Door, from_host: str | None, where: tuple[str, ...]) -> tuple[BaselineClass, ...]:
    if from_host is not None:
        return classes_like(door.host(from_host, NOW))
    return classes_of_most(door.configurations(scope_of(where, "--where"), NOW).configurations)
