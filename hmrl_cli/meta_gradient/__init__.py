"""Gradient-based meta-learning: an inner loop for each task, one outer step over all."""

from hmrl_cli.meta_gradient.config import Config
from hmrl_cli.meta_gradient.meta_learner import make

__all__ = ["Config", "make"]
