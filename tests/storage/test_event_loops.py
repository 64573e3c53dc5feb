import asyncio
import errno
import os
import resource

import numpy as np
import pytest

from hmrl_cli.errors import MachineLimit, StorageError, limit_reached, telling_limits
from hmrl_cli.storage import arrays_on_disk, checkpoints, event_loops


def test_a_call_that_comes_too_late_is_dropped():
    before = asyncio.get_event_loop_policy()
    with event_loops.that_may_be_late():
        loop = asyncio.new_event_loop()
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()
        loop.close()
        assert loop.call_soon_threadsafe(print) is None
    assert asyncio.get_event_loop_policy() is before


def test_a_full_disk_is_one_error_and_nothing_on_stderr(tmp_path, capfd):
    tree = {f"w{i}": np.random.default_rng(i).normal(size=3000) for i in range(20)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        for epoch in range(3):
            with pytest.raises(StorageError, match=os.strerror(errno.EFBIG)):
                checkpoints.save(tmp_path, epoch, tree, "hash")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    checkpoints.save(tmp_path, 3, tree, "hash")  # and the threads of before have ended meanwhile
    assert capfd.readouterr().err == ""


def test_memory_that_is_short_is_no_full_disk(tmp_path, monkeypatch):
    def fails(*_):
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("Orbax could not") from error

    monkeypatch.setattr(arrays_on_disk, "write", fails)
    with pytest.raises(MachineLimit, match="1 cannot be written: memory is short"):
        checkpoints.save(tmp_path, 1, {"w": np.zeros(2)}, "hash")
    of_jax = type("JaxRuntimeError", (RuntimeError,), {})
    assert "Out of memory" in limit_reached(of_jax("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."))
    assert "Out of memory" in limit_reached(of_jax("INTERNAL: Error dispatching: Out of memory"))
    assert limit_reached(of_jax("INTERNAL: no such kernel")) == ""
    assert limit_reached(ValueError("RESOURCE_EXHAUSTED: No space left on device")) == ""
    assert "memory" in limit_reached(ExceptionGroup("several", [ValueError(), MemoryError()]))


def test_memory_that_is_short_damages_no_checkpoint(tmp_path, monkeypatch):
    """An older one in its place would cost epochs, and be no smaller."""
    import orbax.checkpoint as ocp

    def fails(*_, **__):
        raise ValueError("Orbax could not") from MemoryError()

    template = {"w": np.zeros(2, np.float32)}
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, template, "hash")
    monkeypatch.setattr(ocp.Checkpointer, "restore", fails)
    with pytest.raises(MachineLimit, match="memory is short"), telling_limits():
        checkpoints.load(tmp_path, template, "hash")
