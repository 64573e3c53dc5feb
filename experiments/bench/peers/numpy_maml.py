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

import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

STEP = 0.1  # how far an action of 1 moves the point, in each coordinate
GOAL_RANGE = 0.5
END_RANGE = 0.01  # the episode ends this near to the goal, in both coordinates
HORIZON_UNIT = 100.0  # of the baseline's feature of time
RIDGE = 1e-5


# ---- reverse differentiation of a graph that is built as the program runs


class Node:
    """An array, and what it was made of: pairs of a node and the way from the cotangent to that node's."""

    count = itertools.count()
    recording = True

    def __init__(self, value: Any, *parents: tuple[Node, Callable[[Node], Node]]) -> None:
        """The parents that need no derivative are left out, and all are while nothing is recorded."""
        self.value = value
        self.parents = [(node, way) for node, way in parents if node.needed] if Node.recording else []
        self.needed = bool(self.parents)
        self.number = next(Node.count)


Params = list[Node]  # weights and biases layer by layer, then log sigma


def variable(value: Any) -> Node:
    """A node of which derivatives can be taken."""
    node = Node(value)
    node.needed = True
    return node


@contextmanager
def nothing_recorded() -> Iterator[None]:
    """No graph is built inside."""
    before, Node.recording = Node.recording, False
    try:
        yield
    finally:
        Node.recording = before


def add(a: Node, b: Node) -> Node:
    """Sum, with broadcasting."""
    shapes = a.value.shape, b.value.shape
    return Node(a.value + b.value, (a, lambda c: sum_to(c, shapes[0])), (b, lambda c: sum_to(c, shapes[1])))


def mul(a: Node, b: Node) -> Node:
    """Product, with broadcasting."""
    return Node(
        a.value * b.value,
        (a, lambda c: sum_to(mul(c, b), a.value.shape)),
        (b, lambda c: sum_to(mul(c, a), b.value.shape)),
    )


def scale(a: Node, factor: float) -> Node:
    """Product with a number."""
    return Node(a.value * factor, (a, lambda c: scale(c, factor)))


def shift(a: Node, term: float) -> Node:
    """Sum with a number."""
    return Node(a.value + term, (a, lambda c: c))


def exp(a: Node) -> Node:
    """Exponential function."""
    result = Node(np.exp(a.value), (a, lambda c: mul(c, result)))
    return result


def tanh(a: Node) -> Node:
    """Hyperbolic tangent."""
    result = Node(np.tanh(a.value), (a, lambda c: tanh_slope(c, result)))
    return result


def tanh_slope(c: Node, y: Node) -> Node:
    """Cotangent before the tanh, for the one after it and its result."""
    return Node(
        c.value * (1 - y.value * y.value),
        (c, lambda d: tanh_slope(d, y)),
        (y, lambda d: scale(mul(mul(d, c), y), -2.0)),
    )


def transpose(a: Node) -> Node:
    """Rows for columns."""
    return Node(a.value.T, (a, transpose))


def matmul(a: Node, b: Node) -> Node:
    """Product of matrices."""
    return Node(
        a.value @ b.value,
        (a, lambda c: matmul(c, transpose(b))),
        (b, lambda c: matmul(transpose(a), c)),
    )


def sum_to(a: Node, shape: tuple[int, ...]) -> Node:
    """Sum over what was broadcast from `shape`."""
    if a.value.shape == shape:
        return a
    before = a.value.shape
    extra = len(before) - len(shape)
    axes = tuple(i for i in range(len(before)) if i < extra or shape[i - extra] == 1 < before[i])
    return Node(a.value.sum(axis=axes).reshape(shape), (a, lambda c: broadcast(c, before)))


def broadcast(a: Node, shape: tuple[int, ...]) -> Node:
    """The transpose of `sum_to`."""
    before = a.value.shape
    return Node(np.broadcast_to(a.value, shape), (a, lambda c: sum_to(c, before)))


def gradient(output: Node, inputs: Sequence[Node], keep: bool = False) -> Params:
    """Derivatives of a number by each input, recorded themselves if `keep`."""
    leads = leads_to(output, inputs)
    cotangents = {output.number: Node(np.ones_like(output.value))}
    wanted = {node.number for node in inputs}
    before, Node.recording = Node.recording, keep
    for node in sorted(leads.values(), key=lambda node: -node.number):
        cotangent = cotangents.get(node.number)
        if cotangent is None or node.number in wanted:
            continue
        for parent, way in node.parents:
            if parent.number in leads:
                part, sofar = way(cotangent), cotangents.get(parent.number)
                cotangents[parent.number] = part if sofar is None else add(sofar, part)
        del cotangents[node.number]
    Node.recording = before
    return [cotangents.get(node.number) or Node(np.zeros_like(node.value)) for node in inputs]


def leads_to(output: Node, inputs: Sequence[Node]) -> dict[int, Node]:
    """The nodes on the ways from the inputs to the output, by number."""
    above, stack = {output.number: output}, [output]
    while stack:
        for parent, _ in stack.pop().parents:
            if parent.number not in above:
                above[parent.number] = parent
                stack.append(parent)
    leads = {node.number: node for node in inputs}
    for number in sorted(above):
        if any(parent.number in leads for parent, _ in above[number].parents):
            leads[number] = above[number]
    return leads


# ---- policy


class Gaussian(NamedTuple):
    """Independent normal distributions."""

    mean: Node  # [B, A]
    log_std: Node  # [A]


def init(rng: np.random.Generator, sizes: Sequence[int]) -> list[Any]:
    """Arrays of the policy's parameters: Glorot & Bengio's uniform weights, no biases, sigma 1."""
    arrays: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        bound = math.sqrt(6 / (a + b))
        arrays += [rng.uniform(-bound, bound, (a, b)).astype(np.float32), np.zeros(b, np.float32)]
    return [*arrays, np.zeros(sizes[-1], np.float32)]


def policy(params: Params, obs: Any) -> Gaussian:
    """pi(a | o) of the rows of obs [B, O]."""
    x = Node(obs)
    *layers, last = zip(params[0:-1:2], params[1:-1:2], strict=True)
    for weight, bias in layers:
        x = tanh(add(matmul(x, weight), bias))
    return Gaussian(add(matmul(x, last[0]), last[1]), params[-1])


def log_prob(pi: Gaussian, action: Any) -> Node:
    """Log density of every row, [B, 1]."""
    z = mul(add(Node(action), scale(pi.mean, -1.0)), exp(scale(pi.log_std, -1.0)))
    each = add(scale(mul(z, z), -0.5), scale(pi.log_std, -1.0))
    return shift(sum_to(each, (len(action), 1)), -0.5 * action.shape[1] * math.log(2 * math.pi))


def kl(pi: Gaussian, old: Gaussian) -> Node:
    """KL(pi || old) of every row in nats, [B, 1]."""
    lower = add(pi.log_std, scale(old.log_std, -1.0))
    away = mul(add(pi.mean, scale(old.mean, -1.0)), exp(scale(old.log_std, -1.0)))
    each = add(scale(add(exp(scale(lower, 2.0)), mul(away, away)), 0.5), shift(scale(lower, -1.0), -0.5))
    return sum_to(each, (len(pi.mean.value), 1))


# ---- sampling


class Navigation:
    """A point in the plane that earns minus its distance from the goal after every step."""

    def __init__(self) -> None:
        """At the start, with no goal yet."""
        self.state, self.goal = np.zeros(2, np.float32), np.zeros(2, np.float32)

    def reset(self, goal: Any) -> Any:
        """Back to the start; returns the observation."""
        self.state, self.goal = np.zeros(2, np.float32), goal
        return self.state

    def step(self, action: Any) -> tuple[Any, float, bool]:
        """Observation, reward, and whether the episode is over."""
        self.state = self.state + STEP * np.clip(action, -1.0, 1.0)
        x, y = (self.state - self.goal).tolist()
        return self.state, -math.sqrt(x * x + y * y), abs(x) < END_RANGE and abs(y) < END_RANGE


class Episodes(NamedTuple):
    """Episodes of one task; rows are the steps that count, T of N episodes at most."""

    obs: Any  # [B, O]
    action: Any  # [B, A]
    advantage: Any  # [B, 1]
    returned: float  # mean undiscounted return


def sample(
    rng: np.random.Generator, envs: Sequence[Navigation], goal: Any, params: Params, horizon: int
) -> Any:
    """Obs [T, N, O], actions [T, N, A], rewards [T, N], and 1 where the step counts [T, N]."""
    count = len(envs)
    now = [env.reset(goal) for env in envs]
    obs, actions = np.zeros((horizon, count, 2), np.float32), np.zeros((horizon, count, 2), np.float32)
    rewards, valid = np.zeros((horizon, count), np.float32), np.zeros((horizon, count), np.float32)
    running = list(range(count))
    with nothing_recorded():
        for t in range(horizon):
            if not running:
                break
            seen = np.stack([now[i] for i in running])
            pi = policy(params, seen)
            noise = rng.standard_normal(seen.shape, np.float32)
            chosen = pi.mean.value + np.exp(pi.log_std.value) * noise
            obs[t, running], actions[t, running], valid[t, running] = seen, chosen, 1.0
            over = set()
            for i, action in zip(running, chosen, strict=True):
                now[i], rewards[t, i], done = envs[i].step(action)
                if done:
                    over.add(i)
            running = [i for i in running if i not in over]
    return obs, actions, rewards, valid


def discounted(x: Any, factor: float) -> Any:
    """Discounted sum from each step on, [T, N]."""
    total, sums = np.zeros(x.shape[1], np.float32), np.zeros_like(x)
    for t in reversed(range(len(x))):
        sums[t] = total = x[t] + factor * total
    return sums


def baseline(obs: Any, returns: Any, valid: Any) -> Any:
    """Predicted returns [T, N]: least squares on o, o^2, time, its square and cube, and 1."""
    ones = valid[..., None]
    t = np.arange(len(obs), dtype=np.float32)[:, None, None] / HORIZON_UNIT * ones
    o = obs * ones
    features = np.concatenate([o, o**2, t, t**2, t**3, ones], axis=2)
    x = features.reshape(-1, features.shape[2]).astype(np.float64)
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    return (features @ np.linalg.solve(gram, x.T @ returns.ravel())).astype(np.float32)


def episodes(collected: Any, discount: float, lam: float) -> Episodes:
    """What the losses need: generalised advantage estimates over a baseline of their own, whitened."""
    obs, actions, rewards, valid = collected
    values = baseline(obs, discounted(rewards, discount), valid) * valid
    after = np.append(values[1:], np.zeros_like(values[:1]), axis=0)
    advantage = discounted(rewards + discount * after - values, discount * lam)
    counts = valid > 0
    kept = advantage[counts]
    whitened = (kept - kept.mean()) / (kept.std() + 1e-8)
    return Episodes(obs[counts], actions[counts], whitened[:, None], float(rewards.sum(axis=0).mean()))


# ---- meta-learning


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
