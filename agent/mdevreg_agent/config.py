"""The agent's settings: flag > environment (``MDEVREG_AGENT_*``) > file (TOML) > default.

Every key has one name: ``retransmit_s`` in the file is ``MDEVREG_AGENT_RETRANSMIT_S`` and ``--retransmit-s``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from mdevreg.errors import UsageError
from mdevreg.shapes import Token

ENVIRON_PREFIX = "MDEVREG_AGENT_"

#: Seconds. A day is beyond every sensible setting and keeps timers from overflowing.
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
#: Zero is allowed where it means "at once".
Delay = Annotated[float, Meta(ge=0, le=86_400)]

#: A registry takes a host for stale after 60 s without a beat.
PluginSeconds = Annotated[float, Meta(gt=0, le=45)]
#: As useradd(8) takes it.
PluginUserName = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]

#: NATS URLs; what follows the scheme is the client's to judge.
Servers = Annotated[str, Meta(pattern=r"^(nats://[^\s,]+)(,\s*nats://[^\s,]+)*$")]

#: Said instead of a pattern.
_EXPECTED = {
    "nats": "nats://HOST:PORT was expected; several are separated by commas",
    "plugin_user": "the name of a user of this host was expected",
    "host_id": "1 to 64 letters, digits, '-' or '_' were expected",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``mdevreg-agent run`` can be told."""

    nats: Servers = "nats://127.0.0.1:4222"  # several: separated by commas
    creds: str | None = None  # NATS credentials file
    root: str = "/"  # as in a chroot: ROOT/sys, ROOT/proc, ROOT/etc
    state_dir: str | None = None  # default: $STATE_DIRECTORY, else the XDG state folder
    site: str | None = None  # becomes the host's fact "site"
    host_id: Token | None = None  # default: created once, kept in the state folder
    keep_host_id: bool = False  # this state folder was moved on purpose to another machine-id
    source: Literal["kernel", "udev"] = "kernel"
    receive_buffer_bytes: Annotated[int, Meta(ge=4_096)] | None = None  # default: libudev's own
    debounce_s: Delay = 0.1  # quiet that ends a burst of uevents
    max_debounce_s: Delay = 1.0  # from the first uevent of a burst
    rescan_s: Seconds = 60.0  # +-20 %
    beat_s: Seconds = 10.0  # +-20 %
    retransmit_s: Seconds = 30.0  # without a receipt; doubles up to 16 times that while the registry is silent
    max_unsent: Annotated[int, Meta(ge=1)] = 10_000  # records
    max_unsent_bytes: Annotated[int, Meta(ge=1)] = 64 * 1024 * 1024
    plugins: str = "/etc/mdevreg/plugins.d"  # folder of executables; not below root. "": none
    plugin_timeout_s: PluginSeconds = 5.0  # one run
    plugin_budget_s: PluginSeconds = 20.0  # all runs of one look; they hold up records and beats
    plugin_max_age_s: Delay = 60.0  # then a plug-in is asked again even of an unchanged parent
    plugin_user: PluginUserName | None = None  # default: the agent's own
    nvml: bool = True  # ask NVIDIA's management library of NVIDIA's GPUs
    quiet: bool = False


def load(*, flags: Mapping[str, Any], environ: Mapping[str, str], file: str | None = None) -> Settings:
    """Merge the three places. ``flags`` that are ``None`` were not given.

    Raises ``UsageError``: an unknown key in the file, a value that can't be meant, an unreadable file.
    """
    path = file or environ.get(f"{ENVIRON_PREFIX}CONFIG")
    return Settings(
        **{
            **(_from_file(path) if path else {}),
            **_from_environ(environ),
            **_from_flags(flags),
        }
    )


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the settings file {path} can't be read: {error}") from error
    return {key: _value(key, value, f"{path}: {key}", strict=True) for key, value in table.items()}


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    # Unknown names are no error here: Kubernetes puts MDEVREG_AGENT_SERVICE_HOST and the like beside ours.
    names = {key: ENVIRON_PREFIX + key.upper() for key in _hints()}
    return {key: _value(key, environ[name], name, strict=False) for key, name in names.items() if environ.get(name)}


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    known = _hints()
    given = {key: value for key, value in flags.items() if key in known and value is not None}
    return {key: _value(key, value, "--" + key.replace("_", "-"), strict=False) for key, value in given.items()}


def _value(key: str, value: Any, origin: str, *, strict: bool) -> Any:
    """One value, converted and checked. TOML has types of its own (strict); flags and environment are text."""
    known = _hints()
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        raise UsageError(f"{origin}: no such setting{f', did you mean {near[0]}' if near else ''}; see --help")
    try:
        return msgspec.convert(value, known[key], strict=strict)
    except msgspec.ValidationError as error:
        raise UsageError(f"{origin}: {value!r} can't be meant: {_EXPECTED.get(key, error)}") from error


def _hints() -> dict[str, Any]:
    return get_type_hints(Settings, include_extras=True)
