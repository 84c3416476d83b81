"""Asks an HTTP server as any client does: one connection per request, nothing of our library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Told:
    """What was answered; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.body[:500]
        return str(self.json["code"])

    @property
    def following(self) -> str | None:
        """The path of the next page, by the Link header (RFC 8288)."""
        link = self.headers.get("link")
        return None if link is None else link.partition("<")[2].partition(">")[0]


def asked(
    url: str, path: str, *, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
) -> Told:
    """One request; ``body``: bytes as they are, anything else as JSON."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, data, {**given, **(headers or {})})
        response = connection.getresponse()
        return Told(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def posted(url: str, path: str, body: object, **headers: str) -> Told:
    """``asked`` by POST."""
    return asked(url, path, method="POST", body=body, headers=headers)


def tokens_file(file: Path, **scopes: str) -> str:
    """A file of bearer tokens, each named like the token itself; replaced at once. Its path."""
    tables = (
        f'[[token]]\nname = "{token}"\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\nscopes = {scope}\n'
        for token, scope in scopes.items()
    )
    other = file.with_suffix(".new")
    other.write_text("\n".join(tables))
    other.chmod(0o600)
    other.replace(file)
    return str(file)


def bearer(token: str) -> dict[str, str]:
    """The header that presents it."""
    return {"Authorization": f"Bearer {token}"}


def pages(url: str, path: str, *, headers: Mapping[str, str] | None = None) -> Iterator[Told]:
    """A list, page by page, as its Link headers lead."""
    following: str | None = path
    while following is not None:
        page = asked(url, following, headers=headers)
        assert page.status == 200, page.body
        yield page
        following = page.following
