"""Objectives on PPO beside DIAYN's: VIC, DADS, METRA, CSF."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import csf, dads, metra, vic
from hmrl_cli.environment.composition import lift
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.learning import moments, ppo
from hmrl_cli.types import Continuous
from tests.algorithms.skills.objectives import PPO, QUICK, WALKER
from tests.algorithms.skills.test_diayn import train


def ends_of_examples(learner, state):
    """Where each example's most likely actions lead [M, 2]."""
    library = learner.skills(learner.freeze(state))

    def end(skill):
        def act(key, obs):
            return library.policy(library.params, obs, skill).mode(), jnp.zeros(())

        return unroll(jax.random.key(0), act, WALKER, jnp.zeros(2))[1].obs

    return jax.vmap(end)(library.examples)


LEARNERS = {
    "vic": (vic, dict(num_skills=4, prior="fixed")),
    "dads": (dads, dict(skills="discrete", skill_size=4)),
    "dads, continuous": (dads, {}),
    "metra": (metra, dict(skills="discrete", skill_size=4)),
    "metra, continuous": (metra, {}),
    "csf": (csf, dict(skills="discrete", skill_size=4)),
    "csf, continuous": (csf, {}),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if "continuous" in name else []) for name in LEARNERS],
)
def test_skills_go_their_own_ways(name):
    module, settings = LEARNERS[name]
    learner = module.make(module.Config(**(QUICK | settings)), WALKER)
    state, _ = train(learner, 40, num_seeds=3)
    ends = np.asarray(jax.jit(jax.vmap(lambda state: ends_of_examples(learner, state)))(state))
    if ends.shape[1] == 4:  # all discrete skills
        apart = np.linalg.norm(ends[:, :, None] - ends[:, None], axis=-1)
        parted = (apart[:, ~np.eye(4, dtype=bool)] > 1.0).all(axis=1)
        assert parted.sum() >= 2, ends  # in one seed of ten two skills of DADS share a corner
    else:  # of eight directions those that are opposite; neighbours may share a corner of what can be reached
        assert (np.linalg.norm(ends[:, :4] - ends[:, 4:], axis=-1) > 3.0).all(), ends


def test_a_controller_acts_through_continuous_skills_of_any_length():
    learner = metra.make(metra.Config(**QUICK), WALKER)
    library = learner.skills(learner.freeze(learner.init(jax.random.key(0))))
    lifted = lift(WALKER, library, 5, stochastic=False)
    assert lifted.action == Continuous(2)
    ends = [
        unroll(jax.random.key(0), lambda key, obs, z=z: (jnp.array(z), 0.0), lifted, jnp.zeros(2))[1].obs
        for z in ([0.3, 0.4], [3.0, 4.0], [-3.0, 4.0])
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)
    assert np.abs(ends[1] - ends[2]).max() > 1e-4


def test_a_skill_folds_into_a_policy_of_the_whole_observation():
    family = WALKER._replace(features={**WALKER.features, "second": lambda obs: obs[..., 1:]})
    learner = dads.make(dads.Config(**(QUICK | {"observe": "second"})), family)
    state = jax.jit(learner.init)(jax.random.key(0))
    state = state._replace(observed=state.observed._replace(mean=jnp.array([1.0, -2.0]), seen=jnp.float32(9)))
    params, skill = learner.freeze(state), jnp.array([0.7, -0.4])
    library, folded = learner.skills(params), learner.fold(params, skill)
    plain = ppo.make(2, 3, family.action, PPO).policy
    for obs in jax.random.normal(jax.random.key(1), (3, 2)):
        own = library.policy(params, obs, skill)
        same = plain.apply(folded["policy"], moments.normalize(folded["observed"], obs))
        np.testing.assert_allclose(same.mean, own.mean, atol=1e-5)
        np.testing.assert_array_equal(same.log_std, own.log_std)


def test_mistakes_are_named():
    few = QUICK | dict(episodes_per_update=4)
    for module, settings in ((vic, dict(num_skills=5)), (metra, dict(skills="discrete", skill_size=5))):
        with pytest.raises(
            ValueError, match="found 4; must be at least the number of skills, 5, so that every"
        ):
            module.make(module.Config(**(few | settings)), WALKER)
    for module, field in (
        (vic, "discriminate"),
        (dads, "condition"),
        (metra, "represent"),
        (csf, "represent"),
    ):
        with pytest.raises(
            ValueError, match=f"algorithm.{field}: walker has no feature 'wings', only identity"
        ):
            module.make(module.Config(**(QUICK | {field: "wings"})), WALKER)
