"""Training commands: stdout, JSON, dry runs."""

import io
import json
import sys
from pathlib import Path

import pytest

from hmrl_cli.cli import main as cli
from hmrl_cli.cli.new import rendered
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Warns
from hmrl_cli.storage import reader


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
    assert "parameters" in hmrl("meta-train", "room/tiny", "--dry-run").out


def test_skills_chain(hmrl):
    skills = hmrl("pretrain-skills", "room/tiny", "-q").out.strip()
    done = hmrl("meta-train", "room/tiny", "--skills", skills)
    assert done.out == "runs/room-tiny-seed0-2\n"
    wrong = hmrl("meta-train", "room/tiny", "--skills", done.out.strip())
    assert wrong.code == 65 and "is a run of meta-train" in wrong.error[0]


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
