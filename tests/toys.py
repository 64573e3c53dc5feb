"""Families so small that what should be learned on them is known in closed form."""

from __future__ import annotations

import numpy as np

from hmrl_cli.algorithms.meta import maesn
from hmrl_cli.compute.epochs import make_epoch
from hmrl_cli.environment.composition import lift
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Continuous, Discrete, EnvState, Scene, SkillLibrary, TaskFamily

BLANK = Scene((), lambda state: jnp.zeros((0, 7)), lambda state, task: jnp.zeros((0, 4)), 0.1, flat=True)


def _state(body, obs, reward, success, done=False) -> EnvState:
    flag = jnp.asarray(success)
    return EnvState(body, obs, jnp.float32(reward), flag, flag, jnp.asarray(done))


def corridor(half: int = 2, horizon: int = 8) -> TaskFamily:
    """Cells -half .. half, start at 0, actions left and right: two skills can part at the first step."""

    def observe(cell):
        return jax.nn.one_hot(cell + half, 2 * half + 1)

    def step(state, action, task):
        cell = jnp.clip(state.body + 2 * action - 1, -half, half)
        return _state(cell, observe(cell), 0.0, False)

    return TaskFamily(
        name="corridor",
        sample=lambda key, split: jnp.zeros(1),
        reset=lambda key, task: _state(jnp.int32(0), observe(0), 0.0, False),
        step=step,
        features={"identity": lambda obs: obs, "xy": lambda obs: obs[..., :2]},
        obs_size=2 * half + 1,
        task_size=1,
        action=Discrete(2),
        horizon=horizon,
        terminates=False,
        scene=BLANK,
    )


def chain(length: int = 20, horizon: int = 24) -> TaskFamily:
    """Cells 0 .. length - 1, start at 0, actions back and ahead, and a reward in the last cell alone.

    Acting at random gets there in one episode of many thousands.
    """

    def observe(cell):
        return jax.nn.one_hot(cell, length)

    def step(state, action, task):
        cell = jnp.clip(state.body + 2 * action - 1, 0, length - 1)
        return _state(cell, observe(cell), cell == length - 1, cell == length - 1)

    return TaskFamily(
        name="chain",
        sample=lambda key, split: jnp.zeros(1),
        reset=lambda key, task: _state(jnp.int32(0), observe(0), 0.0, False),
        step=step,
        features={
            "identity": lambda obs: obs,
            "xy": lambda obs: jnp.stack([obs @ jnp.arange(float(length)), 0 * obs[..., 0]], axis=-1),
        },
        obs_size=length,
        task_size=1,
        action=Discrete(2),
        horizon=horizon,
        terminates=False,
        scene=BLANK,
    )


def walker(horizon: int = 6, ends: bool = False) -> TaskFamily:
    """A point on the plane that moves by its action; the reward is minus the distance to the task.

    With `ends`, the episode is over once x exceeds 1.
    """

    def reset(key, task):
        start = 0.01 * jax.random.normal(key, (2,))
        return _state(start, start, 0.0, False)

    def step(state, action, task):
        place = state.body + 0.3 * jnp.clip(action, -1, 1)
        distance = jnp.linalg.norm(place - task)
        return _state(place, place, -distance, distance < 0.3, (place[0] > 1) & ends)

    def sample(key, split):
        angle = jax.random.uniform(key, maxval=2 * jnp.pi)
        return jnp.array([jnp.cos(angle), jnp.sin(angle)])

    return TaskFamily(
        name="walker",
        sample=sample,
        reset=reset,
        step=step,
        controller=lambda state, task: (task - state.body) / 0.3,
        features={"identity": lambda obs: obs, "xy": lambda obs: obs},
        obs_size=2,
        task_size=2,
        action=Continuous(2),
        horizon=horizon,
        terminates=ends,
        scene=BLANK,
    )


def straight(directions, std: float = 0.1) -> SkillLibrary:
    """Skills that each walk one of the directions [N, 2], with noise of that spread."""

    def policy(params, obs, skill):
        return Gaussian(params[skill], jnp.full(2, jnp.log(std)))

    return SkillLibrary(policy, directions, Discrete(len(directions)), np.arange(len(directions)))


def train(learner, epochs, num_seeds=3):
    """State and the metrics of the last epoch of ten updates, leaves [num_seeds, ...]."""
    epoch = make_epoch(lambda key, state, _: learner.step(key, state), 10)
    state = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), num_seeds))
    for number in range(epochs):
        keys = jax.random.split(jax.random.key(number + 1), num_seeds)
        state, metrics, finite = epoch(keys, state, None)
    assert finite.all() and epoch._cache_size() == 1
    return state, metrics


def returns_untrained(**budget):
    """Mean returns [K + 1] of a MAESN that was not trained, before and after each update, on eight walks."""
    budget = Evaluation(episodes=10, **budget)
    family = walker(6)
    learner = maesn.make(maesn.Config(hidden=(16,), num_train_tasks=4, tasks_per_update=2), family)
    state = jax.jit(learner.init)(jax.random.key(0))
    tasks = jax.vmap(lambda key: family.sample(key, "test"))(jax.random.split(jax.random.key(1), 8))
    keys = jax.random.split(jax.random.key(2), 8)
    curves = jax.jit(jax.vmap(lambda key, task: learner.adapt(key, state, task, budget)[1]))(keys, tasks)
    return curves.returned.mean(axis=0)


DISC = 0.3  # radius of the disc of reward of `placed`


def placed(
    decisions: int = 10, steps: int = 4, ends: bool = False, miss: float = 0.0, disc: float = DISC
) -> TaskFamily:
    """A walker in the square through skills that go to a place and stay, which an observation tells.

    A step costs up to 0.02, and one in the disc about the task earns 1.  With `ends`, a step costs 0.4 more
    and the episode is over once x exceeds 0.7.  Training tasks lie in the east, hidden ones in the others.
    Skills stop `miss` to the north of their place.
    """
    base = walker(steps * decisions)

    def step(state, action, task):
        place = state.body + 0.1 * jnp.clip(action, -1, 1)
        met = jnp.linalg.norm(place - task) < disc
        reward = met - 0.01 * jnp.sum(jnp.clip(action, -1, 1) ** 2) - 0.4 * ends
        return _state(place, place, reward, met, (place[0] > 0.7) & ends)

    def sample(key, split):
        turn = {"train": 0.25, "test": 1.0, "hidden": 0.75}[split]
        angle = jnp.pi * turn * jax.random.uniform(key, minval=-1.0)
        angle = angle + (jnp.pi if split == "hidden" else 0.0)
        return 0.8 * jnp.array([jnp.cos(angle), jnp.sin(angle)])

    def policy(params, obs, skill):
        return Gaussian((skill + jnp.array([0.0, miss]) - obs) / 0.1, jnp.full(2, jnp.log(0.05)))

    library = SkillLibrary(policy, None, Continuous(2), np.zeros((1, 2)), lambda params, obs: obs)
    family = base._replace(name="placed", step=step, sample=sample, terminates=ends)
    return lift(family, library, steps, stochastic=True)
