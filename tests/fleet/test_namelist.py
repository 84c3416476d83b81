"""The persistent containers of the index: like a sorted set and a dictionary, and never changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.fleet import namelist
from mdevreg.fleet.namelist import NO_NAMES, NameList
from mdevreg.fleet.shards import Shards

names = st.text("abc", min_size=1, max_size=4)
edits = st.lists(st.dictionaries(names, st.booleans(), max_size=6), max_size=12)


@pytest.fixture(params=[2, 3, 512], autouse=True)
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that they are split and emptied, and as they are."""
    monkeypatch.setattr(namelist, "BLOCK", request.param)
    monkeypatch.setattr(namelist, "_MANY", 8 if request.param == 512 else 0)


@given(edits)
def test_a_name_list_is_a_sorted_set_and_keeps_its_past(changes: list[dict[str, bool]]) -> None:
    """LAW: after any edits it holds what a set would, sorted, and every earlier list is what it was."""
    expected: set[str] = set()
    past: list[tuple[NameList, list[str]]] = []
    found = NO_NAMES
    for change in changes:
        found = found.edited(change)
        expected = (expected | {name for name, there in change.items() if there}) - {
            name for name, there in change.items() if not there
        }
        past.append((found, sorted(expected)))
    for each, wanted in past:
        assert list(each) == wanted
        assert each.count == len(wanted)
        assert [name for block in each.blocks for name in block] == wanted
        assert [each.index(name) for name in wanted] == list(range(len(wanted)))
        assert all((name in each) == (name in set(wanted)) for name in ("", "a", "b", "ab", "zz", *wanted))


@given(st.lists(st.dictionaries(names, st.none() | st.integers(), max_size=6), max_size=8))
def test_shards_are_a_dictionary_and_keep_their_past(changes: list[dict[str, int | None]]) -> None:
    """LAW: after any edits (``None``: removed) they hold what a dictionary would, and earlier ones do still."""
    expected: dict[str, int] = {}
    past: list[tuple[Shards[int], dict[str, int]]] = []
    found: Shards[int] = Shards()
    for change in changes:
        edit = found.edited()
        for name, value in change.items():
            if value is None:
                edit.remove(name)
                expected.pop(name, None)
            else:
                edit.set(name, value)
                expected[name] = value
            assert edit.get(name) == value
        found = edit.done()
        past.append((found, dict(expected)))
    for each, wanted in past:
        assert {name: each.get(name) for name in each} == wanted
        assert sorted(each.values()) == sorted(wanted.values())
        assert len(each) == len(wanted)


def test_an_edit_that_changes_nothing_is_the_same_mapping() -> None:
    """Nothing is copied for nothing."""
    found: Shards[int] = Shards()
    assert found.edited().done() is found
