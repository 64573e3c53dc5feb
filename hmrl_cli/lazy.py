"""Numerical libraries, imported at the first use of one of their attributes.

Every module of the package takes jax and its companions from here.  Help, listings and the validation of a
configuration never touch an array, so they start without importing jax.  A plugin can keep its configuration
and its code in one file.

The import pins the settings of jax that change computed numbers.  Neither an environment variable nor a
configuration file can change these settings, except for the precision of matrix products.
"""

from __future__ import annotations

import functools
import importlib
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

STARTED = time.time()  # about when the process began to import the package, s
KEYS = "threefry2x32"  # the random generator of every key
PINNED: dict[str, Any] = {
    "jax_default_prng_impl": KEYS,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_softmax_custom_jvp": True,
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    # other values of these change no number but prevent programs from running
    "jax_disable_jit": False,
    "jax_transfer_guard": "allow",
    "jax_raise_persistent_cache_errors": False,
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_no_tracing": False,
    "jax_no_execution": False,
}
# A user may choose this one.  By default GPUs multiply with ten bits of mantissa, too few for baselines and
# curvature.
MATMUL = "jax_default_matmul_precision"


def pin() -> None:
    """Set jax's settings to `PINNED` in the whole process, and products to full precision by default."""
    from jax import config

    if getattr(config, MATMUL, "") is None:
        config.update(MATMUL, "highest")

    for name, value in PINNED.items():
        if getattr(config, name, value) != value:  # another version of jax may lack the setting
            config.update(name, value)


@functools.cache
def _load(name: str) -> ModuleType:
    module = importlib.import_module(name)
    if "jax" in sys.modules:
        pin()
    return module


class _LazyModule(ModuleType):
    """Stands for a module and imports it at the first access to one of its attributes."""

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(_load(self.__name__), attribute)
        setattr(self, attribute, value)
        return value


if TYPE_CHECKING:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
else:
    jax = _LazyModule("jax")
    jnp = _LazyModule("jax.numpy")
    np = _LazyModule("numpy")
    nn = _LazyModule("flax.linen")
    optax = _LazyModule("optax")


def root_key(seed: Any) -> Any:
    """The key from which all random draws of a seed [] derive, with the generator `KEYS`."""
    return jax.random.key(seed, impl=KEYS)


__all__ = ["KEYS", "MATMUL", "jax", "jnp", "nn", "np", "optax", "pin", "root_key"]
