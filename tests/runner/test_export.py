"""Exports: what comes back is what was written, bit for bit, or an error."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import hmrl_cli
from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import reader
from hmrl_cli.storage.manifest import sha256
from tests.trainings import SMALL

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


@pytest.fixture(scope="module")
def made(runs, tmp_path_factory):
    """Runs of skills and of MAESN over the skills, and their exports."""
    root = tmp_path_factory.mktemp("export")
    for name, run in (("skills", "diayn"), ("hmrl", "hmrl")):
        shutil.copytree(runs / run, root / name)
        hmrl_cli.export(root / name, root / f"{name}.safetensors")
    return root


def copy(made, tmp_path, name="skills"):
    for suffix in ("safetensors", "json"):
        shutil.copy(made / f"{name}.{suffix}", tmp_path)
    return tmp_path / f"{name}.safetensors"


def test_skills_come_back_bit_for_bit(made):
    from hmrl_cli.runner.progress import Silent
    from hmrl_cli.runner.trained import open_trained

    trained = open_trained(reader.read(made / "skills"), "sparse", Silent())
    learner = trained.parts.learner
    for seed in (0, 1):
        library = hmrl_cli.load_skills(made / "skills.safetensors", seed)
        own = learner.freeze(jax.tree.map(lambda x, seed=seed: x[seed], trained.state))
        for a, b in zip(jax.tree.leaves(library.params), jax.tree.leaves(own), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    obs = jnp.ones(trained.parts.family.obs_size)
    act = jax.jit(lambda params: library.policy(params, obs, library.examples[1]).sample(jax.random.key(0)))
    np.testing.assert_array_equal(act(library.params), act(own))


def test_a_card_says_what_a_file_holds(made):
    card = json.loads((made / "skills.json").read_text())
    assert card["kind"] == "skills" and card["family"] == "point" and card["num_seeds"] == 2
    arrays = safetensors.numpy.load_file(made / "skills.safetensors")
    assert {name: list(array.shape) for name, array in arrays.items()} == {
        name: leaf["shape"] for name, leaf in card["arrays"].items()
    }
    assert config.from_tree(card["config"], "card") == reader.read(made / "skills").experiment


@pytest.mark.slow
def test_an_export_stands_in_for_its_run(made, tmp_path):
    run = hmrl_cli.meta_train(
        "point/smoke",
        *SMALL,
        "training.num_seeds=3",
        "hierarchy.steps_per_skill=2",
        skills=made / "skills.safetensors",
        run_dir=tmp_path / "run",
    )
    assert (run / "metrics.jsonl").read_bytes() == (made / "hmrl" / "metrics.jsonl").read_bytes()
    evaluated = [
        hmrl_cli.evaluate(path, num_tasks=2, adapt_steps=1, episodes=2)["return"]
        for path in (run, made / "hmrl")
    ]
    assert evaluated[0] == evaluated[1]


def test_a_policy_over_skills_acts_as_its_run_does(made):
    from hmrl_cli.runner.progress import Silent
    from hmrl_cli.runner.trained import open_trained

    policy = hmrl_cli.load_policy(made / "hmrl.safetensors", seed=1)
    trained = open_trained(reader.read(made / "hmrl"), "sparse", Silent())
    state, skills = jax.tree.map(lambda x: x[1], (trained.state, trained.skills))
    learner = trained.parts.make_learner(skills)
    task, obs = jnp.zeros(trained.parts.family.task_size), jnp.zeros(trained.parts.family.obs_size)
    adapted, _ = learner.adapt(jax.random.key(0), state, task, Evaluation(adapt_steps=0, episodes=1))
    behave, act = learner.behaviour(jax.random.key(1), adapted), policy(jax.random.key(1))
    for seed in range(3):
        np.testing.assert_array_equal(act(jax.random.key(seed), obs), behave(jax.random.key(seed), obs)[0])


def test_what_was_changed_is_refused(made, tmp_path):
    file = copy(made, tmp_path)
    data = file.read_bytes()
    for bad in (data[:-1], data[:40], b"", data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]):
        file.write_bytes(bad)
        with pytest.raises(InputError, match="is not what was exported, by the SHA-256 on its card"):
            hmrl_cli.load_skills(file)


def test_what_was_changed_is_refused_before_a_directory_is_made(made, tmp_path):
    file = copy(made, tmp_path)
    with file.open("ab") as end:
        end.write(b"x")
    command = ["meta-train", "point/smoke", "--skills", str(file), "--run-dir", str(tmp_path / "run")]
    assert cli.run(command) == cli.run([*command, "--dry-run"]) == 65
    with pytest.raises(InputError, match="by the SHA-256 on its card"):
        hmrl_cli.meta_train("point/smoke", skills=file, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_older_skills_leave_a_complete_run(made, tmp_path):
    shutil.copytree(made / "skills", tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "4"
    newest.rename(newest.with_name("5"))  # as if of a later epoch
    shutil.copytree(made / "skills" / "checkpoints" / "4", newest)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    (tmp_path / "run" / "status.json").write_text(json.dumps(status | {"epoch": 5}))
    with pytest.raises(InputError, match="checkpoint 5 is damaged"):
        hmrl_cli.export(tmp_path / "run", tmp_path / "skills.safetensors")
    assert not (tmp_path / "skills.safetensors").exists()
    (tmp_path / "run" / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    with pytest.warns(UserWarning, match="checkpoint 5 is damaged"):
        assert hmrl_cli.export(tmp_path / "run", tmp_path / "skills.safetensors")["epoch"] == 4


def forge(file, data, **changes):
    """The file with other content, and a card that vouches for it."""
    file.write_bytes(data)
    card_file = file.with_suffix(".json")
    card = json.loads(card_file.read_text()) | {"sha256": sha256(data)} | changes
    card_file.write_text(json.dumps(card))


def test_what_does_not_fit_is_refused_though_the_card_vouches_for_it(made, tmp_path):
    file = copy(made, tmp_path)
    arrays = safetensors.numpy.load_file(file)
    name = next(iter(arrays))
    others = {
        "cannot be read as safetensors": b"\xff" * 64,
        "found nothing for": safetensors.numpy.save({k: v for k, v in arrays.items() if k != name}),
        "found float32": safetensors.numpy.save(arrays | {name: arrays[name][:1]}),
        "found float16": safetensors.numpy.save(arrays | {name: arrays[name].astype(np.float16)}),
        "found float32.* must be nothing": safetensors.numpy.save(arrays | {"more": arrays[name]}),
        "is not finite": safetensors.numpy.save(arrays | {name: arrays[name] * np.nan}),
    }
    for text, data in others.items():
        forge(file, data)
        with pytest.raises(InputError, match=text):
            hmrl_cli.load_skills(file)


def test_cards_that_are_none_are_named(made, tmp_path):
    file = copy(made, tmp_path)
    data, card_file = file.read_bytes(), file.with_suffix(".json")
    whole = card_file.read_text()
    forge(file, data, schema=2)
    with pytest.raises(InputError, match="found schema 2; must be 1"):
        hmrl_cli.load_skills(file)
    card_file.write_text(whole)
    config = json.loads(whole)["config"]
    for changed, problem in (
        (config | {"family": {"name": "nowhere"}}, "family.name: found 'nowhere', which is not installed"),
        (config | {"family": {"name": 3}}, r"skills.json: family.name: found 3"),
    ):
        forge(file, data, config=changed)
        with pytest.raises(InputError, match=problem):
            hmrl_cli.load_skills(file)
    for text, problem in (
        ("[]", "found .*; must be a JSON object"),
        ("{", "is no valid JSON"),
        ('{"schema": 1}', "holds no 'kind'"),
        ("[" * 100_000, "is nested too deeply"),
    ):
        card_file.write_text(text)
        with pytest.raises(InputError, match=f"skills.json: {problem}"):
            hmrl_cli.load_skills(file)
    card_file.unlink()
    with pytest.raises(
        InputError,
        match=r"cannot be read: does not exist\nmust be the card of skills\.safetensors",
    ):
        hmrl_cli.load_skills(file)


def test_the_wrong_kind_family_or_seed_is_named(made, tmp_path):
    with pytest.raises(InputError, match="found a 'policy' export; must be 'skills'"):
        hmrl_cli.load_skills(made / "hmrl.safetensors")
    with pytest.raises(InputError, match="found a 'policy' export; must be 'skills'"):
        hmrl_cli.meta_train("point/smoke", skills=made / "hmrl.safetensors", run_dir=tmp_path / "run")
    with pytest.raises(InputError, match="are skills of family 'point'; must be of 'wheeled'"):
        hmrl_cli.meta_train("wheeled/smoke", skills=made / "skills.safetensors", run_dir=tmp_path / "run")
    with pytest.raises(InputError, match="found seed 2; must be from 0 to 1"):
        hmrl_cli.load_skills(made / "skills.safetensors", seed=2)
    with pytest.raises(ConfigError, match=r"skills.bin: must end in .safetensors"):
        hmrl_cli.export(made / "skills", tmp_path / "skills.bin")
