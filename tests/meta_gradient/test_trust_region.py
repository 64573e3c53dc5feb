from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hmrl_cli.learning.distributions import Categorical, Gaussian
from hmrl_cli.meta_gradient import trust_region
from hmrl_cli.meta_gradient.problem import Problem


def problem(discrete):
    """A small policy on fixed data: parameters, outputs, loss, divergence."""
    keys = jax.random.split(jax.random.key(0), 5)
    obs = jax.random.normal(keys[0], (40, 3))
    advantage = jax.random.normal(keys[1], (40,))
    params = {"w": 0.3 * jax.random.normal(keys[2], (3, 2)), "log_std": jnp.zeros(2)}
    action = jax.random.randint(keys[3], (40,), 0, 2) if discrete else jax.random.normal(keys[4], (40, 2))

    def outputs(params):
        out = jnp.tanh(obs @ params["w"])
        return Categorical(out) if discrete else Gaussian(out, jnp.tile(params["log_std"], (40, 1)))

    old = outputs(params).log_prob(action)

    def loss(params, dist):
        return -jnp.mean(jnp.exp(dist.log_prob(action) - old) * advantage)

    def divergence(old, new):
        return old.kl(new).mean()

    return params, outputs, loss, divergence


def test_seeds_side_by_side_take_the_steps_they_take_alone():
    params, outputs, loss, divergence = problem(True)
    del params["log_std"]
    config = trust_region.Config(cg_iterations=10)  # until converged; before that, rounding shows
    step = partial(trust_region.step, config=config)
    stacked = {"w": jnp.stack([params["w"], 2 * params["w"]])}
    memory = trust_region.init(params, config)
    both, _, info = jax.jit(jax.vmap(lambda p: step(p, memory, Problem(outputs, loss, divergence))))(stacked)
    assert info.accepted.all()
    one = jax.jit(lambda p: step(p, memory, Problem(outputs, loss, divergence)))
    for index in range(2):
        alone, _, _ = one({"w": stacked["w"][index]})
        np.testing.assert_allclose(both["w"][index], alone["w"], atol=1e-4)


def test_what_steps_remember_saves_products():
    params, outputs, loss, divergence = problem(False)
    residuals = {}
    for pairs in (0, 12):
        config = trust_region.Config(max_divergence=1e-4, cg_iterations=2, cg_memory=pairs)
        step = jax.jit(partial(trust_region.step, problem=Problem(outputs, loss, divergence), config=config))
        now, memory, found = params, trust_region.init(params, config), []
        for _ in range(6):
            now, memory, info = step(now, memory)
            found.append(info.cg_residual)
        residuals[pairs] = np.array(found)
    assert residuals[0][0] == residuals[12][0]
    assert residuals[12][-1] < 0.1 * residuals[0][-1]


@pytest.mark.parametrize("discrete", [False, True])
def test_the_step_is_the_natural_gradient_of_a_dense_solve(discrete):
    params, outputs, loss, divergence = problem(discrete)
    if discrete:
        del params["log_std"]
    flat, unravel = ravel_pytree(params)
    old = outputs(params)
    hessian = jax.jit(jax.hessian(lambda x: divergence(old, outputs(unravel(x)))))
    fisher = hessian(flat) + 1e-3 * np.eye(flat.size)
    gradient = jax.jit(jax.grad(lambda x: loss(unravel(x), outputs(unravel(x)))))(flat)
    direction = np.linalg.solve(fisher, gradient)
    longest = np.sqrt(2 * 1e-4 / (direction @ fisher @ direction))

    config = trust_region.Config(max_divergence=1e-4, cg_damping=1e-3, cg_iterations=50)
    memory = trust_region.init(params, config)
    new, _, info = jax.jit(
        lambda p: trust_region.step(p, memory, Problem(outputs, loss, divergence), config)
    )(params)
    moved = ravel_pytree(new)[0] - flat
    # the line search may shorten the step, by powers of 0.8
    factor = np.linalg.norm(moved) / (longest * np.linalg.norm(direction))
    np.testing.assert_allclose(moved, -factor * longest * direction, atol=2e-5)
    times = np.log(factor) / np.log(0.8)
    assert np.isclose(times, np.round(times), atol=0.1)
    assert info.accepted == 1 and 0 < info.divergence <= 1e-4 and info.improvement > 0


def test_a_step_that_cannot_help_is_not_taken():
    params, outputs, _, divergence = problem(False)

    def kink(params, dist):
        # lowest where it stands, whatever its slope says
        distance = sum(jnp.abs(params[name] - start[name]).sum() for name in start)
        return jnp.where(distance > 0, 1.0 + distance, dist.mean.sum() * 1e-3)

    start, config = params, trust_region.Config()
    memory = trust_region.init(params, config)
    step = jax.jit(lambda p: trust_region.step(p, memory, Problem(outputs, kink, divergence), config))
    new, _, info = step(params)
    assert info.accepted == 0 and info.divergence == 0
    assert all(jnp.array_equal(new[name], params[name]) for name in params)
