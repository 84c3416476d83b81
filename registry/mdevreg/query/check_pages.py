"""Which hosts of a check make a page, and all pages together. Pure but for the door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import structs

from mdevreg.baselines import MAX_PAGE, Baseline, BaselineCheck, CheckAsked, CheckedHost
from mdevreg.errors import UsageError
from mdevreg.moments import moment_in
from mdevreg.query.cursors import Key, cursor_after, key_in
from mdevreg.query.intending import IntentDoor

_RANK = {"deviates": 0, "unknown": 1, "conforms": 2}


def check_page(asked: CheckAsked, baseline: Baseline, hosts: Iterable[CheckedHost], uncovered: int) -> BaselineCheck:
    """The counts and the page that is asked for, without position. Raises ``UsageError`` (also BAD_CURSOR)."""
    if not 1 <= asked.limit <= MAX_PAGE:
        raise UsageError(f"limit is {asked.limit}; a number from 1 to {MAX_PAGE} was expected")
    question = f"{baseline} {asked.where}"
    ordered = sorted(hosts, key=_key)
    count = Counter(host.standing for host in ordered)
    told = [host for host in ordered if host.standing != "conforms"]
    if asked.cursor is not None:
        after = key_in(asked.cursor, question)
        told = [host for host in told if _key(host) > after]
    page = told[: asked.limit]
    return BaselineCheck(
        position=0,
        baseline=baseline,
        hosts=len(ordered),
        conforms=count["conforms"],
        deviates=count["deviates"],
        unknown=count["unknown"],
        uncovered=uncovered,
        rows=tuple(page),
        next=cursor_after(_key(page[-1]), question) if len(told) > len(page) else None,
    )


def whole_check(door: IntentDoor, asked: CheckAsked) -> BaselineCheck:
    """A check with up to ``asked.limit`` hosts, however many pages they are.

    A check of now goes on as of now: whether hosts are stale can't be asked of the past; what is new meanwhile may be
    left out. Raises ``NotFoundError``, ``UsageError``.
    """
    first = page = door.check_baseline(structs.replace(asked, limit=min(asked.limit, MAX_PAGE)))
    rows = list(first.rows)
    if (asked.as_of, asked.known_at) != (None, None):
        moment = moment_in(first.snapshot)
        asked = structs.replace(asked, as_of=moment.as_of, known_at=moment.known_at)
    while page.next is not None and len(rows) < asked.limit:
        limit = min(asked.limit - len(rows), MAX_PAGE)
        page = door.check_baseline(structs.replace(asked, limit=limit, cursor=page.next))
        rows += page.rows
    return structs.replace(first, rows=tuple(rows), next=page.next)


def _key(host: CheckedHost) -> Key:
    return _RANK[host.standing], 0, host.hostname, host.host
