"""QDax's DIAYN as its example trains it, told what to do by `skills.py` and answering in lines of JSON.

    python qdax_diayn.py SETTINGS    # in the environment that skills.py builds

Everything is QDax's own (environment `ant_omni` with the discriminator on xy, networks, losses, replay, loop)
but for three things: `jnp.clip` takes the argument names that QDax calls it with, the skills need not
divide the environments, and where the skills end is measured here.

SETTINGS is a JSON object with every key that is asked for below; what it does not name is QDax's default.
The first line of the output tells how long building and compiling took.  Then every line of the input is
answered with one: `start SEED` (from the beginning), `train` (a call of the compiled loop), `ends`.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

EXAMPLE = ("batch_size", "episode_length", "discount", "num_skills")  # DiaynConfig's own names


def accept_old_names(clip: Callable[..., Any]) -> Callable[..., Any]:
    """`jnp.clip` with the argument names that older versions of jax had."""

    @functools.wraps(clip)
    def old(x: Any, min: Any = None, max: Any = None, *, a_min: Any = None, a_max: Any = None) -> Any:
        return clip(x, min if a_min is None else a_min, max if a_max is None else a_max)

    return old


jnp.clip = accept_old_names(jnp.clip)

import qdax.tasks.brax.v2 as environments  # noqa: E402
from qdax.baselines.diayn import DIAYN, DiaynConfig  # noqa: E402
from qdax.core.neuroevolution.buffers.buffer import QDTransition, ReplayBuffer  # noqa: E402
from qdax.core.neuroevolution.sac_td3_utils import do_iteration_fn  # noqa: E402


class Job(NamedTuple):
    """QDax's DIAYN on the ant, not yet compiled."""

    start: Callable[[Any], Any]  # seed -> (training state, environments, replay)
    iterate: Callable[..., Any]  # one iteration of QDax's loop
    ends: Callable[[Any, Any], Any]  # key, training state -> xy from start to end [num_skills, N, 2], m


def make(settings: dict[str, Any]) -> Job:
    """Put QDax's parts together as its example does."""
    envs, skills = settings["envs"], settings["num_skills"]
    env = environments.create("ant_omni", batch_size=envs, episode_length=settings["episode_length"])
    hidden = tuple(settings["hidden"])
    config = DiaynConfig(
        **{name: settings[name] for name in EXAMPLE},
        critic_hidden_layer_size=hidden,
        policy_hidden_layer_size=hidden,
    )
    learner = DIAYN(config=config, action_size=env.action_size)
    example = QDTransition.init_dummy(
        env.observation_size + skills, env.action_size, env.state_descriptor_length
    )

    def start(seed: Any) -> Any:
        key, env_key, init_key = jax.random.split(jax.random.PRNGKey(seed), 3)
        training = learner.init(
            init_key, env.action_size, env.observation_size, env.state_descriptor_length
        ).replace(key=key)
        return training, env.reset(env_key), ReplayBuffer.init(settings["capacity"], example)

    of_env = jnp.eye(skills)[jnp.arange(envs) % skills]
    iterate = functools.partial(
        do_iteration_fn,
        env_batch_size=envs,
        grad_updates_per_step=settings["updates_per_step"],
        play_step_fn=functools.partial(learner.play_step_fn, skills=of_env, env=env),
        update_fn=learner.update,
    )
    return Job(start, iterate, functools.partial(skill_ends, learner, settings))


def skill_ends(learner: Any, settings: dict[str, Any], key: Any, training: Any) -> Any:
    """Where sampled episodes of every skill end; an episode that falls ends there."""
    skills, length = settings["num_skills"], settings["episode_length"]
    count = skills * settings["skill_episodes"]
    env = environments.create("ant_omni", batch_size=count, episode_length=length, auto_reset=False)
    of_env = jnp.repeat(jnp.eye(skills), settings["skill_episodes"], axis=0)

    def step(carry: Any, _: None) -> tuple[Any, None]:
        state, training, end, over = carry
        state, training, _ = learner.play_step_fn(state, training, skills=of_env, env=env)
        end = jnp.where(over[:, None] > 0, end, state.info["state_descriptor"])
        return (state, training, end, jnp.maximum(over, state.done)), None

    state = env.reset(key)
    begin = state.info["state_descriptor"]
    carry = (state, training, begin, jnp.zeros(count))
    _, _, end, _ = jax.lax.scan(step, carry, (), length=length)[0]
    return (end - begin).reshape(skills, settings["skill_episodes"], 2)


def report(**document: Any) -> None:
    """One line of JSON."""
    print(json.dumps(document), flush=True)


def main() -> None:
    """Compile, and do what is asked for until the input ends."""
    settings = json.loads(sys.argv[1])
    job = make(settings)

    def run(carry: Any) -> Any:
        def one(carry: Any, _: None) -> tuple[Any, Any]:
            *carry, metrics = job.iterate(*carry)
            return tuple(carry), metrics

        return jax.lax.scan(one, carry, (), length=settings["iterations"])

    began = time.perf_counter()
    begin = jax.jit(job.start)
    carry = jax.block_until_ready(begin(0))
    train = jax.jit(run, donate_argnums=0).lower(carry).compile()
    report(compile_s=time.perf_counter() - began)
    ends = jax.jit(job.ends)
    for line in sys.stdin:
        command, *args = line.split()
        began = time.perf_counter()
        if command == "start":
            carry = None  # frees the replay before the next one is made
            carry = jax.block_until_ready(begin(int(args[0])))
            report()
        elif command == "train":
            carry, _ = jax.block_until_ready(train(carry))
            report(seconds=time.perf_counter() - began)
        else:
            report(ends=ends(jax.random.PRNGKey(0), carry[0]).tolist())


if __name__ == "__main__":
    main()
