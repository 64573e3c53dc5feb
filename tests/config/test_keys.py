"""Dotted paths of settings, and what a mistyped one may mean; `test_validation.py` has whole messages."""

from hmrl_cli import config
from hmrl_cli.config import keys
from hmrl_cli.experiment import Training
from tests.config.room import Learn
from tests.mutants import refused

KNOWN = keys.of({"algorithm": Learn, "training": Training})


def test_paths_reach_into_tables():
    assert {"algorithm.inner_lr", "algorithm.net.hidden", "training.seed"} <= {*KNOWN}
    assert "algorithm.net" not in KNOWN and KNOWN["training.seed"].description == "the first seed"


def test_the_same_name_elsewhere_comes_before_a_close_one():
    paths = ["family.size", "a.b.size", "a.sizes", "c.size", "d.e.size"]
    assert keys.suggestion("a.size", ["sizes"], paths) == (
        "; did you mean 'family.size', 'c.size' or 'a.b.size'?"
    )
    rates = ["b.inner.rate", "b.rate", "a.inner.rate"]  # a table within another section counts last
    assert keys.suggestion("a.rate", [], rates) == "; did you mean 'b.rate' or 'a.inner.rate'?"
    assert keys.suggestion("a.rate", [], rates[:1]) == "; did you mean 'b.inner.rate'?"
    assert keys.suggestion("a.sise", ["sizes"], paths) == "; did you mean 'sizes'?"
    assert keys.suggestion("sise", [], paths[:1]) == "; did you mean 'family.size'?"
    assert keys.suggestion("q", [], paths) == ""


def test_a_trained_run_is_told_the_setting_of_its_evaluation():
    experiment = config.resolve("meta-train", "point/smoke").experiment
    for line in ("num_tasks = 3", "num_task = 3", "training.num_tasks = 3"):
        told = refused(lambda line=line: config.with_evaluation(experiment, [line]))
        assert told.endswith("only evaluation.* can be set; did you mean 'evaluation.num_tasks'?")
    assert refused(lambda: config.with_evaluation(experiment, ["zzz = 3"])).endswith("can be set")
    of_reward = refused(lambda: config.with_evaluation(experiment, ["family.reward = 'sparse'"]))
    assert of_reward.endswith(
        "can be set; the reward that a run adapts to is chosen by --reward, or reward= in Python"
    )
