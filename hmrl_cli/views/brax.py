"""Families as environments of Brax (Freeman et al. 2021, 2106.13281), which Brax's trainers take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hmrl_cli.environment.brax_env import quiet
from hmrl_cli.errors import ConfigError
from hmrl_cli.lazy import KEYS, jax, jnp
from hmrl_cli.types import Continuous
from hmrl_cli.views.episodes import Running, open_episodes

with quiet():
    from brax.envs.base import Env, State

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Reward, Split, Task, TaskFamily


class FamilyEnv(Env):
    """A family as an environment of Brax.

    `pipeline_state` is a `Running`, with the task.  `metrics` has "success" and "reached", each 0 or 1.
    `done` is 1 where the environment has ended the episode early.  The horizon is the trainer's
    `episode_length`.  Brax's wrappers restore the first state at the end of an episode, and so its task.
    """

    def __init__(
        self,
        family: str | TaskFamily | Any = "point",
        *,
        reward: Reward | None = None,
        split: Split = "train",
        task: int | Task | None = None,
    ) -> None:
        """See `open_episodes` for the arguments; a ConfigError for a family whose actions are integers."""
        self.episodes = open_episodes(family, reward, split, task)
        if not isinstance(self.episodes.family.action, Continuous):
            raise ConfigError(f"{self.episodes.family.name}: has integers as actions; Brax needs vectors")

    def reset(self, rng: Array) -> Any:
        """The first state, drawn with a typed or a raw random key."""
        typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
        now = self.episodes.start(rng if typed else jax.random.wrap_key_data(rng, impl=KEYS))
        return State(now, now.state.obs, now.state.reward, _number(now.state.done), _metrics(now))

    def step(self, state: Any, action: Array) -> Any:
        """The state after an action, each number of which is clipped to [-1, 1]."""
        now = self.episodes.step(state.pipeline_state, action)
        return state.replace(
            pipeline_state=now,
            obs=now.state.obs,
            reward=now.state.reward,
            done=_number(now.state.done),
            metrics=state.metrics | _metrics(now),
        )

    @property
    def observation_size(self) -> int:
        """Numbers of an observation."""
        return self.episodes.family.obs_size

    @property
    def action_size(self) -> int:
        """Numbers of an action."""
        return self.episodes.family.action.size

    @property
    def backend(self) -> str:
        """The simulator of the physics; "none" where the family has none."""
        return self.episodes.backend


def _number(flag: Array) -> Array:
    return jnp.float32(flag)


def _metrics(now: Running) -> dict[str, Array]:
    return {"success": _number(now.state.success), "reached": _number(now.state.reached)}
