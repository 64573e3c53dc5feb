"""The package from Python."""

import pytest

import hmrl_cli
from hmrl_cli.errors import RunDirError
from hmrl_cli.storage import reader

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_the_package_offers_the_commands_as_functions(tmp_path):
    small = ("family.horizon=6", "training.epochs=4", "training.checkpoint_every=2")
    two = "training.num_seeds=2"  # as `runs` has, whose programs are compiled
    skills = hmrl_cli.pretrain_skills("point/smoke", *small, two, run_dir=tmp_path / "skills")
    lifted = ("hierarchy.steps_per_skill=2", "training.num_seeds=3")
    run = hmrl_cli.meta_train("point/smoke", *small, *lifted, skills=skills, run_dir=tmp_path / "run")
    assert reader.read(run).status["state"] == "complete"
    assert hmrl_cli.meta_train("point/smoke", *small, *lifted, skills=skills, run_dir=run, resume=True) == run
    assert hmrl_cli.evaluate(run, split="train", adapt_steps=1)["split"] == "train"
    with pytest.raises(RunDirError, match="never overwritten"):
        hmrl_cli.pretrain_skills("point/smoke", *small, run_dir=skills)
