"""Operators' rules: which can be meant, and whom they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.errors import UsageError
from mdevreg.facts import Side
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Rule, Scope, check, in_force
from mdevreg.scopes import concerning, covers, pins_on
from mdevreg.statements import VersionSet
from support.rulings import fresh
from support.strategies import NOW

_BUILD = DriverBuild(name="mtty_driver", module="mtty", kernel_release="6.12.0-1", srcversion="ABC")
_PROFILE = Profile(type="mtty-1", device_api="vfio-pci", driver=_BUILD)


def _side(name: str, **profile: Any) -> Side:
    return Side(fresh(name), "mtty", msgspec.structs.replace(_PROFILE, **profile), device="uuid")


_ALPHA, _BETA = _side("alpha"), _side("beta", type="mtty-2")


def _rule(effect: Any = "deny", **changed: Any) -> Rule:
    good = Rule(id="r", effect=effect, author="op", message="why", valid_from=NOW)
    return msgspec.structs.replace(good, **changed)


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        ({}, True),
        ({"host": ("alpha",)}, True),
        ({"host": ("id-alpha",)}, True),
        ({"host": ("beta", "al*")}, True),
        ({"host": ("ALPHA",)}, False),
        ({"site": ("lab",)}, True),
        ({"type": ("mtty-?",)}, True),
        ({"device_api": ("vfio-ccw",)}, False),
        ({"parent": ("mtty",)}, True),
        ({"device": ("uuid",)}, True),
        ({"driver": ("mtty",)}, True),
        ({"driver": ("mtty_driver",)}, True),
        ({"kernel_release": ("6.12.0",)}, False),
        ({"kernel_release": ("6.12.0*",)}, True),
        ({"srcversion": ("ABC",)}, True),
        ({"version": ("*",)}, False),
        ({"build_id": ("*",)}, False),
        ({"host": ("alpha",), "type": ("mtty-1",)}, True),
        ({"host": ("alpha",), "type": ("mtty-2",)}, False),
    ],
)
def test_everything_in_a_scope_must_fit(scope: dict[str, tuple[str, ...]], fits: bool) -> None:
    """By one of its patterns each; what is not known of a side is in no scope that asks for it."""
    assert covers(Scope(**scope), _ALPHA) == fits


def test_a_side_without_a_driver_is_in_no_scope_of_builds() -> None:
    """Nor is one whose type was never readable in a scope of types."""
    unbound = _side("alpha", driver=None, type=None)
    for scope in (Scope(driver=("*",)), Scope(kernel_release=("*",)), Scope(type=("*",))):
        assert not covers(scope, unbound)


_ON_ALPHA, _ON_BETA = Scope(host=("alpha",)), Scope(host=("beta",))


@pytest.mark.parametrize(
    ("effect", "where", "applies"),
    [
        ("deny", FLEET, True),
        ("deny", _ON_ALPHA, True),
        ("deny", _ON_BETA, True),
        ("deny", Scope(host=("gamma",)), False),
        ("allow", FLEET, True),
        ("allow", _ON_ALPHA, False),
        ("allow", Scope(host=("alpha", "beta")), True),
        ("match", _ON_BETA, False),
        ("match", Scope(site=("lab",)), True),
        ("pin", FLEET, False),
    ],
)
def test_one_side_is_enough_for_a_deny_and_both_are_needed_for_a_permission(
    effect: Any, where: Scope, applies: bool
) -> None:
    """A bad host taints each pair that it is in; a good one vouches for itself alone. Pins are about single sides."""
    found = list(concerning([_rule(effect, where=where)], _ALPHA, _BETA))
    assert bool(found) == applies


@pytest.mark.parametrize("effect", ["deny", "allow", "match"])
def test_source_and_target_bind_one_side_each(effect: Any) -> None:
    """Directional: a rule about alpha to beta says nothing of the way back."""
    rule = _rule(effect, source=_ON_ALPHA, target=_ON_BETA)
    assert list(concerning([rule], _ALPHA, _BETA)) == [rule]
    assert list(concerning([rule], _BETA, _ALPHA)) == []


@pytest.mark.parametrize(
    ("changed", "as_source", "as_target"),
    [
        ({}, True, True),
        ({"where": _ON_ALPHA}, True, True),
        ({"where": _ON_BETA}, False, False),
        ({"source": _ON_ALPHA}, True, False),
        ({"target": _ON_ALPHA}, False, True),
        ({"source": _ON_BETA}, False, False),
        ({"format": "other"}, False, False),
    ],
)
def test_a_pin_narrows_the_sides_that_it_is_about(changed: dict[str, Any], as_source: bool, as_target: bool) -> None:
    """In the role that it names, or in both; of its format alone."""
    pin = _rule("pin", **{"format": "mtty", "versions": "1", **changed})
    assert bool(list(pins_on([pin], _ALPHA, "source", "mtty"))) == as_source
    assert bool(list(pins_on([pin], _ALPHA, "target", "mtty"))) == as_target


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"effect": "pin"}, "a pin needs the versions"),
        ({"effect": "pin", "versions": "1"}, "versions need a format"),
        ({"effect": "allow", "versions": "1", "format": "f"}, "versions are for deny and pin"),
        ({"effect": "match"}, "it needs at least one"),
        ({"effect": "deny", "fields": ("a",)}, "other rules have none"),
        ({"versions": "1.0", "format": "f"}, "is no integer version"),
        ({"versions": VersionSet(), "format": "f"}, "found none"),
        ({"valid_until": NOW}, "is not after its beginning"),
    ],
)
def test_a_rule_that_can_not_be_meant_is_refused(changed: dict[str, Any], said: str) -> None:
    """Before it is logged; the sentence says what was expected."""
    with pytest.raises(UsageError, match=said):
        check(_rule(**changed))


@given(st.integers(-3, 3), st.integers(1, 3), st.integers(-3, 6))
def test_a_rule_holds_from_its_beginning_until_before_its_end(begin: int, length: int, asked: int) -> None:
    """Days; without an end until further notice."""
    start, at = NOW + timedelta(days=begin), NOW + timedelta(days=asked)
    ending = _rule(valid_from=start, valid_until=start + timedelta(days=length))
    open_ = _rule(valid_from=start)
    assert in_force([ending, open_], at) == (
        *((ending,) if begin <= asked < begin + length else ()),
        *((open_,) if begin <= asked else ()),
    )


def test_a_rule_says_who_made_it_why_and_where() -> None:
    """It stands beside every verdict that it decides."""
    rule = _rule(source=Scope(host=("alpha", "beta"), driver=("mtty",)), target=Scope(site=("lab",)))
    assert str(rule) == "deny rule r by op (source host=alpha|beta driver=mtty, target site=lab): why"
    assert str(_rule("allow")) == "allow rule r by op (fleet): why"


@pytest.mark.parametrize("field", ["message", "author"])
def test_a_rule_is_printable_text(field: str) -> None:
    """It is told in every answer that it touches, on terminals too."""
    rule = Rule(id="r1", effect="deny", author="me", message="bad", valid_from=NOW)
    with pytest.raises(UsageError, match="control character"):
        check(msgspec.structs.replace(rule, **{field: "a\x1b[31m"}))
