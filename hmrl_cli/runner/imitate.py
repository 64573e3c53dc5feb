"""Imitating a trajectory by the skill that explains it best (Eysenbach et al. 2019, 1802.06070)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.errors import InputError
from hmrl_cli.evaluation.skills import run_skills
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import assembly, tasks
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.storage.reader import Info
from hmrl_cli.types import SkillLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Array, Key, State

EPISODES = 8  # episodes of each skill, whose distances are averaged


def imitate(run: Info, file: Path, progress: Progress) -> dict[str, Any]:
    """The skill of each seed that best explains a trajectory, and its distance from the trajectory.

    The skill is z* = argmax_z sum_t log q(z|s_t) (Eysenbach et al. 2019, section 4.2.3).

    Args:
        run: a skill run.
        file: an `.npz` file with `obs` [T + 1, obs_size], observations from a reset on.
        progress: shows the phases and notes.

    Returns:
        a JSON document.  `skill` [S]: the index of z*.  `log_q` [S, M]: the sums over time.  `distance`
        [S, M]: between the paths of skill and trajectory in the plane, each relative to its first position,
        mean over steps and episodes.

    Raises:
        InputError: the run is no skill run, or the file cannot be used.
    """
    progress.phase("loading")
    trained = open_trained(run, "sparse", progress)
    learner = trained.parts.learner
    if not isinstance(learner, SkillLearner):
        raise InputError(f"{run.path}: is a run of meta-train; must be one of pretrain-skills to imitate")
    family = trained.parts.act_on(None)
    obs = read_trajectory(file, family)
    progress.phase("imitating")

    def one_seed(key: Key, state: State) -> tuple[Array, Array]:
        return match(key, family, learner, state, obs)

    keys = assembly.seed_keys(trained.experiment).evaluate
    log_q, distance = map(np.asarray, jax.jit(jax.vmap(one_seed))(keys, trained.state))
    chosen = log_q.argmax(axis=-1)
    return {
        "schema": 1,
        "run": str(run.path),
        "epoch": trained.epoch,
        "trajectory": str(file),
        "skill": chosen.tolist(),
        "log_q": log_q.tolist(),
        "distance": distance.tolist(),
        "distance_of_chosen": distance[np.arange(len(chosen)), chosen].tolist(),
        "distance_of_mean": distance.mean(axis=-1).tolist(),
    }


def match(
    key: Key, family: TaskFamily, learner: SkillLearner, state: State, obs: Array
) -> tuple[Array, Array]:
    """How well each of the M example skills matches a trajectory.

    Args:
        key: a key.
        family: the family that the skills act on.
        learner: the skill learner.
        state: the state of one seed.
        obs: the observations of the trajectory from a reset on [T + 1, obs_size].

    Returns:
        sum over time of log q(z|s_t) [M]; and the mean distance of the skills' paths from the trajectory [M].
    """
    task_key, run_key = jax.random.split(key)
    library = learner.skills(learner.freeze(state))
    log_q = learner.discriminate(state, obs[None])[0].sum(axis=0)
    task = family.sample(task_key, "train")
    episodes = run_skills(run_key, family, library, task, EPISODES)
    xy = family.features["xy"]
    paths, wanted = xy(episodes.obs[:, :, : len(obs)]), xy(obs)
    apart = (paths - paths[:, :, :1]) - (wanted - wanted[:1])
    return log_q, jnp.linalg.norm(apart, axis=-1).mean(axis=(1, 2))


def read_trajectory(file: Path, family: TaskFamily) -> Array:
    """The observations in a user's `.npz` file, of an episode from its reset on [T + 1, obs_size].

    T is at least 1 and at most the horizon.

    Raises:
        InputError: names the file and what is wrong.
    """
    obs = tasks.read_array(file, "obs")
    if obs.ndim != 2 or obs.shape[1] != family.obs_size or not 2 <= len(obs) <= family.horizon + 1:
        raise InputError(
            f"{file}: obs has shape {obs.shape}; must be (from 2 to {family.horizon + 1}, "
            f"{family.obs_size}), observations of {family.name} from a reset on"
        )
    with np.errstate(over="ignore"):  # what is finite in double precision need not be in single
        obs = obs.astype(np.float32)
    bad = ~np.isfinite(obs).all(axis=1)
    if bad.any():
        raise InputError(f"{file}: row {int(bad.argmax())} of obs is not finite in single precision")
    return jnp.asarray(obs)
