"""A Gaussian policy on 2-D navigation: its episodes, and their advantages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy_gradient import Node, add, exp, matmul, mul, nothing_recorded, scale, shift, sum_to, tanh

STEP = 0.1  # how far an action of 1 moves the point, in each coordinate
END_RANGE = 0.01  # the episode ends this near to the goal, in both coordinates
HORIZON_UNIT = 100.0  # of the baseline's feature of time
RIDGE = 1e-5

Params = list[Node]  # weights and biases layer by layer, then log sigma


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
