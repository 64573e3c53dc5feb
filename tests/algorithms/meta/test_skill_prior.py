"""The learned prior on a plane whose training goals lie in the east."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from hmrl_cli.algorithms.meta import skill_prior
from hmrl_cli.schema import Evaluation, Relabel
from hmrl_cli.search import belief
from tests import toys

FAMILY = toys.placed()
CONFIG = skill_prior.Config(num_train_tasks=40, tasks_per_update=20, batches=6)
LEARNER = skill_prior.make(CONFIG, FAMILY)
BUDGET = Evaluation(adapt_steps=7, episodes=2, rule="relabel", least_gain=0.5 * FAMILY.horizon)


@pytest.fixture(scope="module", autouse=True)
def few_candidates():
    """A quarter of them is enough on a plane, and takes a quarter of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(belief, "CANDIDATES", 128)
        patch.setattr(belief, "ENDS", 64)
        yield


@pytest.fixture(scope="module")
def trained(few_candidates):
    """Two seeds: states, and the metrics of two updates, leaves [2, 2]."""

    def run(key):
        def update(state, count):
            return LEARNER.step(jax.random.fold_in(key, count), state)

        return jax.lax.scan(update, LEARNER.init(key), jnp.arange(2))

    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 2))


@partial(jax.jit, static_argnums=1)
def curves(state, split):
    """How 32 tasks went."""
    task_keys, keys = jax.random.split(jax.random.key(3), (2, 32))
    tasks = jax.vmap(lambda key: FAMILY.sample(key, split))(task_keys)
    return jax.vmap(lambda key, task: LEARNER.adapt(key, state, task, BUDGET)[1])(keys, tasks)


def test_the_bank_learns_where_goals_are(trained):
    state, metrics = trained
    assert metrics["found"].shape == (2, 2) and metrics["found"].mean() > 0.9
    for seed in range(2):
        of_seed = jax.tree.map(lambda x, seed=seed: x[seed], state)
        bank = skill_prior.SkillPrior(CONFIG, FAMILY)._bank(of_seed)
        places = np.asarray(bank.places)[np.asarray(bank.known) > 0]
        assert len(places) > 32
        radius, angle = np.linalg.norm(places, axis=1), np.arctan2(places[:, 1], places[:, 0])
        assert abs(radius - 0.8).max() < toys.DISC + 0.1 and abs(angle).max() < np.pi / 4 + 0.4
    assert 0.1 < metrics["sight"][0, -1] < 0.6


@pytest.mark.slow
def test_fewer_episodes_on_tasks_like_those_of_training_and_about_as_many_on_others(trained):
    state = jax.tree.map(lambda x: x[0], trained[0])
    fresh = LEARNER.init(jax.random.key(0))
    area = {
        (split, name): float(curves(prior, split).success.mean())
        for split in ("train", "hidden")
        for name, prior in (("learned", state), ("broad", fresh))
    }
    assert area["train", "learned"] > area["train", "broad"] + 0.2, area
    assert area["hidden", "learned"] > area["hidden", "broad"] - 0.2, area


def test_an_empty_bank_is_the_broad_prior():
    fresh = LEARNER.init(jax.random.key(0))
    learner = skill_prior.SkillPrior(CONFIG, FAMILY)
    one, other = (
        learner._prior(jax.random.key(1), fresh, Relabel(broad=share))(jnp.zeros(2)) for share in (0.1, 1.0)
    )
    np.testing.assert_array_equal(one.log_weight, other.log_weight)
    assert jax.nn.softmax(one.log_weight)[: belief.CANDIDATES].sum() == pytest.approx(1.0)


def test_a_step_returns_a_state_of_the_same_kind(trained):
    state = LEARNER.init(jax.random.key(0))
    new, _ = jax.eval_shape(LEARNER.step, jax.random.key(1), state)
    kind = lambda x: (x.shape, x.dtype, x.weak_type)  # noqa: E731
    fresh = jax.eval_shape(LEARNER.init, jax.random.key(0))
    assert jax.tree.map(kind, new) == jax.tree.map(kind, fresh)
    assert LEARNER.steps_per_update == 20 * 6 * 4 * FAMILY.horizon


def test_an_adapted_learner_goes_for_what_it_found(trained):
    """Training tasks tell what counts as found, where the evaluation does not: not what actions cost."""
    state = jax.tree.map(lambda x: x[0], trained[0])
    task, nowhere = jnp.array([0.8, 0.0]), jnp.array([-9.0, 0.0])
    budget = BUDGET.model_copy(update={"least_gain": None})
    adapt = jax.jit(jax.vmap(partial(LEARNER.adapt, budget=budget), in_axes=(0, None, 0)))
    keys = jax.random.split(jax.random.key(1), 2)
    adapted, curve = adapt(keys, state, jnp.stack([task, nowhere]))
    np.testing.assert_array_equal(adapted.latent.found, [True, False])
    np.testing.assert_array_equal(curve.success[:, -1], [1, 0])
    adapted = jax.tree.map(lambda x: x[0], adapted)
    skill, log_prob = LEARNER.behaviour(jax.random.key(2), adapted, True)(jax.random.key(3), task)
    np.testing.assert_allclose(skill, np.clip(adapted.latent.target, -1, 1), rtol=1e-6)
    assert np.linalg.norm(skill - task) < toys.DISC and log_prob == 0


def test_few_solved_tasks_set_what_counts_as_found():
    """The gains of the others are what actions cost; before there are tasks, everything counts."""
    gain = jnp.array([0.05] * 8 + [2.0] * 2)
    assert skill_prior.least_gain(gain) == pytest.approx(0.3 * 2.0)
    assert skill_prior.least_gain(jnp.zeros(4)) == 0


def test_without_a_reward_nothing_is_found():
    """Though every task has a gain: what actions cost."""
    nowhere = FAMILY._replace(sample=lambda key, split: jnp.array([-9.0, 0.0]))
    learner = skill_prior.make(CONFIG, nowhere)
    state, metrics = jax.jit(learner.step)(jax.random.key(1), learner.init(jax.random.key(0)))
    assert metrics["found"] == 0 and metrics["reached_after"] == 0 and not state.gain.any()
    of_seeds = jax.tree.map(lambda x: x[None], state)
    assert "in row 0 of the seeds" in learner.note(of_seeds, BUDGET.model_copy(update={"least_gain": None}))


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="found 'skill_prior' for walker without skills that can be located"):
        skill_prior.make(CONFIG, toys.walker())
    with pytest.raises(
        ValidationError, match="tasks_per_update: found 20; must be at most num_train_tasks, 10"
    ):
        skill_prior.Config(num_train_tasks=10)


def test_a_bank_without_a_solved_task_is_noted(trained):
    """What counts as found is given in units of the return; noise of an unsolved task is below it."""
    state, _ = trained
    budget = Evaluation(rule="relabel", least_gain=0.5 * FAMILY.horizon)
    assert LEARNER.note(state, budget) == ""
    noise = state._replace(gain=state.gain.at[1].multiply(0.1))
    assert "in row 1 of the seeds; its prior is the broad one" in LEARNER.note(noise, budget)
    empty = jax.vmap(LEARNER.init)(jax.random.split(jax.random.key(0), 2))
    assert "in row 0, 1 of the seeds" in LEARNER.note(empty, budget)
