"""A configuration written and read back."""

from hmrl_cli import config


def test_toml_round_trip(add_preset, tmp_path):
    sets = ["algorithm.net.hidden = [1, 2, 3]", "algorithm.inner_lr = 1e-8", "hierarchy.skills = 'a\"b'"]
    experiment = config.resolve("meta-train", "room/flat", sets).experiment
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(experiment))
    again = config.resolve("meta-train", str(path)).experiment
    assert again == experiment == config.load(path)
    assert config.config_hash(again) == config.config_hash(experiment)
    assert config.difference(again, experiment) is None
    other = config.resolve("meta-train", str(path), ["algorithm.inner_lr=1.0"]).experiment
    assert config.config_hash(other) != config.config_hash(experiment)
    assert config.difference(other, experiment) == "algorithm.inner_lr: found 1.0, where the run has 1e-08"
    going_on = config.resolve("meta-train", str(path), ["training.init_from='x'"]).experiment
    assert config.difference(experiment, going_on) == "training.init_from: found none, where the run has 'x'"


def test_how_skills_adapt_makes_no_run_another_one():
    """A policy may adapt in another way than its run says, and then by settings that did nothing there."""
    of_skills = config.resolve("pretrain-skills", "sparse_point/vgcrl").experiment
    evaluation = of_skills.evaluation.model_copy(update={"adapt_steps": 77})
    assert config.difference(of_skills.model_copy(update={"evaluation": evaluation}), of_skills) is None
    policy = config.resolve("meta-train", "sparse_point/maesn").experiment
    evaluation = policy.evaluation.model_copy(update={"selectivity": 3.0})  # of other rules
    assert "evaluation.selectivity" in config.difference(
        policy.model_copy(update={"evaluation": evaluation}), policy
    )
    seen = of_skills.evaluation.model_copy(update={"deterministic": not of_skills.evaluation.deterministic})
    assert "evaluation.deterministic" in config.difference(
        of_skills.model_copy(update={"evaluation": seen}), of_skills
    )


def test_a_run_older_than_a_setting_has_what_the_setting_was_worth_then():
    """Also in tables within tables."""
    written = config.tree(
        config.resolve("meta-train", "point/skill_prior", ["hierarchy.skills=x"]).experiment
    )
    for section in ("algorithm", "evaluation"):
        assert written[section]["relabel"].pop("turned") == 0.5
    read = config.from_tree(written, "a run")
    assert read.evaluation.relabel.turned == read.algorithm.relabel.turned == 0.0
