"""Compiled programs on disk: the second start of a run or an evaluation neither traces nor compiles.

jax's own cache saves only compilation, and tracing takes most of the remaining start.  Here the key of a
program is all that tracing depends on: the code of hmrl, versions, numerics, devices, settings, arguments.

Where that is not certain, a program is left to jax's cache.  Plugins from elsewhere may import anything.  In
Python sessions functions may be replaced.  Sources may have changed since the process began.  A program is
machine code, so only the private cache of `startup` holds any.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pickle
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.config import recorded
from hmrl_cli.errors import one_line
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import STARTED, jax
from hmrl_cli.runner import startup
from hmrl_cli.storage import files, provenance

PACKAGE = Path(__file__).parent.parent
SOURCES = (".py", ".xml")  # what tracing reads of the package
UNTRACED = ("cli", "report", "storage", "suite", "views")  # wings that no program runs through
LIBRARIES = ("jaxopt", "mujoco", "mujoco-mjx", "scipy", "trimesh")  # beside those that provenance names
# Settings that no program depends on: the seed is in its keys, skills and parents are arguments, and
# evaluations tell theirs themselves.
NOT_TRACED: Any = {
    "training": {"seed", "epochs", "checkpoint_every", "init_from", "continues"},
    "hierarchy": {"skills"},
    "evaluation": True,
}
HIT = "/jax/compilation_cache/cache_hits"
THRESHOLD = "jax_persistent_cache_min_compile_time_secs"  # from which on jax keeps a program
DIGEST = 32  # bytes of the SHA-256 that a file begins with


class _Switch:
    """Whether this process keeps programs."""

    on = False


def keep() -> None:
    """Keep programs from now on, in a process of the command line, which replaces no functions."""
    _Switch.on = True


def compiled(
    program: Any,
    arguments: tuple[Any, ...],
    experiments: Sequence[Experiment | None],
    *,
    sections: Collection[str] | None = None,
    **told: Any,
) -> Callable[..., Any]:
    """A jitted program, compiled for its arguments; it comes from the disk where an earlier start left it.

    Args:
        program: what `jax.jit` returned.
        arguments: pytrees of arrays.
        experiments: whose parts act in the program; None stands for none.
        sections: the tables of the experiments that the program depends on; None for all.
        told: the name of the program, and what else it depends on, as JSON has it.

    Returns:
        a function of such arguments.
    """
    file = _file(arguments, [one for one in experiments if one is not None], sections, told)
    if file is None:
        return program.lower(*arguments).compile()
    with contextlib.suppress(Exception):  # a damaged file, or one that this jaxlib does not take
        return _loaded(file.read_bytes())
    with _apart_from_jax() as hits:
        fresh = program.lower(*arguments).compile()
    if not hits and _code(PACKAGE):  # jaxlib cannot serialize a program that it has itself read
        _keep(file, fresh)
    return fresh


def _file(
    arguments: tuple[Any, ...],
    experiments: Sequence[Experiment],
    sections: Collection[str] | None,
    told: dict[str, Any],
) -> Path | None:
    """The file of a program, named by all that tracing depends on; None where it is left to jax's cache."""
    folder = startup.cache_folder()
    is_own = os.environ.get("JAX_COMPILATION_CACHE_DIR") == str(folder)
    is_on = _Switch.on and getattr(jax.config, "jax_enable_compilation_cache", False)
    # kernels of other devices may be bound late, as those of LAPACK are
    is_alone = jax.process_count() == 1 and jax.default_backend() == "cpu"
    code = _code(PACKAGE)
    if not (is_own and is_on and is_alone and code) or any(map(recorded.record, experiments)):
        return None
    machine = provenance.machine()
    del machine["platform"]
    include = None if sections is None else {*sections}
    document = {
        "code": code,
        "versions": provenance.versions() | _versions(),
        "machine": machine | {"affinity": len(machine["affinity"])},
        "numerics": provenance.numerics(),
        "experiments": [
            one.model_dump(mode="json", include=include, exclude=NOT_TRACED) for one in experiments
        ],
        "arguments": [_described(x) for x in jax.tree.leaves(arguments)],
        "structure": str(jax.tree.structure(arguments)),
        "told": told,
    }
    return folder / f"{_sha256(document)}.program"


def _described(array: Any) -> list[str]:
    """Type and placement of a numpy array or a jax array, as texts."""
    places = (getattr(array, name, None) for name in ("sharding", "committed"))
    return [str(one) for one in (jax.typeof(array), *places)]


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str | None]:
    """Versions of `LIBRARIES`; None where one is missing."""
    found: dict[str, str | None] = dict.fromkeys(LIBRARIES)
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _code(package: Path) -> str | None:
    """Hash of a package's sources; None if they may have changed since this process imported them."""
    try:
        sources = [file for file in _sources(package) if file.is_file()]
        if not sources or max(file.stat().st_ctime for file in sources) > STARTED:
            return None
        return _hash_of(package, tuple(sources))
    except OSError:  # a source is being replaced
        return None


def _sources(package: Path) -> list[Path]:
    every = (file for file in package.rglob("*") if file.suffix in SOURCES)
    return sorted(file for file in every if file.relative_to(package).parts[0] not in UNTRACED)


@functools.cache
def _hash_of(package: Path, sources: tuple[Path, ...]) -> str:
    return _sha256([(file.relative_to(package).as_posix(), files.file_sha256(file)) for file in sources])


@contextlib.contextmanager
def _apart_from_jax() -> Iterator[list[str]]:
    """Store no program in jax's cache during the block; the list gets an entry for each cache hit."""
    found: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == HIT:
            found.append(event)

    usual = getattr(jax.config, THRESHOLD)
    jax.config.update(THRESHOLD, float("inf"))
    jax.monitoring.register_event_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_listener(listen)
        jax.config.update(THRESHOLD, usual)


def _keep(file: Path, program: Any) -> None:
    """Write a program down.  Where that fails, later starts take longer, and `cache_warnings` says so."""
    from jax.experimental import serialize_executable

    try:
        shardings = jax.tree.leaves(program.input_shardings)
        devices = sorted({device.id for sharding in shardings for device in sharding.device_set})
        parts = (devices, *serialize_executable.serialize(program))
        data = zlib.compress(pickle.dumps(parts), level=1)
        files.write_bytes(file, hashlib.sha256(data).digest() + data)
    except Exception as error:  # of the disk, or of a tree or program that cannot be written
        told = f"Error writing persistent compilation cache entry for '{file.stem}': {one_line(error)}"
        warnings.warn(told, stacklevel=2)


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
    """Load jaxlib's LAPACK functions, which otherwise happens only when a program with them is lowered."""
    jax.jit(jax.lax.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), "float32"))
