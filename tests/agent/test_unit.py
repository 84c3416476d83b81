"""The systemd unit: hardened, and nothing in it that would make the agent deaf."""

from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "agent" / "mdevreg-agent.service"


@pytest.fixture
def service() -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # how configparser keeps case
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.parametrize(
    "key",
    [
        *("PrivateNetwork", "PrivateUsers", "ProcSubset", "ProtectHostname"),
        *("PrivateDevices", "NoExecPaths", "ProtectKernelModules"),
    ],
)
def test_nothing_hides_the_host_from_the_agent(service: dict[str, str], key: str) -> None:
    """MUST: another namespace loses uevents without an error; NVML needs its devices, plug-ins are executables, and
    modules on disk are read below /lib/modules.
    """
    assert key not in service


def test_netlink_is_allowed(service: dict[str, str]) -> None:
    """MUST: uevents come over AF_NETLINK, the broker over AF_INET and AF_INET6."""
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DynamicUser", "yes"),
        ("StateDirectory", "mdevreg-agent"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("Restart", "always"),
        ("DevicePolicy", "closed"),
        ("DeviceAllow", "char-nvidia* rw"),
        ("OOMPolicy", "continue"),
    ],
)
def test_the_agent_has_as_little_power_as_it_needs(service: dict[str, str], key: str, value: str) -> None:
    """MUST: own user, own state folder, no capability, nothing else writable; started again whatever happens.

    A plug-in that eats memory must not take the agent with it (systemd.service(5), OOMPolicy=).
    """
    assert service[key] == value


def test_systemd_itself_finds_no_fault(tmp_path: Path) -> None:
    """MUST: every line is one that systemd knows."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "mdevreg-agent"
    program.touch(mode=0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/mdevreg/bin/mdevreg-agent", str(program)))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert ours == []
