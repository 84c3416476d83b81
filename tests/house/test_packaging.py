"""What a role installs: the wheel, and each profile in an environment that has nothing else.

Profiles are the extras that people install. Each brings its rooms to life and no stranger's code beyond them; a
part that it lacks is named by the error, with what to install.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path

import pytest

from mdevreg_server.schema import migrations_folder
from support import wheelhouse
from support.tree import ROOT, files, modules

PACKAGES = {"mdevreg_agent": "agent", "mdevreg": "registry", "mdevreg_server": "registry"}

LIBRARY = ("mdevreg", "mdevreg.*", "mdevreg_server")
NATS_ROOMS = tuple(
    f"mdevreg.query.{name}"
    for name in (
        "connection",
        "event_stream",
        "fleet_cache",
        "follower",
        "following",
        "mending",
        "nats_door",
        "pulling",
        "replica_door",
        "watching",
    )
)
SQL_ROOMS = ("mdevreg_server.sql_door",)
NVML_ROOMS = ("mdevreg_agent.nvml_calls", "mdevreg_agent.nvml_gpus")
CLI_ROOMS = ("mdevreg.cli", "mdevreg.cli.*")


@dataclass(frozen=True)
class Profile:
    """What an extra must bring to life (patterns of modules), and everything that it may install."""

    extra: str
    rooms: tuple[str, ...]
    but: tuple[str, ...]
    strangers: frozenset[str]

    def has(self, module: str) -> bool:
        return _any(module, self.rooms) and not _any(module, self.but)


BASE = frozenset({"msgspec"})
#: What signs and verifies checkpoints, with what it brings.
SIGNING = {"cryptography", "cffi", "pycparser"}
POSTGRESQL = {"psycopg", "psycopg-binary"}
SQL = BASE | {"sqlalchemy", "typing-extensions"}
CLI = BASE | {"click", "rich", "markdown-it-py", "mdurl", "pygments", "pyyaml"}
#: Litestar brings a client, which delivers events, and makers of test data, which nothing here imports.
HTTP = {"anyio", "certifi", "faker", "h11", "httpcore", "httpx", "idna", "litestar", "litestar-htmx", "multidict"}
HTTP |= {"multipart", "polyfactory", "prometheus-client", "rich-click", "sniffio", "uvicorn"}
PROFILES = {
    profile.extra: profile
    for profile in [
        Profile("", LIBRARY, NATS_ROOMS + CLI_ROOMS, BASE),
        Profile("nats", LIBRARY, CLI_ROOMS, BASE | {"nats-py"}),
        Profile("sql", LIBRARY + SQL_ROOMS, NATS_ROOMS + CLI_ROOMS, SQL),
        Profile("cli", LIBRARY, NATS_ROOMS, CLI),
        Profile(
            "agent",
            (*LIBRARY, "mdevreg_agent", "mdevreg_agent.*"),
            CLI_ROOMS + NVML_ROOMS,
            BASE | {"nats-py", "pyudev"},
        ),
        Profile(
            "nvidia",
            (*LIBRARY, "mdevreg_agent", "mdevreg_agent.*"),
            CLI_ROOMS,
            BASE | {"nats-py", "pyudev", "nvidia-ml-py"},
        ),
        Profile(
            "server",
            (*LIBRARY, "mdevreg_server.*"),
            (),
            SQL
            | CLI
            | HTTP
            | SIGNING
            | POSTGRESQL
            | {"nats-py", "alembic", "mako", "markupsafe", "numpy", "scipy", "tomli-w"},
        ),
    ]
}

#: Imports each module named on the command line; says of each what is missing, or nothing.
PROBE = """
import importlib, json, sys
missing = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        missing[name] = None
    except ModuleNotFoundError as error:
        missing[name] = error.name
print(json.dumps(missing))
"""

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Installed:
    """A clean environment with the wheel and one extra."""

    profile: Profile
    folder: Path

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, with nothing of ours in the environment variables."""
        program, *rest = command
        return subprocess.run(
            [self.folder / "bin" / program, *rest],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            cwd=self.folder,
            env={"HOME": str(self.folder), "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )

    def python(self, code: str, *arguments: str) -> str:
        done = self.run("python", "-I", "-c", code, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @cached_property
    def distributions(self) -> set[str]:
        code = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
        return {name.lower().replace("_", "-") for name in json.loads(self.python(code))}

    @cached_property
    def missing(self) -> dict[str, str | None]:
        """Each module of ours → the top module that it lacks here."""
        found: dict[str, str | None] = json.loads(self.python(PROBE, *OURS))
        return found


Install = Callable[[str], Installed]


def _any(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


OURS = sorted(module for package in PACKAGES for module in modules(package) if not module.endswith("__main__"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    command: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The third parties' wheels; fetched when the environment was set up."""
    try:
        return wheelhouse.ready()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the wheels for clean environments can't be fetched: {error}")


@pytest.fixture(scope="session")
def install(wheel: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Makes a clean environment per profile, once, in whatever order the tests ask."""

    @cache
    def installed(extra: str) -> Installed:
        folder = tmp_path_factory.mktemp("profile") / "venv"
        venv.create(folder, with_pip=False, symlinks=True)
        command: list[str | Path] = [sys.executable, "-m", "pip", "--isolated", "--python", folder / "bin" / "python"]
        command += ["install", "-qq", "--no-index", "--no-compile", "--find-links", wheels]
        target = f"{wheel}[{extra}]" if extra else str(wheel)
        done = subprocess.run([*command, target], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Installed(PROFILES[extra], folder)

    return installed


@pytest.fixture(params=PROFILES, ids=lambda extra: extra or "base")
def installed(request: pytest.FixtureRequest, install: Install) -> Installed:
    """A clean environment for each profile."""
    return install(request.param)


def test_the_wheel_holds_the_three_packages_and_the_migrations_and_nothing_else(wheel: Path) -> None:
    """File for file what the tree has; no test, no cache, no document."""
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for path in files():
        parts = path.relative_to(ROOT).parts
        if parts[0] == "migrations":
            expected.add("/".join(["mdevreg_server", *parts]))
        elif len(parts) > 1 and PACKAGES.get(parts[1]) == parts[0]:
            expected.add("/".join(parts[1:]))
    assert inside == expected


def test_the_checkout_runs_its_own_migrations() -> None:
    """An editable install may leave a stale copy in site-packages; it is not the one that is used."""
    assert migrations_folder() == ROOT / "migrations"


def test_a_profile_brings_its_own_strangers_only(installed: Installed) -> None:
    """What is installed beside mdevreg is on the list, no more and no less."""
    assert installed.distributions - {"mdevreg"} == installed.profile.strangers


def test_a_profile_brings_its_rooms_to_life(installed: Installed) -> None:
    """Every module of the profile imports."""
    expected = {module for module in OURS if installed.profile.has(module)}
    assert expected
    assert {module: installed.missing[module] for module in expected if installed.missing[module]} == {}


def test_what_a_profile_lacks_is_a_strangers_package(installed: Installed) -> None:
    """No module of ours fails for another reason than a package that the profile does not bring."""
    own = {module: name for module, name in installed.missing.items() if name and name.split(".")[0] in PACKAGES}
    assert own == {}


def test_the_base_installs_no_database_broker_device_or_command_library() -> None:
    """The promise to control planes, written out."""
    assert {"sqlalchemy", "pyudev", "nats-py", "click"}.isdisjoint(PROFILES[""].strangers)


@pytest.mark.parametrize(
    ("program", "arguments", "needs", "extra"),
    [
        ("mdevreg", ["--help"], "click", "cli"),
        ("mdevreg-server", ["--help"], "click", "server"),
        ("mdevreg-agent", ["run"], "pyudev", "agent"),
    ],
)
def test_a_program_without_its_extra_says_what_to_install(
    installed: Installed, program: str, arguments: list[str], needs: str, extra: str
) -> None:
    """One sentence on stderr and exit code 2; never a traceback. With the extra it starts."""
    complete = needs in installed.profile.strangers and (extra != "server" or "alembic" in installed.profile.strangers)
    if complete:
        arguments = ["--help"]
    done = installed.run(program, *arguments)
    if complete:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"mdevreg[{extra}]" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "stranger", "extra"),
    [
        ("nats://127.0.0.1:1", "nats-py", "nats"),
        ("http://127.0.0.1:1", "msgspec", "http"),
        ("sqlite:///missing.sqlite", "sqlalchemy", "sql"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/none", "psycopg", "postgresql"),
    ],
)
def test_a_door_without_its_extra_says_what_to_install(
    installed: Installed, url: str, stranger: str, extra: str
) -> None:
    """``MissingExtraError`` where the profile lacks the door's package; another of our errors where it has it."""
    code = (
        "import sys, mdevreg.query as q, mdevreg.errors as e\n"
        "try: q.open(sys.argv[1], timeout_s=0.5).hosts()\n"
        "except e.MdevregError as error: print(type(error).__name__, error)\n"
    )
    said = installed.python(code, url)
    if stranger in installed.profile.strangers:
        assert said.split()[0] in {"UnreachableError", "StateError", "WrongRevisionError", "NotFoundError"}, said
    else:
        assert said.startswith("MissingExtraError")
        assert f"mdevreg[{extra}]" in said


@pytest.mark.parametrize("module", ["mdevreg", "mdevreg.records", "mdevreg.wire"])
def test_the_language_loads_no_door_database_or_loop(module: str) -> None:
    """A host agent that imports a record does not pay for the doors."""
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    unwanted = {"mdevreg.query", "sqlite3", "asyncio", "sqlalchemy", "nats", "pyudev", "click", "logging"}
    assert unwanted & loaded == set()
