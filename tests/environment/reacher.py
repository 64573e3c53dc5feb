"""Brax's reacher as a family: an arm of two links, whose tip reaches a target that it does not see."""

import math
from typing import Literal

import pydantic

from hmrl_cli.environment import brax_env
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, TaskFamily

CELLS = 2**20  # angles of each split
REACH = 0.15  # m, distance of the targets from the shoulder
NEAR = 0.03  # m, distance of success


class Config(Strict):
    """The settings of the reacher."""

    name: Literal["reacher"] = "reacher"
    reward: Reward = pydantic.Field("dense", description="that of Brax, or only near the target")
    horizon: int = pydantic.Field(50, gt=0, le=1000, description="steps of an episode")


def make(config: Config) -> TaskFamily:
    """The family: obs [6] cosines and sines of the joints and their speeds, task [2] the target."""

    def environment():
        from brax.envs import reacher

        return reacher.Reacher()

    def sample(key, split):
        key = jax.random.fold_in(key, ("train", "test", "hidden").index(split))
        cell = 2 * jax.random.randint(key, (), 0, CELLS) + (split == "test")
        angle = math.pi * ((cell + 0.5) / (2 * CELLS) + (split == "hidden"))
        return REACH * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def begin(env, state, task):
        physics = state.pipeline_state
        return state.replace(pipeline_state=env.pipeline_init(physics.q.at[2:].set(task), physics.qd))

    def observe(state):
        joints, speeds = state.pipeline_state.q[:2], state.pipeline_state.qd[:2]
        return jnp.concatenate([jnp.cos(joints), jnp.sin(joints), speeds])

    def tip(obs):
        """Place of the tip [..., 2], of links of 0.1 m and 0.11 m."""
        cos, sin = obs[..., :2], obs[..., 2:4]
        both = (cos[..., 0] * cos[..., 1] - sin[..., 0] * sin[..., 1], (sin * cos[..., ::-1]).sum(axis=-1))
        return 0.1 * jnp.stack([cos[..., 0], sin[..., 0]], axis=-1) + 0.11 * jnp.stack(both, axis=-1)

    def score(state, task):
        distance = jnp.linalg.norm(tip(observe(state)) - task)
        near = jnp.maximum(NEAR - distance, 0.0)
        return (state.reward if config.reward == "dense" else near), distance < NEAR

    return brax_env.family_of(
        environment,
        name="reacher",
        horizon=config.horizon,
        sample=sample,
        begin=begin,
        observe=observe,
        score=score,
        xy=tip,
        goals=lambda state, task: jnp.concatenate([task, jnp.array([0.01, NEAR])])[None],
    )
