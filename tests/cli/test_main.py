"""The command line as a whole: exit codes, wording, and that nothing else is printed."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hmrl_cli
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import Diverged, InputError, Interrupted, MissingDependency
from hmrl_cli.storage import reader

HMRL = [sys.executable, "-m", "hmrl_cli"]
LONG = "x" * 300


@pytest.mark.parametrize(
    "argv",
    [
        ("meta-train", LONG),
        ("meta-train", f"{LONG}.toml"),
        ("meta-train", "room/tiny", "--skills", LONG),
        ("meta-train", "room/tiny", "--run-dir", LONG),
        ("eval", LONG),
        ("show", LONG),
        ("render", LONG),
        ("imitate", LONG, LONG),
    ],
)
def test_names_that_no_file_can_have_are_refused(hmrl, argv):
    done = hmrl(*argv)
    assert done.code in (2, 65, 73) and "disk" not in done.err


def test_warnings_that_are_errors_elsewhere_end_no_run(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    monkeypatch.setattr(cli, "run", lambda argv: warnings.warn("libraries do", FutureWarning, stacklevel=1))
    with warnings.catch_warnings(record=True) as seen, pytest.raises(SystemExit):
        cli.main()
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (Interrupted(2, signal.SIGTERM), 75, "interrupted"),
        (Interrupted(2, signal.SIGINT), 130, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Diverged("params/w", 2), 76, "diverged"),
        (InputError("skills: found 3\nmust be 4"), 65, "interrupted"),
        (MissingDependency("wandb: is not installed"), 69, "interrupted"),
        (ZeroDivisionError("division\nby zero"), 1, "interrupted"),
        (FloatingPointError("invalid value (nan) encountered in sin"), 76, "interrupted"),
        (type("InternalFloatingPointError", (Exception,), {})("jit(epoch)", "nan"), 76, "interrupted"),
        (MemoryError("Unable to allocate 8.0 TiB"), 74, "interrupted"),
        (RuntimeError("can't start new thread"), 74, "interrupted"),
    ],
)
def test_exit_codes(hmrl, fakes, error, code, state):
    fakes.fails = error
    done = hmrl("meta-train", "room/tiny", "--name", "r")
    assert (done.code, done.out) == (code, "")
    assert 1 <= len(done.error) <= 2
    assert reader.read(Path("runs/r")).status["state"] == state
    fakes.fails = None


def test_a_bug_is_one_line_and_a_traceback_with_debug(hmrl, fakes):
    fakes.fails = ZeroDivisionError("oh")
    plain = hmrl("meta-train", "room/tiny")
    assert "Traceback" not in plain.err and "--debug" in plain.err
    debug = hmrl("--debug", "meta-train", "room/tiny")
    assert (debug.code, "Traceback" in debug.err) == (1, True)


@pytest.mark.parametrize(
    ("argv", "code", "expected"),
    [
        (["meta-trian"], 2, "Did you mean 'meta-train'?"),
        (["meta-train"], 2, "Missing argument"),
        (["meta-train", "room/tiny", "--sed", "1"], 2, "--sed"),
        (["meta-train", "room/tiny", "--seed", "x"], 2, "'--seed': found 'x'; must be a valid integer"),
        (["eval", "x", "--num-tasks", "-3"], 2, "tasks': found -3; must be greater than or equal to 1"),
        (["render", "point", "--num-tasks", "101"], 2, "found 101; must be less than or equal to 100"),
        (["suite", "run", "x", "-j", "0"], 2, "'--jobs' / '-j': found 0; must be greater"),
        (["meta-train", "room/tiny", "--seed", "-1"], 2, "training.seed: found -1 (from --seed)"),
        (["meta-train", "room/tniy"], 2, "did you mean 'room/tiny'?"),
        (["meta-train", "room/tiny", "--set", "algorithm.iner_lr=1"], 2, "did you mean 'inner_lr'?"),
        (["meta-train", "room/tiny", "--set", "algorithm.name=diayn"], 2, "hmrl pretrain-skills"),
        (["meta-train", "room/tiny", "--name", "a/b"], 2, "--name: found 'a/b'"),
        (["meta-train", "room/tiny", "--name", "a", "--run-dir", "b"], 2, "one of the two"),
        (["meta-train", "room/tiny", "--skills", "\x1b[31m[x]"], 65, "'\\x1b[31m[x]', which is no directory"),
        (["eval", "nowhere"], 65, "nowhere: does not exist; must be a run directory (see: hmrl runs)"),
        (["eval", "nowhere", "--reward", "spare"], 2, "'spare' is not one of 'sparse', 'dense'"),
        (["eval", "nowhere", "--tasks", "none.npz"], 65, "--tasks: found 'none.npz'"),
        (["eval", "nowhere", "--tasks", "t", "--split", "test"], 2, "--split: found together with --tasks"),
        (["eval", "nowhere", "--tasks", "t", "--num-tasks", "3"], 2, "--num-tasks: found together with"),
        (["list", "families", "point", "--tasks", "t", "--split", "train"], 2, "--split: found together"),
        (["compare", "nowhere"], 65, "nowhere"),
        (["report", "nowhere"], 65, "nowhere"),
        (["render", "pont"], 2, "did you mean 'point'?"),
        (["render", "point", "-o", "x.png"], 2, "-o: found 'x.png'; must end in .html"),
        (
            ["render", "point", "--protocol", "explore"],
            2,
            "'explore' for what does not adapt; must be left out",
        ),
        (["render", "."], 65, "holds no config.toml"),
        (["render", "runs/none"], 2, "must be a run directory, a family or a preset"),
        (["show", "nothing"], 2, "must be a run directory, a preset (see: hmrl list presets) or a path"),
        (["show", "."], 65, "holds no config.toml"),
        (["list", "familes"], 2, "did you mean 'families'?"),
        (["list", "families", "pont"], 2, "did you mean 'point'?"),
        (["list", "bonuses", "rdn"], 2, "did you mean 'rnd'?"),
        (["meta-train", "room/tiny", "--set", "bonus.name=rnd"], 2, "maml takes no bonus"),
        (["list", "families", "pont", "--json"], 2, "did you mean 'point'?"),
        (["list", "families", "--split", "test"], 2, "must go with one family"),
        (["list", "presets", "room"], 2, "found 'room'"),
    ],
)
def test_refusals(hmrl, argv, code, expected):
    done = hmrl(*argv)
    assert done.code == code
    assert expected in done.err
    assert 1 <= len(done.err.splitlines()) <= 2
    assert done.out == ""
    assert "\x1b" not in done.err


ARGS = st.lists(
    st.sampled_from(
        ["meta-train", "show", "list", "room/tiny", "--seed", "-q", "--set", "--json", "--name", "--"]
    )
    | st.text(max_size=6),
    max_size=5,
)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(argv=ARGS)
def test_any_command_line_ends_well(hmrl, argv):
    assert hmrl(*argv, "--dry-run").code != 1


def test_no_word_of_the_help_is_lost_on_a_terminal(monkeypatch, capsys):
    """Where rich would take square brackets for its own."""
    monkeypatch.setenv("COLUMNS", "300")
    group = typer.main.get_command(cli.app)
    suite = group.commands["suite"]
    for name, command in {"hmrl": group, **group.commands, **suite.commands}.items():
        context = command.make_context(name, [], resilient_parsing=True)
        command.rich_markup_mode = "rich"
        text = " ".join((command.get_help(context) + capsys.readouterr().out).split())
        for param in command.get_params(context):
            default = f"[default: ({param.show_default})]" if isinstance(param.show_default, str) else ""
            told = " ".join([" ".join((getattr(param, "help", None) or "").split()), default]).strip()
            assert told in text, (name, param.name)


def test_processes():
    version = subprocess.run([*HMRL, "--version"], capture_output=True, text=True)
    assert (version.returncode, version.stdout, version.stderr) == (0, f"hmrl {hmrl_cli.__version__}\n", "")
    wrong = subprocess.run([*HMRL, "meta-train", "none.toml"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    with subprocess.Popen([*HMRL, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize("argv", [("compare",), ("eval",)])
@pytest.mark.parametrize("stderr", ["broken pipe", "full disk"])
def test_the_result_is_not_lost_where_stderr_is_broken(hmrl, fakes, monkeypatch, capsys, argv, stderr):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    reader, writer = os.pipe()
    os.close(reader)
    where = writer if stderr == "broken pipe" else os.open("/dev/full", os.O_WRONLY)
    broken = open(where, "w")  # noqa: SIM115 - it cannot be closed without an error
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", broken)
        code = cli.run([*argv, run])
    with contextlib.suppress(OSError):
        broken.close()
    assert code == 0 and capsys.readouterr().out


def test_a_broken_pipe_is_no_success_where_stdout_is_whole():
    code = """
import os, sys
from hmrl_cli.cli import catalogue, main
reader, writer = os.pipe()
os.close(reader)
catalogue.LISTINGS["bonuses"] = lambda: os.write(writer, b"to somebody else")
sys.exit(main.run(["list", "bonuses"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (74, "", "error: Broken pipe\n")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "error: stdout: No space left on device\n"),
        (errno.EMFILE, "error: Too many open files\n"),
    ],
)
def test_an_error_of_the_system_is_of_stdout_only_where_that_can_be(number, text):
    code = f"""
import os, sys
from hmrl_cli.cli import catalogue, main
def fails():
    raise OSError({number}, os.strerror({number}))
catalogue.LISTINGS["bonuses"] = fails
sys.exit(main.run(["list", "bonuses"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (74, "", text)


@pytest.mark.parametrize("argv", [("meta-train", "point/smoke"), ("doctor",), ("runs", ".")])
def test_a_removed_folder_is_named(argv, tmp_path):
    removed = tmp_path / "removed"
    removed.mkdir()
    code = f"import os; from hmrl_cli.cli import main; os.rmdir(os.getcwd()); main.leave(main.run({argv}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=removed)
    expected = "error: the current folder was removed; change to one that exists\n"
    assert (done.returncode, done.stdout, done.stderr) == (73, "", expected)


def test_no_file_gets_the_descriptor_of_a_closed_stream(tmp_path):
    code = f"""
import os, sys
from hmrl_cli.cli import main
for descriptor in range(3):
    os.close(descriptor)
main.run(["--version"])
with open({str(tmp_path / "found")!r}, "w") as file:
    print(file.fileno() > 2, *(os.readlink(f"/proc/self/fd/{{number}}") for number in range(3)), file=file)
"""
    subprocess.run([sys.executable, "-c", code])
    assert (tmp_path / "found").read_text().split() == ["True", *["/dev/null"] * 3]


def test_nothing_is_lost_on_a_closed_stderr(fakes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.run(["meta-train", "room/tiny"]) == 0
    sys.stderr.close()
    assert capsys.readouterr().out == "runs/room-tiny-seed0\n"
