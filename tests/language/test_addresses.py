"""Addresses of brokers: what is one, and what people may see of it."""

from __future__ import annotations

import pytest

from mdevreg.addresses import brokers, shown
from mdevreg.errors import UsageError


def test_several_brokers_are_separated_by_commas() -> None:
    """Each with or without port and credentials."""
    assert brokers("nats://a:secret@broker.example:4222, nats://[::1]") == [
        "nats://a:secret@broker.example:4222",
        "nats://[::1]",
    ]


@pytest.mark.parametrize(
    "url", ["nats://", "nats://h:99999", "nats://h:0", "tls://h:4222", "h:4222", "http://h", "nats://h,", ""]
)
def test_anything_else_is_refused(url: str) -> None:
    """tls:// too: a client that can't insist on TLS must not pretend to."""
    with pytest.raises(UsageError, match="expected nats://HOST:PORT"):
        brokers(url)


def test_credentials_are_for_nobodys_eyes() -> None:
    """Neither shown nor in the error."""
    assert shown("nats://a:secret@h:1,postgresql+psycopg://u:secret@db/x") == "nats://h:1,postgresql+psycopg://db/x"
    with pytest.raises(UsageError) as caught:
        brokers("tls://a:secret@h")
    assert "secret" not in caught.value.message
