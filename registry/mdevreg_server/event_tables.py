"""The tables of events: how far they were told, who subscribed, and how deliveries go (docs/events.md)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mdevreg_server.base import Base, Big


class EventMark(Base):
    """How far events were told (docs/events.md): one row. ``source``: theirs, made once.

    ``position``: of the log, whose events are all published; ``at_us``: until when the clock was looked at.
    ``created``, ``stream_seq``: the life of MDEVREG_EVENTS that holds them, and where it then ended.
    """

    __tablename__ = "event_mark"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # 1
    source: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(Big)
    at_us: Mapped[int] = mapped_column(Big)
    created: Mapped[str] = mapped_column(Text)
    stream_seq: Mapped[int] = mapped_column(Big)


class HostDoubt(Base):
    """Hosts that were told to be stale or in conflict, and not yet to be fresh again."""

    __tablename__ = "host_doubt"
    __table_args__ = (CheckConstraint("doubt in ('silent', 'left', 'conflict')", name="doubt"),)

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    doubt: Mapped[str] = mapped_column(Text)
    seen_us: Mapped[int] = mapped_column(Big)  # when it had last been heard then


class CampaignNews(Base):
    """What was told last of each running campaign, as JSON (``mdevreg_server.campaign_news``)."""

    __tablename__ = "campaign_news"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    told: Mapped[str] = mapped_column(Text)


class Webhook(Base):
    """A subscription to events: who is told, of which. ``secret`` signs, and is handed out to nobody."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    events: Mapped[str] = mapped_column(Text)  # a filter in words
    secret: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(Text)
    created_at_us: Mapped[int] = mapped_column(Big)


class WebhookDelivery(Base):
    """One event on its way to one subscription. ``state``: waiting, delivered or failed.

    ``id`` counts through, in the order in which events are delivered; ``event`` is the event's id.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("webhook", "event"),
        Index(None, "webhook", "state", "id"),
        Index(None, "ended_at_us"),
        CheckConstraint("state in ('waiting', 'delivered', 'failed')", name="state"),
    )

    id: Mapped[int] = mapped_column(Big, primary_key=True)
    webhook: Mapped[str] = mapped_column(Text)
    event: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    created_at_us: Mapped[int] = mapped_column(Big)
    first_at_us: Mapped[int | None] = mapped_column(Big)  # the first attempt; NULL: none yet
    next_at_us: Mapped[int] = mapped_column(Big)  # not before
    ended_at_us: Mapped[int | None] = mapped_column(Big)  # delivered, or given up
    status: Mapped[int | None] = mapped_column(Integer)  # of the last answer
    error: Mapped[str | None] = mapped_column(Text)  # of the last attempt
    body: Mapped[bytes] = mapped_column(LargeBinary)
