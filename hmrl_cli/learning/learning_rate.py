"""A learning rate that adapts to the KL divergence of each update.

The rule, its factor and its limits are those of rsl_rl (Rudin et al. 2022, 2109.11978).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array

FACTOR = 1.5  # of one change of the rate
LIMITS = (1e-5, 1e-2)  # lowest and highest rate


def check(target: float | None, rate: float, steps: int, name: str) -> None:
    """Raise ValueError for a target with a rate outside of `LIMITS`, or with fewer than two gradient steps.

    The divergence is measured before each step, so a single step would always measure 0.

    Args:
        target: nats, or None for a constant rate.
        rate: at the start.
        steps: gradient steps of one update.
        name: the setting of the steps, which the message names.
    """
    if target is not None and not LIMITS[0] <= rate <= LIMITS[1]:
        raise ValueError(
            f"learning_rate: found {rate:g}; must be from {LIMITS[0]:g} to {LIMITS[1]:g} with target_kl, "
            "which keeps it there"
        )
    if target is not None and steps < 2:
        raise ValueError(
            f"{name}: found {steps}; must be at least 2, because the KL is measured before the last step"
        )


def now(rate: Array, configured: float, target: float | None) -> Array:
    """The learning rate [] of an update: `rate` where it adapts, and else the configured one.

    The two rates differ in a run that starts from the state of another run.
    """
    return jnp.float32(configured) if target is None else rate


def adapted(rate: Array, kl: Array, target: float | None) -> Array:
    """The next learning rate [].

    The rate falls by `FACTOR` after a divergence above twice the target.  It rises by `FACTOR` after a
    divergence below half the target.

    Args:
        rate: [] of the last update.
        kl: [] nats between the policies before and after that update.
        target: nats; None keeps the rate.
    """
    if target is None:
        return rate
    factor = jnp.where(kl > 2 * target, 1 / FACTOR, jnp.where(kl < target / 2, FACTOR, 1.0))
    return jnp.clip(rate * factor, *LIMITS)
