"""A learning rate that follows how far its updates go, as RL frameworks for many environments have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array

FACTOR = 1.5
LIMITS = (1e-5, 1e-2)


def check(target: float | None, steps: int, name: str) -> None:
    """Raise ValueError where a target is set and nothing is moved when the divergence is last looked at."""
    if target is not None and steps < 2:
        raise ValueError(
            f"{name}: found {steps}; must be at least 2, for target_kl is of all but the last step"
        )


def adapted(rate: Array, kl: Array, target: float | None) -> Array:
    """The next learning rate: lower after an update of more than twice `target`, higher below half of it.

    Args:
        rate: [], of the update.
        kl: [], nats that the update moved the policy.
        target: nats that it was to move; none: the rate stays.
    """
    if target is None:
        return rate
    factor = jnp.where(kl > 2 * target, 1 / FACTOR, jnp.where(kl < target / 2, FACTOR, 1.0))
    return jnp.clip(rate * factor, *LIMITS)
