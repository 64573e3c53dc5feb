"""Environments of Brax as families, by the reacher in reacher.py."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmrl_cli.cli import main as cli
from hmrl_cli.environment import brax_env
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp
from tests.environment import reacher

FILE = Path(reacher.__file__)


def test_a_state_of_brax_is_left_as_it_was_and_the_tip_is_where_brax_has_it():
    family = reacher.make(reacher.Config(horizon=3))
    assert (family.obs_size, family.task_size, family.action.size, family.controller) == (6, 2, 2, None)
    task = sample_tasks(family, "test", 1)[0]
    first = jax.jit(family.reset)(jax.random.key(0), task)
    step = jax.jit(family.step)
    second = step(first, jnp.array([2.0, -0.5]), task)
    assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, second)
    assert first.body.metrics["reward_dist"] == 0 > second.body.metrics["reward_dist"]
    # Brax observes the target and the tip's offset from it
    np.testing.assert_allclose(second.body.obs[4:6], task, atol=1e-3)
    tip = second.body.obs[8:10] + second.body.obs[4:6]
    np.testing.assert_allclose(family.features["xy"](second.obs), tip, atol=1e-3)
    assert second.reward == second.body.reward < 0
    assert len(family.scene.shapes) >= 3 and family.scene.poses(second).shape[1] == 7


def test_what_brax_prints_and_warns_of_is_not_shown(capsys):
    with brax_env.quiet():
        print("Failed to import warp")
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_file_makes_a_family_of_brax_for_the_command_line(tmp_path, monkeypatch, capsys):
    shutil.copy(FILE, tmp_path / "arm.py")
    monkeypatch.chdir(tmp_path)
    sets = ("family.name=./arm.py", "family.horizon=4", "training.epochs=1", "evaluation.num_tasks=2")
    flags = [argument for line in sets for argument in ("--set", line)]
    assert cli.run(["meta-train", "point/smoke", *flags, "--name", "arm", "-q"]) == 0
    capsys.readouterr()
    assert cli.run(["eval", "runs/arm", "--reward", "dense", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["family"] == "arm" and document["feasible"] is document["fraction"] is None
    assert cli.run(["render", "runs/arm", "--num-tasks", "1"]) == 0
    assert "arm" in Path("runs/arm/render.html").read_text()
