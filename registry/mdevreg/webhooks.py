"""Webhooks: who is told of events, how what is delivered is signed, and when it is tried again. Pure.

Signatures are those of the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com): HMAC-SHA-256 of
``ID.TIMESTAMP.BODY`` by the subscription's secret. A secret is written ``whsec_`` and 24 to 64 bytes in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mdevreg.errors import UsageError
from mdevreg.event_filter import filter_in
from mdevreg.outcomes import refuse_unreadable
from mdevreg.shapes import Line, Strict

SECRET_PREFIX = "whsec_"  # noqa: S105  (how a secret begins)
#: Bytes of a secret, at least and at most.
MIN_SECRET, MAX_SECRET = 24, 64
#: Between two attempts: doubled each time, up to an hour, give or take a fifth.
FIRST_DELAY_S, MAX_DELAY_S, JITTER = 5.0, 3_600.0, 0.2
#: An event is given up a day after its first attempt.
GIVE_UP_S = 86_400.0
#: Most deliveries of one page.
MAX_PAGE = 1_000

_URL = re.compile(
    r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?:[/?][\x21\x22\x24-\x7e]*)?\Z", re.ASCII | re.IGNORECASE
)

State = Literal["waiting", "delivered", "failed"]


class WebhookDraft(Strict, frozen=True):
    """A subscription to be. ``events``: a filter in words (``mdevreg.event_filter``); empty: every event."""

    url: Annotated[str, Meta(min_length=1, max_length=2_000)]
    secret: Annotated[str, Meta(min_length=1, max_length=200)]
    author: Line
    events: Line = ""

    def __repr__(self) -> str:
        return f"WebhookDraft({self.url!r}, {self.events!r}, author={self.author!r})"  # no log may have the secret


class Webhook(msgspec.Struct, frozen=True):
    """A subscription; its secret is told to nobody. ``waiting``, ``failed``: deliveries that are."""

    id: str
    url: str
    events: str
    author: str
    created_at: datetime
    waiting: int = 0
    failed: int = 0


class WebhookList(msgspec.Struct, frozen=True):
    """Every subscription, oldest first."""

    position: int
    webhooks: tuple[Webhook, ...]


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one subscription. ``event``: its id; ``status``, ``error``: of the last attempt.

    ``next_at``: when it is tried next, while it is waiting; ``ended_at``: delivered, or given up.
    """

    id: str
    webhook: str
    event: str
    type: str
    subject: str
    state: State
    attempts: int
    created_at: datetime
    next_at: datetime | None = None
    ended_at: datetime | None = None
    status: int | None = None
    error: str | None = None


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, oldest first. ``next``: older ones are asked for by that ``before``; ``None``: there are none."""

    position: int
    deliveries: tuple[Delivery, ...]
    next: int | None = None


class DeliveriesAsked(msgspec.Struct, frozen=True):
    """Which deliveries: the newest, of one subscription or of all. ``failed``: only those given up."""

    webhook: str | None = None
    failed: bool = False
    before: int | None = None
    limit: int = 100


def check(draft: WebhookDraft) -> WebhookDraft:
    """The draft, if it can be meant. Raises ``UsageError``, which never shows the secret."""
    refuse_unreadable(msgspec.structs.replace(draft, secret="-"), "a webhook")  # noqa: S106  (told to nobody)
    if not draft.author.strip():
        raise UsageError("the author is blank; say who subscribes: it is kept with the webhook")
    filter_in(draft.events)
    key_of(draft.secret)
    found = _URL.match(draft.url)
    if found is None or int(found[1] or 1) not in range(1, 65_536):
        expected = "http(s)://HOST[:PORT]/PATH, without credentials and fragment: what is sent is signed"
        raise UsageError(f"{draft.url[:200]!r} can't be told of events; expected {expected}")
    return draft


def key_of(secret: str) -> bytes:
    """The bytes of a secret. Raises ``UsageError``."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not MIN_SECRET <= len(key) <= MAX_SECRET:
        expected = f"{SECRET_PREFIX} and {MIN_SECRET} to {MAX_SECRET} bytes in base64"
        raise UsageError(f"the secret is none: {expected} were expected; --secret-file generated makes one")
    return key


def secret_of(key: bytes) -> str:
    """How the bytes of a secret are written."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signature(secret: str, message: str, timestamp_s: int, body: bytes) -> str:
    """The signature of a message by its id, time and body: ``v1,`` and base64."""
    signed = f"{message}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def delay_s(attempts: int, chance: float, asked_s: float = 0.0) -> float:
    """How long to wait after so many attempts. ``chance``: in [0, 1); ``asked_s``: what the receiver asks for."""
    usual = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 20), MAX_DELAY_S)
    return max(usual * (1 - JITTER + 2 * JITTER * chance), min(asked_s, MAX_DELAY_S))
