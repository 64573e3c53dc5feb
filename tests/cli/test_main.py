"""The command line: exit codes, what goes to stdout, wording, listings, progress, environment."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import typing
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hmrl_cli
import hmrl_cli.runner.train  # before parts of it are faked
from hmrl_cli import lazy, report, runner
from hmrl_cli.cli import main as cli
from hmrl_cli.cli import progress
from hmrl_cli.config import presets
from hmrl_cli.errors import ConfigError, Diverged, HmrlError, InputError, Interrupted, MissingDependency
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Silent, Warns
from hmrl_cli.schema import COMMANDS
from hmrl_cli.storage import reader

PRESET = """
# A tiny size.
[family]
name = "point"
[training]
epochs = 2
[meta-train.algorithm]
name = "maml"
[pretrain-skills.algorithm]
name = "diayn"
"""
HMRL = [sys.executable, "-c", "from hmrl_cli.cli.main import main; main()"]
NUMERICAL = {"jax", "jaxlib", "numpy", "flax", "optax", "brax", "orbax", "matplotlib", "mujoco"}


class Fakes:
    """Stands for `experiment` and `report`; keeps what it was called with."""

    def __init__(self):
        self.calls = []
        self.fails = None

    def check(self, resolved):
        self.calls.append(("check", resolved))
        return {"parameters": 123, "list": [1, 2.5]}

    def train(self, resolved, run, resume, shows, stop):
        self.calls.append(("train", resume))
        print("library noise")
        shows.phase("training")
        assert stop() is None
        for epoch in (1, 2):
            run.record(epoch, {"loss": 1.0 / epoch})
            shows.epoch(epoch, 2, {"loss": 1.0 / epoch}, 1234.5)
            run.save(epoch, {"w": np.float32([epoch])})
        if self.fails is not None:
            raise self.fails
        return {"success": 0.5}

    def evaluate(self, path, **kwargs):
        self.calls.append(("evaluate", kwargs))
        curve = {"iqm": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}
        return {"schema": 1, "run": str(path), "steps": [0, 1], "return": curve, "fraction": {"iqm": None}}

    def describe_family(self, name, split, tasks):
        return {"name": name, "split": split, "dense": {"flat": -1.0}}

    def compare(self, paths):
        return {
            "rows": [{"arm": "[red]", "success": 0.51234567, "interval": [0.4, 0.6]}, {"arm": "b\x1b[2J"}]
        }

    def write(self, paths, out):
        return out

    def render_run(self, path, **kwargs):
        return kwargs["out"] or path / "render.html"

    def render_family(self, name, **kwargs):
        self.calls.append(("render", kwargs))
        return f"{name}.html"


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    fakes = Fakes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets" / "room").mkdir(parents=True)
    (tmp_path / "presets" / "room" / "tiny.toml").write_text(PRESET.strip())
    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "presets")
    monkeypatch.setattr(startup, "prepare", lambda: "")
    for wing, deeds in (
        (runner, ("evaluate", "describe", "render")),
        (report, ("page", "comparison")),
    ):
        for deed in deeds:
            monkeypatch.setitem(sys.modules, f"{wing.__name__}.{deed}", fakes)
            monkeypatch.setattr(wing, deed, fakes, raising=False)
    for step in ("train", "check"):
        monkeypatch.setattr(f"hmrl_cli.runner.train.{step}", getattr(fakes, step))
    return fakes


@pytest.fixture
def hmrl(fakes, capsys):
    """Run a command line; gives code, stdout and stderr."""

    def call(*argv):
        code = cli.run(argv)
        captured = capsys.readouterr()
        if code not in (0, 1):
            assert 1 <= len(_error(captured.err)) <= 2
            assert "Traceback" not in captured.err
        return SimpleNamespace(code=code, out=captured.out, err=captured.err, error=_error(captured.err))

    return call


def _error(err):
    """The lines of the error, without progress before it."""
    lines = err.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return lines[starts[0] :] if starts else []


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


# Training.


def test_stdout_ends_with_the_run_directory(hmrl, fakes):
    done = hmrl("meta-train", "room/tiny")
    assert (done.code, done.out) == (0, "runs/room-tiny-seed0\n")
    assert "library noise" in done.err and "epoch 2/2" in done.err
    assert reader.read(Path("runs/room-tiny-seed0")).status["state"] == "complete"
    quiet = hmrl(
        "meta-train", "room/tiny", "-q", "--seed", "3", "--num-seeds", "2", "--set", "family.horizon=7"
    )
    assert quiet.out == "runs/room-tiny-seed3\n"
    assert quiet.err == "library noise\n"
    info = reader.read(Path("runs/room-tiny-seed3"))
    assert info.provenance["seeds"] == [3, 4]
    assert info.provenance["origins"]["training.num_seeds"] == "--num-seeds"
    assert info.experiment.family.horizon == 7


def test_quiet_leaves_what_a_user_must_know(hmrl, monkeypatch):
    monkeypatch.setattr(startup, "prepare", lambda: "compiling without a cache")
    quiet = hmrl("meta-train", "room/tiny", "-q")
    assert quiet.err == "compiling without a cache\nlibrary noise\n"
    assert hmrl("meta-train", "room/tiny", "-q", "--name", "room-tiny-seed0", "--resume").err == (
        "compiling without a cache\n"  # and not that it is complete already
    )
    with pytest.warns(UserWarning, match="damaged"):
        Warns().note("checkpoint 4 is damaged")


def test_a_path_of_letters_that_stdout_lacks_is_still_that_path(fakes, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert cli.run(["meta-train", "room/tiny", "--run-dir", "läufe/один", "-q"]) == 0
    assert raw.getvalue() == "läufe/один\n".encode()


def test_warnings_that_are_errors_elsewhere_end_no_run(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    monkeypatch.setattr(cli, "run", lambda argv: warnings.warn("libraries do", FutureWarning, stacklevel=1))
    with warnings.catch_warnings(record=True) as seen, pytest.raises(SystemExit):
        cli.main()
    assert len(seen) == 1


def test_json_is_one_document(hmrl):
    done = hmrl("pretrain-skills", "room/tiny", "--json", "--name", "mine")
    assert json.loads(done.out) == {"run": "runs/mine", "state": "complete", "epoch": 2, "success": 0.5}
    again = hmrl("pretrain-skills", "room/tiny", "--json", "--name", "mine", "--resume")
    assert json.loads(again.out) == json.loads(done.out)
    assert "complete already" in again.err
    taken = hmrl("pretrain-skills", "room/tiny", "--name", "mine")
    assert (taken.code, taken.out) == (73, "")
    assert "--resume" in taken.error[1]


def test_dry_run_writes_nothing(hmrl, fakes):
    done = hmrl("meta-train", "room/tiny", "--dry-run", "--json")
    plan = json.loads(done.out)
    assert plan["parameters"] == 123 and plan["config"]["training.epochs"] == 2
    assert not Path("runs").exists()
    assert [name for name, _ in fakes.calls] == ["check"]
    assert "parameters" in hmrl("meta-train", "room/tiny", "--dry-run").out


def test_skills_chain(hmrl):
    skills = hmrl("pretrain-skills", "room/tiny", "-q").out.strip()
    done = hmrl("meta-train", "room/tiny", "--skills", skills)
    assert done.out == "runs/room-tiny-seed0-2\n"
    wrong = hmrl("meta-train", "room/tiny", "--skills", done.out.strip())
    assert wrong.code == 65 and "is a run of meta-train" in wrong.error[0]


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
        (["meta-train", "room/tiny", "--seed", "x"], 2, "--seed"),
        (["meta-train", "room/tiny", "--seed", "-1"], 2, "training.seed: found -1 (from --seed)"),
        (["meta-train", "room/tniy"], 2, "did you mean 'room/tiny'?"),
        (["meta-train", "room/tiny", "--set", "algorithm.iner_lr=1"], 2, "did you mean 'inner_lr'?"),
        (["meta-train", "room/tiny", "--set", "algorithm.name=diayn"], 2, "hmrl pretrain-skills"),
        (["meta-train", "room/tiny", "--name", "a/b"], 2, "--name: found 'a/b'"),
        (["meta-train", "room/tiny", "--name", "a", "--run-dir", "b"], 2, "one of the two"),
        (["meta-train", "room/tiny", "--skills", "\x1b[31m[x]"], 65, "'\\x1b[31m[x]', which is no directory"),
        (["eval", "nowhere"], 65, "nowhere: holds no config.toml"),
        (["eval", "nowhere", "--reward", "spare"], 2, "'spare' is not one of 'sparse', 'dense'"),
        (["eval", "nowhere", "--tasks", "none.npz"], 65, "--tasks: found 'none.npz'"),
        (["eval", "nowhere", "--tasks", "t", "--split", "test"], 2, "--split: found together with --tasks"),
        (["eval", "nowhere", "--tasks", "t", "--num-tasks", "3"], 2, "--num-tasks: found together with"),
        (["list", "families", "point", "--tasks", "t", "--split", "train"], 2, "--split: found together"),
        (["compare", "nowhere"], 65, "nowhere"),
        (["report", "nowhere"], 65, "nowhere"),
        (["render", "pont"], 2, "did you mean 'point'?"),
        (["render", "point", "-o", "x.png"], 2, "-o: found 'x.png'; must end in .html"),
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


# Results and listings.


def test_eval(hmrl, fakes):
    runs = [hmrl("meta-train", "room/tiny", "-q").out.strip() for _ in range(2)]
    Path("t.npz").write_bytes(b"")
    done = hmrl("eval", runs[0], "--json", "--adapt-steps", "3", "--tasks", "t.npz", "--reward", "dense")
    assert json.loads(done.out)["run"] == runs[0]
    kwargs = fakes.calls[-1][1]
    assert (kwargs["adapt_steps"], kwargs["episodes"], kwargs["split"]) == (3, None, "test")
    assert (kwargs["tasks_file"], kwargs["reward"]) == (Path("t.npz"), "dense")
    assert [result["run"] for result in json.loads(hmrl("eval", *runs, "--json").out)] == runs
    calls = len(fakes.calls)
    wrong = hmrl("eval", *runs, "--set", "evaluation.ruel=refit")
    assert wrong.code == 2 and "did you mean 'rule'" in wrong.err and len(fakes.calls) == calls
    plain = hmrl("eval", *runs)
    assert plain.out.splitlines() == runs
    assert "2 [1.5, 2.5]" in plain.err
    fakes.evaluate = lambda path, **kwargs: {"schema": 1, "run": str(path), "accuracy": [0.75]}
    assert "accuracy  [0.75]" in hmrl("eval", runs[0]).err


def test_compare_and_report(hmrl):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    table = hmrl("compare", run).out
    assert table.splitlines()[1] == "[red]  0.5123   [0.4, 0.6]"
    assert "\x1b" not in table
    assert json.loads(hmrl("compare", run, "--json").out)["rows"][0]["arm"] == "[red]"
    assert hmrl("report", run).out == f"{run}/report.html\n"
    assert hmrl("report", run, run).out == "report.html\n"
    assert json.loads(hmrl("report", run, "-o", "x.html", "--json").out) == {"report": "x.html"}


ROW = {
    "run": "hmrl",
    "split": "test",
    "reward": "sparse",
    "seeds": 3,
    "env_steps": 100_000,
    "flat": 148.95,
    "flat_success": 0.1,
    "flat_reached": 0.0,
    "feasible": 321.83,
    "before": 150.2,
    "return": "239.4 [201.2, 250.1]",
    "fraction": "0.56 [0.46, 0.69]",
    "success": "0.61 [0.48, 0.74]",
    "reached": "0.93 [0.83, 0.97]",
    "adaptation": "rule refit, imitation_steps 200, fallback 0.3",
}
OTHER = ROW | {"run": "maesn_repeat", "split": "hidden", "before": -1234.5, "fraction": "0.10 [0.02, 0.17]"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_a_terminal(fakes, monkeypatch):
    """Run a command line on a terminal so wide; gives the lines of stdout and of stderr."""

    def call(columns, *argv):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        streams = Terminal(), Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            assert cli.run(argv) == 0
        return tuple(re.sub(r"\x1b\[\d*m", "", stream.getvalue()).splitlines() for stream in streams)

    return call


def test_a_comparison_fits_the_terminal(hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    number = {"mean": 0.23, "low": 0.06, "high": 0.4}
    difference = {"run": "hmrl", "minus": "maesn_repeat", "split": "test", "reward": "sparse", "seeds": "own"}
    difference |= {
        "return": {"mean": 120.0, "low": 80.0, "high": 131.2},
        "success": number,
        "reached": number,
    }
    fakes.compare = lambda paths: {"rows": [ROW, OTHER], "differences": [difference]}
    rows, _ = on_a_terminal(75, "compare", run)
    assert [line.strip() for line in rows if line.strip() in ("run", "hmrl", "maesn_repeat")]
    assert sum(f"{ROW['return']}  {ROW['success']}  {ROW['reached']}" in line for line in rows) == 2
    rows, _ = on_a_terminal(85, "compare", run)
    assert rows[0].split() == ["run", "split", "return", "success", "reached"]
    assert all(cell in rows[1] for cell in (ROW["return"], ROW["success"], ROW["reached"]))
    text = " ".join(" ".join(rows).split())
    assert "in every row: reward sparse, seeds 3, env_steps 100000, flat 148.9, flat_success 0.1" in text
    assert "in a wider terminal, or with --json: before, fraction" in text
    assert "hmrl minus split return success reached maesn_repeat test +120.0" in text
    assert "+0.23 [0.06, 0.40]" in text and "in every row: reward sparse, seeds own" in text
    wide, _ = on_a_terminal(120, "compare", run)
    assert wide[0].split() == ["run", "split", "before", "return", "fraction", "success", "reached"]
    plain = hmrl("compare", run).out.splitlines()
    assert "adaptation" in plain[0] and "flat_reached" not in plain[0]
    fakes.compare = lambda paths: {"rows": [ROW]}
    alone, _ = on_a_terminal(85, "compare", run)
    assert alone[0].split() == ["run", "split", "return", "success", "reached"] and len(alone) > 2


@pytest.mark.parametrize("columns", [80, 60, 20])
def test_nothing_is_ever_cut(columns, hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    curve = {"mean": [-1234.5] * 2, "low": [-2345.6] * 2, "high": [-123.4] * 2}
    curves = {name: curve for name in ("success", "reached", "fraction")} | {
        "return": {**curve, "iqm": [0.5, 1.0]}
    }
    lines = {"flat": -200.0, "flat_success": 0.1, "flat_reached": 0.33, "feasible": -90.0}
    fakes.evaluate = lambda path, **kwargs: {"steps": [0, 1], **lines, **curves}
    fakes.compare = lambda paths: {"rows": [ROW, OTHER]}
    long = {"reward": {"flat": -1.0, "per_task": {"flat": [1.0] * 40}}, "feature": "y" * 90}
    fakes.describe_family = lambda *_: long
    for argv in (
        ("list",),
        ("list", "algorithms", "maesn"),
        ("list", "families", "point", "--split", "test"),
        ("show", "room/tiny"),
        ("meta-train", "room/tiny", "--dry-run"),
        ("eval", run),
        ("compare", run),
        ("doctor",),
    ):
        stdout, stderr = on_a_terminal(columns, *argv)
        told = " ".join(" ".join(stdout + stderr).split())
        plain = hmrl(*argv)
        lost = {word for word in (plain.out + plain.err).split() if word not in told}
        assert argv[0] in ("compare", "doctor") or not lost, (argv, lost)
        assert "…" not in told, argv
        # lines of TOML are broken by the terminal, and words as long as a line stay whole
        too_long = [line for line in stdout if len(line.rstrip().rpartition(" ")[0]) >= columns]
        assert argv[0] == "show" or not too_long, (argv, too_long)
    eval_text = " ".join(" ".join(on_a_terminal(columns, "eval", run)[1]).split())
    assert "flat -200 (success 0.1, reached 0.33), feasible -90" in eval_text


def test_render(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    assert hmrl("render", run).out == f"{run}/render.html\n"
    assert json.loads(hmrl("render", run, "-o", "x.html", "--json").out) == {"render": "x.html"}
    assert hmrl("render", "point", "--split", "hidden", "--num-tasks", "2").out == "point.html\n"
    kwargs = fakes.calls[-1][1]
    assert (kwargs["split"], kwargs["reward"], kwargs["num_tasks"]) == ("hidden", "sparse", 2)


def test_list(hmrl):
    everything = json.loads(hmrl("list", "--json").out)
    assert {row["name"] for row in everything["families"]} >= {"point"}
    assert {"name": "room/tiny", "command": "pretrain-skills, meta-train", "description": "A tiny size."} in (
        everything["presets"]
    )
    assert list(json.loads(hmrl("list", "algorithms", "--json").out)) == ["algorithms"]
    text = hmrl("list").out
    assert "maml" in text and "room/tiny" in text
    assert "inner_lr" in hmrl("list", "algorithms", "maml").out
    fields = json.loads(hmrl("list", "algorithms", "maml", "--json").out)
    assert fields["command"] == "meta-train"
    assert any(field["name"] == "inner_lr" and field["description"] for field in fields["fields"])
    assert "horizon" in hmrl("list", "families", "point").out
    assert {row["name"] for row in everything["bonuses"]} >= {"counts", "icm", "information_gain", "rnd"}
    assert "weight" in hmrl("list", "bonuses", "rnd").out
    assert json.loads(hmrl("list", "bonuses", "rnd", "--json").out)["name"] == "rnd"
    described = json.loads(hmrl("list", "families", "point", "--split", "hidden", "--json").out)
    assert described["split"] == "hidden"
    assert "flat -1" in hmrl("list", "families", "point", "--split", "test").out
    assert "maml" in hmrl("list", "presets", "room/tiny").out


def test_show(hmrl):
    shown = hmrl("show", "room/tiny").out
    assert "# hmrl meta-train room/tiny" in shown and "# hmrl pretrain-skills room/tiny" in shown
    assert any(
        line.startswith("training.epochs = 2 ") and "preset room/tiny" in line for line in shown.splitlines()
    )
    run = hmrl("meta-train", "room/tiny", "-q", "--seed", "3").out.strip()
    text = hmrl("show", run).out
    assert f"# {run}: complete, epoch 2 of 2" in text
    assert tomllib.loads(text)["training"]["seed"] == 3
    document = json.loads(hmrl("show", run, "--json").out)
    assert document["origins"]["training.seed"] == "--seed"
    del document["origins"]["training.seed"]  # as in a run of before there was such a setting
    file = Path(run, "provenance.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"origins": document["origins"]}))
    assert re.search(r"(?m)^training.seed = 3 +# newer than the run$", hmrl("show", run).out)
    assert document["status"]["state"] == "complete"
    assert set(json.loads(hmrl("show", "room/tiny", "--json").out)["commands"]) == set(COMMANDS)


ARGS = st.lists(
    st.sampled_from(
        ["meta-train", "show", "list", "room/tiny", "--seed", "-q", "--set", "--json", "--name", "--"]
    )
    | st.text(max_size=6),
    max_size=5,
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(argv=ARGS)
def test_any_command_line_ends_well(hmrl, argv):
    assert hmrl(*argv, "--dry-run").code != 1


# In processes of their own.


def leaves_out(code):
    check = (
        f"import sys; {code}; assert not {NUMERICAL!r} & set(sys.modules), {NUMERICAL!r} & set(sys.modules)"
    )
    return subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["meta-train", "--help"], ["list"], ["list", "families", "point"], ["--version"], ["x"]],
)
def test_light_commands_do_not_import_jax(argv):
    done = leaves_out(f"from hmrl_cli.cli.main import run; code = run({argv!r})")
    assert done.returncode == 0, done.stderr


def test_no_module_imports_jax():
    names = sorted(
        "hmrl_cli." + ".".join(path.relative_to(Path(hmrl_cli.__file__).parent).with_suffix("").parts)
        for path in Path(hmrl_cli.__file__).parent.rglob("*.py")
    )
    imports = (
        "import importlib; [importlib.import_module(n.removesuffix('.__init__')) for n in "
        + repr(names)
        + "]"
    )
    done = leaves_out(imports)
    assert done.returncode == 0, done.stderr


def test_processes():
    version = subprocess.run([*HMRL, "--version"], capture_output=True, text=True)
    assert (version.returncode, version.stdout, version.stderr) == (0, f"hmrl {hmrl_cli.__version__}\n", "")
    wrong = subprocess.run([*HMRL, "meta-train", "none.toml"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    with subprocess.Popen([*HMRL, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_every_command_and_option_is_documented():
    for command in cli.app.registered_commands:
        assert command.callback.__doc__
        hints = typing.get_type_hints(command.callback, include_extras=True)
        del hints["return"]
        for name, hint in hints.items():
            assert hint.__metadata__[0].help, f"{command.callback.__name__}: {name}"


# Progress.


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_plain_lines_at_least_every_minute():
    clock, stream = Clock(), io.StringIO()
    lines = progress.Lines(stream, clock=clock)
    lines.phase("compiling")
    clock.now = 59
    lines._sign_of_life()
    clock.now = 61
    lines._sign_of_life()
    lines.phase("training")
    for epoch in range(1, 101):
        clock.now += 5
        metrics = {"gain": 0.123456, "loss": np.float32([0.5, 1.5]), "n": 3, "a": 1, "success_after": 0.5}
        lines.epoch(epoch, 100, metrics, 12_345.6)
    lines.close()
    shown = stream.getvalue().splitlines()
    assert shown[:4] == [
        "compiling",
        "compiling, 1m01s so far",
        "training (compiling took 1m01s)",
        "epoch 1/100  12.3k steps/s  success_after 0.5  loss 1  gain 0.1235  n 3",
    ]
    assert shown[4].startswith("epoch 13/100  12.3k steps/s  7m15s left  success_after 0.5")
    assert shown[-1].startswith("epoch 100/100")
    assert len(shown) == 13
    assert "\x1b" not in stream.getvalue()


def test_what_progress_suits_a_stream(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(progress.make(Terminal(), quiet=True, verbose=False), Silent)
    assert isinstance(progress.make(io.StringIO(), quiet=False, verbose=False), progress.Lines)
    assert isinstance(progress.make(Terminal(), quiet=False, verbose=True), progress.Lines)
    stream = Terminal()
    live = progress.make(stream, quiet=False, verbose=False)
    assert isinstance(live, progress.Live)
    live.phase("compiling")
    live.phase("training")
    live.epoch(1, 1, {"loss[red]": 0.5}, 10.0)
    live.note("[bold]as it is\x1b[2J")
    live.close()
    text = stream.getvalue()
    assert "compiling took" in text and "loss[red] 0.5" in text and "[bold]as it is" in text
    assert "\x1b[2J" not in text and "\x1b[1;36m" not in text


def test_a_closed_stderr_stops_nothing():
    stream = io.StringIO()
    lines = progress.Lines(stream)
    stream.close()
    lines.note("nobody reads this")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4s"), (59.4, "59s"), (59.9, "1m00s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


# Environment.


@pytest.fixture
def environment(monkeypatch, tmp_path):
    for name in ("JAX_COMPILATION_CACHE_DIR", "HMRL_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that what prepare() sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return monkeypatch


def test_the_cache_is_private(environment, tmp_path):
    assert startup.prepare() == ""
    folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert folder.is_relative_to(tmp_path / "xdg" / "hmrl")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0.5"


def test_a_cache_that_others_can_write_is_not_used(environment, tmp_path):
    environment.setenv("HMRL_CACHE_DIR", str(tmp_path / "mine"))
    folder = startup.cache_folder()
    assert folder.is_relative_to(tmp_path / "mine")
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert "can be written by others" in startup.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    environment.setenv("HMRL_CACHE_DIR", "/proc/none")
    assert "compiling without a cache" in startup.prepare()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("JAX_NUM_CPU_DEVICES", "0", "JAX_NUM_CPU_DEVICES: found '0'; must be from 1 to 256"),
        ("JAX_NUM_CPU_DEVICES", "abc", "JAX_NUM_CPU_DEVICES: found 'abc'"),
        ("JAX_PLATFORMS", "cuda", "JAX_PLATFORMS=cuda, but jax finds no device: it has no plugin"),
    ],
)
def test_what_keeps_jax_from_starting_is_told(environment, name, value, expected):
    def fails(*_):
        raise AssertionError  # as jax does

    environment.setattr(lazy.jnp, "zeros", fails)  # and jax is imported
    environment.setenv(name, value)
    with pytest.raises(ConfigError, match=expected):
        startup.start()


def test_a_variable_that_jax_does_not_know_a_value_of_is_told(environment):
    def fails():
        raise ValueError("invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'")

    environment.setattr(lazy, "pin", fails)
    with pytest.raises(ConfigError, match="cannot start: invalid truth value 'maybe' for"):
        startup.start()


def test_a_full_cache_is_noted_once():
    notes = []
    with pytest.warns(UserWarning, match="another"), startup.cache_warnings(notes.append):
        for name in ("jit_step", "jit_adapt"):
            text = (
                f"Error writing persistent compilation cache entry for '{name}': OSError: [Errno 28] No space"
            )
            warnings.warn(text, stacklevel=1)
        warnings.warn("another", stacklevel=1)
    assert notes == ["the cache of compiled programs cannot be used: OSError: [Errno 28] No space"]


def test_a_device_that_is_late_does_not_end_the_process(environment):
    startup.prepare()
    flags = os.environ["XLA_FLAGS"]
    assert flags.startswith("--xla_cpu_enable_fast_math=false ") and f"{startup.PATIENCE}=86400" in flags
    startup.prepare()
    assert os.environ["XLA_FLAGS"] == flags


def test_the_users_own_cache_is_left_alone(environment, tmp_path):
    environment.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    assert startup.prepare() == ""
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert not (tmp_path / "xdg").exists()


def test_the_cache_does_not_grow_for_ever(tmp_path):
    for age, name in enumerate("abc"):
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    startup._prune(tmp_path, 25)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_every_error_has_its_own_exit_code():
    codes = {kind.__name__: kind.exit_code for kind in HmrlError.__subclasses__()}
    assert codes == {
        "ConfigError": 2,
        "InputError": 65,
        "MissingDependency": 69,
        "RunDirError": 73,
        "StorageError": 74,
        "MachineLimit": 74,
        "Interrupted": 75,
        "Diverged": 76,
    }


def test_nothing_is_lost_on_a_closed_stderr(fakes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.run(["meta-train", "room/tiny"]) == 0
    sys.stderr.close()
    assert capsys.readouterr().out == "runs/room-tiny-seed0\n"


def test_doctor_says_what_a_run_would_find(hmrl, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    (tmp_path / "jit_step-cache").write_bytes(bytes(2**20))
    found = json.loads(hmrl("doctor", "--json").out)
    assert found["versions"]["hmrl"] == hmrl_cli.__version__ and found["machine"]["devices"]
    assert (found["cache"]["programs"], found["cache"]["mib"]) == (1, 1.0)
    assert found["runs"]["writable"] and found["runs"]["free_gib"] > 0
    assert "free_gib" in hmrl("doctor").out
