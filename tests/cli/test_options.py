"""The shared options, wherever they stand, and what decides when they are silent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mdevreg.cli.render import render
from mdevreg.cli.session import DEFAULT_URL, Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.verdict import Outcome
from support.command_line import CommandLine
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, UUID, host, mtty, small_fleet


def _write_url(folder: Path, text: str) -> None:
    (folder / "mdevreg").mkdir(parents=True)
    (folder / "mdevreg" / "url").write_text(text, encoding="utf-8")


def test_an_option_may_stand_before_or_after_the_command_and_the_last_wins(line: CommandLine) -> None:
    """``mdevreg -o json hosts`` and ``mdevreg hosts -o json`` are one question."""
    assert line("-o", "json", "hosts").out == line("hosts", "-o", "json").out
    assert line("-o", "json", "hosts", "-o", "csv").out == line("hosts", "-o", "csv").out
    assert line("--as-of", "-1h", "hosts").out == line("hosts", "--as-of=-1h").out
    line("--url", "nats://a", "--timeout", "1", "hosts", "--url", "nats://b", "--creds", "some.creds")
    assert line.opened[-1] == ("nats://b", {"timeout_s": 1.0, "creds": "some.creds"})


def test_the_registry_is_the_option_then_the_environment_then_the_running_one_then_the_default(
    line: CommandLine, tmp_path: Path
) -> None:
    """The address nearest to the user's hands wins."""
    line("hosts")
    assert line.opened[-1][0] == DEFAULT_URL
    _write_url(tmp_path / ".local" / "state", "nats://127.0.0.1:5001\n")
    line("hosts")
    assert line.opened[-1][0] == "nats://127.0.0.1:5001"
    _write_url(tmp_path / "state", "nats://127.0.0.1:5002\n")
    line("hosts", environ={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert line.opened[-1][0] == "nats://127.0.0.1:5002"
    line("hosts", environ={"XDG_STATE_HOME": "relative"})
    assert line.opened[-1][0] == "nats://127.0.0.1:5001"
    line("hosts", environ={"MDEVREG_URL": "nats://environment"})
    assert line.opened[-1][0] == "nats://environment"
    line("--url", "nats://option", "hosts", environ={"MDEVREG_URL": "nats://environment"})
    assert line.opened[-1][0] == "nats://option"


def test_an_address_file_that_can_not_be_read_is_told(line: CommandLine, tmp_path: Path) -> None:
    """Not silently the default: that might be another registry."""
    (tmp_path / ".local" / "state" / "mdevreg" / "url").mkdir(parents=True)
    done = line("hosts")
    assert done.code == 2
    assert "give it with --url" in done.err


def test_names_are_never_markup_nor_control_sequences(line: CommandLine) -> None:
    """A hostname of a rogue host is text: Rich's markup, C1 controls and direction marks included."""
    rogue = "[red]x[bold]\x9b2J\u202e:smile:"
    line.door = lambda: MemoryDoor([host(rogue, mtty("2", devices=1))])
    shown = "[red]x[bold]\\x9b2J\\u202e:smile:"
    assert shown in line("hosts").out
    assert shown in line("can-migrate", UUID, "--to", rogue).out


def test_off_a_terminal_nothing_is_folded_or_coloured(line: CommandLine) -> None:
    """grep and awk see whole names, one row a line."""
    name = "h" * 250
    line.door = lambda: MemoryDoor([host(name)])
    rows = line("hosts").out.splitlines()
    assert rows[1].split()[0] == name
    assert len(rows) == 4


def test_on_a_terminal_a_table_folds_and_loses_nothing() -> None:
    """Cut names are useless: a narrow terminal folds them."""
    view = View({}, Sheet((), []), table=Sheet(("name", "state"), [("x" * 100, "fresh")]))
    text = render(view, "table", width=40, color=False)
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("x") == 100


@pytest.mark.parametrize("outcome", list(Outcome))
def test_colour_is_only_the_word_of_the_answer(outcome: Outcome) -> None:
    """Taken away, the text is the same."""
    view = View({}, Sheet((), []), head=(Line("yes: it can: really", outcome),))
    coloured = render(view, "table", width=80, color=True)
    assert coloured.startswith("\x1b[3")
    assert coloured.endswith("m" + "yes" + "\x1b[0m: it can: really\n")


def test_colour_needs_a_terminal_that_can_and_nobody_who_minds() -> None:
    """NO_COLOR, TERM=dumb, --no-color and pipes: none."""

    def color(width: int | None, environ: dict[str, str], **given: bool) -> bool:
        return Session(environ, NOW, lambda url, **options: small_fleet(), width, dict(given)).color

    assert color(80, {"TERM": "xterm"})
    assert not color(None, {"TERM": "xterm"})
    assert not color(80, {"TERM": "dumb"})
    assert not color(80, {"TERM": "xterm", "NO_COLOR": "1"})
    assert not color(80, {"TERM": "xterm"}, no_color=True)


def test_a_missing_renderer_names_the_extra(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Click may be there by chance while PyYAML and Rich are not; json and csv need neither."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    for argv in (["hosts", "-o", "yaml"], ["hosts"]):
        done = line(*argv)
        assert (done.code, done.out) == (2, "")
        assert "pip install 'mdevreg[cli]'" in done.err
    assert line("hosts", "-o", "csv").code == line("hosts", "-o", "json").code == 0
