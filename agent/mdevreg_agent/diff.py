"""What changed between two looks, as record bodies. Pure.

Rules of this file:

1. Host facts first, then new and changed parents by path, then tombstones by path.
2. A complete snapshot is the facts, every parent, and a ``CompleteBody`` that lists them all.
3. ``Change.digest`` is the digest of the state that the stream of records describes *after* this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from mdevreg.records import Body, CompleteBody, HostBody, ParentBody, TombstoneBody, digest_of, state_digest
from mdevreg_agent.picture import Documents


class Change(msgspec.Struct, frozen=True):
    """One record's body, and the digest of the whole state after it."""

    body: Body
    digest: str


def diff(previous: Documents, current: Documents) -> list[Change]:
    """The changes that turn ``previous`` into ``current``, in order; empty when nothing changed."""
    return _walk(previous, _bodies(previous, current))


def complete(previous: Documents | None, current: Documents, *, skipped: tuple[int, int] | None = None) -> list[Change]:
    """A complete snapshot of ``current``. ``previous`` is what the records before it described, if any.

    ``skipped``: first and last sequence number that will never arrive.
    """
    bodies: list[Body] = [HostBody(facts=Raw(current.facts))]
    bodies += [_parent(path, current.parents[path]) for path in sorted(current.parents)]
    bodies.append(CompleteBody(facts=digest_of(current.facts), parents=_digests(current.parents), skipped=skipped))
    return _walk(previous, bodies)


def _bodies(previous: Documents, current: Documents) -> Iterator[Body]:
    if previous.facts != current.facts:
        yield HostBody(facts=Raw(current.facts))
    for path in sorted(current.parents):
        if previous.parents.get(path) != current.parents[path]:
            yield _parent(path, current.parents[path])
    for path in sorted(previous.parents.keys() - current.parents.keys()):
        yield TombstoneBody(path=path)


def _walk(previous: Documents | None, bodies: list[Body] | Iterator[Body]) -> list[Change]:
    facts = digest_of(previous.facts) if previous else None
    parents = _digests(previous.parents) if previous else {}
    changes = []
    for body in bodies:
        match body:
            case HostBody():
                facts = digest_of(bytes(body.facts))
            case ParentBody():
                parents[body.path] = digest_of(bytes(body.parent))
            case TombstoneBody():
                del parents[body.path]
            case CompleteBody():
                facts, parents = body.facts, dict(body.parents)
        changes.append(Change(body, state_digest(facts, parents)))
    return changes


def _parent(path: str, raw: bytes) -> ParentBody:
    return ParentBody(path=path, parent=Raw(raw))


def _digests(parents: Mapping[str, bytes]) -> dict[str, str]:
    return {path: digest_of(parents[path]) for path in sorted(parents)}
