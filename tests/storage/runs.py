"""What tests of a run's directory share: a tree to save, a training without JAX, ways to fail."""

import collections
import contextlib
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli import config
from hmrl_cli.storage import manifest
from hmrl_cli.storage.writer import RunDir

TREE = {
    "params": {"layer/0": np.arange(6, dtype=np.float32).reshape(2, 3), "flag": np.array(True)},
    "count": np.array(3, np.int32),
    "half": np.asarray(jnp.array(1.5, jnp.bfloat16)),
    "empty": np.zeros((0, 3), np.float32),
    "keys": (np.array([1, 2**32 - 1], np.uint32), None),
    "tricky": np.array([-0.0, 1e-45, 3.4e38], np.float32),
}


def trained(run, epochs, tree=TREE):
    for epoch in range(run.epoch + 1, epochs + 1):
        run.record(epoch, {"loss": np.float32(1 / epoch), "return": np.arange(2) * epoch})
        run.save(epoch, tree)


def message(caught):
    text = str(caught.value)
    assert 1 <= len(text.splitlines()) <= 2
    return text


def same(one, other):
    flat = manifest.flatten(other)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for path, leaf in manifest.flatten(one).items():
        assert isinstance(leaf, np.ndarray)
        assert (leaf.dtype, leaf.shape) == (flat[path].dtype, flat[path].shape)
        assert leaf.tobytes() == flat[path].tobytes()


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def finished_skills(preset, path, sets=(), complete=True):
    with RunDir.create(path, config.resolve("pretrain-skills", preset, sets)) as run:
        trained(run, 1)
        if complete:
            run.complete({})
    return str(path)


_opened = []


def _count(event, arguments):
    if event == "open" and _opened and isinstance(arguments[0], str | Path):
        path = Path(arguments[0])
        _opened[-1][path.parent.name, path.name] += 1


sys.addaudithook(_count)  # there is no way to remove one


@contextlib.contextmanager
def opened():
    """How often each file is opened meanwhile, by the names of its folder and of itself."""
    _opened.append(collections.Counter())
    try:
        yield _opened[-1]
    finally:
        _opened.pop()


def failing(number):
    def fail(*arguments, **more):
        raise OSError(number, os.strerror(number))

    return fail
