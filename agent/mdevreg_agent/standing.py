"""Where the agent stands, and what a receipt of the registry means for it. Pure.

A receipt says: "of this epoch, everything up to this seq is settled, and this is the digest of the state that
I now know". Rules of this file:

1. Only a receipt of our own epoch settles anything.
2. The registry lost something (it knows nothing, an older seq, or another state at our last seq): complete snapshot.
3. The registry knows more of our epoch than we do: this outbox is an older copy of itself, and its next
   sequence numbers are taken. A new epoch, and a complete snapshot.
4. An epoch that is not ours belongs to another agent or to an earlier life; it settles nothing.
"""

from __future__ import annotations

import msgspec


class Standing(msgspec.Struct, frozen=True):
    """The outbox at one moment."""

    host: str
    epoch: str
    last_seq: int  # highest assigned; 0: none yet
    settled_seq: int  # highest receipted
    receipted: bool  # the registry ever confirmed something of this epoch
    digest: str  # of the picture, which is what the records up to ``last_seq`` describe
    unsent: int = 0  # records not receipted
    unsent_bytes: int = 0
    dropped: int = 0  # records that never left, since the outbox was made


class Receipt(msgspec.Struct, frozen=True):
    """What the headers of the host's fleet message say. ``epoch`` is empty when the host is unknown."""

    epoch: str
    seq: int
    digest: str
    position: int = 0


class Resync(msgspec.Struct, frozen=True):
    """A complete snapshot is needed, and why. ``skipped``: what can no longer be sent again."""

    reason: str
    skipped: tuple[int, int] | None = None
    new_epoch: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What to do about a receipt."""

    settle: int | None = None  # records up to this seq may be forgotten; None: nothing new
    resync: Resync | None = None
    agrees: bool = False  # the registry is where we are, with the same digest
    foreign: bool = False  # somebody else's epoch


def judge(receipt: Receipt, standing: Standing) -> Answer:
    """What ``receipt`` means to an agent that stands at ``standing``."""
    if not receipt.epoch or not receipt.seq:
        return _unknown(standing)
    if receipt.epoch != standing.epoch:
        return _foreign(receipt, standing)
    if receipt.seq > standing.last_seq:
        return Answer(resync=Resync(f"the registry has seq {receipt.seq} of this epoch", new_epoch=True))
    if receipt.seq < standing.settled_seq:
        gap = (receipt.seq + 1, standing.settled_seq)
        return Answer(resync=Resync(f"the registry went back to seq {receipt.seq}", skipped=gap))
    settle = receipt.seq if receipt.seq > standing.settled_seq else None
    if receipt.seq < standing.last_seq:
        return Answer(settle=settle)
    if receipt.digest != standing.digest:
        return Answer(settle=settle, resync=Resync(f"the registry has another state at seq {receipt.seq}"))
    return Answer(settle=settle, agrees=True)


def _unknown(standing: Standing) -> Answer:
    if standing.unsent and not standing.receipted:
        return Answer()  # our first snapshot is still on its way
    gap = (1, standing.settled_seq) if standing.settled_seq else None
    return Answer(resync=Resync("the registry knows nothing of this host", skipped=gap))


def _foreign(receipt: Receipt, standing: Standing) -> Answer:
    if standing.unsent or standing.receipted:
        return Answer(foreign=True)
    return Answer(foreign=True, resync=Resync(f"the registry only knows epoch {receipt.epoch}"))
