"""``mdevreg webhook add URL``."""

from __future__ import annotations

import secrets

import click

from mdevreg.cli.files import read_whole
from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import webhook_view
from mdevreg.cli.whoami import author as whoami
from mdevreg.errors import UsageError
from mdevreg.webhooks import WebhookDraft, check, secret_of

GENERATED = "generated"
_SECRET_BYTES = 32
_MOST_BYTES = 1_024


@click.command(
    "add",
    cls=Decision,
    examples=(
        (
            "mdevreg webhook add https://ops.example/mdevreg --events 'driver.* device.*' --secret-file generated",
            "These events, signed with a secret that is made and shown now.",
        ),
        (
            "mdevreg webhook add https://ops.example/a --events 'pair.* type=nvidia-*' --secret-file /run/secrets/hook",
            "With a secret that the receiver has already: whsec_ and base64.",
        ),
    ),
)
@click.argument("receiver", metavar="URL")
@click.option("--events", default="", metavar="FILTER", help="Which events, as of mdevreg watch [all].")
@click.option(
    "--secret-file", "file", required=True, metavar="FILE|generated", help="What signs; or make one, shown once."
)
@click.option("--author", help="Who subscribes [user@host].")
@click.pass_obj
def command(session: Session, *, receiver: str, events: str, file: str, author: str | None) -> View:
    """Have events delivered to URL from now on.

    The secret is sent to the registry, which signs with it and shows it to nobody. Check signatures in the receiver.
    """
    made = secret_of(secrets.token_bytes(_SECRET_BYTES)) if file == GENERATED else None
    secret = made or _read(file, session)
    draft = check(
        WebhookDraft(url=receiver, secret=secret, author=whoami() if author is None else author, events=events)
    )
    with session.door() as door:
        return webhook_view(door.add_webhook(draft), "added ", made)


def _read(file: str, session: Session) -> str:
    data, _ = read_whole(file, _MOST_BYTES, now=session.now)
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} holds no secret: whsec_ and base64 were expected") from error
