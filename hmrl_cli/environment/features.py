"""Features of a family, as settings name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import TaskFamily


def feature_size(family: TaskFamily, setting: str, feature: str) -> int:
    """Size of a feature that a setting (its dotted path) names.

    Raises ValueError where the family lacks it.
    """
    if feature not in family.features:
        known = ", ".join(sorted(family.features))
        raise ValueError(f"{setting}: {family.name} has no feature {feature!r}, only {known}")
    return jax.eval_shape(family.features[feature], jnp.zeros(family.obs_size)).shape[0]
