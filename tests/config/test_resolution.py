"""The configuration: layers, origins, validation, wording of errors, round trip."""

import json
import shutil
import subprocess
import sys
import tomllib
from types import SimpleNamespace
from typing import Annotated, ClassVar, Literal

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmrl_cli import config
from hmrl_cli.cli import catalogue
from hmrl_cli.config import layers, plugins, presets
from hmrl_cli.errors import ConfigError, HmrlError
from hmrl_cli.schema import COMMANDS, AlgorithmConfig, Hierarchy, Strict, Training

ROOM = """
# A room.
[family]
name = "room"
reward = "dense"
[training]
epochs = 7
[meta-train.algorithm]
name = "learn"
inner_lr = 0.2
[pretrain-skills.algorithm]
name = "explore"
[pretrain-skills.training]
epochs = 3
"""
LIFTED = """
extends = "room/flat"
[meta-train.hierarchy]
steps_per_skill = 4
"""


class Room(Strict):
    name: Literal["room"] = "room"
    reward: Literal["sparse", "dense"] = "sparse"
    horizon: int = pydantic.Field(100, gt=0)
    size: float = pydantic.Field(1.0, gt=0, description="side of the room")

    @pydantic.model_validator(mode="after")
    def _has_space(self):
        if self.size < 0.1:
            raise ValueError(f"size: found {self.size}; must be at least 0.1")
        return self


class Net(Strict):
    hidden: tuple[int, ...] = (32, 32)
    gain: float | None = None
    rate: Annotated[float, pydantic.Field(ge=0)] | Literal["auto"] = "auto"


class Learn(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    name: Literal["learn"] = "learn"
    inner_lr: float = pydantic.Field(0.1, gt=0)
    clip: bool = False
    net: Net = Net()


class Other(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    name: Literal["other"] = "other"
    inner_lr: float = 0.5


class Scratch(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    takes_bonus: ClassVar[bool] = True
    name: Literal["scratch"] = "scratch"


class Novelty(Strict):
    name: Literal["novelty"] = "novelty"
    weight: float = pydantic.Field(0.5, ge=0)


class Surprise(Strict):
    name: Literal["surprise"] = "surprise"
    weight: float = pydantic.Field(0.5, ge=0)
    depth: int = 3


class Explore(AlgorithmConfig):
    command: ClassVar[str] = "pretrain-skills"
    name: Literal["explore"] = "explore"
    num_skills: int = pydantic.Field(4, ge=2)


PLUGINS = {
    "families": {"room": SimpleNamespace(Config=Room)},
    "algorithms": {
        "learn": SimpleNamespace(Config=Learn),
        "other": SimpleNamespace(Config=Other),
        "explore": SimpleNamespace(Config=Explore),
        "scratch": SimpleNamespace(Config=Scratch),
    },
    "bonuses": {
        "novelty": SimpleNamespace(Config=Novelty),
        "surprise": SimpleNamespace(Config=Surprise),
    },
}


@pytest.fixture
def add_preset(tmp_path, monkeypatch):
    """Toy plugins, two presets over them and a file that is none; what it gives adds a preset."""

    def write(name, text):
        path = tmp_path / "presets" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "presets")
    monkeypatch.setattr(plugins, "names", lambda kind: tuple(sorted(PLUGINS[kind])))
    monkeypatch.setattr(plugins, "load", lambda kind, name: PLUGINS[kind][name])
    write("room/flat", ROOM)
    write("room/lifted", LIFTED)
    write("slurm", "[cluster]\npartition = 'a'\n")
    return write


def refusal(*args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        config.resolve(*args, **kwargs)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    assert caught.value.exit_code == 2
    return message


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


def test_one_preset_serves_both_commands(add_preset):
    experiment = config.resolve("pretrain-skills", "room/flat").experiment
    assert experiment.algorithm == Explore()
    assert experiment.training.epochs == 3


def test_extends_merges_below(add_preset):
    add_preset("room/long", 'extends = "room/flat"\n[training]\nepochs = 70\n')
    resolved = config.resolve("meta-train", "room/long")
    assert resolved.experiment.training.epochs == 70
    assert resolved.experiment.algorithm.inner_lr == 0.2
    assert resolved.origins["training.epochs"] == "preset room/long"
    assert resolved.origins["algorithm.inner_lr"] == "preset room/flat"
    assert config.resolve("pretrain-skills", "room/long").experiment.training.epochs == 70


def test_extends_a_file_next_to_it(add_preset, tmp_path):
    (tmp_path / "base.toml").write_text(ROOM)
    (tmp_path / "mine.toml").write_text('extends = "base.toml"\n[family]\nsize = 2\n')
    experiment = config.resolve("meta-train", str(tmp_path / "mine.toml")).experiment
    assert experiment.family.size == 2.0


def test_extends_cycle(add_preset):
    add_preset("a", 'extends = "b"')
    add_preset("b", 'extends = "a"')
    assert "extends itself" in refusal("meta-train", "a")


def test_another_algorithm_keeps_what_both_know(add_preset):
    resolved = config.resolve("meta-train", "room/flat", ["algorithm.clip=true", "algorithm.name=other"])
    assert resolved.experiment.algorithm == Other(inner_lr=0.2)
    assert "algorithm.clip" not in resolved.origins


def test_skills(add_preset):
    assert refusal("meta-train", "room/lifted").endswith("add --skills RUN_DIR")
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
    assert config.difference(plain, resolved.experiment).startswith("bonus.name: found None")


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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("algorithm.iner_lr = 1", "algorithm.iner_lr: unknown key; did you mean 'inner_lr'? (from --set)"),
        (
            "algorithm.net.hiden = [1]",
            "algorithm.net.hiden: unknown key; did you mean 'hidden'? (from --set)",
        ),
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


def test_the_last_seed_fits(add_preset):
    sets = ["training.seed = 2147483647", "training.num_seeds = 2"]
    assert "must be below 2**31" in refusal("meta-train", "room/flat", sets)


def test_several_problems_are_counted(add_preset):
    message = refusal("meta-train", "room/flat", ["training.epochs=0", "family.size=-1", "nonsense.x=1"])
    assert message.endswith("(and 2 more)")


@pytest.mark.parametrize("line", ["family.reward=sparse", "family.reward = sparse", 'family.reward="sparse"'])
def test_bare_words_are_strings(add_preset, line):
    assert config.resolve("meta-train", "room/flat", [line]).experiment.family.reward == "sparse"


def test_bare_paths_are_strings():
    assert layers.parse_set("hierarchy.skills=runs/a-b/c.d") == {"hierarchy": {"skills": "runs/a-b/c.d"}}
    assert layers.parse_set("hierarchy.skills=/tmp/x y") == {"hierarchy": {"skills": "/tmp/x y"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[family", "not valid TOML"),
        ("family = {", "not valid TOML"),
        ('[family]\nname = "room"\n[training]\nepochs=1', "names no algorithm for meta-train"),
        ('[algorithm]\nname = "learn"', "names no family for meta-train"),
        ('extends = "nowhere"', "preset: found 'nowhere'"),
        ("extends = 3", "extends: found 3"),
        ("meta-train = 3\n", "meta-train: found 3"),
        ('[family]\nname="room"\n[algorithm]\nname="learn"', "training.epochs: missing; must be given"),
        ("a = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_bad_files(add_preset, text, expected):
    path = add_preset("bad", text)
    assert expected in refusal("meta-train", "bad")
    assert expected in refusal("meta-train", str(path))


def test_unknown_presets(add_preset, tmp_path):
    assert "did you mean 'room/flat'?" in refusal("meta-train", "room/falt")
    assert "must be an existing TOML file" in refusal("meta-train", str(tmp_path / "none.toml"))
    assert "must be an existing TOML file" in refusal("meta-train", "a\0b.toml")
    add_preset("room/typo", 'extends = "room/falt"')
    assert "extends (from preset room/typo): preset: found" in refusal("meta-train", "room/typo")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    assert "is not UTF-8: byte 0xff" in refusal("meta-train", str(tmp_path / "latin.toml"))


def test_only_presets_are_listed(add_preset):
    add_preset("broken", "[")
    listed = presets.files()
    assert list(listed) == ["broken", "room/flat", "room/lifted"]
    assert {name: presets.path_of(name) for name in listed} == listed


@pytest.mark.parametrize(
    "name", ["", "slurm", "room", "results/room", "room/../room/flat", "./room/flat", "a" * 5000, "a\0"]
)
def test_only_what_is_listed_is_a_preset(add_preset, name):
    assert "must be a preset" in refusal("meta-train", name)


def test_what_cannot_be_read_does_not_hide_the_rest(add_preset, tmp_path):
    root = tmp_path / "presets"
    (root / "room" / ".#flat.toml").symlink_to("nowhere")
    (root / "room.toml").mkdir()
    assert list(presets.files()) == ["room/flat", "room/lifted"]
    assert "must be a preset" in refusal("meta-train", str(root / "room" / "flat"))
    shutil.rmtree(root)
    assert "must be a preset" in refusal("meta-train", "room/flat")


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


def test_a_setting_that_came_later_has_the_value_an_old_run_had(tmp_path):
    now = config.resolve("meta-train", "point/smoke").experiment
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(now))
    assert now.algorithm.step_hold == 2 and config.load(path) == now
    path.write_text(config.to_toml(now).replace("step_hold = 2\n", ""))
    assert config.load(path).algorithm.step_hold == 1


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


REAL = [one for preset in presets.files() for one in config.serving(preset)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_any_setting_of_a_preset_resolves_or_is_refused(data):
    """Of every preset that the package has, and every setting it knows."""
    one = data.draw(st.sampled_from(REAL))
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


def test_fields_for_listings():
    rows = {row.name: row for row in catalogue.fields(Learn)}
    assert set(rows) == {"inner_lr", "clip", "net.hidden", "net.gain", "net.rate"}
    types = {name: row.type for name, row in rows.items()}
    assert types["inner_lr"] == "float > 0" and types["net.hidden"] == "list of int"
    assert types["net.gain"] == "float | none" and types["net.rate"] == "float >= 0 | auto"
    room = {row.name: row for row in catalogue.fields(Room)}
    assert room["reward"].type == "sparse | dense"
    assert room["size"].description == "side of the room"
    assert {row.name: row.default for row in catalogue.fields(Training)}["epochs"] is None


def test_family_of_a_name_or_a_preset(add_preset):
    assert config.family_of("room") == Room()
    assert config.family_of("room/flat") == Room(reward="dense")
    with pytest.raises(ConfigError, match=r"found 'room/flt'; did you mean 'room/flat'"):
        config.family_of("room/flt")


def test_unknown_plugin():
    with pytest.raises(ConfigError, match="found 'nothing'"):
        plugins.load("families", "nothing")


def test_every_real_plugin_keeps_the_contract():
    for kind in plugins.FOLDERS.values():
        for name in plugins.names(kind):
            model = plugins.load(kind, name).Config
            assert issubclass(model, Strict)
            assert model.model_fields["name"].default == name
            if kind == "algorithms":
                assert model.command in COMMANDS


def test_every_real_preset_resolves():
    for name in presets.files():
        served = []
        for command in COMMANDS:
            try:
                config.resolve(command, name, complete=False)
                served.append(command)
            except ConfigError as error:
                assert "algorithm" in str(error), f"{name}: {error}"
        assert served, name


SKILLS = ["hierarchy.skills=z"]
ONE_STEP = ["algorithm.ppo.epochs=1", "algorithm.ppo.minibatches=1"]


@pytest.mark.parametrize(
    ("preset", "sets", "complaint"),
    [
        ("wheeled/maesn", ["algorithm.inner_surrogate=ratio"], "'ratio', but algorithm.adapts is latent"),
        ("wheeled/maesn", ["algorithm.inner_lr=0.3"], "0.3, but algorithm.adapts is latent; must be 0.1"),
        ("wheeled/maesn", ["algorithm.adapts=policy", "algorithm.mean_step_size=1"], "adapts is policy"),
        ("wheeled/maesn", ["algorithm.adapts=policy", "algorithm.log_std_step_size=1"], "adapts is policy"),
        ("wheeled/maesn", ["algorithm.clipped.epochs=3"], "3, but algorithm.outer is trust_region"),
        ("ant_goal/maesn", ["algorithm.trust_region.cg_damping=1.0"], "algorithm.outer is clipped"),
        ("ant_goal/maesn", ["algorithm.inner_steps=0", "algorithm.clipped.kl_weight=1"], "inner_steps is 0"),
        ("ant_goal/maml", ["algorithm.outer_loss=all"], "'all', but algorithm.inner_steps is 1"),
        ("wheeled/maesn", ["algorithm.inner_steps=0", "algorithm.first_order=true"], "inner_steps is 0"),
        ("wheeled/maesn", ["algorithm.inner_steps=0", "algorithm.learn_step_size=false"], "inner_steps is 0"),
        ("wheeled/maesn", ["algorithm.step_decay=1.0", "algorithm.step_hold=3"], "step_decay is 1"),
        ("point/maml", ["algorithm.step_floor=0.5"], "algorithm.step_decay is 1"),
        ("point/maml_trpo", ["algorithm.step_decay=0.9"], "evaluation.step_decay is set"),
        ("wheeled/dads", ["algorithm.skills=discrete", "algorithm.samples=5"], "skills is discrete"),
        ("wheeled/vic_fixed", ["algorithm.prior_rate=0.5"], "0.5, but algorithm.prior is fixed"),
        ("wheeled/diayn_ppo", ["algorithm.hidden=[9]"], "[9], but algorithm.discriminator is prototypes"),
        ("pusher/diayn_ppo", ["algorithm.sharpness=9.0"], "9.0, but algorithm.discriminator is mlp"),
        ("wheeled/diayn_ppo", ["evaluation.num_tasks=3"], "3, but skills do not adapt; must be 40"),
        ("sparse_point/pearl", ["algorithm.kl_lambda=0.0", "algorithm.kl_warmup=9"], "kl_lambda is 0"),
        ("wheeled/ppo", [*ONE_STEP, "algorithm.ppo.clip=0.1"], "1 g"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "hierarchy.steps_per_skill=2"], "use is start"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "hierarchy.stochastic=false"], "use is start"),
        ("wheeled/ppo", [*SKILLS, "hierarchy.use=start", "algorithm.ppo.init_std=1.0"], "starts as a skill"),
        ("wheeled/ppo", ["evaluation.rule=refit"], "'refit', but ppo has no inner loop; must be 'gradient'"),
        ("wheeled/ppo", ["evaluation.step_hold=2"], "2, but ppo has no inner loop; must be left out"),
        ("wheeled/maml", ["evaluation.latent_std=3.0"], "3.0, but maml has no latent; must be 1.0"),
        ("wheeled/maesn", ["evaluation.imitation_steps=2"], "2, but evaluation.rule is not refit; must be 0"),
        ("wheeled/maesn", ["evaluation.least_gain=2"], "2.0, but evaluation.rule is not refit"),
        ("wheeled/maesn", ["evaluation.late_fallback=0.5"], "there is no evaluation.fallback; must be 0.0"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.fallback=0.5"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.rule=refit"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=0", "evaluation.step_hold=1"], "no update goes by"),
        ("wheeled/maesn", ["evaluation.tune_after=5"], "5, but there are 5 updates; must be left out"),
        ("wheeled/maesn", ["evaluation.rule=refit", "evaluation.step_hold=1"], "evaluation.rule is refit"),
        ("wheeled/maesn", ["evaluation.adapt_steps=1", "evaluation.step_hold=1"], "one update has the whole"),
        ("wheeled/maesn", ["evaluation.adapt_steps=0", "evaluation.rule=refit"], "there is no update"),
        ("wheeled/maesn", ["evaluation.step_decay=1.0", "evaluation.step_floor=0.1"], "its step_decay is 1"),
    ],
)
def test_what_does_nothing_is_refused(preset, sets, complaint, tmp_path):
    """Where the command line sets it; a file's is noted, one that says what is so anyway passes."""
    command = plugins.command_of("algorithms", config.serving(preset)[0].experiment.algorithm.name)
    path, _, _ = sets[-1].partition("=")
    message = refusal(command, preset, sets)
    assert message.startswith(f"{path}: found ") and complaint in message, message
    mine = tmp_path / "mine.toml"
    mine.write_text(f'extends = "{preset}"\n' + "\n".join(map(quoted, sets)))
    resolved = config.resolve(command, str(mine))
    assert any(complaint.split(";")[0] in note for note in resolved.notes)
    written = tmp_path / "config.toml"
    written.write_text(config.to_toml(resolved.experiment))
    assert config.load(written) == config.resolve(command, str(written)).experiment == resolved.experiment


def quoted(line):
    path, _, value = line.partition("=")
    return line if value in ("true", "false") or value[0] in "0123456789[" else f'{path} = "{value}"'


def test_presets_and_runs_hold_nothing_that_is_refused():
    """What one part of a preset makes idle in another is no fault of who uses it."""
    assert not [note for one in REAL for note in one.notes]
    flags = {"hierarchy.skills": "z", "hierarchy.use": "start"}
    started = config.resolve("meta-train", "wheeled/hmrl", ["algorithm.name=ppo"], flags).experiment
    assert started.hierarchy.steps_per_skill == 10
    other = config.resolve("meta-train", "ant_goal/maesn", ["algorithm.outer=trust_region"]).experiment
    assert other.algorithm.clipped.epochs == 10
    pearl = config.resolve("meta-train", "wheeled/maml", ["algorithm.name=pearl"]).experiment
    assert pearl.evaluation.step_decay == 0.5
    again = config.with_evaluation(other, ["evaluation.rule=refit"], {"adapt_steps": 2})
    assert again.evaluation.rule == "refit"


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
