"""Films of episodes, and the documents that the viewer plays."""

import base64
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.composition import repeat
from hmrl_cli.environment.frames import frames_of, recorded
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.errors import ConfigError
from hmrl_cli.families import point
from hmrl_cli.report import viewer
from hmrl_cli.report.viewer.episodes import _episode
from hmrl_cli.runner import assembly, evaluate, render
from hmrl_cli.runner.progress import Silent
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import reader
from hmrl_cli.types import Scene
from tests import toys
from tests.evaluation.test_skills import PLACES, library_of_places
from tests.trainings import resolve

TASK = jnp.array([2.0, 0.0])


def seen(family):
    """The toy, with a body to look at."""

    def poses(state):
        return jnp.concatenate([state.obs, jnp.array([0.0, 1.0, 0.0, 0.0, 0.0])])[None]

    def goals(state, task):
        return jnp.concatenate([task, jnp.array([0.0, 0.3])])[None]

    return family._replace(scene=Scene((), poses, goals, 0.1, flat=True))


def unpacked(text, *shape):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)


def test_every_step_of_a_decision_is_recorded_and_nothing_else_changes():
    """Every decision is a random direction: within one, the path is straight."""

    def policy(key, obs):
        return jax.random.normal(key, (2,)), jnp.float32(0)

    family = seen(toys.walker(horizon=6))
    steps, final = unroll(jax.random.key(0), policy, repeat(recorded(family), 3), TASK)
    plain, last = unroll(jax.random.key(0), policy, repeat(family, 3), TASK)
    film = frames_of(final)
    assert frames_of(last) is None
    np.testing.assert_array_equal(steps.obs, plain.obs)
    np.testing.assert_allclose(film.reward.sum(), plain.reward.sum(), rtol=1e-6)
    moves = np.diff(film.poses[:, 0, :2], axis=0)
    np.testing.assert_allclose(moves[:3], moves[:1].repeat(3, axis=0), atol=1e-6)
    np.testing.assert_allclose(moves[3:], moves[3:4].repeat(3, axis=0), atol=1e-6)
    assert np.abs(moves[3] - moves[0]).max() > 1e-3


def test_an_episode_that_ends_early_ends_in_its_document():
    family = recorded(seen(toys.walker(horizon=8, ends=True)))
    film = jax.tree.map(
        np.asarray, render.record_episode(jax.random.key(0), family, TASK, render.controller(family, TASK))
    )
    document = _episode(film, "one")
    assert document["done"] == [False] * (document["frames"] - 1) + [True] and document["frames"] < 9
    assert len(document["rewards"]) == len(document["success"]) == document["frames"]
    poses = unpacked(document["poses"], document["frames"], document["bodies"], 7)
    np.testing.assert_array_equal(poses, film.poses[: document["frames"]])
    assert unpacked(document["goals"], document["frames"], 1, 4)[0, 0].tolist() == [
        2.0,
        0.0,
        0.0,
        pytest.approx(0.3),
    ]


def test_the_first_frame_is_the_reset():
    family = recorded(point.make(point.Config(horizon=5)))
    film = render.record_episode(
        jax.random.key(0), family, jnp.array([0.3, 0.4]), render.controller(family, TASK)
    )
    assert film.poses.shape == (6, 1, 7) and film.reward[0] == 0
    np.testing.assert_array_equal(film.poses[0, 0, :2], [0.0, 0.0])


def test_the_page_of_a_family(tmp_path):
    settings = {"split": "hidden", "reward": "dense", "num_tasks": 2, "progress": Silent()}
    path = render.render_family("point/smoke", out=tmp_path / "x.html", **settings)
    page = path.read_text()
    assert page.count("hidden task ") == 2 and "connect" not in page.split("<style>")[0]


@pytest.mark.xdist_group("experiment")
def test_a_run_can_be_watched(runs, monkeypatch):
    """Every skill; and every episode of an adaptation, directly or through the skills."""
    documents = []
    monkeypatch.setattr(viewer, "page", lambda document: documents.append(document) or "page")
    settings = {"split": "test", "reward": "sparse", "num_tasks": 2, "out": None, "progress": Silent()}
    for name in ("diayn", "maesn", "hmrl"):
        monkeypatch.setattr(render, "MAX_EPISODES", 400 if name == "maesn" else 4)
        assert render.render_run(reader.read(runs / name), **settings) == runs / name / "render.html"
    labels = [[episode["label"] for episode in document["episodes"]] for document in documents]
    assert labels[0] == ["skill 0", "skill 1", "skill 2", "skill 3"]
    moments = ("before adaptation", "after 1 update")
    wanted = [f"test task {i}: {when}, episode {n}" for i in (1, 2) for when in moments for n in (1, 2, 3, 4)]
    assert [label.rpartition(":")[0] for label in labels[1]] == wanted
    assert [label.rpartition(":")[0] for label in labels[2]] == wanted[::4]  # one of each batch, with a limit
    assert {episode["frames"] for document in documents for episode in document["episodes"]} == {7}
    skills, whole, limited = (document["films"] for document in documents)
    assert skills == [
        {"label": "all 4 skills at once", "order": "at once", "dt": 0.1, "episodes": [0, 1, 2, 3]}
    ]
    assert [film["label"] for film in whole] == [f"test task {i}: all 8 episodes in turn" for i in (1, 2)]
    assert [film["episodes"] for film in whole] == [[*range(8)], [*range(8, 16)]]
    # a film shows all episodes, those that the page has no room to play alone as well
    first = documents[2]["episodes"][0] | {"label": ""}
    assert limited[0]["episodes"][0] == first and [len(film["episodes"]) for film in limited] == [8, 8]
    settings["num_tasks"] = 1
    render.render_run(reader.read(runs / "maesn"), sets=["evaluation.episodes=2"], **settings)
    assert [len(film["episodes"]) for film in documents[3]["films"]] == [4]
    with pytest.raises(ConfigError, match="protocol: found 'explroe'; did you mean 'explore'"):
        render.render_run(reader.read(runs / "maesn"), protocol="explroe", **settings)


@pytest.mark.parametrize(
    "name",
    ["maml", "maesn", "rl2", "pearl", "ppo", "sac", pytest.param("first_explore", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("tune_after", [None, 0])
def test_every_learner_keeps_the_episodes_of_a_recorded_family(name, tune_after):
    parts = assembly.assemble(resolve(name).experiment, over=recorded)
    budget = Evaluation(adapt_steps=2, episodes=4, tune_after=tune_after)
    learner, task = parts.learner, jnp.zeros(parts.family.task_size)
    keys = jax.random.split(jax.random.key(0))
    state = jax.eval_shape(learner.init, keys[0])
    _, curve = jax.eval_shape(lambda *given: learner.adapt(*given, budget), keys[1], state, task)
    assert curve.episodes.counted.shape == (3, 4) and curve.episodes.frames.poses.shape == (3, 4, 7, 1, 7)


@pytest.mark.xdist_group("experiment")
@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        pytest.param("maesn", "explore", marks=pytest.mark.slow),
        pytest.param("hmrl", None, marks=pytest.mark.slow),
    ],
)
def test_an_evaluation_is_watched_as_it_is_measured(runs, monkeypatch, name, protocol):
    """The mean return and success of the counted episodes of a batch are those of the document.

    `explore` imitates for 200 steps, which amplify the rounding of a program that records.
    """
    documents, run = [], reader.read(runs / name)
    monkeypatch.setattr(viewer, "page", lambda document: documents.append(document) or "page")
    measured = evaluate.evaluate(run, split="hidden", reward="dense", protocol=protocol, progress=Silent())
    settings = {"split": "hidden", "reward": "dense", "num_tasks": 2, "out": None, "progress": Silent()}
    render.render_run(run, protocol=protocol, **settings)
    episodes = documents[0]["episodes"]
    tolerance = 2e-3 if protocol == "explore" else 1e-4
    batches = [episodes[first : first + measured["episodes"]] for first in range(0, len(episodes), 4)]
    for number, batch in enumerate(batches):
        task, update = divmod(number, len(measured["steps"]))
        counted = [one for one in batch if not one["label"].endswith("not counted")]
        for measure, of in (("return", lambda x: sum(x["rewards"])), ("success", lambda x: x["success"][-1])):
            wanted = measured["per_task"][measure][0][task][update]
            assert np.mean([of(one) for one in counted]) == pytest.approx(wanted, rel=tolerance)
    assert (sum("not counted" in one["label"] for one in episodes) > 0) == (protocol == "explore")


def test_skills_that_are_places_show_their_place_and_how_many_arrive():
    """Of two skills one walks out of reach: an episode is too short for it."""
    library = library_of_places(PLACES.at[1].set(jnp.array([0.0, -1.75])))
    family = seen(toys.walker(5))
    learner = SimpleNamespace(freeze=lambda state: state, skills=lambda params: library)
    parts = SimpleNamespace(learner=learner, act_on=lambda skills: family)
    experiment = SimpleNamespace(evaluation=Evaluation())
    trained = SimpleNamespace(parts=parts, state={}, experiment=experiment)
    film, labels = render._record_skills(jax.random.key(0), trained, TASK, False)
    assert labels == ["skill 0: place (0.50, 0.00), 100% arrive", "skill 1: place (0.00, -1.75), 0% arrive"]
    assert film.poses.shape == (2, 6, 1, 7)
