"""Training commands: stdout, JSON, dry runs."""

import io
import json
import signal
import sys
from pathlib import Path

import pytest
import typer

from hmrl_cli.cli import main as cli
from hmrl_cli.cli.new import rendered
from hmrl_cli.errors import Interrupted
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Warns
from hmrl_cli.storage import reader
from hmrl_cli.storage.locks import locked


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
    text = hmrl("meta-train", "room/tiny", "--dry-run").out
    assert (
        "parameters" in text
        and "steps of all seeds  1,000,000" in text
        and "time                not known" in text
    )
    assert plan["seconds"] is plan["measured"] is None


def test_dry_run_refuses_what_the_run_would(hmrl, fakes, monkeypatch):
    begun = ("meta-train", "room/tiny", "--name", "r", "--resume", "-q")
    assert hmrl(*begun).code == 0 and hmrl(*begun, "--dry-run").code == 0
    for more in ((), ("--dry-run",)):
        other = hmrl(*begun, "--set", "training.epochs=7", *more)
        assert (other.code, other.out) == (2, "")
        assert other.error[0] == "error: training.epochs: found 7, where the run has 2"
    assert hmrl("demo", "runs/r", "--dry-run").code == 73
    monkeypatch.setattr("os.access", lambda *_: False)
    assert hmrl("meta-train", "room/tiny", "--dry-run").code == 73
    assert hmrl("demo", "new", "--dry-run").code == 73


def test_dry_run_refuses_skills_that_have_changed(hmrl, fakes):
    skills = hmrl("pretrain-skills", "room/tiny", "-q").out.strip()
    begun = ("meta-train", "room/tiny", "--skills", skills, "--name", "r", "--resume", "-q")
    assert hmrl(*begun).code == 0 and hmrl(*begun, "--dry-run").code == 0
    Path(skills, "config.toml").write_text(Path(skills, "config.toml").read_text() + "# another\n")
    for more in ((), ("--dry-run",)):
        changed = hmrl(*begun, *more)
        assert changed.code == 65 and f"{skills} has changed since this run began" in changed.error[0]


@pytest.mark.parametrize("where", [(), ("--name", "r"), ("--run-dir", "my place")])
def test_what_is_interrupted_names_the_command_that_goes_on(hmrl, fakes, where):
    hmrl("meta-train", "room/tiny", "-q")  # has the name without a number
    fakes.fails = Interrupted(2, signal.SIGINT)
    place = {"--name": "runs/r", "--run-dir": "'my place'"}[where[0]] if where else "runs/room-tiny-seed0-2"
    for argv in (("meta-train", "room/tiny", *where), ("resume", place.strip("'"))):
        stopped = hmrl(*argv)
        assert stopped.code == 130
        assert stopped.error[1] == f"to continue: hmrl resume {place}"


def test_dry_run_takes_the_speed_of_an_earlier_run(hmrl, fakes):
    hmrl("meta-train", "room/tiny", "-q", "--run-dir", "place/r")
    told = Path("place/r/events.log").read_bytes()
    assert b"steps/s" not in told  # it was not trained
    Path("place/r/events.log").write_bytes(
        told + b"2026-01-01T00:00:00+00:00 epoch 2: checkpoint, 500 steps/s\n"
    )
    asked = ("meta-train", "room/tiny", "--dry-run", "--run-dir", "place/new", "--num-seeds", "2")
    plan = json.loads(hmrl(*asked, "--json").out)
    assert (plan["seconds"], plan["steps_per_second"]) == (2000.0, 500)
    assert plan["measured"] == {"run": "place/r", "seeds": 1, "same_settings": True}
    assert (
        "33m20s and compilation, at 500 steps/s as in place/r (1 seed, the same settings)" in hmrl(*asked).out
    )
    other = hmrl(*asked, "--set", "family.horizon=9").out
    assert "500 steps/s as in place/r (1 seed, other settings)" in other


def test_skills_chain(hmrl):
    skills = hmrl("pretrain-skills", "room/tiny", "-q").out.strip()
    done = hmrl("meta-train", "room/tiny", "--skills", skills)
    assert done.out == "runs/room-tiny-seed0-2\n"
    wrong = hmrl("meta-train", "room/tiny", "--skills", done.out.strip())
    assert wrong.code == 65 and "is a run of meta-train" in wrong.error[0]


def test_resume_goes_on_as_the_run_says(hmrl, fakes):
    begun = ("meta-train", "room/tiny", "--seed", "3", "--num-seeds", "2", "--set", "family.horizon=7")
    fakes.fails = Interrupted(2, signal.SIGTERM)
    stopped = hmrl(*begun, "--run-dir", "place")
    assert stopped.code == 75 and stopped.error[1] == "to continue: hmrl resume place"
    again = hmrl("resume", "place")
    assert again.code == 75 and fakes.calls[-1] == ("train", True)
    fakes.fails = None
    before = Path("place/config.toml").read_bytes(), Path("place/provenance.json").read_bytes()
    done = hmrl("resume", "place", "--json")
    assert json.loads(done.out) == {"run": "place", "state": "complete", "epoch": 2, "success": 0.5}
    assert before == (Path("place/config.toml").read_bytes(), Path("place/provenance.json").read_bytes())
    whole = hmrl("resume", "place", "-v")
    assert (whole.code, whole.out, whole.err) == (0, "place\n", "the run is complete already\n")
    assert hmrl("resume", "place", "-q").err == ""
    with locked(Path("place")):
        assert hmrl("resume", "place").code == 73


def test_a_longer_run_is_a_new_run_that_names_its_parent(hmrl, fakes):
    hmrl("meta-train", "room/tiny", "--name", "short", "-q")
    fakes.calls.clear()
    done = hmrl("resume", "runs/short", "--epochs", "+3", "--name", "long", "-q")
    assert (done.code, done.out) == (0, "runs/long\n")
    info = reader.read(Path("runs/long"))
    training = info.experiment.training
    assert (training.epochs, training.init_from, training.continues) == (5, "runs/short", True)
    assert (info.provenance["parent"]["run"], info.provenance["parent"]["epoch"]) == ("runs/short", 2)
    assert info.provenance["origins"]["training.epochs"] == "--epochs +3"
    assert info.provenance["origins"]["family.name"] == "run runs/short"
    assert info.provenance["command"] == "meta-train"
    assert hmrl("resume", "runs/short", "--epochs", "+3", "-q").out == "runs/short-seed0\n"
    assert reader.read(Path("runs/short")).experiment.training.epochs == 2


@pytest.mark.parametrize(
    ("argv", "code", "expected"),
    [
        (["nowhere"], 65, "nowhere: does not exist; must be a run directory (see: hmrl runs)"),
        (["."], 65, ".: holds no config.toml"),
        (["runs/r", "--name", "x"], 2, "--name: found without --epochs; must go with --epochs +N"),
        (["runs/r", "--run-dir", "x"], 2, "--run-dir: found without --epochs"),
        (["runs/r", "--epochs", "3"], 2, "--epochs: found '3'; must be +N with N from 1"),
        (
            ["runs/r", "--epochs", "+0"],
            2,
            "found '+0'; must be +N with N from 1 to 10000000, as in: --epochs +100",
        ),
        (
            ["runs/r", "--epochs", "+99999999"],
            2,
            "training.epochs: found 100000001 (from --epochs +99999999)",
        ),
        (["runs/r", "--epochs", "+1", "--run-dir", "runs/r"], 73, "runs/r: exists"),
        (["runs/half", "--epochs", "+1"], 65, "runs/half is interrupted; must be complete"),
    ],
)
def test_what_cannot_be_resumed_is_refused(hmrl, fakes, argv, code, expected):
    hmrl("meta-train", "room/tiny", "--name", "r", "-q")
    fakes.fails = Interrupted(1, signal.SIGTERM)
    hmrl("meta-train", "room/tiny", "--name", "half", "-q")
    wrong = hmrl("resume", *argv)
    assert (wrong.code, wrong.out) == (code, "") and expected in wrong.err


def test_a_run_starts_from_another_run(hmrl):
    first = hmrl("meta-train", "room/tiny", "-q").out.strip()
    second = hmrl("meta-train", "room/tiny", "--init-from", first, "-q").out.strip()
    info = reader.read(Path(second))
    assert info.experiment.training.init_from == first and not info.experiment.training.continues
    assert info.provenance["parent"]["run"] == first
    assert hmrl("meta-train", "room/tiny", "--init-from", first, "-q", "--resume").out.strip() == second
    plan = json.loads(hmrl("meta-train", "room/tiny", "--init-from", first, "--dry-run", "--json").out)
    assert plan["config"]["training.init_from"] == first
    wrong = hmrl("pretrain-skills", "room/tiny", "--init-from", first)
    assert wrong.code == 65 and "is a run of meta-train; must be one of pretrain-skills" in wrong.error[0]


def test_flags_have_no_type_in_the_help(monkeypatch, capsys):
    """Neither in the boxes of a terminal, nor in the plain text of a pipe."""
    command = typer.main.get_command(cli.app)
    for name, one in {"": command, **command.commands}.items():
        for mode in ("rich", None):
            one.rich_markup_mode = mode
            context = one.make_context(name or "hmrl", [], resilient_parsing=True)
            text = one.get_help(context) + capsys.readouterr().out
            assert "--help" in text and "<bool>" not in text, name


def test_the_list_of_commands_is_not_cut_in_a_pipe(monkeypatch):
    """There its lines have 80 columns, and what does not fit would end in dots."""
    command = typer.main.get_command(cli.app)
    command.rich_markup_mode = None
    monkeypatch.setenv("COLUMNS", "80")
    text = command.get_help(command.make_context("hmrl", [], resilient_parsing=True))
    assert (
        all(f"  {name} " in text for name in command.commands) and "..." not in text.partition("Commands:")[2]
    )


def test_skills_of_a_family_in_a_file_go_with_that_file_alone(hmrl):
    family = Path("walk.py")
    family.write_text(rendered("family", "walk"))
    sets = ("-q", "--set", "family.name=./walk.py")
    skills = hmrl("pretrain-skills", "room/tiny", *sets).out.strip()
    assert hmrl("meta-train", "room/tiny", *sets, "--skills", skills).code == 0
    Path("copy.py").write_text(family.read_text())
    copied = hmrl("meta-train", "room/tiny", "-q", "--set", "family.name=./copy.py", "--skills", skills)
    assert copied.code == 0
    other = hmrl("meta-train", "room/tiny", "-q", "--skills", skills)
    assert other.code == 65 and "are skills of family './walk.py'; must be of 'point'" in other.error[0]
    family.write_text(family.read_text() + "# another\n")
    for path in (skills, copied.out.strip()):
        changed = hmrl("meta-train", "room/tiny", *sets, "--skills", path)
        assert changed.code == 65
    assert "which has changed since the run began" in hmrl("export", skills, "-o", "z.safetensors").error[0]
