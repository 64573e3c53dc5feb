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
