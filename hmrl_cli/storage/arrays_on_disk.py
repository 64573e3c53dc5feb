"""Arrays on the disk, as Orbax writes them."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.errors import limit_reached
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.storage import event_loops
from hmrl_cli.storage.files import lacks
from hmrl_cli.storage.manifest import Damaged, arrays_sha256, leaves

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]


@event_loops.that_may_be_late()
def write(path: Path, arrays: Arrays) -> None:
    """Write arrays by their paths, as a folder that Orbax makes; raises what Orbax raises."""
    # Orbax's threads also log a traceback of every error that is raised here
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    # Orbax refuses arrays without elements; the manifest alone brings those back.
    stored = {path: np.asarray(array) for path, array in arrays.items() if np.size(array)}
    with contextlib.ExitStack() as stack:
        target = path.absolute()
        if lacks(path.parent):  # Orbax needs these calls; the manifest forces the copied files to the disk
            target = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tree"
        with _checkpointer() as checkpointer:
            checkpointer.save(target, stored)
        if target != path.absolute():
            shutil.copytree(target, path)


@event_loops.that_may_be_late()
def read(path: Path, manifest: Mapping[str, Any]) -> Arrays:
    """The arrays of a checkpoint, compared with its manifest.

    Raises:
        Damaged: Orbax cannot read them, or they differ from what was written.
    """
    import orbax.checkpoint as ocp

    expected = manifest["leaves"]
    arrays = {
        name: np.zeros(leaf["shape"], jnp.dtype(leaf["dtype"]))
        for name, leaf in expected.items()
        if 0 in leaf["shape"]
    }
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in expected if name not in arrays}
    try:
        with _checkpointer() as checkpointer:
            arrays |= checkpointer.restore((path / "tree").absolute(), restore_args=as_numpy)
    except Exception as error:
        if limit_reached(error):  # memory is short, and an older checkpoint would be as large
            raise
        raise Damaged(f"Orbax: {' '.join(str(error).split())[:100]}") from error
    if leaves(arrays) != expected or arrays_sha256(arrays) != manifest["arrays_sha256"]:
        raise Damaged("other arrays than were written")
    return arrays


def _checkpointer() -> Any:
    """A checkpointer of this process alone, whatever other processes do."""
    import orbax.checkpoint as ocp

    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(this, {this}, f"process{this}")
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)
