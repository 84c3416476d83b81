"""What a module says that it offers is what it has."""

from __future__ import annotations

import ast
import importlib
import types

import pytest

from support.tree import ROOT, modules, python_files

DECLARING = sorted(
    module
    for package in ("mdevreg", "mdevreg_agent", "mdevreg_server")
    for module in modules(package)
    if not module.endswith("__main__")
)


@pytest.mark.parametrize("module_name", DECLARING)
def test_all_is_true(module_name: str) -> None:
    """Each name in ``__all__`` exists, once, in order; without ``__all__`` the module still imports."""
    module = importlib.import_module(module_name)
    exported = list(getattr(module, "__all__", []))
    assert exported == sorted(set(exported))
    assert [export for export in exported if not hasattr(module, export)] == []


def test_the_front_door_hides_nothing_public() -> None:
    """``mdevreg.__all__`` names everything public that the package itself brings in."""
    module = importlib.import_module("mdevreg")
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - {"annotations"} == set(module.__all__)


def test_nothing_happens_at_import() -> None:
    """No module-level engine, client or clock: a bare call at the top of a shipped module is an effect."""
    effects = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files("agent", "registry")
        if path.name != "__main__.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert effects == []
