"""How driver builds are spread, and how that changed, in words and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mdevreg.cli.view import Cell, Line, Sheet
from mdevreg.cli.words import build_columns, counted
from mdevreg.distribution import Distribution, DriverShare, StreamShare
from mdevreg.records import DriverBuild
from mdevreg.streams import Exact, StreamSet
from mdevreg.times import utc
from mdevreg.trends import Trend

BUILD = ("driver", "module", "kernel", "version", "srcversion", "build_id")
_COUNTED = (*BUILD, "hosts", "parents", "saves", "loads")
#: So many times of a trend fit a table, by how long their labels are.
_SHORT, _LONG = 13, 9
_MINUTE_S, _DAY_S = 60, 86_400
#: Longer keys of a build are cut in tables.
_KEY_CHARS = 10


def shares_sheet(found: Distribution) -> Sheet:
    """One row per build, or per group and build."""
    group = (found.by,) if found.by else ()
    return Sheet((*group, *_COUNTED), [_share_row(each, grouped=found.by is not None) for each in found.drivers])


def shares_table(found: Distribution) -> Sheet:
    """The same with as little as tells builds apart, and formats named once."""
    group = (found.by,) if found.by else ()
    rows: list[tuple[Cell, ...]] = [
        (
            *((each.group,) if found.by else ()),
            each.build.name,
            each.build.kernel_release,
            build_name(each.build),
            each.hosts,
            each.parents,
            _joined(_stated(stream, stream.saves) for stream in each.streams),
            _joined(str(stream.loads) if stream.state == "streams" else "-" for stream in each.streams),
        )
        for each in found.drivers
    ]
    return Sheet((*group, "driver", "kernel", "build", "hosts", "parents", "saves", "loads"), rows)


def build_name(build: DriverBuild) -> str | None:
    """A module's version, else what tells its builds apart; shortened."""
    return build.version or shortened(build.srcversion or build.build_id)


def shortened(key: str | None) -> str | None:
    """A key of a build as far as a table has room: hashes are told apart by less."""
    return key if key is None or len(key) <= _KEY_CHARS else f"{key[: _KEY_CHARS - 2]}…"


def trend_sheet(found: Trend) -> Sheet:
    """One row per time and build, by time."""
    rows = [
        (time, *build_columns(row.build), row.hosts[place])
        for place, time in enumerate(found.times)
        for row in found.drivers
    ]
    return Sheet(("time", *BUILD, "hosts"), rows)


def trend_table(found: Trend) -> Sheet:
    """Builds as rows, times as columns: as many as there is room for, the last one among them."""
    over_s = (found.times[-1] - found.times[0]).total_seconds()
    first, end = _label(found.step_s, over_s)
    most = _SHORT if end - first <= len("11-24") else _LONG
    places = list(range(len(found.times) - 1, -1, len(found.times) // -most))[::-1]
    labels = [utc(found.times[place])[first:end].replace("T", " ") for place in places]
    rows: list[tuple[Cell, ...]] = [
        (row.build.name, row.build.kernel_release, build_name(row.build), *(row.hosts[place] for place in places))
        for row in found.drivers
    ]
    kernels = {row.build.kernel_release for row in found.drivers}
    sheet = Sheet(("driver", "kernel", "build", *labels), rows)
    return sheet if len(kernels) > 1 else sheet.only(("driver", "build", *labels))


def _label(step_s: int, over_s: float) -> tuple[int, int]:
    """Which part of ``2026-11-24T10:00:00Z`` tells times apart."""
    if step_s >= _DAY_S:
        return 5, 10
    if over_s >= _DAY_S:
        return 8, 16
    return (11, 19) if step_s < _MINUTE_S else (11, 16)


def trend_lines(found: Trend) -> Iterator[Line]:
    """What became most, and what less."""
    first, last = utc(found.times[0]), utc(found.times[-1])
    changed = sum(row.hosts[0] != row.hosts[-1] for row in found.drivers)
    yield Line(f"{counted(changed, 'driver build')} on more or fewer hosts than before, from {first} to {last}")


def _share_row(share: DriverShare, *, grouped: bool) -> tuple[Cell, ...]:
    row = (*build_columns(share.build), share.hosts, share.parents, *_streams(share))
    return (share.group, *row) if grouped else row


def _streams(share: DriverShare) -> tuple[str | None, str | None]:
    """What is saved and loaded; several where types differ, the most hosts first."""
    return (
        _joined(_stated(each, each.saves) for each in share.streams),
        _joined(_stated(each, each.loads) for each in share.streams),
    )


def _joined(said: Iterable[str]) -> str | None:
    return "; ".join(dict.fromkeys(said)) or None


def _stated(share: StreamShare, streams: StreamSet | None) -> str:
    match share.state:
        case "streams":
            return f"{share.format} {streams.version if isinstance(streams, Exact) else streams}"
        case "not_migratable":
            return "no migration"
    return f"not known ({(share.unknown or '').replace('_', ' ')})"
