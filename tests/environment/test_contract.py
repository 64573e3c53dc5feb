"""A family whose functions do not fit together is told by what is wrong."""

import jax.numpy as jnp
import pytest

from hmrl_cli.environment import contract
from tests import toys

WALKER = toys.walker()


def stepping(**fields):
    def step(state, action, task):
        return WALKER.step(state, action, task)._replace(**fields)

    return {"step": step}


def test_a_family_that_fits_passes():
    for family in (WALKER, toys.corridor()):
        contract.check(family)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"obs_size": 5}, r"obs_size: an observation has the shape \[2\]; must be \[5\]"),
        ({"task_size": 9}, r"task_size: a task has the shape \[\d\]; must be \[9\]"),
        (
            {"reset": lambda key, task: jnp.zeros(2)},
            r"reset: returned a ShapeDtypeStruct; must return an EnvSt",
        ),
        (stepping(reward=jnp.zeros(2)), r"step: reward has the shape \[2\]; must be \[\]"),
        (
            stepping(obs=jnp.zeros(3)),
            r"step: returned obs float32\[3\]; must be as reset returns it, float32\[2\]",
        ),
        (stepping(done=jnp.int32(0)), r"step: returned done int32\[\]; must be .* bool\[\]"),
        (
            stepping(body={"x": jnp.zeros(1)}),
            r"step: returned body PyTreeDef\(\{'x': \*\}\) of float32\[1\]; must",
        ),
        (
            {"features": {"far": lambda obs: obs[:, 0]}},
            r"features: 'far' maps .* to \[3\]; must keep all axes",
        ),
    ],
)
def test_what_does_not_fit_is_named(changed, told):
    with pytest.raises(ValueError, match=told):
        contract.check(WALKER._replace(**changed))
