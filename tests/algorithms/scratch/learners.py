"""PPO and SAC from scratch, small, with any bonus."""

import jax.numpy as jnp

from hmrl_cli.algorithms.scratch import ppo, sac
from hmrl_cli.config import plugins
from hmrl_cli.environment.composition import bonus
from hmrl_cli.learning import ppo as ppo_block
from hmrl_cli.learning import sac as sac_block
from tests import toys

PPO = ppo.Config(
    episodes_per_update=16,
    ppo=ppo_block.Config(hidden=(32,), minibatches=4, learning_rate=3e-3, entropy_coefficient=0.01),
)


SAC = sac.Config(
    episodes_per_update=8,
    gradient_steps=40,
    batch_size=64,
    buffer_capacity=20_000,
    sac=sac_block.Config(hidden=(32,), learning_rate=3e-3, entropy_coefficient=0.02, discount=0.97),
)


BUILD = {"ppo": (ppo.make, PPO), "sac": (sac.make, SAC)}
DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
LIBRARY = toys.straight(DIRECTIONS)
SMALL = {"hidden": (32,)}


BONUSES = {
    "counts": {"cell": 1.0, "weight": 0.3},
    "rnd": SMALL,
    "icm": SMALL,
    "information_gain": {"observe": "identity", "length_scale": 1.0, "noise": 0.3, "weight": 0.3},
}


def learner(algorithm, family, explore=None, **settings):
    if explore is not None:
        module = plugins.load("bonuses", explore)
        family = bonus(family, module.make(module.Config(**settings), family))
    build, algorithm_config = BUILD[algorithm]
    return build(algorithm_config, family)
