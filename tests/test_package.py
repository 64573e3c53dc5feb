"""The package from Python."""

import pytest

import hmrl_cli
from hmrl_cli.errors import RunDirError
from hmrl_cli.storage import reader
from tests.trainings import SMALL

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_the_package_offers_the_commands_as_functions(runs):
    """`runs` has the skills and what stands on them by these functions."""
    skills, run = runs / "diayn", runs / "hmrl"
    assert reader.read(skills).status["state"] == reader.read(run).status["state"] == "complete"
    lifted = ("hierarchy.steps_per_skill=2", "training.num_seeds=3")
    assert hmrl_cli.meta_train("point/smoke", *SMALL, *lifted, skills=skills, run_dir=run, resume=True) == run
    assert hmrl_cli.evaluate(run, split="train", adapt_steps=1)["split"] == "train"
    with pytest.raises(RunDirError, match="never overwritten"):
        hmrl_cli.pretrain_skills("point/smoke", *SMALL, run_dir=skills)
