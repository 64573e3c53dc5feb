"""VariBAD: a policy that acts on its belief about the task (Zintgraf et al. 2020, 1910.08348).

A recurrent encoder infers a Gaussian belief about the task after every step, and keeps it over the episodes
of a trial.  It learns to predict the rewards of the whole trial, past and future (`_belief`).  PPO trains a
policy of observation and belief over whole trials (`_bayes_adaptive`).  Its gradient does not reach the
encoder.
"""

from __future__ import annotations

from typing import Literal

from hmrl_cli.algorithms.meta import _bayes_adaptive
from hmrl_cli.types import MetaLearner, TaskFamily


class Config(_bayes_adaptive.Config):
    """Settings of VariBAD."""

    name: Literal["varibad"] = "varibad"


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """VariBAD on a family, plain or lifted."""
    return _bayes_adaptive.make(config, family)
