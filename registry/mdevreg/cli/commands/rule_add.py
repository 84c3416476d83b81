"""``mdevreg rule add``."""

from __future__ import annotations

from typing import get_args

import click

from mdevreg.cli.options import Decision
from mdevreg.cli.rule_draft import draft_of, scope_of, versions_of
from mdevreg.cli.rule_words import rule_view
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.when import any_time
from mdevreg.cli.whoami import author as whoami
from mdevreg.errors import UsageError
from mdevreg.rules import Effect
from mdevreg.versions import SCHEMES, Scheme


@click.command(
    "add",
    cls=Decision,
    examples=(
        (
            'mdevreg rule add deny --from driver=hisi_acc_vfio_pci --to kernel_release="6.1.*" --message "CASE-7"',
            "Never onto a 6.1 kernel.",
        ),
        (
            'mdevreg rule add pin --format nvidia-vgpu --range 5..7 --where "site=lab*" --until +30d --message upgrade',
            "Streams of at most 7, while not every host loads 8.",
        ),
        (
            'mdevreg rule add match --format mlx5 --field psid --field firmware_version --message "tested by us"',
            "Trust content that only the device judges where board and firmware are equal.",
        ),
        (
            'mdevreg rule add allow --from host=alpha --to host=beta --message "measured, CASE-9"',
            "This pair works, whatever speaks against it.",
        ),
    ),
)
@click.argument("effect", type=click.Choice(get_args(Effect)))
@click.option("--message", required=True, help="Why: it stands beside every answer that the rule decides.")
@click.option("--author", help="Who decides [user@host].")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Whom it is about.")
@click.option("--from", "source", multiple=True, metavar="KEY=PATTERN", help="Only sources of that kind.")
@click.option("--to", "target", multiple=True, metavar="KEY=PATTERN", help="Only targets of that kind.")
@click.option("--format", "form", metavar="FORMAT", help="Only streams of this format.")
@click.option("--stream-version", "listed", multiple=True, metavar="VERSION", help="These versions (deny, pin).")
@click.option("--range", "span", metavar="MIN..MAX", help="The versions from MIN to MAX (deny, pin).")
@click.option("--scheme", type=click.Choice(SCHEMES), help="How to read versions [what they look like].")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="A match field that must be equal (match).")
@click.option("--since", metavar="TIME", help="In force from then on [now].")
@click.option("--until", metavar="TIME", help="In force until then, like +7d [until it is ended].")
@click.option("--fleet", is_flag=True, help="The whole fleet is meant: for an allow or deny without any scope.")
@click.pass_obj
def command(
    session: Session,
    *,
    effect: Effect,
    message: str,
    author: str | None,
    where: tuple[str, ...],
    source: tuple[str, ...],
    target: tuple[str, ...],
    form: str | None,
    listed: tuple[str, ...],
    span: str | None,
    scheme: Scheme | None,
    fields: tuple[str, ...],
    since: str | None,
    until: str | None,
    fleet: bool,
) -> View:
    """Add a rule.

    deny: no, whatever speaks for it, if either side is in its scope.

    allow: yes, whatever speaks against it but a deny, if both sides are in its scope.

    pin: the versions of a format are narrowed, for each side in its scope.

    match: content that only the device judges is trusted where the fields are equal, if both sides are in its scope.

    Keys of a scope: host, site, type, device_api, parent, device, driver, kernel_release, version, srcversion,
    build_id. Patterns are those of a shell (*, ?, [a-c]). A key that is given twice: one of its patterns must fit.
    Without a scope the rule is about the whole fleet; an allow or deny asks for --fleet then.
    """
    versions, read_as = versions_of(listed, span, scheme)
    draft = draft_of(
        effect=effect,
        author=whoami() if author is None else author,
        message=message,
        valid_from=session.now if since is None else any_time(since, session.now),
        valid_until=None if until is None else any_time(until, session.now),
        where=scope_of(where, "--where"),
        source=scope_of(source, "--from"),
        target=scope_of(target, "--to"),
        format=form,
        versions=versions,
        fields=fields,
        **({} if read_as is None else {"scheme": read_as}),
    )
    if effect in ("allow", "deny") and not (where or source or target or form or fleet):
        raise UsageError(f"this {effect} names no scope, so that it is about every host; if that is meant, say --fleet")
    with session.door() as door:
        added = door.add_rule(draft)
    return rule_view(added, session.now, "added: ")
