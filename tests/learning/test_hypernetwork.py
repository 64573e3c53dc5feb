"""Generated weights against a loop in NumPy, and where they start."""

import jax
import numpy as np

from hmrl_cli.learning import hypernetwork, networks, ppo
from hmrl_cli.types import Continuous

MEMORY, INPUT, HIDDEN, OUTPUT = 3, 4, (5, 6), 2
NET = hypernetwork.mlp(MEMORY + INPUT, HIDDEN, OUTPUT, "tanh", memory_size=MEMORY)


def rows(*shape):
    return np.random.default_rng(0).normal(size=(*shape, MEMORY + INPUT)).astype(np.float32)


def test_every_memory_generates_its_own_weights():
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(NET.init, jax.random.key(0))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32) / 2, shapes)
    x = rows(2, 3)
    out = jax.jit(NET.apply)(params, x)
    for row in np.ndindex(2, 3):
        memory, value = x[row][:MEMORY], x[row][MEMORY:]
        for layer in ("layers_0", "layers_2", "layers_4"):
            kernel, offset = (params["bias"][layer][name].copy() for name in ("kernel", "bias"))
            for m in range(MEMORY):
                kernel += memory[m] * params["weight"][layer]["kernel"][m]
                offset += memory[m] * params["weight"][layer]["bias"][m]
            value = value @ kernel + offset
            value = value if layer == "layers_4" else np.tanh(value)
        np.testing.assert_allclose(out[row], value, rtol=1e-4, atol=1e-5)


def test_a_network_starts_as_its_base_whatever_the_memory():
    base = networks.mlp(INPUT, HIDDEN, OUTPUT, "tanh")

    @jax.jit
    def outputs(x):
        def total(params):
            out = NET.apply(params, x)
            return out.sum(), out

        (_, out), grads = jax.value_and_grad(total, has_aux=True)(NET.init(jax.random.key(0)))
        return out, base.apply(base.init(jax.random.key(0)), x[:, MEMORY:]), grads

    for scale in (0.0, 1.0, 100.0):
        out, expected, grads = outputs(rows(10) * np.array([scale] * MEMORY + [1.0] * INPUT, np.float32))
        np.testing.assert_allclose(out, expected, atol=1e-6)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(grads))  # so the weights leave 0


def test_the_number_of_parameters():
    """A base network for each unit of memory and one more; the spread of the actions is not generated."""

    def body(*args, **kwargs):
        return hypernetwork.mlp(*args, **kwargs, memory_size=MEMORY)

    policy = ppo.make_policy(MEMORY + INPUT, Continuous(OUTPUT), ppo.Config(hidden=HIDDEN), body)
    shapes = jax.eval_shape(policy.init, jax.random.key(0))
    base = (INPUT + 1) * 5 + (5 + 1) * 6 + (6 + 1) * OUTPUT
    counted = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in shapes.items()}
    assert counted == {"net": (MEMORY + 1) * base, "log_std": OUTPUT}
