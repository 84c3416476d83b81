"""A host id is made once and never shared; a state folder has one agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mdevreg.errors import StateError
from mdevreg_agent.identity import HOST_ID_FILE, claimed, default_state_dir, host_id_of, machine_id_of

MACHINE = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


def test_the_host_id_is_made_once_and_kept(tmp_path: Path) -> None:
    """MUST: every later start finds the first one's id."""
    first = host_id_of(tmp_path, machine_id=MACHINE)
    assert host_id_of(tmp_path, machine_id=MACHINE) == first
    assert host_id_of(tmp_path, machine_id=MACHINE, new_id=lambda: "another") == first


def test_only_the_finished_file_is_left(tmp_path: Path) -> None:
    """MUST: the file appears whole; drafts do not stay."""
    host_id_of(tmp_path, machine_id=MACHINE)
    assert [path.name for path in tmp_path.iterdir()] == [HOST_ID_FILE]


def test_a_cloned_state_folder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """MUST: a disk image that carries a host id to a second machine never makes a second host of that id."""
    host_id_of(tmp_path, machine_id=MACHINE)
    with pytest.raises(StateError, match=r"was cloned.*remove .*host-id.*--keep-host-id") as caught:
        host_id_of(tmp_path, machine_id=OTHER)
    assert caught.value.code == "STATE_CLONED"


def test_an_operator_can_keep_the_id_of_a_moved_folder(tmp_path: Path) -> None:
    """MUST: with --keep-host-id the id is bound to the new machine, once and for good."""
    first = host_id_of(tmp_path, machine_id=MACHINE)
    assert host_id_of(tmp_path, machine_id=OTHER, keep=True) == first
    assert host_id_of(tmp_path, machine_id=OTHER) == first


def test_removing_the_file_makes_a_new_host(tmp_path: Path) -> None:
    """MUST: the way out that the error names works."""
    first = host_id_of(tmp_path, machine_id=MACHINE)
    (tmp_path / HOST_ID_FILE).unlink()
    assert host_id_of(tmp_path, machine_id=OTHER) != first


@pytest.mark.parametrize(("created_on", "now"), [(None, MACHINE), (MACHINE, None)])
def test_an_unknown_machine_id_proves_nothing(tmp_path: Path, created_on: str | None, now: str | None) -> None:
    """MUST: a machine without a machine-id is not taken for a clone."""
    first = host_id_of(tmp_path, machine_id=created_on)
    assert host_id_of(tmp_path, machine_id=now) == first


def test_a_damaged_host_id_file_is_never_replaced_silently(tmp_path: Path) -> None:
    """MUST: an id that can't be read is an operator's decision, not a new host."""
    (tmp_path / HOST_ID_FILE).write_bytes(b"\x00" * 64)
    with pytest.raises(StateError, match=r"host-id can't be read.*backup"):
        host_id_of(tmp_path, machine_id=MACHINE)


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """MUST: one agent per state folder; the refusal names the other one."""
    with claimed(tmp_path), pytest.raises(StateError, match=rf"process {os.getpid()}.*--state-dir"), claimed(tmp_path):
        pass
    with claimed(tmp_path):  # and the claim ends with its holder
        pass


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """MUST: the error says which folder, and how to name another."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StateError, match=r"file/state can't be used: Not a directory.*--state-dir"),
        claimed(tmp_path / "file/state"),
    ):
        pass


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/home/x"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/x/state", "HOME": "/home/x"}, "/x/state/mdevreg-agent"),
        ({"HOME": "/home/x"}, "/home/x/.local/state/mdevreg-agent"),
    ],
)
def test_the_state_folder_is_where_systemd_or_xdg_puts_it(environ: dict[str, str], expected: str) -> None:
    """systemd.exec(5) STATE_DIRECTORY, then the XDG base directory specification."""
    assert default_state_dir(environ) == Path(expected)


@pytest.mark.parametrize("text", ["", "uninitialized\n"])
def test_a_first_boot_has_no_machine_id(tmp_path: Path, text: str) -> None:
    """machine-id(5): empty or "uninitialized" until the first boot is done."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(text)
    assert machine_id_of(tmp_path) is None
