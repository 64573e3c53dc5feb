"""Families as environments of Brax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hmrl_cli
from hmrl_cli.environment.brax_env import quiet
from hmrl_cli.errors import ConfigError
from hmrl_cli.families import point
from tests import toys


def test_a_state_is_that_of_the_family():
    env = hmrl_cli.brax_env(toys.walker(3), task=[1.0, 0.0])
    assert (env.observation_size, env.action_size, env.backend) == (2, 2, "none")
    first = jax.jit(env.reset)(jax.random.PRNGKey(0))
    second = jax.jit(env.step)(first, jnp.array([2.0, 0.0]))
    assert jax.tree.map(jnp.shape, first) == jax.tree.map(jnp.shape, second)
    np.testing.assert_allclose(second.obs, first.obs + jnp.array([0.3, 0.0]), rtol=1e-6)
    assert second.reward < 0 == second.done and second.metrics["success"] == 0
    with pytest.raises(ConfigError, match="corridor: has integers as actions; Brax needs vectors"):
        hmrl_cli.brax_env(toys.corridor())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Brax's trainer, none of them ours
def test_a_trainer_of_brax_learns_a_family(monkeypatch):
    """Brax 0.14 calls a function that jax 0.10 has no more: copies of a tree for each device."""

    def replicated(tree, devices):
        return jax.tree.map(lambda x: jnp.stack([x] * len(devices)), tree)

    monkeypatch.setattr(jax, "device_put_replicated", replicated, raising=False)
    with quiet():
        from brax.training.agents.ppo import train

    env = hmrl_cli.brax_env(point.Config(horizon=20), reward="dense", split="test", task=0)
    found = []
    train.train(
        environment=env,
        num_timesteps=50_000,
        episode_length=20,
        num_envs=64,
        batch_size=64,
        num_minibatches=8,
        unroll_length=10,
        num_updates_per_batch=4,
        learning_rate=1e-3,
        num_evals=2,
        normalize_observations=True,
        seed=0,
        progress_fn=lambda steps, metrics: found.append(metrics),
    )
    first, last = (float(metrics["eval/episode_reward"]) for metrics in found)
    print(first, last)
    assert last > first + 1.0 and found[-1]["eval/episode_reached"] > found[0]["eval/episode_reached"]
