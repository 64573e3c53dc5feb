"""The learner of MAML and MAESN, put together: meta-training, and adaptation to a new task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hmrl_cli.learning import networks
from hmrl_cli.meta_gradient import adaptation
from hmrl_cli.meta_gradient.learner import MetaGradient
from hmrl_cli.types import AdaptState, MetaLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.meta_gradient.config import Config

OUTPUT_SCALE = 0.1  # the mean action starts near 0, so that early episodes do not drift away from rewards


def make(
    config: Config,
    family: TaskFamily,
    step_size: AdaptState,
    *,
    latent_size: int = 0,
    kl_weight: float = 0.0,
) -> MetaLearner:
    """A learner that adapts the parts with a step size, and meta-learns their initial values.

    Args:
        config: settings.
        family: the family of tasks, plain or lifted.
        step_size: initial step sizes; None for a part that does not adapt.
        latent_size: L; 0: the policy has no latent.
        kl_weight: weight of KL(latent || N(0, I)) in the outer loss.
    """
    policy = networks.policy(
        family.obs_size,
        family.action,
        config.hidden,
        latent_size=latent_size,
        activation=config.activation,
        init_std=config.init_std,
        output_scale=OUTPUT_SCALE,
    )
    if config.normalize_observations:
        policy = networks.normalizing(policy, family.obs_size)
    meta = MetaGradient(config, family, policy, step_size, latent_size, kl_weight)
    episodes = config.tasks_per_update * config.episodes_per_task * (config.inner_steps + 1)
    return MetaLearner(
        meta.init,
        meta.step,
        episodes * family.horizon,
        partial(adaptation.adapt, meta),
        meta.behaviour,
        online=partial(adaptation.online, meta),
        keep=adaptation.kept,
    )
