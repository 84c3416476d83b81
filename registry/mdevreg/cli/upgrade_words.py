"""Driver upgrades and stragglers in words and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.cli.driver_words import BUILD, shortened
from mdevreg.cli.view import Cell
from mdevreg.cli.words import age, build_columns, counted
from mdevreg.records import DriverBuild, ModuleFile
from mdevreg.stragglers import Straggler, Stragglers
from mdevreg.support import StreamSupport, loads_of, saves_of
from mdevreg.upgrades import StreamEffect, Upgrade

_FROM_TO = tuple(f"{end}_{column}" for end in ("from", "to") for column in BUILD[1:])
UPGRADE_COLUMNS = (
    *("last_at", "first_at", "hostname", "host", "site", "driver", "change", "kind", "rolled_back", "flapping"),
    *("parents", "devices", "gap", "gap_begin", "gap_end", "gap_s", "streams", *_FROM_TO, "positions"),
)
UPGRADE_SHOWN = ("last_at", "hostname", "driver", "change", "kind", "parents", "devices", "gap", "saves", "loads")
STRAGGLER_COLUMNS = (
    *("hostname", "host", "site", "since", "runs", "parents", "upgraded", "half", "devices", "on_disk"),
    *(f"from_{column}" for column in BUILD),
)
STRAGGLER_SHOWN = ("hostname", "site", "since", "runs", "parents", "upgraded", "half", "devices", "on_disk")
_KEYS = (("version", ""), ("kernel_release", "kernel "), ("srcversion", "srcversion "), ("build_id", "build-id "))


def first_line(upgrades: tuple[Upgrade, ...]) -> str:
    """``3 upgrades on 2 hosts: 1 rolled back, 2 flapping``."""
    if not upgrades:
        return "no driver was upgraded"
    hosts = len({upgrade.host for upgrade in upgrades})
    marks = {
        "rolled back": sum(upgrade.rolled_back for upgrade in upgrades),
        "flapping": sum(upgrade.flapping for upgrade in upgrades),
        "to another kernel": sum(upgrade.kind == "kernel" for upgrade in upgrades),
    }
    told = ", ".join(f"{number} {mark}" for mark, number in marks.items() if number)
    return f"{counted(len(upgrades), 'upgrade')} on {counted(hosts, 'host')}" + (f": {told}" if told else "")


def upgrade_row(upgrade: Upgrade) -> tuple[Cell, ...]:
    """The cells of ``UPGRADE_COLUMNS``."""
    gap = upgrade.gap
    return (
        upgrade.last_at,
        upgrade.first_at,
        upgrade.hostname,
        upgrade.host,
        upgrade.site,
        upgrade.driver,
        change_of(upgrade.before, upgrade.after),
        upgrade.kind,
        upgrade.rolled_back,
        upgrade.flapping,
        " ".join(upgrade.parents),
        upgrade.devices,
        gap_of(upgrade),
        None if gap is None else gap.begin,
        None if gap is None else gap.end,
        None if gap is None else gap.seconds,
        "; ".join(dict.fromkeys(map(effect_of, upgrade.streams))) or None,
        *build_columns(upgrade.before)[1:],
        *build_columns(upgrade.after)[1:],
        " ".join(map(str, upgrade.positions)),
    )


def shown_row(upgrade: Upgrade) -> tuple[Cell, ...]:
    """The cells of ``UPGRADE_SHOWN``: the kind with its marks, parents counted, what stayed as it was left out."""
    marks = [upgrade.kind, *(["rolled back"] if upgrade.rolled_back else []), *(["flaps"] if upgrade.flapping else [])]
    saved, loaded = _shown_effects(upgrade)
    said = dict(zip(UPGRADE_COLUMNS, upgrade_row(upgrade), strict=True))
    told: dict[str, Cell] = {
        "change": change_of(upgrade.before, upgrade.after, short=True),
        "kind": ", ".join(marks),
        "parents": len(upgrade.parents),
        "saves": saved,
        "loads": loaded,
    }
    return tuple({**said, **told}[column] for column in UPGRADE_SHOWN)


def change_of(before: DriverBuild, after: DriverBuild, *, short: bool = False) -> str:
    """``550.54 → 550.90.05``: the first thing that tells the builds apart, and the kernel if it differs too."""
    differing = [
        f"{word}{_key(before, key, short)} → {_key(after, key, short)}"
        for key, word in _KEYS
        if getattr(before, key) != getattr(after, key)
    ]
    return ", ".join(differing[:1] + [each for each in differing[1:] if each.startswith("kernel")])


def _key(build: DriverBuild, key: str, short: bool) -> str:
    value: str | None = getattr(build, key)
    return (shortened(value) if short and key != "kernel_release" else value) or "-"


def gap_of(upgrade: Upgrade) -> str | None:
    """``5 min``, ``0.3 s``; ``not again`` where nothing was offered under the new build."""
    if upgrade.gap is None:
        return None
    seconds = upgrade.gap.seconds
    if seconds is None:
        return "not again"
    return f"{seconds:.1f} s" if seconds < 1 else age(seconds)


def effect_of(effect: StreamEffect) -> str:
    """``mtty saves 1 → 2, loads [1] → [1, 2]``; ``mtty-1 gone``."""
    if effect.before is None or effect.after is None:
        return f"{' '.join(effect.types)} {'gone' if effect.after is None else 'new'}"
    form = _format(effect)
    return f"{form}saves {_saved(effect)}, loads {_loaded(effect)}"


def _shown_effects(upgrade: Upgrade) -> tuple[str, str]:
    """What is saved and what is loaded, in columns of their own; what stayed as it was is left out."""
    changed = [effect for effect in upgrade.streams if effect.before != effect.after]
    saved = dict.fromkeys(_saved(each) if each.before and each.after else effect_of(each) for each in changed)
    loaded = dict.fromkeys(_loaded(each) for each in changed if each.before and each.after)
    return "; ".join(saved) or "as before", "; ".join(loaded) or "as before"


def _saved(effect: StreamEffect) -> str:
    return _moved(_format(effect), saves_of(effect.before), saves_of(effect.after))


def _loaded(effect: StreamEffect) -> str:
    return _moved(_format(effect), loads_of(effect.before), loads_of(effect.after))


def _format(effect: StreamEffect) -> str:
    """The one format of both ends, to be told once."""
    forms = {each.format for each in (effect.before, effect.after) if isinstance(each, StreamSupport)}
    return f"{next(iter(forms))} " if len(forms) == 1 else ""


def _moved(form: str, *ends: str | None) -> str:
    before, after = ("not known" if end is None else end.removeprefix(form) for end in ends)
    return before if before == after else f"{before} → {after}"


def standing_of(found: Stragglers) -> str:
    """``3 of 40 hosts that have nvidia are not at nvidia 580.95.05``."""
    name = found.wanted.split(maxsplit=1)[0]
    if not found.hosts:
        return f"no host there has {name}"
    if not found.behind:
        return f"all {counted(found.hosts, 'host')} that have {name} are at {found.wanted}"
    half = sum(each.half > 0 for each in found.stragglers)
    waiting = f"; on {counted(half, 'host')} it is on disk, and not loaded" if half else ""
    return f"{found.behind} of {counted(found.hosts, 'host')} that have {name}: not yet at {found.wanted}{waiting}"


def straggler_rows(straggler: Straggler) -> Iterator[tuple[Cell, ...]]:
    """A row of ``STRAGGLER_COLUMNS`` per build that still runs."""
    for build in straggler.builds:
        yield (
            straggler.hostname,
            straggler.host,
            straggler.site,
            straggler.since,
            runs(build),
            " ".join(straggler.parents),
            straggler.upgraded,
            straggler.half,
            straggler.devices,
            " ".join(dict.fromkeys(on_disk(file) for file in straggler.on_disk)) or None,
            *build_columns(build),
        )


def on_disk(file: ModuleFile) -> str:
    """What tells a module's file from others."""
    return file.version or file.srcversion or file.build_id or "another build"


def runs(build: DriverBuild) -> str:
    """``550.54 on 6.8.0-31``; without a version, what else tells the build."""
    told = build.version or build.srcversion or build.build_id or "of no known version"
    return f"{told} on {build.kernel_release}" if build.kernel_release else told
