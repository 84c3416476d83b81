"""Settings: flag > environment > file > default, and no key is ever ignored silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdevreg.errors import UsageError
from mdevreg_agent.config import Settings, load


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    """MUST: the nearest word counts, key by key."""
    file = tmp_path / "agent.toml"
    file.write_text('site = "file"\nrescan_s = 5\nbeat_s = 3\n')
    environ = {"MDEVREG_AGENT_SITE": "environ", "MDEVREG_AGENT_RESCAN_S": "6"}
    found = load(flags={"site": "flag", "beat_s": None}, environ=environ, file=str(file))
    assert found == Settings(site="flag", rescan_s=6.0, beat_s=3)


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    """MUST: a unit file needs no command line."""
    file = tmp_path / "agent.toml"
    file.write_text("quiet = true\n")
    assert load(flags={}, environ={"MDEVREG_AGENT_CONFIG": str(file)}) == Settings(quiet=True)


def test_names_of_kubernetes_in_the_environment_are_not_ours() -> None:
    """MUST: a service called mdevreg-agent puts MDEVREG_AGENT_PORT into every pod; that stops nobody."""
    assert load(flags={}, environ={"MDEVREG_AGENT_PORT": "tcp://10.0.0.1:4222"}) == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rescans_s = 5", r"agent.toml: rescans_s: no such setting, did you mean rescan_s"),
        ("rescan_s = '5'", r"agent.toml: rescan_s: '5' can't be meant"),
        ("rescan_s = 0", r"rescan_s: 0 can't be meant: .*> 0"),
        ("source = 'netlink'", r"source: 'netlink' can't be meant"),
        ("host_id = 'a.b'", r"host_id: 'a.b' can't be meant"),
        ("nats = 'broker 4222'", r"nats: 'broker 4222' can't be meant"),
        ("max_unsent = [", r"agent.toml can't be read"),
        ("plugin = '/x'", r"agent.toml: plugin: no such setting, did you mean plugins"),
        ("plugin_timeout_s = 0", r"plugin_timeout_s: 0 can't be meant: .*> 0"),
        ("plugin_budget_s = 60", r"plugin_budget_s: 60 can't be meant: .*<= 45"),
        ("plugin_user = 'no one'", r"plugin_user: 'no one' can't be meant: the name of a user"),
        ("nvml = 'no'", r"agent.toml: nvml: 'no' can't be meant"),
    ],
)
def test_a_file_that_cannot_be_meant_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    """MUST: file, key, what was found and what was expected."""
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        load(flags={}, environ={}, file=str(file))


def test_a_wrong_flag_or_variable_is_named_as_the_user_wrote_it() -> None:
    """MUST: no one has to guess where a value came from."""
    with pytest.raises(UsageError, match=r"--retransmit-s: 'soon'"):
        load(flags={"retransmit_s": "soon"}, environ={})
    with pytest.raises(UsageError, match=r"MDEVREG_AGENT_BEAT_S: '-1'"):
        load(flags={}, environ={"MDEVREG_AGENT_BEAT_S": "-1"})


def test_what_is_asked_beyond_sysfs_can_be_set_anywhere(tmp_path: Path) -> None:
    """MUST: as every other key: file, environment, flag."""
    file = tmp_path / "agent.toml"
    file.write_text('plugins = "/srv/plugins.d"\nplugin_user = "mdevreg-plugins"\nplugin_timeout_s = 2\n')
    environ = {"MDEVREG_AGENT_PLUGIN_MAX_AGE_S": "0", "MDEVREG_AGENT_NVML": "true"}
    found = load(flags={"nvml": False, "plugin_budget_s": "30"}, environ=environ, file=str(file))
    assert found == Settings(
        plugins="/srv/plugins.d",
        plugin_user="mdevreg-plugins",
        plugin_timeout_s=2,
        plugin_budget_s=30,
        plugin_max_age_s=0,
        nvml=False,
    )
