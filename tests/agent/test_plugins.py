"""Plug-ins: what they are asked and say, within which limits, and what they never get."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from mdevreg import wire
from mdevreg.errors import StateError, UsageError
from mdevreg.records import MAX_PLUGINS, Answer, MdevType
from mdevreg.statements import MatchRule, Statement
from mdevreg_agent.plugin_answers import MAX_ANSWERS_BYTES, Question, QuestionHost
from mdevreg_agent.plugin_files import _wrong
from mdevreg_agent.plugin_runs import MAX_OUTPUT_BYTES
from mdevreg_agent.plugin_user import user_of
from support.plugin_folder import FACTS, PARENT, PluginFolder, TimedRuns
from support.processes import eventually

ANSWER = '{"types": {"t-1": {"format": "f", "saves": "1.0"}}, "all": {"fields": {"qp_num": "1024"}}}'


@pytest.fixture
def plugins(tmp_path: Path) -> PluginFolder:
    return PluginFolder(tmp_path / "plugins.d")


def alive(pid_file: Path) -> bool:
    try:
        return psutil.Process(int(pid_file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_plugin_states_is_in_the_record(plugins: PluginFolder) -> None:
    """MUST: of all types, of one type, of one device; uninterpreted, under the plug-in's name."""
    plugins.says("hisi", ANSWER)
    rule = '{"match": [{"field": "qp_num", "rule": "equal", "from": "attributes.qp_num"}]}'
    plugins.says("more.py", f'{{"devices": {{"0000:3b:00.1": {rule}}}}}\n')
    parent = plugins.ask()
    assert parent.answers == {
        "hisi": Answer(all=Statement(fields={"qp_num": "1024"}), types={"t-1": Statement(format="f", saves="1.0")}),
        "more.py": Answer(
            devices={
                "0000:3b:00.1": Statement(match=(MatchRule(field="qp_num", rule="equal", from_="attributes.qp_num"),))
            }
        ),
    }
    assert wire.decode_parent(wire.encode(parent)) == parent
    assert parent.faults == ()


def test_a_plugin_is_given_the_parent_and_the_host(plugins: PluginFolder, tmp_path: Path) -> None:
    """MUST: one JSON document, without what other plug-ins say; then the end of stdin."""
    plugins.says("a", ANSWER)
    plugins.shell("b", f"cat > {tmp_path}/question; cat")
    plugins.ask(msgspec.structs.replace(PARENT, answers={"old": Answer(all=Statement())}))
    asked = msgspec.json.decode((tmp_path / "question").read_bytes(), type=Question)
    host = QuestionHost(root="/", kernel_release=FACTS.kernel_release, os_release=FACTS.os_release)
    assert asked == Question(schema="1.0", parent=PARENT, host=host)


def test_a_large_question_that_nobody_reads_blocks_nobody(plugins: PluginFolder) -> None:
    """MUST: larger than any pipe."""
    plugins.says("deaf", ANSWER)
    types = tuple(MdevType(id=f"t-{number}", description="d" * 200) for number in range(3_000))
    assert plugins.ask(msgspec.structs.replace(PARENT, types=types)).answers.keys() == {"deaf"}


@pytest.mark.parametrize("output", ["", "\n", "{}", ' {"types": {}}\n'])
def test_a_plugin_with_nothing_to_say_leaves_no_trace(plugins: PluginFolder, output: str) -> None:
    """MUST: most plug-ins know one driver, and are asked of every parent."""
    plugins.says("quiet", output)
    assert plugins.ask() is PARENT


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("not json", "no valid answer: JSON is malformed"),
        (b"\xff\x00\xfe", "no valid answer: "),
        ("[]", "no valid answer: Expected `object`, got `array`"),
        (ANSWER + ANSWER, "no valid answer: JSON is malformed: trailing characters"),
        ('{"verdict": "yes"}', "no valid answer: Object contains unknown field `verdict`"),
        ('{"all": {"migrateable": true}}', "unknown field `migrateable` - at `$.all`"),
        ('{"all": {"migratable": 1}}', "Expected `bool`, got `int` - at `$.all.migratable`"),
        ('{"all": {"format": "a\\u001b[2J"}}', "no valid answer: control character"),
        ('{"types": {"a\\nb": {}}}', "no valid answer: control character"),
        ('{"types": {"' + "x" * 300 + '": {}}}', "length <= 255"),
        ("[" * 100_000, "no valid answer: "),
    ],
)
def test_garbage_is_a_fault_with_its_head(plugins: PluginFolder, output: str | bytes, error: str) -> None:
    """MUST: never an answer, never an exception; short, printable, and the record is accepted."""
    plugins.says("broken", output)
    parent = plugins.ask()
    assert parent.answers == {}
    (fault,) = parent.faults
    assert fault.path == "plugins/broken"
    assert error in fault.error
    assert fault.text
    assert len(fault.error) <= 256 >= len(fault.text)
    assert fault.error.isprintable()
    if isinstance(output, str):
        assert output.startswith(fault.text)


def test_the_last_good_answer_is_not_kept(plugins: PluginFolder) -> None:
    """MUST: without evidence nothing is known."""
    plugins.says("p", ANSWER)
    assert plugins.ask().answers
    plugins.says("p", "oops")
    plugins.clock.now += 60
    assert plugins.ask().answers == {}


def test_a_plugin_that_fails_is_quoted(plugins: PluginFolder) -> None:
    """MUST: exit code and the last line of stderr; what it printed before does not count as an answer."""
    plugins.shell("p", f"echo '{ANSWER}'; printf 'first\\nno such card: \\033[2J7\\n\\n' >&2; exit 3")
    ((path, error, text),) = plugins.faults()
    assert (path, error) == ("plugins/p", "exit code 3: no such card: \\x1b[2J7")
    assert text == ANSWER
    assert plugins.ask().answers == {}


def test_a_plugin_that_crashes_is_named(plugins: PluginFolder) -> None:
    """MUST: the signal's name."""
    plugins.shell("p", "kill -SEGV $$")
    assert plugins.faults() == [("plugins/p", "killed by SIGSEGV", None)]


def test_a_plugin_that_is_no_program_is_named(plugins: PluginFolder) -> None:
    """MUST: a script without its first line, or with an interpreter that is not there."""
    (plugins.folder / "a").write_text("echo\n")
    (plugins.folder / "a").chmod(0o755)
    (plugins.folder / "b").write_text("#!/no/such/interpreter\n")
    (plugins.folder / "b").chmod(0o755)
    assert plugins.faults() == [
        ("plugins/a", "can't be run: ENOEXEC", None),
        ("plugins/b", "can't be run: ENOENT", None),
    ]


@pytest.mark.parametrize("script", ["wait", "exec >&- 2>&-; wait", "trap '' TERM INT HUP; wait; wait"])
def test_a_slow_plugin_is_killed_with_its_children(plugins: PluginFolder, tmp_path: Path, script: str) -> None:
    """MUST: the whole process group, whatever it closed or ignores."""
    plugins.limited(0.5)
    plugins.shell("slow", f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/leader; {script}")
    before = time.monotonic()
    assert plugins.faults() == [("plugins/slow", "no answer within 0.5 s; killed", None)]
    assert time.monotonic() - before < 5
    assert not alive(tmp_path / "leader")
    eventually(lambda: not alive(tmp_path / "child"), "the child of the slow plug-in ends")


def test_what_a_plugin_leaves_behind_ends_with_it(plugins: PluginFolder, tmp_path: Path) -> None:
    """MUST: a child that holds stdout open neither delays the answer nor lives on."""
    plugins.limited(30)
    plugins.shell("p", f"sleep 600 & echo $! > {tmp_path}/child; echo '{ANSWER}'")
    before = time.monotonic()
    assert plugins.ask().answers.keys() == {"p"}
    assert time.monotonic() - before < 10
    eventually(lambda: not alive(tmp_path / "child"), "the child of the plug-in ends")


def test_a_child_that_escaped_holds_up_nobody_for_longer_than_the_limit(plugins: PluginFolder, tmp_path: Path) -> None:
    """MUST: a session of its own is out of reach, but not a way to hang the agent."""
    plugins.limited(1)
    plugins.python(
        "p",
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    open({str(tmp_path / 'child')!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        f"while not os.path.exists({str(tmp_path / 'child')!r}): time.sleep(0.01)\n"
        f"print({ANSWER!r})",
    )
    try:
        ((_, error, _),) = plugins.faults()
        assert error == "no answer within 1 s; killed"
    finally:
        psutil.Process(int((tmp_path / "child").read_text())).kill()


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_a_flood_is_bounded(plugins: PluginFolder, where: str) -> None:
    """MUST: 256 KiB of answer; any amount of stderr, of which the end is kept."""
    if where == "stdout":
        plugins.shell("flood", "exec yes '{}'")
        ((path, error, text),) = plugins.faults()
        assert (path, error) == ("plugins/flood", f"more than {MAX_OUTPUT_BYTES} bytes of output; killed")
        assert text is not None
        assert len(text) == 256
        kept = plugins.runs.run((str(plugins.folder / "flood"),), b"").output
        assert MAX_OUTPUT_BYTES < len(kept) < 2 * MAX_OUTPUT_BYTES
    else:
        plugins.shell("flood", f"yes | head -c 5000000 >&2; echo the end >&2; echo '{ANSWER}'; exit 1")
        assert plugins.faults() == [("plugins/flood", "exit code 1: the end", ANSWER)]


def test_what_anyone_could_have_written_is_not_run(plugins: PluginFolder, tmp_path: Path) -> None:
    """MUST: a world-writable file, and then every file in a world-writable folder."""
    plugins.shell("open", f"touch {tmp_path}/ran").chmod(0o757)
    assert plugins.faults() == [("plugins/open", "is world-writable; it is not run", None)]
    (plugins.folder / "open").chmod(0o755)
    plugins.folder.chmod(0o777)
    assert plugins.faults() == [("plugins", f"{plugins.folder} is world-writable; no plug-in is asked", None)]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("uid", "trusted"), [(0, True), (os.geteuid(), True), (os.geteuid() + 4_711, False)])
def test_a_plugin_belongs_to_root_or_the_agent(uid: int, trusted: bool) -> None:
    """MUST: nobody else decides what the agent runs."""
    status = os.stat_result((stat.S_IFREG | 0o755, 1, 1, 1, uid, 0, 1, 0, 0, 0))
    assert (_wrong(status) is None) is trusted


def test_only_executable_files_are_plugins(plugins: PluginFolder) -> None:
    """MUST: notes, hidden files, editors' copies and folders are none; a link to an executable is one."""
    plugins.says("real", ANSWER)
    for name in (".hidden", "copy~"):
        plugins.shell(name, "exit 1")
    (plugins.folder / "README").write_text("notes")
    (plugins.folder / "folder").mkdir()
    (plugins.folder / "link").symlink_to("real")
    parent = plugins.ask()
    assert parent.answers.keys() == {"real", "link"}
    assert parent.faults == ()
    (plugins.folder / "gone").symlink_to("nowhere")
    plugins.shell("a\nb", "exit 1")
    assert plugins.faults() == [
        ("plugins/a\\nb", "has no printable name of at most 255 characters; it is not run", None),
        ("plugins/gone", "can't be read: No such file or directory", None),
    ]


def test_no_folder_is_no_plugins(plugins: PluginFolder) -> None:
    """MUST: the default folder need not exist."""
    plugins.folder.rmdir()
    assert plugins.ask() is PARENT


def test_more_plugins_than_a_record_holds_are_named(plugins: PluginFolder) -> None:
    """MUST: the first ones by name are asked; left out is said, not silent."""
    for number in range(MAX_PLUGINS + 2):
        plugins.shell(f"p{number:02}", f"echo '{ANSWER}'")
    parent = plugins.ask()
    assert len(parent.answers) == MAX_PLUGINS
    assert [fault.path for fault in parent.faults] == ["plugins/p32", "plugins/p33"]


def test_answers_leave_room_for_what_sysfs_says(plugins: PluginFolder) -> None:
    """MUST: what has no room is named; the others stay."""
    large = {"types": {f"t-{number}": {"format": "f" * 200} for number in range(700)}}
    for name in ("a", "b", "c"):
        plugins.says(name, json.dumps(large))
    plugins.says("d", ANSWER)
    parent = plugins.ask()
    assert parent.answers.keys() == {"a", "d"}
    assert [fault.path for fault in parent.faults] == ["plugins/b", "plugins/c"]
    assert "no room in one record" in parent.faults[0].error
    assert len(wire.encode(parent.answers)) < MAX_ANSWERS_BYTES + 100


def test_an_unchanged_parent_is_asked_about_once_in_a_while(plugins: PluginFolder) -> None:
    """MUST: not at every look; but anew for another parent, another plug-in, or after the greatest age."""
    path = plugins.says("p", ANSWER)
    first = plugins.ask()
    plugins.clock.now += 59
    assert plugins.ask() == first
    assert plugins.runs.made == 1
    plugins.ask(msgspec.structs.replace(PARENT, name="y"))
    assert plugins.runs.made == 2
    plugins.clock.now += 60
    plugins.ask(msgspec.structs.replace(PARENT, name="y"))
    assert plugins.runs.made == 3
    os.utime(path, ns=(1, 1))
    plugins.ask(msgspec.structs.replace(PARENT, name="y"))
    assert plugins.runs.made == 4


def test_a_plugin_that_hangs_is_not_tried_at_every_look_either(plugins: PluginFolder) -> None:
    """MUST: a burst of uevents must not cost a time limit each."""
    plugins.shell("p", "exit 1")
    assert plugins.faults() == plugins.faults()
    assert plugins.runs.made == 1


def test_a_plugin_that_is_gone_says_nothing_any_more(plugins: PluginFolder) -> None:
    """MUST: at the next look, whatever its answer's age."""
    path = plugins.says("p", ANSWER)
    assert plugins.ask().answers
    path.unlink()
    assert plugins.ask() is PARENT


def test_who_had_no_turn_is_named_and_has_the_first_next_time(plugins: PluginFolder) -> None:
    """MUST: all runs of one look within the budget; nobody starves."""
    runs = TimedRuns(plugins.clock, each_s=5.0)
    plugins.made(runs=runs, budget_s=12.0, max_age_s=30.0)
    for name in "abc":
        plugins.says(name, ANSWER)
    first = plugins.ask()
    assert first.answers.keys() == {"a", "b"}
    assert [(fault.path, fault.error) for fault in first.faults] == [
        ("plugins/c", "not asked: all plug-ins together have 12 s in one look")
    ]
    assert plugins.ask().answers.keys() == {"a", "b", "c"}
    assert runs.made == 3
    plugins.clock.now += 1_000
    assert plugins.ask().answers.keys() == {"a", "b"}
    plugins.clock.now += 1_000
    assert plugins.ask().answers.keys() == {"a", "c"}


def test_without_a_turn_a_fresh_answer_to_an_older_question_counts(plugins: PluginFolder) -> None:
    """MUST: a parent that changes often does not lose what was said a moment ago."""
    plugins.made(runs=TimedRuns(plugins.clock, each_s=5.0), budget_s=5.0)
    plugins.says("a", ANSWER)
    plugins.says("b", ANSWER)
    plugins.ask()
    plugins.ask()
    changed = msgspec.structs.replace(PARENT, name="y")
    parent = plugins.ask(changed)
    assert parent.answers.keys() == {"a", "b"}
    assert parent.faults == ()


def test_a_budget_below_the_limit_of_one_run_still_asks_somebody(plugins: PluginFolder) -> None:
    """MUST: no combination of settings silences all."""
    plugins.made(runs=TimedRuns(plugins.clock, timeout_s=5.0), budget_s=1.0)
    plugins.says("p", ANSWER)
    assert plugins.ask().answers


def test_a_stopping_agent_waits_for_nobody(plugins: PluginFolder, tmp_path: Path) -> None:
    """MUST: the plug-in is killed, and half a look is no look."""
    plugins.limited(40, stopped=(tmp_path / "leader").exists)
    plugins.shell("p", f"echo $$ > {tmp_path}/leader.new; mv {tmp_path}/leader.new {tmp_path}/leader; sleep 600")
    with pytest.raises(StateError, match="stopping"):
        plugins.ask()
    assert not alive(tmp_path / "leader")


SELF = """
import json, os
def target(fd):
    try: return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError: return None  # the one that listed the folder
fds = [target(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
seen = {"environ": dict(os.environ), "fds": fds, "cwd": os.getcwd(), "leads": os.getsid(0) == os.getpid()}
with open(OUT, "w") as out: json.dump(seen, out)
"""


def test_a_plugin_inherits_nothing(plugins: PluginFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST: three variables, three files, the root folder, a session of its own."""
    monkeypatch.setenv("MDEVREG_AGENT_CREDS", "/etc/mdevreg/agent.creds")
    plugins.python("p", f"OUT = {str(tmp_path / 'self')!r}\n{SELF}")
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        assert plugins.ask() is PARENT
    seen = json.loads((tmp_path / "self").read_text())
    seen["environ"].pop("LC_CTYPE", None)  # Python's own, PEP 538
    assert seen["environ"].keys() == {"PATH", "LANG", "MDEVREG_PLUGIN_SCHEMA"}
    assert (seen["fds"], seen["cwd"], seen["leads"]) == ([None], "/", True)


def test_another_user_is_taken_where_the_agent_may() -> None:
    """MUST: uid, group and no further groups, no capability, and still ended; or an agent that says what it lacks."""
    nobody = pwd.getpwnam("nobody")
    if os.geteuid() != 0:
        with pytest.raises(StateError, match="CAP_SETUID, CAP_SETGID, CAP_KILL"):
            user_of("nobody")
        return
    with tempfile.TemporaryDirectory(prefix="mdevreg-plugins-") as folder:
        Path(folder).chmod(0o711)  # nobody has to reach the plug-in
        plugins = PluginFolder(Path(folder) / "plugins.d")
        plugins.shell("p", "id -u; id -g; id -G; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status; sleep 600")
        plugins.limited(1, user=user_of("nobody"))
        groups_before = os.getgroups()
        os.setgroups([4_711])  # one that nobody must not keep
        try:
            ((_, error, text),) = plugins.faults()
        finally:
            os.setgroups(groups_before)
    assert error == "no answer within 1 s; killed"
    uid, gid, groups, *caps = (text or "").splitlines()
    assert (uid, gid, groups) == (str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid))
    assert [line.split()[1] for line in caps] == ["0" * 16] * 3


def test_ambient_capabilities_end_with_the_agent() -> None:
    """MUST: an exec as another user keeps them (capabilities(7)): the plug-in could become the agent, or root."""
    code = "from mdevreg_agent.plugin_user import user_of as u; u('nobody'); print(open('/proc/self/status').read())"
    kinds = "+setuid,+setgid,+kill"
    handed = ["setpriv", f"--inh-caps={kinds}", f"--ambient-caps={kinds}"] if os.geteuid() == 0 else []
    done = subprocess.run([*handed, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if handed:
        assert "CapAmb:\t" + "0" * 16 in done.stdout, done.stderr
    else:
        assert "the agent lacks" in done.stderr


def test_memory_and_environment_are_hidden_from_the_agent_s_own_user() -> None:
    """MUST: /proc/PID/environ, mem and fd of the agent belong to root then (prctl(2), PR_SET_DUMPABLE)."""
    code = (
        "import ctypes; from mdevreg_agent.plugin_user import hide_memory as h; h(); print(ctypes.CDLL(None).prctl(3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [("no-such-user", "has no user 'no-such-user'"), ("root", "is root")],
)
def test_a_user_that_protects_nothing_is_refused(name: str, said: str) -> None:
    """MUST: before anything runs."""
    with pytest.raises(UsageError, match=said):
        user_of(name)


def test_a_capability_that_lacks_is_named(tmp_path: Path) -> None:
    """MUST: without CAP_KILL a hanging plug-in could not be ended."""
    (tmp_path / "status").write_text("CapEff:\t00000000000000c0\n")
    with pytest.raises(StateError, match="lacks CAP_KILL to run plug-ins as nobody") as caught:
        user_of("nobody", status=tmp_path / "status")
    assert caught.value.code == "PLUGIN_USER"


def test_no_name_is_the_agent_s_own_user() -> None:
    """MUST: the default needs no capability."""
    assert user_of(None) is None
