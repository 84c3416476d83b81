"""What a part of MDEVREG_FLEET holds, by its subjects: what may have to be published again or taken back. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mdevreg import subjects

_HOST, _AMENDMENT, _PRESENCE = (f"{subjects.FLEET}.{kind}." for kind in ("host", "amendment", "presence"))


class Holdings(msgspec.Struct, frozen=True):
    """Hosts by id; subjects of amendments and presence; log positions of the amendments."""

    hosts: frozenset[str]
    amendments: frozenset[str]
    presence: frozenset[str]

    @property
    def positions(self) -> set[int]:
        """The log positions that the amendments are said to have."""
        heads = {subject.removeprefix(_AMENDMENT).partition("-")[0] for subject in self.amendments}
        return {int(head) for head in heads if head.isdecimal()}


def holdings_of(found: Iterable[str]) -> Holdings:
    """The subjects in their kinds. Profiles and digests are not asked for: there are no wrong ones."""
    listed = list(found)
    return Holdings(
        hosts=frozenset(subjects.host_of(subject) for subject in listed if subject.startswith(_HOST)),
        amendments=frozenset(subject for subject in listed if subject.startswith(_AMENDMENT)),
        presence=frozenset(subject for subject in listed if subject.startswith(_PRESENCE)),
    )
