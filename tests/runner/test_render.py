"""Films of episodes, and the documents that the viewer plays."""

import base64
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.families import point
from hmrl_cli.report import viewer
from hmrl_cli.report.viewer.episodes import _episode
from hmrl_cli.runner import render
from hmrl_cli.runner.progress import Silent
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import reader
from hmrl_cli.types import Scene
from tests import toys
from tests.evaluation.test_skills import PLACES, library_of_places

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


def test_a_decision_is_held():
    """Every decision is a random direction: within one, the path is straight."""

    def decide(key, state):
        return jax.random.normal(key, (2,))

    actor = render.Actor(decide, lambda key, state, decision: decision, every=3)
    film = render.record_episode(jax.random.key(0), seen(toys.walker(horizon=6)), TASK, actor)
    moves = np.diff(film.poses[:, 0, :2], axis=0)
    np.testing.assert_allclose(moves[:3], moves[:1].repeat(3, axis=0), atol=1e-6)
    np.testing.assert_allclose(moves[3:], moves[3:4].repeat(3, axis=0), atol=1e-6)
    assert np.abs(moves[3] - moves[0]).max() > 1e-3


def test_an_episode_that_ends_early_ends_in_its_document():
    family = seen(toys.walker(horizon=8, ends=True))
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
    family = point.make(point.Config(horizon=5))
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
    """Every skill; and the policy before and after adaptation, directly or through the skills."""
    documents = []
    monkeypatch.setattr(viewer, "page", lambda document: documents.append(document) or "page")
    settings = {"split": "test", "reward": "sparse", "num_tasks": 2, "out": None, "progress": Silent()}
    for name in ("diayn", "maesn", "hmrl"):
        assert render.render_run(reader.read(runs / name), **settings) == runs / name / "render.html"
    labels = [[episode["label"] for episode in document["episodes"]] for document in documents]
    assert labels[0] == ["skill 0", "skill 1", "skill 2", "skill 3"]
    moments = ("before adaptation", "after 1 update")
    assert labels[1] == labels[2] == [f"test task {i}: {when}" for i in (1, 2) for when in moments]
    assert {episode["frames"] for document in documents for episode in document["episodes"]} == {7}


def test_skills_that_are_places_show_their_place_and_how_many_arrive():
    """Of two skills one walks out of reach: an episode is too short for it."""
    library = library_of_places(PLACES.at[1].set(jnp.array([0.0, -1.75])))
    family = seen(toys.walker(5))
    learner = SimpleNamespace(freeze=lambda state: state, skills=lambda params: library)
    parts = SimpleNamespace(make_learner=lambda skills: learner, act_on=lambda skills: family)
    experiment = SimpleNamespace(evaluation=Evaluation())
    trained = SimpleNamespace(parts=parts, state={}, experiment=experiment)
    film, labels = render._record_skills(jax.random.key(0), trained, TASK)
    assert labels == ["skill 0: place (0.50, 0.00), 100% arrive", "skill 1: place (0.00, -1.75), 0% arrive"]
    assert film.poses.shape == (2, 6, 1, 7)
