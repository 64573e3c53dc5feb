"""pytorch-maml-rl itself on 2-D navigation, told what to do by `maml.py` and answering in lines of JSON.

    PYTHONPATH=CHECKOUT python torch_maml.py SETTINGS    # with an interpreter that has its requirements

Everything is its own: its environment, sampler with its worker processes (one less than there are cores is
its default), baseline, policy and outer step, called as its `train.py` calls them, so that the outer step of
one task begins while the next is sampled.  Only `torch.lstsq`, which later versions of PyTorch lack, is
given to it.

SETTINGS is a JSON object with every key that is asked for below.  The first line of the output tells how long
building took.  Then every line of the input is answered with one: `start SEED` (from the beginning),
`sample` (episodes of every task before adaptation), `step` (one meta-iteration).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import warnings
from typing import Any

warnings.simplefilter("ignore")

import gym  # noqa: E402
import maml_rl.envs  # noqa: E402, F401  (registers the environments)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from maml_rl.baseline import LinearFeatureBaseline  # noqa: E402
from maml_rl.metalearners import MAMLTRPO  # noqa: E402
from maml_rl.samplers import MultiTaskSampler  # noqa: E402
from maml_rl.utils.helpers import get_input_size, get_policy_for_env  # noqa: E402
from maml_rl.utils.reinforcement_learning import get_returns  # noqa: E402

ENVIRONMENT = "2DNavigation-v0"
HORIZON = 100  # steps, of that environment
RANGE = {"low": -0.5, "high": 0.5}  # of its goals


def lstsq(b: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, None]:
    """The least-squares solution X of A X = B, in the order of arguments that PyTorch had before 1.13."""
    return torch.linalg.lstsq(a, b).solution, None


torch.lstsq = lstsq


class Learner:
    """What its `train.py` makes, one meta-iteration at a time."""

    def __init__(self, settings: dict[str, Any], seed: int) -> None:
        """Make policy, sampler and outer step anew."""
        if settings["horizon"] != HORIZON:
            raise ValueError(f"{ENVIRONMENT} has episodes of {HORIZON} steps, not {settings['horizon']}")
        torch.manual_seed(seed)
        self.settings = settings
        env = gym.make(ENVIRONMENT, **RANGE)
        policy = get_policy_for_env(env, hidden_sizes=settings["hidden"], nonlinearity="Tanh")
        policy.share_memory()
        self.sampler = MultiTaskSampler(
            ENVIRONMENT,
            env_kwargs=RANGE,
            batch_size=settings["episodes"],
            policy=policy,
            baseline=LinearFeatureBaseline(get_input_size(env)),
            env=env,
            seed=seed,
            num_workers=settings["workers"],
        )
        self.outer = MAMLTRPO(policy, fast_lr=settings["inner_lr"])

    def _ask(self, steps: int) -> Any:
        """Have the worker sample with so many inner steps."""
        tasks = self.sampler.sample_tasks(num_tasks=self.settings["tasks"])
        return self.sampler.sample_async(
            tasks,
            num_steps=steps,
            fast_lr=self.settings["inner_lr"],
            gamma=self.settings["discount"],
            gae_lambda=self.settings["gae_lambda"],
            device="cpu",
        )

    def sample(self) -> float:
        """Seconds of the episodes of every task before adaptation, as its workers log them, side by side."""
        _, episodes = self.sampler.sample_wait(self._ask(0))
        return sum(of_task.logs["duration"] for of_task in episodes) / self.settings["workers"]

    def step(self) -> dict[str, float]:
        """One meta-iteration, and the return after adaptation."""
        futures = self._ask(1)
        logs = self.outer.step(
            *futures,
            max_kl=self.settings["max_divergence"],
            cg_iters=self.settings["cg_iterations"],
            cg_damping=self.settings["cg_damping"],
            ls_max_steps=self.settings["max_shrinks"],
            ls_backtrack_ratio=self.settings["shrink"],
        )
        _, episodes = self.sampler.sample_wait(futures)
        returns = float(np.mean(get_returns(episodes)))
        return {"return_after": returns, "accepted": float("loss_after" in logs)}

    def close(self) -> None:
        """End the worker."""
        self.sampler.close()


def report(**values: Any) -> None:
    """A line for the benchmark."""
    print(json.dumps(values), flush=True)


def main() -> None:
    """Do what is asked for until the input ends."""
    settings = json.loads(sys.argv[1])
    asyncio.set_event_loop(asyncio.new_event_loop())
    began = time.perf_counter()
    learner = Learner(settings, 0)
    versions = {"torch": torch.__version__, "gym": gym.__version__, "numpy": np.__version__}
    report(compile_s=time.perf_counter() - began, versions=versions)
    for line in sys.stdin:
        command, *args = line.split()
        if command == "start":
            learner.close()
            learner = Learner(settings, int(args[0]))
            report()
        elif command == "sample":
            report(seconds=learner.sample())
        else:
            began = time.perf_counter()
            did = learner.step()
            report(seconds=time.perf_counter() - began, **did)
    learner.close()


if __name__ == "__main__":
    main()
