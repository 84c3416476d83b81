"""Versions that people type, with the scheme that they name or that all of them look like. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mdevreg.errors import UsageError, VersionError
from mdevreg.versions import SCHEMES, Scheme, StreamVersion, stated


def read_alike(texts: Sequence[str], scheme: Scheme | None) -> list[StreamVersion]:
    """Read them. ``scheme`` None: as ``mdevreg.versions.stated`` does, if that reads all of them alike.

    Raises ``VersionError``, or ``UsageError`` if they look like versions of several schemes.
    """
    if scheme is not None:
        return [StreamVersion.parse(text, scheme) for text in texts]
    try:
        found = [stated(text) for text in texts]
    except VersionError as error:
        raise VersionError(f"{error.message}; of another scheme? --scheme takes {', '.join(SCHEMES)}") from error
    if len({version.scheme for version in found}) > 1:
        read = ", ".join(f"{version} as {version.scheme}" for version in found)
        raise UsageError(f"they read as versions of several schemes ({read}); say which with --scheme")
    return found
