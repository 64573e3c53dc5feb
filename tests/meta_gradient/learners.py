"""Small learners by meta-gradient, and slopes of their losses."""

from functools import partial

import jax
import numpy as np

from hmrl_cli.algorithms.meta import maesn, maml
from hmrl_cli.learning import networks
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.meta_gradient import learner as meta_gradient
from hmrl_cli.types import AdaptState
from tests import toys

SMALL = dict(tasks_per_update=3, episodes_per_task=4, hidden=(6,), activation="tanh")
FAMILY = toys.walker(horizon=4)


def learner(algorithm, inner_steps, first_order=False):
    latent_size = 2 if algorithm == "maesn" else 0
    settings = SMALL | dict(inner_steps=inner_steps, first_order=first_order, learn_step_size=True)
    policy = networks.policy(2, FAMILY.action, (6,), latent_size=latent_size, activation="tanh")
    if algorithm == "maml":
        return meta_gradient.MetaGradient(
            maml.Config(**settings), FAMILY, policy, AdaptState(0.3, None), latent_size=0, kl_weight=0.0
        )
    size = Gaussian(np.full(2, 0.4), np.full(2, 0.4))
    return meta_gradient.MetaGradient(
        maesn.Config(num_train_tasks=5, **settings), FAMILY, policy, AdaptState(None, size), 2, 0.1
    )


def gather(agent):
    """Meta-parameters, and the episodes of an update: of every phase, of three tasks."""

    @jax.jit
    def run():
        state = agent.init(jax.random.key(0))
        task_key, key = jax.random.split(jax.random.key(1))
        rows, tasks = agent._draw_tasks(task_key, state.tasks)
        return state.meta, jax.vmap(partial(agent._collect_phases, state.meta))(
            jax.random.split(key, 3), rows, tasks
        )

    return run()


def loss_of(agent):
    return jax.jit(lambda meta, batch: agent.loss(meta, agent.outputs(meta, batch), batch))


def slope_of(agent):
    return jax.jit(jax.grad(loss_of(agent)))
