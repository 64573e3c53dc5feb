"""Configurations as a whole: skills, bonuses, any input resolves or is refused."""

import json
import subprocess
import sys
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, HmrlError
from hmrl_cli.experiment import Hierarchy
from tests.config.room import Explore, Novelty, Room, Surprise, real, refusal


def test_one_preset_serves_both_commands(add_preset):
    experiment = config.resolve("pretrain-skills", "room/flat").experiment
    assert experiment.algorithm == Explore()
    assert experiment.training.epochs == 3


def test_skills(add_preset):
    missing = refusal("meta-train", "room/lifted").splitlines()
    assert missing[0].endswith("add --skills RUN_DIR")
    assert missing[1] == "to get some: hmrl pretrain-skills room/lifted"
    waiting = config.resolve("meta-train", "room/lifted", complete=False)
    assert waiting.experiment.hierarchy.skills == ""
    lifted = config.resolve("meta-train", "room/lifted", flags={"hierarchy.skills": "runs/z"})
    assert lifted.experiment.hierarchy == Hierarchy(skills="runs/z", steps_per_skill=4)
    assert lifted.origins["hierarchy.skills"] == "--skills"
    plain = config.resolve("meta-train", "room/flat", flags={"hierarchy.skills": "runs/z"})
    assert plain.experiment.hierarchy.steps_per_skill == 10
    repeated = refusal(
        "meta-train", "room/flat", ["training.action_repeat=2"], flags={"hierarchy.skills": "z"}
    )
    assert "must be 1 with a hierarchy" in repeated


def test_settings_of_a_hierarchy_that_nothing_has_are_told_as_that(add_preset):
    line = ["hierarchy.stochastic=false"]
    what = "hierarchy.stochastic: set, but nothing acts through skills; add"
    assert refusal("meta-train", "room/flat", line) == f"{what} --skills RUN_DIR or leave it out"
    of_skills = refusal("pretrain-skills", "room/flat", line)
    assert of_skills == f"{what} --set hierarchy.skills=RUN_DIR or leave it out"
    assert "this preset acts through skills" in refusal("meta-train", "room/lifted", line)
    found = config.resolve("meta-train", "room/flat", line, flags={"hierarchy.skills": "runs/z"}).experiment
    assert not found.hierarchy.stochastic


def test_missing_skills_name_a_command_that_learns_them():
    ready = ["wheeled/vgcrl", "wheeled/skill_prior"]
    command = "to get some: hmrl pretrain-skills"

    def told(preset, *sets):
        return refusal("meta-train", preset, sets, ready=ready).splitlines()[1]

    assert told("wheeled/hmrl") == f"{command} wheeled/vgcrl; or --skills pretrained:wheeled/vgcrl"
    another_body = told("wheeled/hmrl", "family.mass=20.0")
    assert another_body == f"{command} wheeled/vgcrl, with the family.* settings of this run"
    assert told("ant_dir/hmrl") == f"{command} ant_dir/diayn"
    of_skills = ["algorithm.name=diayn_ppo"]  # then the preset learns skills, by skills that it lacks too
    lines = refusal("pretrain-skills", "ant_dir/hmrl", of_skills, ready=ready).splitlines()
    assert lines[0].endswith("add --set hierarchy.skills=RUN_DIR")
    assert lines[1] == f"{command} ant_dir/diayn"


def test_a_bonus_comes_by_its_name_and_goes_with_whom_it_serves(add_preset, tmp_path):
    plain = config.resolve("meta-train", "room/flat", ["algorithm.name=scratch"]).experiment
    assert plain.bonus is None and "bonus" not in config.to_toml(plain)
    sets = ["algorithm.name=scratch", "bonus.name=surprise", "bonus.depth=5"]
    resolved = config.resolve("meta-train", "room/flat", sets)
    assert resolved.experiment.bonus == Surprise(depth=5)
    assert resolved.origins["bonus.depth"] == "--set" and resolved.origins["bonus.weight"] == "default"
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(resolved.experiment))
    assert config.load(path) == config.resolve("meta-train", str(path)).experiment == resolved.experiment
    other = config.resolve("meta-train", str(path), ["bonus.name=novelty"]).experiment
    assert other.bonus == Novelty()  # `depth` is of the one that was replaced
    assert config.difference(other, resolved.experiment).startswith("bonus.name: found 'novelty'")
    assert config.difference(plain, resolved.experiment).startswith("bonus.name: found none")


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (
            ["bonus.name=novelty"],
            "bonus.name: found 'novelty', but learn takes no bonus; must go with one of: scratch",
        ),
        (["bonus.name=noevlty"], "bonus.name: found 'noevlty' (from --set); did you mean 'novelty'?"),
        (["algorithm.name=scratch", "bonus.weight=1.0"], "bonus.name: room/flat names no bonus"),
        (["algorithm.name=scratch", "bonus.name=novelty", "bonus.depth=1"], "bonus.depth: unknown key"),
        (["algorithm.name=scratch", "bonus.name=novelty", "bonus.weight=-1"], "bonus.weight: found -1"),
        (["bonus = 3"], "bonus: found 3 (from --set); must be a table"),
    ],
)
def test_a_bonus_that_does_not_fit_is_refused(add_preset, sets, expected):
    assert expected in refusal("meta-train", "room/flat", sets)


KEYS = st.sampled_from(
    ["training.epochs", "algorithm.inner_lr", "algorithm.net.hidden", "family.reward", "algorithm.name", "x"]
)


VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.integers(-9, 9), max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.integers()),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(lines=st.lists(st.tuples(KEYS, VALUES) | st.text(max_size=20), max_size=3))
def test_any_configuration_resolves_or_is_refused(add_preset, lines):
    sets = [line if isinstance(line, str) else f"{line[0]} = {json.dumps(line[1])}" for line in lines]
    try:
        resolved = config.resolve("meta-train", "room/flat", sets)
    except HmrlError as error:
        assert error.exit_code == 2
        assert len(str(error).split("\n")) <= 2
    else:
        tomllib.loads(config.to_toml(resolved.experiment))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_any_setting_of_a_preset_resolves_or_is_refused(data):
    """Of every preset that the package has, and every setting it knows."""
    one = data.draw(st.sampled_from(real()))
    known = config.flat(one.experiment)
    paths = data.draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=3, unique=True))
    now = st.sampled_from([*known.values()])  # what another setting has
    sets = [f"{path} = {json.dumps(data.draw(VALUES | now))}" for path in paths]
    try:
        resolved = config.resolve(one.command, one.preset, sets)
    except HmrlError as error:
        assert error.exit_code == 2
        assert len(str(error).split("\n")) <= 2
    else:
        tomllib.loads(config.to_toml(resolved.experiment))


def test_family_of_a_name_a_preset_or_its_file(add_preset, tmp_path):
    assert config.family_of("room") == Room()
    assert config.family_of("room/flat") == Room(reward="dense")
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "room/flat"\n[family]\nhorizon = 10\n')
    assert config.family_of(str(mine)) == Room(reward="dense", horizon=10)
    with pytest.raises(ConfigError, match=r"found 'room/flt'; did you mean 'room/flat'"):
        config.family_of("room/flt")


def test_resolving_leaves_the_numerical_libraries_alone():
    code = (
        "import sys\n"
        "from hmrl_cli import config, errors, schema\n"
        "from hmrl_cli.config import presets\n"
        "for name in presets.files():\n"
        "    for command in schema.COMMANDS:\n"
        "        try: config.resolve(command, name, complete=False)\n"
        "        except errors.ConfigError: pass\n"
        "assert not {'jax', 'numpy', 'flax', 'brax', 'orbax', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
