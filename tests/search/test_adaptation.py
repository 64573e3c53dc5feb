"""A search on the plane: a sparse goal is found, remembered and gone to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.rollout import keys_of
from hmrl_cli.schema import Evaluation, Relabel
from hmrl_cli.search import adaptation, belief, relabel
from hmrl_cli.types import Adaptation, Continuous, Transition
from tests import toys

FAMILY = toys.placed()
BUDGET = Evaluation(adapt_steps=9, episodes=4, rule="relabel", least_gain=0.5 * FAMILY.horizon)
EAST = jnp.array([0.8, 0.0])


@partial(jax.jit, static_argnums=(2, 3))
def search(key, task, budget=BUDGET, behaviour=None):
    belief_key, key = jax.random.split(key)
    first = partial(belief.prior, belief_key, None, Continuous(2), budget.relabel)
    return adaptation.adapt(key, FAMILY, task, budget, first, behaviour)


@pytest.fixture(scope="module")
def adapted():
    """48 tasks, and their plans, memories and curves."""
    task_keys, keys = jax.random.split(jax.random.key(0), (2, 48))
    tasks = jax.vmap(lambda key: FAMILY.sample(key, "test"))(task_keys)
    return tasks, *jax.jit(jax.vmap(search))(keys, tasks)


def test_a_sparse_goal_is_found_and_gone_to(adapted):
    tasks, plan, memory, curve = adapted
    solved = (memory.reward > 0.5).any(axis=(1, 2))
    assert solved.mean() > 0.95
    np.testing.assert_array_equal(plan.found, solved)  # neither false alarms nor misses
    assert curve.returned.shape == (48, 10) and curve.success[:, 0].mean() < 0.4
    assert curve.success[:, -1].mean() > 0.9 * solved.mean()  # what was found last is known least
    assert np.quantile(np.linalg.norm(plan.target - tasks, axis=-1)[solved], 0.9) < toys.DISC
    # half of a batch went for what was found before it, and all of the last one
    searched = np.asarray(memory.searched[..., 0].reshape(48, 10, 4).mean(axis=2))
    found_before = np.cumsum((memory.reward > 0.5).reshape(48, 10, -1).any(axis=2), axis=1)[:, :-1] > 0
    np.testing.assert_array_equal(searched[:, 1:-1], np.where(found_before[:, :-1], 0.5, 1.0))
    np.testing.assert_array_equal(searched[:, -1], np.where(found_before[:, -1], 0.0, 1.0))


def test_a_result_counts_the_best_guess(adapted):
    """The others still search, or try what is near."""
    _, _, memory, curve = adapted
    returned = np.asarray(memory.reward.sum(axis=2).reshape(48, 10, 4))
    searched = np.asarray(memory.searched[..., 0].reshape(48, 10, 4))
    guess = np.zeros_like(searched)
    guess[:, :, 0] = guess[:, -1] = 1
    counted = np.where((searched == 0).any(axis=2, keepdims=True), guess, 1.0)
    expected = (returned * counted).sum(axis=2) / counted.sum(axis=2)
    np.testing.assert_allclose(curve.returned, expected, rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def met():
    """48 tasks in episodes of 20 short decisions, one between two updates: plans and memories."""
    family = toys.placed(decisions=20, steps=2)
    budget = BUDGET.model_copy(
        update={"episodes": 1, "adapt_steps": 5, "least_gain": 0.5 * 20, "relabel": Relabel(stops=2)}
    )
    first = partial(belief.prior, jax.random.key(0), None, Continuous(2), budget.relabel)

    @jax.jit
    @jax.vmap
    def run(key, task):
        return adaptation.adapt(key, family, task, budget, first)[:2]

    tasks = jax.vmap(lambda key: family.sample(key, "test"))(jax.random.split(jax.random.key(5), 48))
    return run(jax.random.split(jax.random.key(6), 48), tasks)


def test_an_episode_that_passes_the_first_reward_comes_back_to_it(met):
    """Only it, as later ones go on to look for others."""
    _, memory = met
    has_reward = np.asarray(memory.reward > 0.5)
    is_first = np.cumsum(has_reward.any(axis=2), axis=1) == 1
    turned = np.asarray((memory.searched[..., 0] > 0) & (memory.searched[..., -1] == 0))
    assert turned.sum() > 10 and not (turned & ~is_first).any()
    came_early = turned & has_reward[..., :10].any(axis=2)
    assert has_reward[came_early][:, -1].mean() > 0.9


def test_a_dense_reward_turns_hardly_any_episode_back():
    """It rises all the time, and seldom twice as fast as before."""
    family = toys.placed(decisions=20, steps=2)

    def step(state, action, task):
        new = family.step(state, action, task)
        return new._replace(reward=-jnp.linalg.norm(new.obs - task))

    first = partial(belief.prior, jax.random.key(0), None, Continuous(2), BUDGET.relabel)

    @jax.jit
    @jax.vmap
    def run(key):
        return adaptation.adapt(key, family._replace(step=step), EAST, BUDGET, first)[1]

    searched = np.asarray(run(jax.random.split(jax.random.key(1), 24)).searched)
    assert (searched[..., 0] > 0).sum() > 400
    assert (searched[..., -1] < searched[..., 0]).mean() < 0.03


def test_episodes_from_outside_tell_as_much_as_the_simulator_s():
    """An outer one ends where it falls, and the simulator goes on to the horizon; some fall after a find."""
    family, task = toys.placed(decisions=20, steps=2, ends=True), jnp.array([0.5, 0.6])
    settings = {"adapt_steps": 5, "least_gain": 0.5 * 20, "relabel": Relabel(stops=2)}
    budget = BUDGET.model_copy(update=settings)
    search = adaptation.Search(family, budget, follows=False)
    act, sense = jax.jit(partial(search.act, None)), jax.jit(search.sense)
    step = jax.jit(family.step)

    def first(start):
        return belief.prior(jax.random.key(0), None, Continuous(2), budget.relabel, start)

    def episode(held):
        """What it held at its end, and its steps; those after a fall count nothing."""
        state, steps = family.reset(keys_of(held.key)[0], task), []
        for t in range(family.horizon):
            if not state.done:
                with jax.debug_key_reuse(False):  # every decision draws from the episode's key and its number
                    action, log_prob, held = act(held, jnp.int32(t), state.obs)
                new = step(state, action, task)
                held = sense(held, new.reward, new.done)
                kept = Transition(
                    state.obs, action, log_prob, new.reward, 1.0 - new.done, jnp.float32(1), new.obs
                )
                state = new
            else:
                nothing = jnp.float32(0)
                kept = steps[-1]._replace(reward=nothing, discount=nothing, valid=nothing)
            steps.append(kept)
        return held, jax.tree.map(lambda *x: jnp.stack(x), *steps)

    key = jax.random.key(7)
    known = search.begin(first, family.reset(jax.random.fold_in(key, budget.adapt_steps + 1), task).obs)
    for count in range(budget.adapt_steps + 1):
        batch = search.choose(key, known, jnp.int32(count))
        rows = [episode(jax.tree.map(lambda x, row=row: x[row], batch)) for row in range(budget.episodes)]
        held, steps = jax.tree.map(lambda *x: jnp.stack(x), *rows)
        known = search.absorb(known, jnp.int32(count), held, steps)
    plan, memory, _ = jax.jit(lambda key: adaptation.adapt(key, family, task, budget, first))(key)
    fell_after_a_find = (memory.reward > 0).any(axis=1) & (memory.valid == 0).any(axis=1)
    assert fell_after_a_find.any() and (memory.searched[:, 0] > memory.searched[:, -1]).any()
    assert plan.found and known.plan.found
    np.testing.assert_allclose(known.buffer.searched, memory.searched)
    np.testing.assert_allclose(known.plan.best, plan.best, atol=1e-4)


def test_a_find_is_known_though_the_only_episode_stayed_there(met):
    """What it earned there is not what is usual."""
    _, memory = met
    found = np.cumsum((memory.reward > 0.5).any(axis=2), axis=1) > 0
    np.testing.assert_array_equal(memory.searched[:, 1:, 0] == 0, found[:, :-1])


def test_skills_that_miss_are_aimed_beside_the_goal():
    """A miss of twice the disc's radius: only a corrected aim ends inside."""
    family = toys.placed(miss=0.2, disc=0.1)
    budget = BUDGET.model_copy(update={"adapt_steps": 15})
    first = partial(belief.prior, jax.random.key(0), None, Continuous(2), budget.relabel)

    @jax.jit
    @jax.vmap
    def run(key):
        plan, _, curve = adaptation.adapt(key, family, EAST, budget, first)
        return plan, curve

    plan, curve = run(jax.random.split(jax.random.key(1), 24))
    assert plan.found.mean() > 0.8
    assert curve.success[:, -1].mean() > 0.8 * plan.found.mean()
    south = (plan.target - plan.best)[plan.found, 1]
    assert 0.1 < np.median(south) < 0.3


@pytest.mark.parametrize("budget", [dict(adapt_steps=0), dict(episodes=1), dict(least_gain=None)])
def test_small_budgets(budget):
    budget = BUDGET.model_copy(update=budget)
    plan, memory, curve = search(jax.random.key(1), EAST, budget)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((plan, memory, curve)))
    assert curve.returned.shape == (budget.adapt_steps + 1,) and isinstance(curve, Adaptation)


def test_an_episode_may_go_to_several_places():
    """It finds more in as many episodes, and is a trial of a skill only where it exploits."""
    budget = BUDGET.model_copy(update={"episodes": 1, "adapt_steps": 5})
    tour = budget.model_copy(update={"relabel": Relabel(stops=3)})
    tasks = jax.vmap(lambda key: FAMILY.sample(key, "test"))(jax.random.split(jax.random.key(5), 48))
    found = {}
    for name, one in {"straight": budget, "tour": tour}.items():
        keys = jax.random.split(jax.random.key(6), 48)
        plan, memory, curve = jax.jit(jax.vmap(partial(search, budget=one)))(keys, tasks)
        found[name] = plan.found.mean(), curve.success[:, -1].mean()
        tried = memory.aimed if name == "straight" else memory.aimed + memory.searched[..., 0]
        met = (memory.reward > 0.5).any(axis=2) & (memory.searched[..., 0] > 0)
        np.testing.assert_array_equal(tried[~met], 1)  # one that turns back is no trial, either
    assert found["tour"][0] > found["straight"][0] + 0.1 and found["tour"][1] > found["straight"][1] + 0.1


def test_where_every_search_succeeds_it_stays_found():
    """Once something stood out, it stays found when nothing else is found any more."""
    plan = adaptation.Plan(
        belief.prior(jax.random.key(0), None, Continuous(2), Relabel(), jnp.zeros(2)),
        EAST,
        jnp.ones(2),
        EAST,
        jnp.array(True),
        jnp.zeros(2),
    )
    memory = relabel.empty_buffer(1, 4, 3, 2)._replace(
        reward=jnp.ones((4, 3)), valid=jnp.ones((4, 3)), searched=jnp.ones((4, 3))
    )
    assert relabel.reward_gain(memory) == 0
    assert adaptation._updated(plan, plan.belief, memory, 0.5, BUDGET, 1.0).found


def test_a_fall_is_no_find():
    """An episode that ends early pays no more costs: the decision that it cut short looks cheap."""
    family = toys.placed(ends=True)
    nowhere = jnp.array([-9.0, 0.0])
    first = partial(belief.prior, jax.random.key(1), None, Continuous(2), Relabel())
    run = jax.jit(lambda key: adaptation.adapt(key, family, nowhere, BUDGET, first))
    plan, memory, _ = run(jax.random.key(2))
    assert not memory.valid.all()  # some fell
    cut = np.asarray(memory.reward)[np.asarray(memory.valid) == 0]
    assert cut.max() > np.asarray(memory.reward)[np.asarray(memory.valid) > 0].max() + 0.5
    assert not plan.found


def test_a_policy_searches_but_for_its_fallback_and_alone_at_last():
    """What it did not hold was not aimed at."""

    def still(key):
        return lambda key, obs: (jnp.zeros(2), jnp.float32(0))

    nowhere = jnp.array([-9.0, 0.0])
    some = BUDGET.model_copy(update={"fallback": 0.5, "episodes": 20})
    _, memory, _ = search(jax.random.key(3), nowhere, some, still)
    moved = np.asarray(jnp.abs(memory.skill).max(axis=(1, 2)).reshape(10, 20)) > 0.1
    assert 0.3 < moved[:-1].mean() < 0.7 and not moved[-1].any()
    none = BUDGET.model_copy(update={"fallback": 0.0})
    plan, memory, _ = search(jax.random.key(3), nowhere, none, still)
    assert np.abs(memory.skill).max() < 0.1
    far = np.linalg.norm(plan.belief.places, axis=-1) > 0.5
    np.testing.assert_allclose(plan.belief.log_weight[far], 0.0, atol=1e-2)


def test_nothing_is_compiled_twice():
    search.clear_cache()
    search(jax.random.key(0), EAST)
    search(jax.random.key(1), -EAST)
    assert search._cache_size() == 1
