"""A driver build as people name it: ``nvidia 580.95.05``, ``mlx5_vfio_pci srcversion=…``. Pure."""

from __future__ import annotations

from mdevreg.errors import UsageError
from mdevreg.records import DriverBuild
from mdevreg.shapes import Line, Name, Strict

_KEYS = ("version", "srcversion", "build_id", "kernel_release")
_EXPECTED = f"NAME [VERSION] [KEY=VALUE …], each KEY of: {', '.join(_KEYS)}"


class WantedBuild(Strict, frozen=True):
    """What is known of a build that is wanted: at least one key beside its ``name``; ``None``: whichever."""

    name: Name
    version: Line | None = None
    srcversion: Line | None = None
    build_id: Line | None = None
    kernel_release: Line | None = None

    def is_met_by(self, build: DriverBuild | None) -> bool:
        """Whether a build is that one: every key that is given is the build's."""
        if build is None or self.name not in (build.name, build.module):
            return False
        return all(getattr(self, key) in (None, getattr(build, key)) for key in _KEYS)

    @property
    def exact(self) -> bool:
        """Whether it says more than a driver's name."""
        return any(getattr(self, key) is not None for key in _KEYS)

    def build(self, like: DriverBuild | None = None) -> DriverBuild:
        """The build with what is known of it; module and kernel release, which an upgrade may leave, as in ``like``."""
        return DriverBuild(
            name=self.name if like is None else like.name,
            module=None if like is None else like.module,
            kernel_release=self.kernel_release or (None if like is None else like.kernel_release),
            version=self.version,
            srcversion=self.srcversion,
            build_id=self.build_id,
        )

    def __str__(self) -> str:
        said = [f"{key}={value}" for key in _KEYS[1:] if (value := getattr(self, key)) is not None]
        return " ".join([self.name, *([self.version] if self.version else []), *said])


def wanted_in(words: str) -> WantedBuild:
    """The build in words. Raises ``UsageError``."""
    name, *rest = words.split() or [""]
    found: dict[str, str] = {}
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals and "version" not in found:
            key, value = "version", word
        if key not in _KEYS or not value or key in found:
            raise UsageError(f"{word[:80]!r} is no part of a driver build; expected {_EXPECTED}")
        found[key] = value
    if not name or "=" in name or not found:
        raise UsageError(f"{words[:80]!r} names no driver build; expected {_EXPECTED}, with at least one key")
    return WantedBuild(name=name, **found)


def words_of(wanted: WantedBuild) -> str:
    """A build in words that are read again. Raises ``UsageError`` for one that no words have: with spaces."""
    words = str(wanted)
    if wanted_in(words) != wanted:
        raise UsageError(f"a key of {words[:80]!r} has a space, which can't be asked over a network")
    return words
