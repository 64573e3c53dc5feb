"""How good advantages over the linear baseline are, of few episodes: beside least squares, on meta-runs.

Each run's policy, before any update, plays 400 dense episodes of each of four training tasks.  Advantages
over a least-squares baseline fitted to all of them are the standard; what a baseline fitted to 5 or 20 of
them makes of the same steps is correlated with it.

    python experiments/studies/few_step_baseline/advantages.py OUT.json RUN...        # of maml or maesn
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from hmrl_cli.environment.rollout import unroll
from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.learning.returns import discounted, linear_baseline
from hmrl_cli.runner import assembly, startup
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import reader

EPISODES, TASKS, FEW = 400, 4, (5, 20)
BASELINES = ("least squares", "linear_baseline")


def main(out: Path, runs: list[Path]) -> None:
    """Write the file."""
    startup.prepare()
    found = {str(run): correlations(run) for run in runs}
    out.write_text(json.dumps(found, indent=1) + "\n")


def correlations(run: Path) -> dict[str, Any]:
    """Of one run: for each number of episodes and baseline the mean, and each seed's and task's."""
    trained = open_trained(reader.read(run), "dense", Silent())
    play = jax.jit(jax.vmap(partial(played, trained.parts)))
    keys = assembly.seed_keys(trained.experiment).evaluate
    obs, returns = map(np.asarray, play(keys, trained.state, trained.skills))  # [S, tasks, N, T, ...]
    found: dict[str, Any] = {"decisions": obs.shape[3], "features": 2 * obs.shape[4] + 3}
    ours = jax.jit(linear_baseline)
    for few in FEW:
        per_task = np.array(
            [
                [agreements(o, r, few, ours) for o, r in zip(*seed, strict=True)]
                for seed in zip(obs, returns, strict=True)
            ]
        )
        found[f"{few}"] = {name: summary(per_task[..., i]) for i, name in enumerate(BASELINES)}
    return found


def summary(per_task: Any) -> dict[str, Any]:
    """The mean of numbers [seed, task], with its interval."""
    low, high = bootstrap_interval(per_task, np.mean)
    return {"mean": per_task.mean(), "low": float(low), "high": float(high), "per_task": per_task.tolist()}


def played(parts: assembly.Parts, key: Any, state: Any, skills: Any) -> Any:
    """Observations [tasks, N, T, F] and discounted returns [tasks, N, T] of one seed."""
    family, learner = parts.act_on(skills), parts.make_learner(skills)

    def one_task(key: Any) -> Any:
        task_key, adapt_key, run_key = jax.random.split(key, 3)
        task = family.sample(task_key, "train")
        start, _ = learner.adapt(adapt_key, state, task, Evaluation(adapt_steps=0, episodes=2))

        def episode(key: Any) -> Any:
            draw_key, act_key = jax.random.split(key)
            steps, _ = unroll(act_key, learner.behaviour(draw_key, start), family, task)
            return steps.obs, discounted(steps.reward, 0.99 * steps.discount)

        return jax.vmap(episode)(jax.random.split(run_key, EPISODES))

    return jax.lax.map(one_task, jax.random.split(key, TASKS))


def agreements(obs: Any, returns: Any, few: int, ours: Any) -> list[float]:
    """Mean correlation with the standard, of each baseline, for one task's episodes [N, T, ...]."""
    standard = returns - least_squares(obs, returns)
    found = []
    for start in range(0, EPISODES, few):
        some = slice(start, start + few)
        values = [least_squares(obs[some], returns[some])]
        values += [ours(obs[some], returns[some], jnp.ones((few, obs.shape[1])))]
        advantages = [(returns[some] - np.asarray(value)).ravel() for value in values]
        found.append([np.corrcoef(x, standard[some].ravel())[0, 1] for x in advantages])
    return np.mean(found, axis=0).tolist()


def least_squares(obs: Any, returns: Any) -> Any:
    """The same features with a ridge for rounding alone, in float64."""
    o = np.clip(obs.astype(np.float64), -10, 10)
    t = np.broadcast_to(np.arange(obs.shape[1])[None, :, None] / 100, (*returns.shape, 1))
    x = np.concatenate([o, o**2, t, t**2, t**3], axis=-1).reshape(returns.size, -1)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)
    y = returns.ravel() - returns.mean()
    weights = np.linalg.solve(x.T @ x / len(x) + 1e-5 * np.eye(x.shape[1]), x.T @ y / len(x))
    return (returns.mean() + x @ weights).reshape(returns.shape)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
