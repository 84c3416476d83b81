"""Every error that mdevreg raises on purpose, and its stable code.

::

    MdevregError
    ├── UsageError              a question or setting that can't be meant        exit 2
    │   ├── NotFoundError       no host, device or type of that name
    │   ├── CatalogError        catalog files with faults, each by file and line
    │   ├── VersionError        text that is no version of its scheme
    │   └── MissingExtraError   a part that this installation did not bring
    ├── DecodeError             bytes that are no record; carries the path
    │   ├── SchemaVersionError  a newer major schema
    │   └── StreamError         bytes that are no migration stream, or a broken one
    ├── StateError              a folder, file or database in the wrong state    exit 2
    │   └── WrongRevisionError  the database needs ``mdevreg-server db upgrade``
    ├── AuditError              a key, note or proof that is none, or proves nothing  exit 2
    ├── AuthError               the broker or database refused the credentials   exit 4
    ├── UnreachableError        broker or database away                          exit 5
    └── RemoteError             the registry answered with an error

A code is frozen once released; the sentence beside it may change. Missing knowledge is a verdict
(``unknown``), never an error.
"""

from __future__ import annotations

from collections.abc import Callable


class MdevregError(Exception):
    """Root of the tree. ``code`` is UPPER_SNAKE and stable; ``str(error)`` is one readable sentence."""

    code = "MDEVREG_ERROR"
    exit_code = 2

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class UsageError(MdevregError):
    """A question or setting that can't be meant; says what was expected."""

    code = "USAGE"


class NotFoundError(UsageError):
    """Nothing of that name. ``nearest`` holds up to three known names that look like it.

    Finding them takes its time among many names; an error that was raised where there is none has ``look`` instead,
    and ``completed`` is the same error with them.
    """

    code = "NOT_FOUND"

    def __init__(
        self, kind: str, name: str, nearest: tuple[str, ...] = (), *, look: Callable[[], tuple[str, ...]] | None = None
    ) -> None:
        hint = f"; the nearest known: {', '.join(nearest)}" if nearest else ""
        super().__init__(f"no {kind} is named {name!r}{hint}")
        self.kind, self.name, self.nearest, self.look = kind, name, nearest, look

    def completed(self) -> NotFoundError:
        """The error with the nearest names."""
        return self if self.look is None else NotFoundError(self.kind, self.name, self.look())


class CatalogError(UsageError):
    """Catalog files that can't be used. ``faults``: (file, line, what is wrong)."""

    code = "CATALOG"

    def __init__(self, faults: list[tuple[str, int, str]]) -> None:
        super().__init__("\n".join(f"{file}:{line}: {text}" for file, line, text in faults))
        self.faults = tuple(faults)


class VersionError(UsageError):
    """Text that is no version of the scheme it was read by."""

    code = "VERSION"


class MissingExtraError(UsageError):
    """A door or command needs a package that this installation did not bring."""

    code = "MISSING_EXTRA"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra [{extra}]; install it with: pip install 'mdevreg[{extra}]'")
        self.extra = extra


class DecodeError(MdevregError):
    """Bytes that are no record. ``path`` is the JSON path of the first fault (``$`` = the whole message)."""

    code = "DECODE"

    def __init__(self, message: str, *, path: str = "$", code: str | None = None) -> None:
        super().__init__(message if path == "$" else f"{message} (at {path})", code=code)
        self.path = path


class SchemaVersionError(DecodeError):
    """A record of a newer major schema: it can't be read here, only kept."""

    code = "SCHEMA_VERSION"


class StreamError(DecodeError):
    """Bytes that are no migration stream, or a broken one.

    ``code`` is STREAM_EMPTY, STREAM_NOT_RECOGNISED, STREAM_TRUNCATED or STREAM_CORRUPT.
    """

    code = "STREAM_NOT_RECOGNISED"


class StateError(MdevregError):
    """A folder, file, lock or database in a state that work can't start from; says the way out."""

    code = "STATE"


class WrongRevisionError(StateError):
    """The database's schema is not the one this program was written for."""

    code = "WRONG_REVISION"

    def __init__(self, found: str | None, expected: str, database: str) -> None:
        super().__init__(
            f"the database {database} is at revision {found or 'none'}, this program needs {expected}; "
            f"run: mdevreg-server db upgrade --database {database}"
        )
        self.found, self.expected = found, expected


class AuditError(MdevregError):
    """A key, a signed note or a proof that can't be read, or that proves nothing.

    ``code`` is AUDIT_KEY, AUDIT_NOTE, AUDIT_SIGNATURE or AUDIT_PROOF.
    """

    code = "AUDIT"


class AuthError(MdevregError):
    """The broker or the database refused the credentials."""

    code = "AUTH"
    exit_code = 4


class UnreachableError(MdevregError):
    """The broker or the database did not answer."""

    code = "UNREACHABLE"
    exit_code = 5


class RemoteError(MdevregError):
    """The registry answered a question with an error of its own; ``code`` is the registry's."""

    code = "REMOTE"
