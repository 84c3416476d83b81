"""Messages in the order of their stream: a gap is seen, whatever comes again."""

from __future__ import annotations

import pytest

from mdevreg_server.messages import Message, unbroken


@pytest.mark.parametrize(
    ("after", "arrived", "whole"),
    [
        (None, [], 0),
        (None, [7, 8, 9], 3),  # attached just now: retention may have removed what was before
        (6, [7, 8, 9], 3),
        (6, [8, 9], 0),
        (6, [7, 9, 10], 1),
        (9, [7, 8, 9, 10], 4),  # redelivered
        (9, [7, 8, 9, 11], 3),
        (None, [7, 9], 1),
    ],
)
def test_only_messages_without_a_gap_before_them_are_taken(after: int | None, arrived: list[int], whole: int) -> None:
    """With ack policy *all*, taking one after a gap would settle those in the gap."""
    assert unbroken([Message("s", b"", seq, 0) for seq in arrived], after) == whole
