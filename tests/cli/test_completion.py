"""What a shell completes, asked as bash, zsh and fish ask."""

import json
import os
from pathlib import Path

import pytest
import typer

from hmrl_cli import config
from hmrl_cli.cli import completion
from hmrl_cli.cli import main as cli


@pytest.fixture
def complete(fakes, monkeypatch, capsys):
    """The words for the last one of a line as bash splits it, and the text of other shells."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    command = typer.main.get_command(cli.app)

    def ask(*words, shell="bash", action="get-args"):
        os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
        os.environ |= {"_TYPER_COMPLETE_ARGS": " ".join(words), "_TYPER_COMPLETE_FISH_ACTION": action}
        os.environ[completion.VARIABLE] = f"complete_{shell}"
        with pytest.raises(SystemExit) as end:
            command.main(args=[], prog_name="hmrl", standalone_mode=False)
        captured, code = capsys.readouterr(), completion.code_of(end.value)
        assert captured.err == ""
        return code if action == "is-args" else captured.out.splitlines() if shell == "bash" else captured.out

    return ask


def write_run(path, command, state="complete"):
    Path(path).mkdir(parents=True)
    Path(path, "status.json").write_text(json.dumps({"schema": 1, "state": state, "epoch": 2, "epochs": 2}))
    experiment = config.resolve(command, "room/tiny").experiment
    Path(path, "config.toml").write_text(config.to_toml(experiment))


TRAIN = ("hmrl", "meta-train", "room/tiny")


WORDS = [
    (("hmrl", "meta-t"), ["meta-train"]),
    (("hmrl", "pretrain-skills", "r"), ["room/tiny"]),
    (("hmrl", "pretrain-skills", "point/"), ["point/both", "point/skills"]),
    (("hmrl", "meta-train", "point/"), ["point/both", "point/maml"]),
    (("hmrl", "show", "point/"), ["point/both", "point/maml", "point/skills"]),
    (("hmrl", "list", "presets", "point"), ["point", "point/both", "point/maml", "point/skills"]),
    (("hmrl", "pretrain-skills", "./r"), []),  # the shell goes on with files
    ((*TRAIN, "--skills", "r"), ["runs/deep/skills"]),
    ((*TRAIN, "--skills", "pretrained", ":", "wheeled/"), ["wheeled/vgcrl"]),
    (("hmrl", "eval", "pretrained", ":", "wheeled/"), ["wheeled/skill_prior", "wheeled/vgcrl"]),
    (("hmrl", "eval", "pretrained", ":", "wheeled/v"), ["wheeled/vgcrl"]),
    (("hmrl", "list", "pretrained", "wheeled/v"), ["wheeled/vgcrl"]),
    ((*TRAIN, "--init-from", "runs/m"), ["runs/mine"]),
    (("hmrl", "resume", "r"), ["runs/deep/skills", "runs/mine"]),
    (("hmrl", "compare", "runs/mine", "runs/d"), ["runs/deep/skills"]),
    (
        ("hmrl", "compare", "runs/mine", "--group", "algorithm.num"),
        ["algorithm.num_train_tasks"],
    ),
    (("hmrl", "eval", "runs/mine", "--split", "h"), ["hidden"]),
    (("hmrl", "eval", "--reward", ""), ["sparse", "dense"]),
    (("hmrl", "show", "r"), ["runs/deep/skills", "runs/mine", "room/tiny"]),
    (("hmrl", "render", "pu"), ["pusher"]),
    (("hmrl", "list", "fam"), ["families"]),
    (("hmrl", "list", "bonuses", "i"), ["icm", "information_gain"]),
    (("hmrl", "list", "presets", "r"), ["reacher", "room/tiny"]),
    (("hmrl", "guide", "run"), ["runs"]),
    (("hmrl", "new", ""), ["family", "skills", "bonus"]),
    ((*TRAIN, "--set", "training.epo"), ["training.epochs=2"]),
    ((*TRAIN, "--set", "hierarchy.st"), ["hierarchy.steps_per_skill", "hierarchy.stochastic"]),
    (("hmrl", "pretrain-skills", "room/tiny", "--set", "hierarchy."), []),
    ((*TRAIN, "--set", "training.se"), ["training.seed=0"]),
    ((*TRAIN, "--set", "training.num"), ["training.num_seeds=1"]),
    ((*TRAIN, "--set", "algorithm.name", "=", "ma"), ["maesn", "maml"]),
    ((*TRAIN, "--set", "'algorithm.name = ma"), ["algorithm.name = maesn", "algorithm.name = maml"]),
    ((*TRAIN, "--set", "algorithm.name", "=", "p"), ["pearl", "ppo"]),
    (
        ("hmrl", "pretrain-skills", "room/tiny", "--set", "algorithm.name", "=", "d"),
        ["dads", "diayn", "diayn_ppo"],
    ),
    ((*TRAIN, "--set", "family.reward", "=", "s"), ["sparse"]),
    ((*TRAIN, "--set", "evaluation.deterministic", "="), ["true", "false"]),
    (
        (*TRAIN, "--set", "algorithm.name", "=", "maesn", "--set", "algorithm.lat"),
        ["algorithm.latent_size=2"],
    ),
    ((*TRAIN, "--set", "algorithm.lat"), []),
    ((*TRAIN, "--set", "bonus.n"), []),  # maml takes none
    (
        (*TRAIN, "--set", "algorithm.name", "=", "ppo", "--set", "bonus.name", "=", "i"),
        ["icm", "information_gain"],
    ),
    ((*TRAIN, "--set", "broken", "=", "[", "--set", "training.see"), ["training.seed=0"]),
    (("hmrl", "meta-train", "--set", "training.see"), ["training.seed"]),
    (("hmrl", "meta-train", "none", "--set", "family.name", "=", "pu"), ["pusher"]),
    (("hmrl", "eval", "runs/mine", "--set", "evaluation.rule", "=", "re"), ["refit", "relabel"]),
    (("hmrl", "eval", "nowhere", "--set", "evaluation.late_"), ["evaluation.late_fallback=0.0"]),
    (("hmrl", "eval", "--set", "training."), []),
]


def test_words(complete):
    write_run("runs/mine", "meta-train")
    write_run("runs/deep/skills", "pretrain-skills")
    Path("presets/point").mkdir()
    Path("presets/point/both.toml").write_text('extends = "room/tiny"\n')
    Path("presets/point/maml.toml").write_text('family.name = "point"\nalgorithm.name = "maml"\n')
    Path("presets/point/skills.toml").write_text('family.name = "point"\nalgorithm.name = "diayn"\n')
    assert [(words, complete(*words)) for words, _ in WORDS] == WORDS


def test_skills_are_offered_once_they_are_learned(complete):
    """No run of another command, none that is not complete, and none that cannot be read."""
    write_run("runs/done", "pretrain-skills")
    write_run("runs/half", "pretrain-skills", "interrupted")
    write_run("runs/meta", "meta-train")
    write_run("runs/spoilt", "pretrain-skills")
    Path("runs/spoilt/config.toml").write_text("[")
    assert complete(*TRAIN, "--skills", "runs/") == ["runs/done"]
    assert len(complete("hmrl", "resume", "runs/")) == 4


def test_settings_with_what_they_are(complete):
    keys = complete(*TRAIN, "--set", "")
    assert {"algorithm.inner_lr", "family.horizon", "hierarchy.use", "evaluation.relabel.sight"} <= {*keys}
    assert not [key for key in keys if "=" in key]
    shown = complete(*TRAIN, "--set", "training.num_seeds=", shell="fish")
    assert shown == "training.num_seeds=1\n"
    shown = complete(*TRAIN, "--set", "training.", shell="fish")
    assert "training.seed\tthe first seed\n" in shown
    assert '"room/tiny":"A tiny size."' in complete("hmrl", "show", "room", shell="zsh")


def test_protocols(fakes, complete):
    folder = Path("presets/protocols")
    folder.mkdir()
    (folder / "far.toml").write_text("# Looks far.\n[evaluation]\nfallback = 0.3\n")
    for argv in (("eval",), ("compare", "x"), ("render", "x")):
        assert complete("hmrl", *argv, "--protocol", "") == ["far"]


def test_fish_goes_on_with_files(complete):
    assert complete("hmrl", "meta-train", "./r", shell="fish", action="is-args") == 1
    assert complete("hmrl", "meta-train", "r", shell="fish", action="is-args") == 0


@pytest.mark.parametrize(
    ("words", "whole", "before"),
    [
        (["hmrl", "eval"], ["hmrl", "eval"], ""),
        (["hmrl", "show", "wheeled", "@", "m"], ["hmrl", "show", "wheeled@m"], "wheeled@"),
        (["hmrl", "x", "--set", "a", "="], ["hmrl", "x", "--set", "a="], "a="),
        (["hmrl", "x", "--set", "=", "a", "=", "b"], ["hmrl", "x", "--set=a=b"], "--set=a="),
        (["hmrl", "x", "a", "=", "b", "--s"], ["hmrl", "x", "a=b", "--s"], ""),
        (["hmrl", "x", "'a = b"], ["hmrl", "x", "'a = b"], ""),
    ],
)
def test_words_that_bash_splits(words, whole, before):
    assert completion.joined([*words, "later"], len(words) - 1) == (whole, before)
