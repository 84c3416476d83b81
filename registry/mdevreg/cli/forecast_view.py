"""What an upgrade would do, as a view."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, build_name, counted, where_read
from mdevreg.planning.forecast import NoReturn, PathChange, StrandedGroup, Stranding, Trial, UpgradeForecast
from mdevreg.records import DriverBuild
from mdevreg.support import Support, loads_of, saves_of
from mdevreg.verdict import CODES, Outcome

_COLUMNS = (
    "before",
    "after",
    "type",
    "from_driver",
    "from_saves",
    "from_upgraded",
    "to_driver",
    "to_loads",
    "to_upgraded",
    "paths",
    "why",
)
_TABLE = ("before", "after", "type", "from", "to", "paths", "why")
_SENTENCE = {
    Outcome.COMPATIBLE: "yes: nothing is lost by it",
    Outcome.INCOMPATIBLE: "no: something is lost by it",
    Outcome.UNKNOWN: "unknown: whether something is lost depends on what is not known",
}
#: What marks hosts that are upgraded.
_MARK = " (upgraded)"
#: Groups of devices, and turned paths, in a table; all of them are in JSON and CSV.
SHOWN = 10


def forecast_view(found: UpgradeForecast) -> View:
    """The summary, the paths that turn, and what becomes of devices."""
    rows = [_row(change) for change in found.paths.changes]
    return View(
        document=document_of(found),
        sheet=Sheet(_COLUMNS, rows),
        head=tuple(_head(found)),
        table=Sheet(_TABLE, [_short(change) for change in found.paths.changes[:SHOWN]]),
        foot=tuple(_foot(found)),
        exit_code=EXIT_CODE[found.outcome],
    )


def _head(found: UpgradeForecast) -> Iterator[Line]:
    yield Line(
        f"{_SENTENCE[found.outcome]}: {counted(found.hosts, 'host')} ({found.where}) to {found.goal}", found.outcome
    )
    if not found.changing:
        yield Line(
            "nothing changes on any of them: no type there is of that driver, or all are what they should become"
        )
    for kind in found.kinds[:SHOWN]:
        before, after = _build(kind.driver, kind.support), _build(kind.new_driver, kind.new_support)
        yield Line(f"  {kind.type}: {before} becomes {after}, {kind.learned}, on {counted(kind.hosts, 'host')}")
    yield from _more(len(found.kinds), "kinds of places")
    paths = found.paths
    turned = f"{paths.lost} lost, {paths.gained} gained, {paths.unknown} doubtful, {paths.one_way} turned one-way"
    yield Line(f"migration paths: {paths.before} now, {paths.after} afterwards: {turned}")


def _build(build: DriverBuild | None, support: Support) -> str:
    return f"{build_name(build)} (saves {saves_of(support) or '?'}, loads {loads_of(support) or '?'})"


def _row(change: PathChange) -> tuple[Cell, ...]:
    return (
        ANSWER[change.before],
        ANSWER[change.after],
        change.type,
        build_name(change.source.driver),
        saves_of(change.source.support),
        change.source_upgraded,
        build_name(change.target.driver),
        loads_of(change.target.support),
        change.target_upgraded,
        change.paths,
        " ".join(change.codes),
    )


def _short(change: PathChange) -> tuple[Cell, ...]:
    """The same as a table has room for: formats and what speaks for it aside."""
    return (
        ANSWER[change.before],
        ANSWER[change.after],
        change.type,
        f"{build_name(change.source.driver)}{_MARK * change.source_upgraded}",
        f"{build_name(change.target.driver)}{_MARK * change.target_upgraded}",
        change.paths,
        " ".join(code for code in change.codes if CODES[code][0] is not Outcome.COMPATIBLE) or change.codes[-1],
    )


def _foot(found: UpgradeForecast) -> Iterator[Line]:
    yield from _more(len(found.paths.changes), "kinds of paths")
    for name, stage in (("now", found.now), ("while they are away", found.during), ("afterwards", found.after)):
        yield from _stage(name, stage)
    for each in found.no_return:
        yield Line(f"  {_no_return(each)}", Outcome.UNKNOWN if each.unknown else Outcome.INCOMPATIBLE)
    for capacity in found.capacity:
        told = f"{capacity.now} free now, {capacity.during} elsewhere for {capacity.evacuees} devices that leave"
        untold = f" ({counted(capacity.untold, 'place')} untold)" if capacity.untold else ""
        yield Line(f"capacity of {capacity.type}: {told}: {capacity.left} left{untold}")
    for trial in found.trials:
        yield Line(f"to find out: {_trial(trial)}", Outcome.UNKNOWN)
    yield where_read(found.position, found.as_of, found.snapshot)


def _stage(name: str, stage: Stranding) -> Iterator[Line]:
    crowded = f", {stage.crowded} find all places taken" if stage.crowded else ""
    unknown = f", of {stage.unknown} it is not known" if stage.unknown else ""
    says = Outcome.INCOMPATIBLE if stage.stranded else None
    yield Line(f"devices {name}: {stage.stranded} stranded{crowded}{unknown}", says)
    new = [group for group in stage.groups if group.new]
    for group in new[:SHOWN]:
        yield Line(f"  {_group(group)}")
    yield from _more(len(new), "groups of devices")


def _group(group: StrandedGroup) -> str:
    where = "on hosts that are upgraded" if group.upgraded else "elsewhere"
    why = "nobody else offers it" if group.codes is None else " ".join(group.codes)
    examples = f": {', '.join(group.examples)}" if group.examples else ""
    state = {"stranded": "stranded", "crowded": "all places taken", "unknown": "not known"}[group.state]
    return f"{state}: {counted(group.devices, 'device')} {group.type} {where} ({why}){examples}"


def _no_return(each: NoReturn) -> str:
    whether = "it is not known whether they could come back" if each.unknown else "they could not come back"
    devices = f"{counted(each.devices, 'device')} {each.type} under {build_name(each.driver)}"
    return f"{devices} could leave, and {whether} ({' '.join(each.codes)})"


def _trial(trial: Trial) -> str:
    hosts = f", like {', '.join(trial.hosts)}" if trial.hosts else ""
    devices = counted(trial.devices, "device")
    if trial.what == "report":
        under = build_name(trial.target.driver)
        return f"hear the agents of hosts with {trial.type} under {under} again{hosts}: {devices}"
    pair = f"{build_name(trial.source.driver)} to {build_name(trial.target.driver)}"
    return f"migrate one {trial.type} from {pair}{hosts} and report the outcome: {devices} ({' '.join(trial.codes)})"


def _more(count: int, things: str) -> Iterator[Line]:
    if count > SHOWN:
        yield Line(f"  not listed: {count - SHOWN} {things}; -o json has them")
