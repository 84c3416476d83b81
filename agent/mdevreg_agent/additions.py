"""What a host says of its parents beyond sysfs: NVML (NVIDIA's management library), plug-ins, files of modules.

Plug-ins see NVML's answer. NVML speaks of the running host, so it is asked only if ``root`` is that host's, told by
the boot id: another root's GPUs may have the addresses of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mdevreg.records import HostFacts, Parent
from mdevreg_agent.bounds import fitted
from mdevreg_agent.config import Settings
from mdevreg_agent.module_files import ModuleFiles
from mdevreg_agent.nvml_seen import is_nvidia
from mdevreg_agent.plugin_files import packaged
from mdevreg_agent.plugin_runs import Runs
from mdevreg_agent.plugin_user import user_of
from mdevreg_agent.plugins import Plugins

if TYPE_CHECKING:
    from mdevreg_agent.nvml import NvmlLibrary

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Additions:
    """Adds to the parents of a look. Used by one thread; ``close`` when that has ended."""

    def __init__(
        self, *, plugins: Plugins, nvml: bool, modules: ModuleFiles | None = None, boot_id: Path = _BOOT_ID
    ) -> None:
        self._plugins, self._nvml, self._modules, self._boot_id = plugins, nvml, modules, boot_id
        self._library: NvmlLibrary | None = None

    def added(self, facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        """The parents with all that is said of them, each within the bounds of one record.

        Raises ``StateError`` when the agent is stopping: half a look must not become a record.
        """
        parents = self._plugins.added(facts, self._nvml_added(facts, parents))
        parents = parents if self._modules is None else self._modules.added(facts, parents)
        return tuple(fitted(parent) for parent in parents)

    def close(self) -> None:
        """Let the library go."""
        if self._library is not None:
            self._library.close()
            self._library = None

    def _nvml_added(self, facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        if not self._nvml or not any(is_nvidia(parent) for parent in parents) or not self._is_here(facts):
            return parents
        if self._library is None:
            from mdevreg_agent.nvml import open_nvml

            self._library = open_nvml()  # again at each look without one: it may have been installed meanwhile
        if self._library is None:
            return parents
        return self._library.added(parents, host_os=_os_of(facts))

    def _is_here(self, facts: HostFacts) -> bool:
        try:
            return self._boot_id.read_text(encoding="utf-8").strip() == facts.boot_id
        except OSError:
            return False


def additions_of(
    settings: Settings, *, clock: Callable[[], float], stopped: Callable[[], bool] = lambda: False
) -> Additions:
    """What the settings ask for. ``clock``: seconds, only ever forward; ``stopped()``: give a look up.

    Raises ``UsageError`` or ``StateError`` if plug-ins can't run as ``plugin_user``.
    """
    runs = Runs(timeout_s=settings.plugin_timeout_s, user=user_of(settings.plugin_user), clock=clock, stopped=stopped)
    plugins = Plugins(
        folder=Path(settings.plugins) if settings.plugins else None,
        packaged=packaged(),
        root=str(Path(settings.root).absolute()),
        runs=runs,
        max_age_s=settings.plugin_max_age_s,
        budget_s=settings.plugin_budget_s,
        clock=clock,
    )
    return Additions(plugins=plugins, nvml=settings.nvml, modules=ModuleFiles(Path(settings.root)))


def _os_of(facts: HostFacts) -> str | None:
    """``debian 13``: ID and VERSION_ID of os-release(5)."""
    return " ".join(filter(None, (facts.os_release.get("ID"), facts.os_release.get("VERSION_ID")))) or None
