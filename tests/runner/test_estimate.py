"""Memory of a training from shapes, and its time from earlier runs."""

import jax
import pytest

from hmrl_cli import config
from hmrl_cli.runner import assembly, estimate
from hmrl_cli.runner import train as training
from hmrl_cli.storage import speeds, upstream
from tests.trainings import resolve

DEVICES = len(jax.devices())


def test_memory_counts_all_seeds_and_the_buffer():
    experiment = resolve("diayn", "algorithm.buffer_capacity=1000", "training.num_seeds=2").experiment
    parts = assembly.assemble(experiment)
    shapes = assembly.state_shapes(experiment, parts)
    found = estimate.memory(experiment, parts, shapes)
    state, batch = found["state_bytes"], found["batch_bytes"]
    assert state == sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
    # of two seeds on the kinematic point: observations [2] and [2], an action [2], and four numbers
    assert batch == 2 * parts.steps_per_update * 10 * 4
    assert 2 * 1000 * 4 * 5 < found["buffer_bytes"] < state
    assert found["disk_bytes"] == 3 * found["checkpoint_bytes"] == 3 * state
    assert found["device_bytes"] == estimate.of_device(state + batch, 2, len(jax.devices()))
    assert found["device_bytes"] < found["device_limit_bytes"]


@pytest.mark.parametrize(
    ("seeds", "count", "bytes_"), [(1, 1, 90), (3, 3, 30), (6, 3, 30), (3, 2, 90), (1, 4, 90)]
)
def test_a_device_has_its_own_seeds_or_all(seeds, count, bytes_):
    assert estimate.of_device(90, seeds, count) == bytes_


def test_a_device_that_is_too_small_is_noted(monkeypatch):
    monkeypatch.setattr(estimate, "_memory_of_device", lambda: 2**30)
    monkeypatch.setattr(estimate, "of_device", lambda *_: 3 * 2**30)
    notes = []
    training.check(resolve("maml"), notes.append)
    assert notes == ["a device needs at least 3.0 GiB, and has 1.0 GiB"]


LARGE = "algorithm.buffer_capacity=100_000"


@pytest.mark.parametrize(
    ("algorithm", "sets", "expected"),
    [
        ("maml", (), "tasks_at_once = 1, algorithm.episodes_per_task below 4 or algorithm.tasks_per_update"),
        ("maesn", ("training.num_seeds=3",), "tasks_at_once = 1, algorithm.episodes_per_task below 4 or"),
        ("maml", ("algorithm.tasks_at_once='auto'",), "tasks_at_once = 1, algorithm.episodes_per_task below"),
        ("maml", ("algorithm.tasks_at_once=1",), "episodes_per_task below 4 or algorithm.tasks_per_update"),
        ("diayn", (LARGE,), "buffer_capacity below 100000 or algorithm.episodes_per_update below 4"),
        ("diayn", ("training.num_seeds=2",), "buffer_capacity below 2000, training.num_seeds below 2 or"),
        ("diayn_ppo", (), "episodes_per_update below 4"),
        ("sac", (LARGE,), "buffer_capacity below 100000 or algorithm.episodes_per_update below 4"),
        ("rl2", (), "trials_per_update below 4 or algorithm.episodes_per_trial below 2"),
        ("pearl", (LARGE,), "buffer_capacity below 100000, algorithm.num_train_tasks below 4"),
    ],
)  # fmt: skip
def test_memory_that_is_short_names_what_to_lower(algorithm, sets, expected):
    experiment = resolve(algorithm, *sets).experiment
    parts = assembly.assemble(experiment)
    found = estimate.less_memory(experiment, parts, assembly.state_shapes(experiment, parts))
    assert found.startswith(f"algorithm.{expected}")


@pytest.mark.parametrize(("room", "fit"), [(2**40, 0), (2.5, 2), (0.1, 1)])
def test_as_many_tasks_are_in_memory_as_fit(monkeypatch, tmp_path, room, fit):
    """Chosen once: a run that is there keeps its number."""
    sets = (
        "algorithm.tasks_at_once='auto'",
        "algorithm.tasks_per_update=6",
        "algorithm.num_train_tasks=0",
        f"training.num_seeds={DEVICES}",
    )
    resolved = resolve("maml", *sets)
    algorithm = resolved.experiment.algorithm
    family = assembly.assemble(resolved.experiment).act_on(None)
    units = family.obs_size + 2 * family.action.size + sum(algorithm.hidden)
    of_task = 32 * 2 * algorithm.episodes_per_task * family.horizon * units  # of 4 bytes, 8 for each unit
    monkeypatch.setattr(estimate, "_memory_of_device", lambda: int(2 * room * of_task))
    notes = []
    sources = upstream.open_sources(resolved.experiment)
    found = training.settled(resolved, None, sources, notes.append)
    assert found.experiment.algorithm.tasks_at_once == fit
    assert notes[0].startswith(f"algorithm.tasks_at_once: {fit or 6} of 6 tasks fit")
    (tmp_path / "config.toml").write_text(config.to_toml(found.experiment))
    monkeypatch.setattr(estimate, "_memory_of_device", lambda: 2**50)
    assert training.settled(resolved, tmp_path, sources, notes.append) == found and len(notes) == 1


@pytest.mark.parametrize(("steps", "seconds"), [(10**6, 2000.0), (7, 0.0)])
def test_time_is_steps_by_speed(monkeypatch, tmp_path, steps, seconds):
    speed = speeds.Speed(500.0, tmp_path, 3, True)
    monkeypatch.setattr(speeds, "measured", lambda *_: speed)
    told = estimate.time(resolve("maml").experiment, steps, tmp_path)
    assert told["seconds"] == seconds and told["measured"] == {
        "run": str(tmp_path), "seeds": 3, "same_settings": True
    }  # fmt: skip
    monkeypatch.setattr(speeds, "measured", lambda *_: None)
    assert {*estimate.time(resolve("maml").experiment, steps, tmp_path).values()} == {None}
