"""A plan of waves, as a view."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import EXIT_CODE, counted, where_read
from mdevreg.planning.waves.plan import Blocked, UpgradeWaves, WavePlan
from mdevreg.verdict import Outcome

_COLUMNS = ("wave", "step", "device", "type", "host", "target", "target_parent")
_TABLE = ("wave", "hosts", "upgrade", "migrations")
#: Waves of a table, and names in a cell; all of them are in JSON and CSV.
SHOWN, NAMED = 20, 4


def waves_view(found: UpgradeWaves) -> View:
    """One row a wave; as CSV one row a step."""
    return View(
        document=document_of(found),
        sheet=Sheet(_COLUMNS, [row for wave in found.waves for row in _steps(wave)]),
        head=tuple(_head(found)),
        table=Sheet(_TABLE, [_row(wave) for wave in found.waves[:SHOWN]]),
        foot=tuple(_foot(found)),
        exit_code=EXIT_CODE[found.outcome],
    )


def _steps(wave: WavePlan) -> Iterator[tuple[Cell, ...]]:
    for step in wave.migrations:
        yield (wave.number, "migrate", step.device, step.type, step.source, step.target, step.parent)
    for host in wave.hosts:
        yield (wave.number, "upgrade", None, None, host, None, None)


def _row(wave: WavePlan) -> tuple[Cell, ...]:
    moves = [f"{step.device[:8]} {step.source} → {step.target}" for step in wave.migrations]
    return (wave.number, len(wave.hosts), _some(wave.hosts), _some(moves))


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f", … {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _head(found: UpgradeWaves) -> Iterator[Line]:
    done = sum(len(wave.hosts) for wave in found.waves)
    plan = f"{counted(len(found.waves), 'wave')} with {counted(found.migrations, 'migration')}"
    to = f"({found.where}) to {found.goal}, {found.limits}"
    match found.outcome:
        case Outcome.COMPATIBLE:
            yield Line(f"yes: {counted(done, 'host')} {to}: {plan}; replayed and held", found.outcome)
        case Outcome.INCOMPATIBLE:
            yield Line(f"no: there is no order of all hosts {to}: {len(found.left)} can't be reached", found.outcome)
        case _:
            yield Line(
                f"unknown: no order of all hosts was found {to}: {len(found.left)} are not reached", found.outcome
            )
    if found.upgraded:
        yield Line(
            f"{counted(found.upgraded, 'host')} need nothing: they are what they should become, or have no such driver"
        )
    for fault in found.faults[:SHOWN]:
        yield Line(f"a fault of mdevreg's planner, found by the replay: {fault}", Outcome.INCOMPATIBLE)
    if found.blocked is not None:
        yield Line(f"why: {_blocked(found.blocked)}", found.outcome)
    for each in found.relaxations:
        yield Line(f"it would do to {each.text}", Outcome.COMPATIBLE)
    if found.blocked is not None and not found.relaxations:
        yield Line("no single relaxation that was tried would do")
    if found.left and found.waves:
        yield Line(f"as far as it goes: {counted(done, 'host')} in {plan}")


def _blocked(why: Blocked) -> str:
    devices = ", ".join(why.devices) + (", …" if why.needed > len(why.devices) else "")
    codes = f" ({' '.join(why.codes)})" if why.codes else ""
    if not why.needed:
        return f"{why.host} can't go: {why.text}{codes}"
    return f"{why.host} can't be emptied of {counted(why.needed, 'device')} {why.type} ({devices}): {why.text}{codes}"


def _foot(found: UpgradeWaves) -> Iterator[Line]:
    if len(found.waves) > SHOWN:
        yield Line(f"not listed: {counted(len(found.waves) - SHOWN, 'wave')}; -o csv and -o json have every step")
    if found.left:
        yield Line(f"not reached: {_some(found.left)}")
    yield where_read(found.position, found.as_of, found.snapshot)
