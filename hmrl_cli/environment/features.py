"""The features of a family that settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import TaskFamily


def feature_size(family: TaskFamily, setting: str, feature: str) -> int:
    """Size of the feature that a setting names.

    Args:
        family: plain or lifted.
        setting: dotted path of the setting, for the message.
        feature: name of the feature.

    Raises:
        ValueError: the family lacks the feature.
    """
    if feature not in family.features:
        known = ", ".join(sorted(family.features))
        raise ValueError(f"{setting}: {family.name} has no feature {feature!r}, only {known}")
    return jax.eval_shape(family.features[feature], jnp.zeros(family.obs_size)).shape[0]
