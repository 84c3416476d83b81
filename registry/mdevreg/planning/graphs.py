"""Small directed graphs: strong components and shortest ways, by scipy. Pure."""

from __future__ import annotations

from typing import Any

from mdevreg.errors import MissingExtraError


def strong_components(edges: list[list[bool]]) -> list[int]:
    """The number of each node's component. Raises ``MissingExtraError`` ([plan])."""
    _, labels = _csgraph().connected_components(_sparse(edges), directed=True, connection="strong")
    return [int(label) for label in labels]


def distances(edges: list[list[bool]]) -> tuple[list[list[int | None]], list[list[int]]]:
    """Edges on the shortest way from each node to each (``None``: no way), and the node before each on it.

    Raises ``MissingExtraError`` ([plan]).
    """
    if not edges:
        return [], []
    lengths, before = _csgraph().shortest_path(_sparse(edges), directed=True, unweighted=True, return_predecessors=True)
    found = [[None if length == float("inf") else int(length) for length in row] for row in lengths]
    return found, [[int(each) for each in row] for row in before]


def _csgraph() -> Any:
    try:
        from scipy.sparse import csgraph
    except ModuleNotFoundError as error:
        raise MissingExtraError("the map of islands", "plan") from error
    return csgraph


def _sparse(edges: list[list[bool]]) -> Any:
    from scipy.sparse import csr_array

    return csr_array([[float(edge) for edge in row] for row in edges] or [[]])
