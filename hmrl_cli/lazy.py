"""Numerical libraries, imported when they are first used.

Every module of the package takes jax and its companions from here.  So help, listings and the
validation of a configuration, which never touch an array, start at once, and a task family or an
algorithm can keep its configuration and its code in one file.

Settings of jax that change what numbers a program computes are pinned with the import: neither a variable
of the environment nor a configuration file decides them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

KEYS = "threefry2x32"  # the generator of every key
PINNED: dict[str, Any] = {
    "jax_default_prng_impl": KEYS,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_softmax_custom_jvp": True,
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    # these change no number: with them, nothing runs
    "jax_disable_jit": False,
    "jax_transfer_guard": "allow",
    "jax_raise_persistent_cache_errors": False,
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_no_tracing": False,
    "jax_no_execution": False,
}


def pin() -> None:
    """Set jax as this package needs it, in the whole process."""
    from jax import config

    for name, value in PINNED.items():
        if getattr(config, name, value) != value:  # another version may lack one
            config.update(name, value)


@functools.cache
def _load(name: str) -> ModuleType:
    module = importlib.import_module(name)
    if "jax" in sys.modules:
        pin()
    return module


class _LazyModule(ModuleType):
    """Stands for a module and imports it at the first look at one of its attributes."""

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
    """The key that all draws of a seed [] come from, by the generator that this package always uses."""
    return jax.random.key(seed, impl=KEYS)


__all__ = ["KEYS", "jax", "jnp", "nn", "np", "optax", "pin", "root_key"]
