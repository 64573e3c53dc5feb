"""Compiled programs on disk: the second start of a run or an evaluation neither traces nor compiles.

jax's own cache spares compiling alone, and tracing is most of what is left of a start.  Here a program is
known by all that tracing depends on: the code of hmrl, versions, numerics, devices, settings and arguments.

A program is machine code, and a file of it is as trusted as that: it lies in the private cache of `startup`
only.  Plugins from elsewhere may import what is not known here, so jax's cache keeps their programs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pickle
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.config import recorded
from hmrl_cli.lazy import jax
from hmrl_cli.runner import startup
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import files, provenance

SOURCES = (".py", ".xml")  # what tracing reads of the package
LIBRARIES = ("mujoco", "mujoco-mjx")  # beside those that provenance names
# Settings that no program depends on: the seed is in its keys, skills are an argument, and evaluations tell
# theirs themselves.
OF_THE_HOST: Any = {
    "training": {"seed", "epochs", "checkpoint_every", "init_from", "continues"},
    "hierarchy": {"skills"},
    "evaluation": True,
}
HIT = "/jax/compilation_cache/cache_hits"
LEAST_SECONDS = "jax_persistent_cache_min_compile_time_secs"  # of compiling, for jax to keep a program
DIGEST = 32  # bytes at the begin of a file, of the rest


def compiled(
    program: Any, arguments: tuple[Any, ...], experiments: Sequence[Experiment | None], **told: Any
) -> Callable[..., Any]:
    """A jitted program, compiled for its arguments; it comes from the disk where an earlier start left it.

    Args:
        program: what `jax.jit` returned.
        arguments: pytrees of arrays.
        experiments: whose learners act in it; None stands for none.
        told: what else the program depends on, its name among it, as JSON has it.

    Returns:
        a function of such arguments.
    """
    known = [one for one in experiments if one is not None]
    folder = _folder(known)
    if folder is None:
        return program.lower(*arguments).compile()
    file = folder / f"{_identity(arguments, known, told)}.program"
    with contextlib.suppress(Exception):  # a damaged file, or one that this jaxlib does not take
        return _loaded(file.read_bytes())
    with _apart_from_jax() as hits:
        fresh = program.lower(*arguments).compile()
    if not hits:  # jaxlib cannot write down once more what it has read
        _keep(file, fresh)
    return fresh


def _folder(experiments: Sequence[Experiment]) -> Path | None:
    """Where programs of these experiments are kept; None if they are not."""
    folder, settings = startup.cache_folder(), jax.config
    is_own = os.environ.get("JAX_COMPILATION_CACHE_DIR") == str(folder)
    is_on = getattr(settings, "jax_enable_compilation_cache", False) and jax.process_count() == 1
    is_known = not any(recorded.record(one) for one in experiments)
    # kernels of other devices may be bound late, as those of LAPACK are
    return folder if is_own and is_on and is_known and jax.default_backend() == "cpu" else None


def _identity(arguments: tuple[Any, ...], experiments: Sequence[Experiment], told: dict[str, Any]) -> str:
    """Hash of all that tracing can depend on."""
    machine = provenance.machine()
    del machine["platform"]
    document = {
        "code": _code(),
        "versions": provenance.versions() | {name: importlib.metadata.version(name) for name in LIBRARIES},
        "machine": machine | {"affinity": len(machine["affinity"])},
        "numerics": provenance.numerics(),
        "experiments": [one.model_dump(mode="json", exclude=OF_THE_HOST) for one in experiments],
        "arguments": [_described(x) for x in jax.tree.leaves(arguments)],
        "structure": str(jax.tree.structure(arguments)),
        "told": told,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _described(array: Any) -> list[str]:
    """Type and place of an array, which is one of numpy or of jax."""
    places = (getattr(array, name, None) for name in ("sharding", "committed"))
    return [str(one) for one in (jax.typeof(array), *places)]


@functools.cache
def _code() -> str:
    """Hash of the package's sources."""
    root = Path(__file__).parent.parent
    sources = sorted(file for file in root.rglob("*") if file.suffix in SOURCES)
    found = [(file.relative_to(root).as_posix(), files.file_sha256(file)) for file in sources]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


@contextlib.contextmanager
def _apart_from_jax() -> Iterator[list[str]]:
    """Meanwhile jax's cache takes no program; the list has an entry for each that comes from there."""
    found: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == HIT:
            found.append(event)

    usual = getattr(jax.config, LEAST_SECONDS)
    jax.config.update(LEAST_SECONDS, float("inf"))
    jax.monitoring.register_event_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_listener(listen)
        jax.config.update(LEAST_SECONDS, usual)


def _keep(file: Path, program: Any) -> None:
    """Write a program down.  Where that fails the next start is slower, and no other."""
    from jax.experimental import serialize_executable

    with contextlib.suppress(Exception):  # of the disk, or of a tree or program that cannot be written
        shardings = jax.tree.leaves(program.input_shardings)
        devices = sorted({device.id for sharding in shardings for device in sharding.device_set})
        parts = (devices, *serialize_executable.serialize(program))
        data = zlib.compress(pickle.dumps(parts), level=1)
        files.write_bytes(file, hashlib.sha256(data).digest() + data)


def _loaded(content: bytes) -> Callable[..., Any]:
    """The program of a file.

    Raises:
        ValueError: the file is damaged.
    """
    from jax.experimental import serialize_executable

    digest, data = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("damaged")
    _bind_lapack()
    ids, code, inputs, outputs = pickle.loads(zlib.decompress(data))
    devices = [device for device in jax.devices() if device.id in ids]
    load = serialize_executable.deserialize_and_load
    return load(code, inputs, outputs, execution_devices=devices)


@functools.cache
def _bind_lapack() -> None:
    """Give jaxlib the functions of LAPACK: else it takes them where a program that calls them is lowered."""
    jax.jit(jax.lax.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), "float32"))
