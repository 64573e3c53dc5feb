"""Numerical libraries, imported when they are first used.

Every module of the package takes jax and its companions from here.  So help, listings and the
validation of a configuration, which never touch an array, start at once, and a task family or an
algorithm can keep its configuration and its code in one file.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class _LazyModule(ModuleType):
    """Stands for a module and imports it at the first look at one of its attributes."""

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), attribute)
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

__all__ = ["jax", "jnp", "nn", "np", "optax"]
