"""METRA and CSF on soft actor-critic with replay; DIAYN's own tests are in test_diayn.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import csf, diayn, metra
from hmrl_cli.algorithms.skills._off_policy import Stored
from hmrl_cli.learning import sac
from tests.algorithms.skills.objectives import QUICK, WALKER, check_apart, walks
from tests.algorithms.skills.test_diayn import train

SAC = (
    QUICK
    | dict(learner="sac", episodes_per_update=8, gradient_steps=20, batch_size=64, buffer_capacity=2000)
    | dict(sac=sac.Config(hidden=(32,), learning_rate=3e-3, entropy_coefficient=0.02))
)
del SAC["ppo"]


def perceptron(params, x):
    """The network in NumPy."""
    for name in sorted(params):
        x = x @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])
        x = np.maximum(x, 0) if name != max(params) else x
    return x


@pytest.mark.parametrize("module", [metra, csf])
def test_the_reward_of_replayed_steps_is_that_of_phi_after_its_gradient_step(module):
    config = module.Config(**(SAC | dict(learning_rate=0.05, hidden=(8,))))
    learner = module.make(config, WALKER)
    state = jax.jit(learner.init)(jax.random.key(0))
    objective = learner.step.__self__.objective
    skills = objective.space.draw(jax.random.key(1), 4)
    path = walks(skills)
    steps = Stored(path[:, 0], jnp.zeros((4, 2)), jnp.ones(4), path[:, 1], skills)
    new, reward, _ = jax.jit(objective.learn)(jax.random.key(2), state, steps)
    params = new.learned.params.phi if module is metra else new.learned.params
    std = np.sqrt(1 + 1e-6)  # no episode was absorbed
    moves = perceptron(params, np.asarray(path[:, 1]) / std) - perceptron(
        params, np.asarray(path[:, 0]) / std
    )
    value = reward.value if module is metra else (reward.value * reward.weights).sum(axis=-1)
    np.testing.assert_allclose(value, (moves * np.asarray(skills)).sum(axis=-1), atol=1e-5)
    if module is csf:
        np.testing.assert_allclose(reward.value, moves, atol=1e-5)
        psi = learner.step.__self__.agent.critic.apply(state.sac.critic, jnp.zeros((4, 4)), steps.action)
        assert psi.shape == (2, 4, 2)


@pytest.mark.slow
@pytest.mark.parametrize("skills", ["continuous", "discrete"])
@pytest.mark.parametrize("module", [metra, csf])
def test_skills_go_their_own_ways(module, skills):
    size = {"continuous": 2, "discrete": 4}[skills]
    learner = module.make(module.Config(**SAC, skills=skills, skill_size=size), WALKER)
    state, metrics = train(learner, 60, num_seeds=3)
    assert (state.buffer.size == 2000).all() and (metrics["intrinsic_reward"] > 0).all()
    check_apart(learner, state)


def test_a_small_buffer_is_named():
    for module in (metra, diayn):
        settings = SAC if module is metra else {}
        with pytest.raises(ValueError, match="buffer_capacity: found 9; must hold one update, "):
            module.make(module.Config(**(settings | dict(buffer_capacity=9))), WALKER)
