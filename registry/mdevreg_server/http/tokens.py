"""Bearer tokens (RFC 6750), from a file that holds their digests and not themselves.

::

    [[token]]
    name = "nova"
    sha256 = "…"            # of the token's UTF-8 bytes, hex
    scopes = ["read"]       # read: questions; write: decisions

The file is read again when it changes. A file that can't be used then lets nobody in: a revoked token must not come
back because of a typing error.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mdevreg.errors import MdevregError, StateError
from mdevreg.shapes import Digest, Name

Scope = Literal["read", "write"]

CODE = "HTTP_TOKENS"


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token: whose it is, its digest, and what it is good for."""

    name: Name
    sha256: Digest
    scopes: Annotated[frozenset[Scope], Meta(min_length=1)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Annotated[tuple[Token, ...], Meta(min_length=1)]


class TokenFile:
    """The tokens of a file, as it is now. Used in the event loop alone."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._read_as: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._fault: StateError | None = None

    def check(self) -> None:
        """See that the file can be used. Raises ``StateError`` (HTTP_TOKENS)."""
        self._renew()
        if self._fault is not None:
            raise self._fault

    def whose(self, presented: str) -> Token | None:
        """The token that was presented, if it is one. Every one is compared, in constant time.

        Raises ``StateError`` (HTTP_TOKENS) while the file can't be used.
        """
        self.check()
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        found = [token for token in self._tokens if hmac.compare_digest(token.sha256, digest)]
        return found[0] if found else None

    def _renew(self) -> None:
        seen = _look(self._path)
        if seen == self._read_as:
            return
        before, self._read_as = self._read_as, seen
        try:
            self._tokens, self._fault = read_tokens(self._path), None
        except StateError as error:
            self._tokens, self._fault = (), error
        if before is not None:
            fate = f"refused code={CODE} error={self._fault.message!r}" if self._fault else f"read {len(self._tokens)}"
            self._say(f"http.tokens_{fate}")


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens in a file. Raises ``StateError`` (HTTP_TOKENS): no such file, open to others, or not as expected."""
    try:
        with path.open("rb") as file:
            _refuse_open(path, os.fstat(file.fileno()).st_mode)
            found = msgspec.toml.decode(file.read(), type=_File).token
    except (OSError, ValueError) as error:  # msgspec's and tomllib's are ValueErrors
        why = error.strerror if isinstance(error, OSError) else error
        text = f"{path}: {why}; expected [[token]] tables with name, sha256 and scopes (docs/http.md)"
        raise StateError(text, code=CODE) from error
    return _each_once(path, found)


def _refuse_open(path: Path, mode: int) -> None:
    if stat.S_IMODE(mode) & 0o027:
        text = f"{path} can be read by others, or written by its group (mode {stat.S_IMODE(mode):04o}); run: chmod 600"
        raise StateError(f"{text} {path}", code=CODE)


def _each_once(path: Path, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    for field in ("name", "sha256"):
        values = [getattr(token, field) for token in tokens]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise StateError(f"{path}: the {field} {twice[0]!r} is used twice; give each token its own", code=CODE)
    return tokens


def _look(path: Path) -> tuple[int, ...]:
    """What tells one state of a file from the next."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode)


def refusal_of(error: MdevregError) -> str:
    """What a client is told of it: whose file it is, and what is wrong in it, is not for strangers."""
    return f"tokens can't be checked now ({error.code}); the registry's log says why"
