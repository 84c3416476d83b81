"""What a receipt means: the protocol's rules, one by one."""

from __future__ import annotations

import pytest
from msgspec import structs

from mdevreg_agent.standing import Answer, Receipt, Standing, judge

HERE = Standing(host="h1", epoch="e1", last_seq=10, settled_seq=6, receipted=True, digest="d10", unsent=4)
NEW = structs.replace(HERE, last_seq=3, settled_seq=0, receipted=False, unsent=3)


def receipt(epoch: str = "e1", seq: int = 10, digest: str = "d10") -> Receipt:
    return Receipt(epoch=epoch, seq=seq, digest=digest)


def test_a_receipt_for_our_last_seq_with_our_digest_is_agreement() -> None:
    """MUST: everything is settled, and nothing is asked for."""
    assert judge(receipt(), HERE) == Answer(settle=10, agrees=True)


def test_a_receipt_on_the_way_settles_what_it_names() -> None:
    """MUST: below our last seq the digest says nothing yet."""
    assert judge(receipt(seq=8, digest="d8"), HERE) == Answer(settle=8)


def test_a_receipt_heard_before_is_no_news() -> None:
    """MUST: a repeated receipt, as after every beat or connect, costs no write."""
    at_rest = structs.replace(HERE, settled_seq=10, unsent=0)
    assert judge(receipt(), at_rest) == Answer(agrees=True)


def test_another_digest_at_our_last_seq_needs_a_snapshot() -> None:
    """MUST: settled, but the registry's state is not ours."""
    answer = judge(receipt(digest="other"), HERE)
    assert answer.settle == 10
    assert answer.resync is not None
    assert not answer.agrees


def test_a_registry_that_went_back_needs_a_snapshot_that_names_the_gap() -> None:
    """MUST: what was receipted and forgotten here, and lost there, is declared as never to arrive."""
    answer = judge(receipt(seq=2, digest="d2"), HERE)
    assert answer.settle is None
    assert answer.resync is not None
    assert answer.resync.skipped == (3, 6)


@pytest.mark.parametrize("unknown", [receipt(epoch=""), receipt(seq=0), receipt(epoch="", seq=0)])
def test_a_registry_that_knows_nothing_of_us_needs_a_snapshot(unknown: Receipt) -> None:
    """MUST: after a receipt, or with nothing on the way, silence about us means that it lost us."""
    answer = judge(unknown, HERE)
    assert answer.resync is not None
    assert answer.resync.skipped == (1, 6)
    assert judge(unknown, structs.replace(NEW, unsent=0)).resync is not None


def test_a_registry_that_does_not_know_us_yet_is_waited_for() -> None:
    """MUST: while the first snapshot is on its way, nothing is sent twice."""
    assert judge(receipt(epoch="", seq=0), NEW) == Answer()


def test_a_registry_that_knows_more_of_our_epoch_ends_the_epoch() -> None:
    """MUST: an outbox restored from an older copy never reuses a sequence number."""
    answer = judge(receipt(seq=11), HERE)
    assert answer.settle is None
    assert answer.resync is not None
    assert answer.resync.new_epoch


def test_a_foreign_epoch_settles_nothing() -> None:
    """MUST: another agent's receipt, or one of an earlier life, removes no record of ours."""
    for standing in (HERE, NEW):
        assert judge(receipt(epoch="e0", seq=99), standing) == Answer(foreign=True)


def test_a_foreign_epoch_with_nothing_of_ours_on_the_way_needs_a_snapshot() -> None:
    """MUST: an epoch that the registry never confirmed and that has nothing to send would stay unknown for ever."""
    answer = judge(receipt(epoch="e0"), structs.replace(NEW, unsent=0))
    assert answer.foreign
    assert answer.resync is not None
