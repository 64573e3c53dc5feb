"""Provenance of a run: versions, machine, commit, skills and parent, on which its results can depend."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.config import recorded
from hmrl_cli.errors import InputError, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import MATMUL, PINNED, jax
from hmrl_cli.storage import layout, upstream
from hmrl_cli.version import __version__

# Variables of the environment that numerical libraries look at, and those of them that move no number or
# are recorded elsewhere.
VARIABLES = (
    "JAX_",
    "XLA_",
    "TF_CUDNN_",
    "NVIDIA_TF32_",
    "CUBLAS_",
    "CUDNN_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NPY_",
)
NO_NUMBER = (
    "JAX_COMPILATION_CACHE_",
    "JAX_COORDINATOR_",
    "JAX_PERSISTENT_CACHE_",
    "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_LOG",
    "JAX_TRACEBACK_",
    "JAX_DEBUG_KEY_REUSE",
    "XLA_PYTHON_CLIENT_",
    "JAX_PLATFORMS",
    "JAX_NUM_CPU_DEVICES",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "XLA_FLAGS",
)


UNSAID = {"processes": 1}  # of a machine, where an earlier version recorded nothing


def collect(
    resolved: config.Resolved, argv: Sequence[str], sources: upstream.Sources | None = None
) -> dict[str, Any]:
    """What a result can depend on beside its configuration, as a JSON document.  Initialises jax.

    Args:
        resolved: what the run trains.
        argv: the command line.
        sources: what the run stands on; None opens it.
    """
    training = resolved.experiment.training
    sources = sources or upstream.open_sources(resolved.experiment)
    return {
        "schema": layout.SCHEMA,
        "created": now(),
        "argv": list(argv),
        "command": resolved.command,
        "preset": resolved.preset,
        "origins": dict(resolved.origins),
        "config_hash": config.config_hash(resolved.experiment),
        "seeds": list(training.seeds),
        "plugins": recorded.record(resolved.experiment),
        **surroundings(),
        "git": git_commit(),
        **{name: record_of(source) for name, source in sources._asdict().items()},
    }


def check_plugins(before: Mapping[str, Any], experiment: Experiment) -> None:
    """Refuse an experiment whose plugin file differs from the one in the provenance of its run.

    Raises:
        InputError: names the file.
    """
    changed = recorded.difference(recorded.record(experiment), before.get("plugins", {}))
    if changed:
        raise InputError(f"{changed}\nto start another run: --name NAME")


def surroundings() -> dict[str, Any]:
    """Versions, machine and numerics, on which the bits of a result can depend.  Initialises jax."""
    return {"versions": versions(), "machine": machine(), "numerics": numerics()}


def versions() -> dict[str, str]:
    """Name -> version of hmrl, Python and the libraries that a result can depend on."""
    libraries = ("jax", "jaxlib", "brax", "flax", "optax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in libraries}
    return {"hmrl": __version__, "python": platform.python_version(), **versions}


def machine() -> dict[str, Any]:
    """Properties of the machine that a result can depend on.  Initialises jax."""
    # The bits of a result depend on the number of cores, which changes the order of sums.
    affinity = getattr(os, "sched_getaffinity", lambda _: ())(0)
    return {
        "platform": platform.platform(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "cores": os.cpu_count(),
        "affinity": sorted(affinity),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "processes": jax.process_count(),
    }


def numerics() -> dict[str, Any]:
    """Settings of jax, and environment variables, that a result can depend on."""
    of_jax = {name: getattr(jax.config, name, None) for name in (*PINNED, MATMUL)}
    pinned = {name.upper() for name in PINNED}
    set_here = sorted(
        name
        for name in os.environ
        if name.startswith(VARIABLES) and not name.startswith(NO_NUMBER) and name not in pinned
    )
    return of_jax | {name: os.environ[name] for name in set_here}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The differences of two provenances in versions, machine and numerics.

    A section that an earlier version of hmrl did not record is left out.  So are plugins that are files.

    Returns:
        text such as "jaxlib '0.10.1' -> '0.10.2'"; "" where nothing differs.
    """
    found = _changed_packages(before.get("plugins", {}), now["plugins"])
    for section in ("versions", "machine", "numerics"):
        earlier, later = before.get(section), now[section]
        if isinstance(earlier, Mapping):
            earlier = (UNSAID if section == "machine" else {}) | dict(earlier)
            found += [
                f"{name} {shown(earlier.get(name))} -> {shown(later.get(name))}"
                for name in {**earlier, **later}
                if earlier.get(name) != later.get(name)
            ]
    return ", ".join(found)


def _changed_packages(before: recorded.Records, now: recorded.Records) -> list[str]:
    """The installed plugins whose package or version has changed."""
    both = [(before[section], now[section]) for section in now if section in before]
    versions = [(old.get("package", ""), new.get("package", "")) for old, new in both]
    return [f"{old} -> {new}" for old, new in versions if old and new and old != new]


def git_commit() -> str | None:
    """Commit of the checkout the package runs from; None when it is installed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    # GIT_DIR and its like would name another repository
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, timeout=10, check=True, env=environment)
        return done.stdout.decode(errors="replace").strip()
    return None


def check_sources(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse a run whose skills or parent have changed since it began.

    Raises:
        InputError: names the setting and the path.
    """
    for name, setting in (("skills", "hierarchy.skills"), ("parent", "training.init_from")):
        if identity(before.get(name)) != identity(now.get(name)):
            path = (now.get(name) or before[name]).get("run")
            raise InputError(
                f"{setting}: {path} has changed since this run began\n"
                f"must be the {name} it began with; to start another run: --name NAME"
            )


def identity(record: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """The identity of the source in a record: epoch, and hashes of arrays and configuration."""
    return tuple(record.get(name) for name in ("epoch", "arrays_sha256", "config_sha256")) if record else None


def record_of(source: upstream.Source | None) -> dict[str, Any] | None:
    """The record of the skills, or of the parent, of a run."""
    return source and {
        "run": source.source,
        "epoch": source.epoch,
        "arrays_sha256": source.arrays_sha256,
        "config_sha256": source.config_sha256,
        "config_hash": config.config_hash(source.experiment),
        "plugins": recorded.record(source.experiment),
    }


def now() -> str:
    """The time in UTC, in ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
