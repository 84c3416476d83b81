"""Driver builds as people name them."""

from __future__ import annotations

import pytest

from mdevreg.errors import UsageError
from mdevreg.records import DriverBuild
from mdevreg.wanted import WantedBuild, wanted_in

RUNNING = DriverBuild(name="nvidia", module="nvidia", kernel_release="6.8.0", version="580.95.05", srcversion="AB")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("nvidia 580.95.05", WantedBuild("nvidia", version="580.95.05")),
        ("nvidia version=580.95.05", WantedBuild("nvidia", version="580.95.05")),
        ("mtty srcversion=AB kernel_release=6.8.0", WantedBuild("mtty", srcversion="AB", kernel_release="6.8.0")),
        ("  mtty   build_id=ff ", WantedBuild("mtty", build_id="ff")),
    ],
)
def test_words_are_a_build_and_a_build_is_words(words: str, meant: WantedBuild) -> None:
    """Written short or long; what is printed is read again."""
    assert wanted_in(words) == meant
    assert wanted_in(str(meant)) == meant


@pytest.mark.parametrize(
    "words",
    ["", " ", "nvidia", "version=5", "nvidia 5 6", "nvidia version=", "nvidia colour=red", "nvidia 5 version=6"],
)
def test_words_that_name_none_are_refused(words: str) -> None:
    """With what was expected."""
    with pytest.raises(UsageError, match="expected NAME"):
        wanted_in(words)


def test_every_key_that_is_given_must_fit() -> None:
    """And no other matters."""
    assert wanted_in("nvidia 580.95.05").is_met_by(RUNNING)
    assert wanted_in("nvidia srcversion=AB kernel_release=6.8.0").is_met_by(RUNNING)
    assert not wanted_in("nvidia 580.95.06").is_met_by(RUNNING)
    assert not wanted_in("nvidia 580.95.05 srcversion=AC").is_met_by(RUNNING)
    assert not wanted_in("mtty 580.95.05").is_met_by(RUNNING)
    assert not wanted_in("nvidia 580.95.05").is_met_by(None)


def test_the_build_itself() -> None:
    """What an upgrade leaves is taken from what runs."""
    wanted = wanted_in("nvidia 590.1")
    assert wanted.build() == DriverBuild(name="nvidia", version="590.1")
    assert wanted.build(RUNNING) == DriverBuild(name="nvidia", module="nvidia", kernel_release="6.8.0", version="590.1")
    assert wanted.is_met_by(wanted.build(RUNNING))
