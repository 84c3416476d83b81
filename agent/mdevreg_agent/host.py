"""The host's own facts. What can't be read is left out: names are attributes, never the identity."""

from __future__ import annotations

from mdevreg.records import HostFacts
from mdevreg_agent.attributes import parse_line, parse_os_release
from mdevreg_agent.tree import Tree, UnreadableError


def read_host(tree: Tree, *, site: str | None, agent_version: str) -> HostFacts:
    """Read /proc/sys/kernel and /etc; os-release(5), machine-id(5), hostname(5)."""
    return HostFacts(
        hostname=_line(tree, "/proc/sys/kernel/hostname") or _line(tree, "/etc/hostname") or "",
        site=site,
        machine_id=_line(tree, "/etc/machine-id"),
        boot_id=_line(tree, "/proc/sys/kernel/random/boot_id"),
        kernel_release=_line(tree, "/proc/sys/kernel/osrelease"),
        os_release=parse_os_release(_raw(tree, "/etc/os-release") or _raw(tree, "/usr/lib/os-release") or b""),
        agent_version=agent_version,
    )


def _line(tree: Tree, path: str) -> str | None:
    raw = _raw(tree, path)
    return None if raw is None else parse_line(raw).value


def _raw(tree: Tree, path: str) -> bytes | None:
    real = tree.canonical(path)  # /etc/os-release is a link
    try:
        return tree.read(real) if real else None
    except UnreadableError:
        return None  # a host may hide its machine-id; the record then says that it is not known
