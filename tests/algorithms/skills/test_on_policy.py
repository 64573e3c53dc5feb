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
from tests.algorithms.skills.objectives import PPO, QUICK, WALKER, check_apart
from tests.algorithms.skills.test_diayn import train

LEARNERS = {
    "vic": (vic, dict(num_skills=4, prior="fixed")),
    "dads": (dads, dict(skills="discrete", skill_size=4)),
    "dads, continuous": (dads, {}),
    "metra": (metra, dict(skills="discrete", skill_size=4)),
    "metra, continuous": (metra, {}),
    "csf": (csf, dict(skills="discrete", skill_size=4)),
    "csf, continuous": (csf, {}),
}


DEFAULT = ("vic",)  # DADS learns in test_dads.py, METRA in test_metra.py, CSF in test_csf.py


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in DEFAULT else [pytest.mark.slow]) for name in LEARNERS],
)
def test_skills_go_their_own_ways(name):
    module, settings = LEARNERS[name]
    learner = module.make(module.Config(**(QUICK | settings)), WALKER)
    state, _ = train(learner, 40, num_seeds=3)
    check_apart(learner, state)


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
