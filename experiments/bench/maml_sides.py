"""MAML-TRPO of this project and of its peers, ready to train: the sides of `maml.py`."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import beside

from hmrl_cli.compute.devices import side_by_side
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax
from hmrl_cli.schema import Evaluation

SETTINGS = {  # of pytorch-maml-rl's configuration of 2-D navigation, with an inner step size of 0.1
    "tasks": 20,
    "episodes": 20,
    "horizon": 100,
    "hidden": [64, 64],
    "inner_lr": 0.1,
    "discount": 0.99,
    "gae_lambda": 1.0,
    "max_divergence": 0.01,
    "cg_iterations": 10,
    "cg_damping": 1e-5,
    "shrink": 0.8,
    "max_shrinks": 15,
}


class Peer(beside.Peer):
    """An implementation that does one meta-iteration at a time."""

    def iterate(self) -> tuple[float, dict[str, float]]:
        """Seconds of one meta-iteration, and what it did."""
        did = self.ask("step")
        return did.pop("seconds"), did

    def sample(self) -> float:
        """Seconds of one phase's episodes."""
        return self.ask("sample")["seconds"]


MakePeer = Callable[[dict[str, Any]], Peer]  # settings -> a peer that has started


def known_peers(
    threads: int, checkout: Path | None, python: Path | None, workers: Sequence[int]
) -> dict[str, MakePeer]:
    """The loop on NumPy and, from a checkout, pytorch-maml-rl with each of these numbers of workers."""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    variables = {name: str(threads) for name in names}

    def on_numpy(settings: dict[str, Any]) -> Peer:
        numpy = beside.version("numpy")
        own = beside.environment(f"numpy-{numpy}", [f"numpy=={numpy}"])
        return Peer(own, beside.PEERS / "numpy_maml.py", settings, variables)

    def on_torch(workers: int, settings: dict[str, Any]) -> Peer:
        found = variables | {"PYTHONPATH": str(checkout)}
        own = python or Path(sys.executable)
        return Peer(own, beside.PEERS / "torch_maml.py", settings | {"workers": workers}, found)

    made: dict[str, MakePeer] = {"numpy": on_numpy}
    if checkout:
        made |= {f"torch-{count}": functools.partial(on_torch, count) for count in workers}
    return made


class Ours(beside.Trained):
    """A preset of this project, one meta-iteration at a time."""

    def __init__(self, preset: str, sets: Sequence[str] = ()) -> None:
        """Compile."""
        super().__init__("meta-train", preset, [*sets, "training.updates_per_epoch=1"])
        self._sample = jax.jit(self._phase)
        jax.block_until_ready(self._sample(jax.random.key(0), self.state))

    def _phase(self, key: Any, state: Any) -> Any:
        """Episodes of a meta-batch before adaptation, leaves [tasks, N, T, ...]."""
        settings = self.experiment.algorithm
        task_key, start_key, episode_key = jax.random.split(key, 3)
        family, learner = self.parts.family, self.learner
        tasks = jax.vmap(lambda k: family.sample(k, "train"))(
            jax.random.split(task_key, settings.tasks_per_update)
        )
        only = jax.tree.map(lambda x: x[0], state)
        unadapted = Evaluation(adapt_steps=0, episodes=1)
        acting, _ = learner.adapt(start_key, only, tasks[0], unadapted)

        def one_task(acting: Any, key: Any, task: Any) -> Any:
            def episode(key: Any) -> Any:
                behave_key, run_key = jax.random.split(key)
                return unroll(run_key, learner.behaviour(behave_key, acting), family, task)[0]

            return jax.vmap(episode)(jax.random.split(key, settings.episodes_per_task))

        return side_by_side(one_task, acting, jax.random.split(episode_key, len(tasks)), tasks)

    def iterate(self) -> tuple[float, dict[str, float]]:
        """Seconds of one meta-iteration, and what it did."""
        return self.epoch()

    def sample(self) -> float:
        """Seconds of one phase's episodes."""
        key = jax.block_until_ready(jax.random.key(self.epochs))
        began = time.perf_counter()
        jax.block_until_ready(self._sample(key, self.state))
        return time.perf_counter() - began


Side = Ours | Peer


def same_settings(settings: dict[str, Any], memory: int = 0) -> list[str]:
    """Lines of `--set` that give MAML here the peer's settings, and products to remember."""
    same = ("hidden", "inner_lr", "discount", "gae_lambda")
    step = ("max_divergence", "cg_iterations", "cg_damping")
    return [
        f"family.horizon={settings['horizon']}",
        f"algorithm.tasks_per_update={settings['tasks']}",
        f"algorithm.episodes_per_task={settings['episodes']}",
        'algorithm.activation="tanh"',
        *(f"algorithm.{name}={settings[name]}" for name in same),
        *(f"algorithm.trust_region.{name}={settings[name]}" for name in step),
        f"algorithm.trust_region.cg_memory={memory}",
    ]
