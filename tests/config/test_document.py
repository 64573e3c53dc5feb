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


def test_a_setting_that_does_nothing_makes_no_run_another_one():
    """Skills do not adapt, so a library stays the same where only the way to adapt differs."""
    of_skills = config.resolve("pretrain-skills", "sparse_point/vgcrl").experiment
    evaluation = of_skills.evaluation.model_copy(update={"adapt_steps": 77})
    assert config.difference(of_skills.model_copy(update={"evaluation": evaluation}), of_skills) is None
    seen = of_skills.evaluation.model_copy(update={"deterministic": not evaluation.deterministic})
    assert "evaluation.deterministic" in config.difference(
        of_skills.model_copy(update={"evaluation": seen}), of_skills
    )
