"""Integer programs, solved by HiGHS. The only room that knows scipy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdevreg.errors import MissingExtraError

#: A row of the matrix: (variable, coefficient).
Row = Sequence[tuple[int, float]]


def integers(
    costs: Sequence[float],
    rows: Sequence[Row],
    *,
    lower: Sequence[float],
    upper: Sequence[float],
    most: Sequence[float],
    gap: float = 0.0,
    limit_s: float | None = None,
) -> list[int] | None:
    """Whole numbers from 0 to ``most`` that cost least, with ``lower <= row <= upper``; ``None``: there are none.

    ``gap``: how far from the best it may be, as a part of it. ``limit_s``: then the best found so far, if any is.
    Raises ``MissingExtraError`` ([plan]).
    """
    if not costs:
        fits = all(low <= 0.0 <= high for low, high in zip(lower, upper, strict=True))
        return [] if fits else None
    found = _milp()(costs, rows, lower, upper, most, {"mip_rel_gap": gap, "time_limit": limit_s})
    return None if found is None else [round(each) for each in found]


def _milp() -> Any:
    try:
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array
    except ModuleNotFoundError as error:
        raise MissingExtraError("planning with integer programs", "plan") from error

    def solve(costs: Any, rows: Any, lower: Any, upper: Any, most: Any, options: dict[str, Any]) -> Any:
        entries = [(at, column, value) for at, row in enumerate(rows) for column, value in row]
        places = ([at for at, _, _ in entries], [column for _, column, _ in entries])
        matrix = csr_array(([value for _, _, value in entries], places), shape=(len(rows), len(costs)))
        constraints = [LinearConstraint(matrix, lower, upper)] if len(rows) else []
        options = {name: value for name, value in options.items() if value is not None}
        solved = milp(
            np.array(costs), integrality=np.ones(len(costs)), bounds=Bounds(0, np.array(most)),
            constraints=constraints, options=options,
        )  # fmt: skip
        return solved.x

    return solve
