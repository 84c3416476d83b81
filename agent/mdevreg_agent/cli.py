"""``mdevreg-agent``: ``run``, ``scan``, ``simulate``. argparse only; each command imports what it needs.

Exit codes (design section 9): 0 done · 2 usage or state · 4 credentials refused · 5 broker unreachable.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from mdevreg.errors import MdevregError, MissingExtraError, UsageError
from mdevreg_agent.config import Settings, load
from mdevreg_agent.journal import Journal

SCENARIOS = ("steady", "boot", "churn", "upgrade", "demo")

_RUN = """examples:
  mdevreg-agent run --nats nats://broker:4222 --creds /etc/mdevreg/agent.creds --site ams1
  mdevreg-agent run --root /mnt/other-host --state-dir /tmp/trial     # read another root, as in a chroot
  MDEVREG_AGENT_SITE=ams1 mdevreg-agent run --config /etc/mdevreg/agent.toml
  kill -HUP $(pidof -x mdevreg-agent)                                 # look again, now
"""
_SCAN = """examples:
  mdevreg-agent scan                       # what this host would publish, as JSON
  mdevreg-agent scan -o table
  mdevreg-agent scan --root /mnt/other-host --site ams1
  mdevreg-agent scan --plugins ./plugins.d -o table                   # try a plug-in before it is installed
"""
_SIMULATE = """examples:
  mdevreg-agent simulate --hosts 50 --scenario demo                   # churn, and a rolling driver upgrade
  mdevreg-agent simulate --hosts 1000 --scenario boot                 # everyone announces itself, then leaves
  mdevreg-agent simulate --hosts 20 --scenario churn --rate 200 --events 5000 --seed 7
"""
_MAIN = """examples:
  mdevreg-agent scan -o table
  mdevreg-agent run --nats nats://broker:4222
  mdevreg-agent simulate --hosts 50 --scenario demo
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        _COMMANDS[arguments.command](vars(arguments))
    except MdevregError as error:
        print(f"mdevreg-agent: {error.code}: {error.message}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"nats", "pyudev"}:
            raise
        missing = MissingExtraError(f"mdevreg-agent {arguments.command}", "agent")
        print(f"mdevreg-agent: {missing.code}: {missing.message}", file=sys.stderr)
        return missing.exit_code
    except BrokenPipeError:  # `mdevreg-agent scan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """Help that begins with examples; errors in the project's own form."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples

    def format_help(self) -> str:
        return f"{self._examples}\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _run(flags: dict[str, Any]) -> None:
    from mdevreg_agent.life import live

    settings = _settings(flags)
    journal = Journal(sys.stderr, quiet=settings.quiet)
    asyncio.run(live(settings, environ=os.environ, journal=journal))


def _scan(flags: dict[str, Any]) -> None:
    from mdevreg_agent.scan import as_json, as_table, scan

    picture = scan(_settings(flags), agent_version=version("mdevreg"))
    print(as_table(picture) if flags["output"] == "table" else as_json(picture), flush=True)


def _simulate(flags: dict[str, Any]) -> None:
    from mdevreg_agent.life import new_epoch
    from mdevreg_agent.simulate import Plan, simulate

    settings = _settings(flags)
    plan = Plan(
        hosts=flags["hosts"],
        scenario=flags["scenario"],
        nats=settings.nats,
        creds=settings.creds,
        seed=flags["seed"],
        rate=flags["rate"],
        duration_s=flags["duration_s"],
        events=flags["events"],
        sites=flags["sites"],
        beat_s=settings.beat_s,
    )
    asyncio.run(simulate(plan, epoch=new_epoch(), journal=Journal(sys.stderr, quiet=settings.quiet)))


_COMMANDS = {"run": _run, "scan": _scan, "simulate": _simulate}


def _settings(flags: dict[str, Any]) -> Settings:
    return load(flags=flags, environ=os.environ, file=flags["config"])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mdevreg-agent", examples=_MAIN, description="Watches mediated devices and publishes version records."
    )
    parser.add_argument("--version", action="version", version=f"mdevreg-agent {version('mdevreg')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run_arguments(commands.add_parser("run", examples=_RUN, help="watch this host and publish what changes"))
    _scan_arguments(commands.add_parser("scan", examples=_SCAN, help="print what would be published; needs no broker"))
    _simulate_arguments(
        commands.add_parser("simulate", examples=_SIMULATE, help="publish as a fleet, for trials and load")
    )
    return parser


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _link_arguments(parser)
    _root_arguments(parser)
    _addition_arguments(parser)
    add("--state-dir", metavar="DIR", help="default: $STATE_DIRECTORY, else the XDG state folder")
    add("--host-id", metavar="ID", help="default: made once, kept in the state folder")
    add("--keep-host-id", action="store_true", default=None, help="this state folder was moved here on purpose")
    add("--source", metavar="kernel|udev", help="whose uevents to hear (default: kernel)")
    add("--receive-buffer-bytes", metavar="N", help="of the uevent socket; never lowered")
    add("--debounce-s", metavar="S", help="quiet that ends a burst of uevents (default: 0.1)")
    add("--max-debounce-s", metavar="S", help="longest burst (default: 1)")
    add("--rescan-s", metavar="S", help="look anyway, about so often (default: 60)")
    add("--beat-s", metavar="S", help="heartbeat, about so often (default: 10)")
    add("--retransmit-s", metavar="S", help="publish again without a receipt (default: 30)")
    add("--max-unsent", metavar="N", help="records kept without a receipt (default: 10000)")
    add("--max-unsent-bytes", metavar="N", help="their bytes (default: 67108864)")
    add("--plugin-max-age-s", metavar="S", help="ask again of an unchanged parent after so long (default: 60)")


def _scan_arguments(parser: argparse.ArgumentParser) -> None:
    _root_arguments(parser)
    _addition_arguments(parser)
    parser.add_argument("--config", metavar="FILE", help="settings, as TOML")
    parser.add_argument("-o", "--output", choices=("json", "table"), default="json")


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _link_arguments(parser)
    add("--hosts", type=_positive, required=True, metavar="N")
    add("--scenario", choices=SCENARIOS, required=True)
    add("--seed", type=int, default=1, metavar="S", help="same seed, same fleet and events (default: 1)")
    add("--rate", type=_rate, default=10.0, metavar="R", help="events per second, whole fleet (default: 10)")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--duration-s", type=_rate, metavar="D", help="live so long after boot")
    until.add_argument("--events", type=_positive, metavar="E", help="so many events after boot")
    add("--sites", type=_sites, default=("a", "b"), metavar="A,B", help="default: a,b")
    add("--beat-s", metavar="S", help="heartbeat of each host (default: 10)")


def _link_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--nats", metavar="URL", help="default: nats://127.0.0.1:4222; several: separated by commas")
    add("--creds", metavar="FILE", help="NATS credentials")
    add("--config", metavar="FILE", help="settings, as TOML: keys as the long flags, with _ for -")
    add("--quiet", action="store_true", default=None, help="say only what went wrong")


def _root_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", metavar="DIR", help="as in a chroot: DIR/sys, DIR/proc, DIR/etc (default: /)")
    parser.add_argument("--site", metavar="S", help="where this host is; becomes its fact")


def _addition_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--plugins", metavar="DIR", help="executables to ask of each parent (default: /etc/mdevreg/plugins.d)")
    add("--plugin-user", metavar="NAME", help="run plug-ins as this user (default: as the agent)")
    add("--plugin-timeout-s", metavar="S", help="longest run of a plug-in (default: 5)")
    add("--plugin-budget-s", metavar="S", help="longest all runs of one look together (default: 20)")
    add("--no-nvml", dest="nvml", action="store_const", const=False, help="don't ask NVIDIA's management library")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _sites(text: str) -> tuple[str, ...]:
    sites = tuple(site.strip() for site in text.split(",") if site.strip())
    if not sites:
        raise argparse.ArgumentTypeError("no site named")
    return sites
