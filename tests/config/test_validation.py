"""Values of a configuration: checked, and refused with what would be right."""

import re

import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.config import validation
from hmrl_cli.errors import ConfigError
from hmrl_cli.schema import Evaluation
from tests.config.room import refusal
from tests.mutants import refused


@pytest.mark.parametrize(
    "setting",
    [
        "algorithm.mean_step_size=1e39",
        "algorithm.mean_step_size=1e-46",
        "algorithm.mean_step_size=1e-39",
        f"algorithm.mean_step_size={10**39}",
        "family.sparse_radius=1e-300",
    ],
)
def test_numbers_that_single_precision_does_not_have_are_refused(setting):
    skills = "hierarchy.skills='x'"
    problem = refused(lambda: config.resolve("meta-train", "point/smoke", [skills, setting]))
    assert "must be 0 or from 1.2e-38 to 3.4e+38 in size" in problem and setting.split("=")[0] in problem
    largest = ["algorithm.mean_step_size=3e38", "family.sparse_radius=1.2e-38"]
    config.resolve("meta-train", "point/smoke", [skills, *largest])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("algorithm.iner_lr = 1", "algorithm.iner_lr: unknown key; did you mean 'inner_lr'? (from --set)"),
        (
            "algorithm.net.hiden = [1]",
            "algorithm.net.hiden: unknown key; did you mean 'hidden'? (from --set)",
        ),
        ("inner_lr = 1", "inner_lr: unknown key; did you mean 'algorithm.inner_lr'? (from --set)"),
        ("iner_lr = 1", "iner_lr: unknown key; did you mean 'algorithm.inner_lr'? (from --set)"),
        ("training.size = 1", "training.size: unknown key; did you mean 'family.size'? (from --set)"),
        ("algorithm.hidden = [1]", "unknown key; did you mean 'algorithm.net.hidden'? (from --set)"),
        ("net.hidden = [1]", "net: unknown key; did you mean 'algorithm.net.hidden'? (from --set)"),
        ("algorithm.mlp.hidden = [1]", "algorithm.mlp: unknown key; did you mean 'algorithm.net.hidden'?"),
        ("algorithm.nett.hidden = [1]", "algorithm.nett: unknown key; did you mean 'net'? (from --set)"),
        ("epochs = 1", "epochs: unknown key; did you mean 'training.epochs' or 'evaluation.tuning.epochs'?"),
        ("zzz = 1", "zzz: unknown key (from --set)\nmust be one of: family, algorithm, bonus, hierarchy, "),
        ("family.zzz = 1", "(from --set)\nmust be one of: name, reward, horizon, size"),
        ("algorithm.net.zzz = 1", "(from --set)\nmust be one of: hidden, gain, rate"),
        ("algorithm.net = {zzz = 1, yyy = 2}", "zzz: unknown key (from --set) (and 1 more)\nmust be"),
        ("algorithm.net.hidden = 64", "hidden: found 64 (from --set); must be a list, as in [64]"),
        ("algorithm.net.hidden = wide", "hidden: found 'wide' (from --set); must be a list, as in [64]"),
        ("algorithm.net.hidden = 64,64", "or of a list: [64, 64]"),
        ("traning.epochs = 1", "traning: unknown key; did you mean 'training'? (from --set)"),
        ("training.epochs = -3", "training.epochs: found -3 (from --set); must be greater than 0"),
        ("training.epochs = 3.0", "training.epochs: found 3.0 (from --set); must be a valid integer"),
        ("training.epochs = '3'", "training.epochs: found '3' (from --set); must be a valid integer"),
        ("training.epochs = true", "training.epochs: found True (from --set); must be a valid integer"),
        ("algorithm.clip = 1", "algorithm.clip: found 1 (from --set); must be a valid boolean"),
        ("algorithm.inner_lr = nan", "algorithm.inner_lr: found nan (from --set); must be a finite number"),
        ("family.reward=spare", "family.reward: found 'spare' (from --set); must be 'sparse' or 'dense'"),
        (
            "algorithm.net.hidden = [8, 'x']",
            "algorithm.net.hidden.1: found 'x' (from --set); must be a valid",
        ),
        (
            "algorithm.net.rate = fast",
            "algorithm.net.rate: found 'fast' (from --set); must be a valid number or 'auto'",
        ),
        (
            "algorithm.net.rate = -1",
            "algorithm.net.rate: found -1 (from --set); must be greater than or equal to 0 or 'auto'",
        ),
        (
            "training.epochs = 99999999999",
            "training.epochs: found 99999999999 (from --set); must be less than",
        ),
        (
            "extends = x",
            "extends: unknown key; it stands in presets alone (from --set)\nmust be one of: family",
        ),
        ("meta-train.training.epochs=3", "meta-train: unknown key; it stands in presets alone"),
        ("training = 3", "training: found 3 (from --set); must be a table"),
        ("algorithm = 3", "algorithm: found 3 (from --set); must be a table"),
        ("algorithm.name=lern", "algorithm.name: found 'lern' (from --set); did you mean 'learn'?"),
        ("algorithm.name=3", "algorithm.name: found 3 (from --set)\nmust be one of"),
        ("algorithm.name=explore", "which meta-train does not train\nto train it: hmrl pretrain-skills room"),
        ("family.size=0.01", "family.size: found 0.01; must be at least 0.1"),
        ("training.seed=2147483647\n", "--set"),
        ("training.epochs", "--set 'training.epochs': "),
        ("training.epochs=0.1.2", "--set 'training.epochs=0.1.2': "),
        ("", "must be one assignment"),
        ("[training]", "must be one assignment"),
        ("a = " + "[" * 5000, "--set"),
        ("training.epochs = 0x" + "f" * 9000, "training: holds a value too large"),
        ("family.reward = '\\ud800'", "--set"),
    ],
)
def test_wording(add_preset, line, expected):
    if line.endswith("\n"):
        config.resolve("meta-train", "room/flat", [line])  # a final newline does no harm
    else:
        assert expected in refusal("meta-train", "room/flat", [line])


def test_numbers_of_numpy_are_numbers():
    table = {"episodes": np.int64(3), "fallback": np.float32(0.5), "num_tasks": np.array(4)}
    found = validation.parsed(Evaluation, table)
    assert (found.episodes, found.fallback, found.num_tasks) == (3, 0.5, 4)


def test_the_last_seed_fits(add_preset):
    sets = ["training.seed = 2147483647", "training.num_seeds = 2"]
    assert "must be below 2**31" in refusal("meta-train", "room/flat", sets)


def test_several_problems_are_counted(add_preset):
    message = refusal("meta-train", "room/flat", ["training.epochs=0", "family.size=-1", "nonsense.x=1"])
    assert message.splitlines()[0].endswith("(and 2 more)")


def test_a_setting_that_came_later_has_the_value_an_old_run_had(tmp_path):
    now = config.resolve("meta-train", "point/smoke").experiment
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(now))
    assert now.algorithm.step_hold == 2 and config.load(path) == now
    path.write_text(config.to_toml(now).replace("step_hold = 2\n", ""))
    assert config.load(path).algorithm.step_hold == 1


def test_what_is_wrong_in_the_file_of_a_run_is_told_with_its_name(tmp_path):
    """A misspelt key before the setting that is missing because of it."""
    path = tmp_path / "config.toml"
    text = config.to_toml(config.resolve("meta-train", "point/smoke").experiment)
    above, training = text.split("[training]")
    for key, told in {
        "epocs": f"training.epocs: unknown key; did you mean 'epochs'? (from {path})",
        "#": f"{path}: training.epochs: missing",
    }.items():
        path.write_text(above + "[training]" + training.replace("epochs =", f"{key} =", 1))
        with pytest.raises(ConfigError, match=re.escape(told)):
            config.load(path)


@pytest.mark.parametrize("quoted", ["none", '"none"'])
def test_none_unsets_what_may_be_none(tmp_path, quoted):
    def settings(*sets, preset="sparse_point/rl2"):
        return config.resolve("meta-train", preset, sets).experiment.algorithm

    assert settings().ppo.target_kl == 0.01
    assert settings(f"algorithm.ppo.target_kl={quoted}").ppo.target_kl is None
    (tmp_path / "mine.toml").write_text('extends = "sparse_point/rl2"\n[algorithm.ppo]\ntarget_kl = "none"\n')
    assert settings(preset=str(tmp_path / "mine.toml")).ppo.target_kl is None
    with pytest.raises(ConfigError, match="learning_rate: found 'none'"):
        settings(f"algorithm.ppo.learning_rate={quoted}")


def test_a_rate_that_its_adaptation_would_move_at_once_is_refused():
    with pytest.raises(ConfigError, match=r"found 0\.1; must be from 1e-05 to 0\.01 with target_kl"):
        config.resolve("meta-train", "sparse_point/rl2", ["algorithm.ppo.learning_rate=0.1"])
    fixed = ["algorithm.ppo.learning_rate=0.1", "algorithm.ppo.target_kl=none"]
    assert (
        config.resolve("meta-train", "sparse_point/rl2", fixed).experiment.algorithm.ppo.learning_rate == 0.1
    )
