"""Families as environments of Gymnasium (Towers et al. 2024, 2407.17032).

An import registers every family of the package, such as "hmrl/point-v0".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.types import Continuous
from hmrl_cli.views.episodes import Episodes, Running, open_episodes, task_of

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Reward, Split, Task, TaskFamily


class FamilyEnv(gymnasium.Env):
    """One episode of a family at a time.

    Observations are float32 [obs_size], actions float32 [action_size] in [-1, 1] or an integer.  The horizon
    truncates an episode, and only a family that `terminates` terminates one.  `info` has the task, whether
    the goal is reached now ("success") and whether it was in this episode ("reached").
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # declared so by Gymnasium

    def __init__(
        self,
        family: str | TaskFamily | Any = "point",
        *,
        reward: Reward | None = None,
        split: Split = "train",
        task: int | Task | None = None,
        render_mode: None = None,
    ) -> None:
        """See `open_episodes` for the arguments; nothing is rendered."""
        self._episodes = open_episodes(family, reward, split, task)
        self.observation_space, self.action_space = spaces_of(self._episodes.family)
        self._start, self._step = jax.jit(self._episodes.start), jax.jit(self._episodes.step)
        self._now: Running | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; `options` may name its "task", as the argument `task` does."""
        super().reset(seed=seed)
        self._now = self._start(_key(self.np_random), _task(self._episodes, options))
        return _copied(self._now.state.obs), _info(self._now)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        if self._now is None:
            raise gymnasium.error.ResetNeeded("step: there is no episode; must call reset first")
        self._now = self._step(self._now, _actions(action, self.action_space))
        ended = (bool(x) for x in self._episodes.ended(self._now))
        state = self._now.state
        return _copied(state.obs), float(state.reward), *ended, _info(self._now)


class FamilyVectorEnv(VectorEnv):
    """Episodes of a family side by side, as one program.

    The step after the last one of an episode resets it, ignores its action and gives the reward 0: this is
    Gymnasium's mode NEXT_STEP.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        family: str | TaskFamily | Any = "point",
        num_envs: int = 1,
        *,
        reward: Reward | None = None,
        split: Split = "train",
        task: int | Task | None = None,
        render_mode: None = None,
    ) -> None:
        """See `open_episodes` for the arguments, and `num_envs` is the number of episodes."""
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ConfigError(f"num_envs: found {shown(num_envs)}; must be a whole number, 1 or more")
        self._episodes = open_episodes(family, reward, split, task)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces_of(self._episodes.family)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        start = jax.vmap(self._episodes.start, in_axes=(0, None))
        self._start = jax.jit(lambda key, task: start(jax.random.split(key, num_envs), task))
        self._step = jax.jit(lambda now, actions: next_steps(self._episodes, now, actions))
        self._now: Running | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all episodes; `options` may name the "task" of these ones, as the argument `task` does."""
        super().reset(seed=seed)
        self._now = self._start(_key(self.np_random), _task(self._episodes, options))
        return _copied(self._now.state.obs), _info(self._now)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every episode."""
        if self._now is None:
            raise gymnasium.error.ResetNeeded("step: there is no episode; must call reset first")
        self._now, ended = self._step(self._now, _actions(actions, self.action_space))
        state = self._now.state
        return _copied(state.obs), _copied(state.reward), *map(_copied, ended), _info(self._now)


def _actions(found: Any, space: Space) -> Any:
    """An action, or the actions of all episodes, as an array of a space; a ConfigError for another shape."""
    actions = np.asarray(found, space.dtype)
    if actions.shape != space.shape:
        raise ConfigError(f"action: found an array of {actions.shape}; must be of {space.shape}")
    return actions


def next_steps(episodes: Episodes, now: Running, actions: Array) -> tuple[Running, tuple[Array, Array]]:
    """The next step of N episodes, leaves [N, ...], and which of them it ends: early, or by the horizon."""
    terminated, truncated = episodes.ended(now)
    over = terminated | truncated
    stepped = jax.vmap(episodes.step)(now, actions)

    def restarted() -> Running:
        new = jax.vmap(episodes.restart)(now)

        def one(new: Array, old: Array) -> Array:
            return jnp.where(over.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(one, new, stepped)

    # a reset of physics is expensive, and rare
    new = jax.lax.cond(over.any(), restarted, lambda: stepped)
    return new, episodes.ended(new)


def spaces_of(family: TaskFamily) -> tuple[spaces.Space, spaces.Space]:
    """The spaces of observations and of actions."""
    size = family.action.size
    obs = spaces.Box(-np.inf, np.inf, (family.obs_size,), np.float32)
    if isinstance(family.action, Continuous):
        return obs, spaces.Box(-1.0, 1.0, (size,), np.float32)
    return obs, spaces.Discrete(size)


def _task(episodes: Episodes, options: dict[str, Any] | None) -> Array | None:
    """The task that the options of a reset name."""
    named = (options or {}).get("task")
    return None if named is None else task_of(episodes.family, episodes.split, named)


def _key(random: Any) -> Any:
    return root_key(int(random.integers(2**31)))


def _copied(x: Any) -> Any:
    return np.array(x)[()]  # of a single number, that number


def _info(now: Running) -> dict[str, Any]:
    named = {"task": now.task, "success": now.state.success, "reached": now.state.reached}
    return {name: _copied(x) for name, x in named.items()}


for _name in plugins.names("families"):
    gymnasium.register(
        f"hmrl/{_name}-v0",
        entry_point="hmrl_cli.views.gym:FamilyEnv",
        vector_entry_point="hmrl_cli.views.gym:FamilyVectorEnv",
        kwargs={"family": _name},
    )
