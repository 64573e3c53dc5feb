"""Layers of a configuration: presets, --set, flags, and where each value comes from."""

import pytest

from hmrl_cli import config
from hmrl_cli.config import layers
from tests.config.room import Learn, Other
from tests.mutants import refused


@pytest.mark.parametrize(
    "key", [".".join(["algorithm"] + ["a"] * 2000), ".".join(["a"] * 300), "algorithm." + "a." * 70 + "a"]
)
def test_keys_of_many_dots_are_refused(tmp_path, key):
    (tmp_path / "deep.toml").write_text(f"{key} = 1\n")
    for act in (
        lambda: config.resolve("meta-train", "point/smoke", [f"{key}=1"]),
        lambda: config.resolve("meta-train", "point/smoke", [f"{key}=word"]),
        lambda: config.resolve("meta-train", str(tmp_path / "deep.toml")),
        lambda: config.load(tmp_path / "deep.toml"),
    ):
        assert "nested too deeply" in refused(act)


def test_layers_and_origins(add_preset):
    resolved = config.resolve(
        "meta-train", "room/flat", ["algorithm.inner_lr = 0.3", "training.seed=4"], {"training.seed": 9}
    )
    experiment = resolved.experiment
    assert experiment.algorithm == Learn(inner_lr=0.3)
    assert (experiment.training.epochs, experiment.training.seed) == (7, 9)
    assert resolved.origins["algorithm.inner_lr"] == "--set"
    assert resolved.origins["training.seed"] == "--seed"
    assert resolved.origins["training.epochs"] == "preset room/flat"
    assert resolved.origins["family.size"] == "default"
    assert resolved.origins["algorithm.net.hidden"] == "default"
    assert "algorithm.net.gain" not in resolved.origins


def test_another_algorithm_keeps_what_both_know(add_preset):
    resolved = config.resolve("meta-train", "room/flat", ["algorithm.clip=true", "algorithm.name=other"])
    assert resolved.experiment.algorithm == Other(inner_lr=0.2)
    assert "algorithm.clip" not in resolved.origins


@pytest.mark.parametrize("line", ["family.reward=sparse", "family.reward = sparse", 'family.reward="sparse"'])
def test_bare_words_are_strings(add_preset, line):
    assert config.resolve("meta-train", "room/flat", [line]).experiment.family.reward == "sparse"


def test_bare_paths_are_strings():
    assert layers.parse_set("hierarchy.skills=runs/a-b/c.d") == {"hierarchy": {"skills": "runs/a-b/c.d"}}
    assert layers.parse_set("hierarchy.skills=/tmp/x y") == {"hierarchy": {"skills": "/tmp/x y"}}
