"""MAML-TRPO on 2-D navigation as pytorch-maml-rl's loop has it, told what to do by `maml.py`.

    python numpy_maml.py SETTINGS    # in the environment that maml.py builds: NumPy alone

A minimal re-implementation of what that loop computes, with what its cost comes from: a graph that is built
as the program runs and of which derivatives can be taken twice; a Python loop over the tasks; one Python
object per environment, stepped one after the other, with the policy's forward pass over those that still
run; Hessian-vector products of the KL through the inner step by reverse differentiation of its gradient,
whose graph is kept for all of them.  What differs: arrays are NumPy's, whose element-wise operations use one
core, while products of matrices use all of them; sampling takes its turn with learning in one process; the
task is `hmrl_cli/families/point.py`'s, whose actions of 1 move the point by 0.1; and means over steps weigh
every step of a task the same, as HMRL's do.

SETTINGS is a JSON object with every key that is asked for below.  The first line of the output tells how long
building took.  Then every line of the input is answered with one: `start SEED` (from the beginning),
`sample` (episodes of every task before adaptation), `step` (one meta-iteration).
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy_episodes import (
    Episodes,
    Gaussian,
    Navigation,
    Params,
    episodes,
    init,
    kl,
    log_prob,
    policy,
    sample,
)
from numpy_gradient import Node, add, exp, gradient, mul, nothing_recorded, scale, sum_to, variable

GOAL_RANGE = 0.5


def mean(x: Node) -> Node:
    """Mean over all entries."""
    return scale(sum_to(x, ()), 1 / x.value.size)


def inner_loss(params: Params, data: Episodes) -> Node:
    """REINFORCE: -mean_t A_t log pi(a_t | o_t)."""
    return scale(mean(mul(log_prob(policy(params, data.obs), data.action), Node(data.advantage))), -1.0)


def adapt(params: Params, data: Episodes, inner_lr: float, second_order: bool) -> Params:
    """One gradient step."""
    slopes = gradient(inner_loss(params, data), params, keep=second_order)
    return [add(p, scale(slope, -inner_lr)) for p, slope in zip(params, slopes, strict=True)]


def surrogate(pi: Gaussian, old: Gaussian, data: Episodes) -> Node:
    """-mean_t pi / pi_old A_t."""
    with nothing_recorded():
        before = scale(log_prob(old, data.action), -1.0)
    ratio = exp(add(log_prob(pi, data.action), before))
    return scale(mean(mul(ratio, Node(data.advantage))), -1.0)


class Task(NamedTuple):
    """One task's data of a meta-iteration."""

    before: Episodes
    after: Episodes


def objectives(
    params: Params, tasks: Sequence[Task], inner_lr: float, olds: Sequence[Gaussian] | None = None
) -> tuple[Node, Node, list[Gaussian]]:
    """Mean loss and KL after adaptation, and the adapted policies; `olds` are themselves if not given.

    Without `olds` the graph is built through the inner step; with them there is nothing to differentiate.
    """
    losses, divergences, policies = [], [], []
    for number, task in enumerate(tasks):
        pi = policy(adapt(params, task.before, inner_lr, olds is None), task.after.obs)
        old = Gaussian(Node(pi.mean.value), Node(pi.log_std.value)) if olds is None else olds[number]
        losses.append(surrogate(pi, old, task.after))
        divergences.append(mean(kl(pi, old)))
        policies.append(old)
    return average(losses), average(divergences), policies


def average(numbers: Sequence[Node]) -> Node:
    """Mean of some numbers."""
    total = numbers[0]
    for number in numbers[1:]:
        total = add(total, number)
    return scale(total, 1 / len(numbers))


def flat(nodes: Sequence[Node]) -> Any:
    """One vector of all entries."""
    return np.concatenate([node.value.ravel() for node in nodes])


def unflat(vector: Any, like: Sequence[Node]) -> list[Any]:
    """Arrays of the shapes of `like`."""
    ends = np.cumsum([node.value.size for node in like])[:-1]
    return [part.reshape(node.value.shape) for part, node in zip(np.split(vector, ends), like, strict=True)]


def hessian_product(divergence: Node, params: Params, damping: float) -> Callable[[Any], Any]:
    """v -> (H + damping) v: the gradient's graph is built once, each product goes back through it."""
    slopes = gradient(divergence, params, keep=True)

    def product(vector: Any) -> Any:
        parts = [
            sum_to(mul(slope, Node(part)), ())
            for slope, part in zip(slopes, unflat(vector, params), strict=True)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = add(total, part)
        return flat(gradient(total, params)) + damping * vector

    return product


def conjugate_gradient(product: Callable[[Any], Any], target: Any, iterations: int) -> Any:
    """x with product(x) close to target."""
    x, residual, direction = np.zeros_like(target), target.copy(), target.copy()
    size = residual @ residual
    for _ in range(iterations):
        image = product(direction)
        length = size / (direction @ image)
        x += length * direction
        residual -= length * image
        new_size = residual @ residual
        direction = residual + (new_size / size) * direction
        size = new_size
        if size < 1e-10:
            break
    return x


def meta_step(
    params: Params, tasks: Sequence[Task], settings: dict[str, Any]
) -> tuple[Params, dict[str, Any]]:
    """One step of trust region policy optimisation; returns what it did too."""
    lr, limit = settings["inner_lr"], settings["max_divergence"]
    loss, divergence, olds = objectives(params, tasks, lr)
    target = flat(gradient(loss, params))
    product = hessian_product(divergence, params, settings["cg_damping"])
    direction = conjugate_gradient(product, target, settings["cg_iterations"])
    longest = direction * math.sqrt(2 * limit / (direction @ product(direction)))
    for count in range(settings["max_shrinks"]):
        moved = flat(params) - np.float32(settings["shrink"] ** count) * longest
        candidate = [variable(part) for part in unflat(moved, params)]
        new_loss, distance, _ = objectives(candidate, tasks, lr, olds)
        if new_loss.value < loss.value and distance.value <= limit:
            return candidate, {"accepted": True, "candidates": count + 1, "divergence": float(distance.value)}
    return params, {"accepted": False, "candidates": settings["max_shrinks"], "divergence": 0.0}


class Learner:
    """MAML-TRPO from one seed."""

    def __init__(self, settings: dict[str, Any], seed: int) -> None:
        """Fresh parameters and environments."""
        self.settings, self.rng = settings, np.random.default_rng(seed)
        self.params = [variable(array) for array in init(self.rng, (2, *settings["hidden"], 2))]
        self.envs = [Navigation() for _ in range(settings["episodes"])]

    def goals(self) -> Any:
        """Goals of a meta-batch."""
        count = self.settings["tasks"]
        return self.rng.uniform(-GOAL_RANGE, GOAL_RANGE, (count, 2)).astype(np.float32)

    def sample(self, goal: Any, params: Params) -> Any:
        """Episodes of one task."""
        return sample(self.rng, self.envs, goal, params, self.settings["horizon"])

    def gather(self, goal: Any) -> Task:
        """Episodes of one task before and after adaptation."""
        discount, lam = self.settings["discount"], self.settings["gae_lambda"]
        before = episodes(self.sample(goal, self.params), discount, lam)
        adapted = adapt(self.params, before, self.settings["inner_lr"], second_order=False)
        return Task(before, episodes(self.sample(goal, adapted), discount, lam))

    def step(self) -> dict[str, Any]:
        """One meta-iteration."""
        tasks = [self.gather(goal) for goal in self.goals()]
        self.params, did = meta_step(self.params, tasks, self.settings)
        returns = {
            f"return_{phase}": float(np.mean([getattr(task, phase).returned for task in tasks]))
            for phase in Task._fields
        }
        return returns | did


def report(**document: Any) -> None:
    """One line of JSON."""
    print(json.dumps(document), flush=True)


def main() -> None:
    """Do what is asked for until the input ends."""
    settings = json.loads(sys.argv[1])
    began = time.perf_counter()
    learner = Learner(settings, 0)
    report(compile_s=time.perf_counter() - began)
    for line in sys.stdin:
        command, *args = line.split()
        began = time.perf_counter()
        if command == "start":
            learner = Learner(settings, int(args[0]))
            report()
        elif command == "sample":
            for goal in learner.goals():
                learner.sample(goal, learner.params)
            report(seconds=time.perf_counter() - began)
        else:
            did = learner.step()
            report(seconds=time.perf_counter() - began, **did)


if __name__ == "__main__":
    main()
