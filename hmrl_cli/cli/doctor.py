"""What a run would find on this machine: versions, devices, compiled programs and room on the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrl_cli.cli.output import as_cell
from hmrl_cli.storage import provenance
from hmrl_cli.storage.naming import RUNS

SHOWN = {
    "mib": "size, MiB",
    "free_gib": "free, GiB",
    "xla_flags": "XLA_FLAGS",
}  # keys with another name


def examine(cache_problem: str = "") -> dict[str, Any]:
    """Sections of names and values; initialises jax.

    Args:
        cache_problem: why there is no cache of compiled programs, as `startup.prepare` says.
    """
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    programs = _sizes(Path(cache)) if cache else []
    runs = RUNS.absolute()
    there = next(folder for folder in (runs, *runs.parents) if folder.is_dir())
    return {
        "schema": 1,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "cache": {
            "folder": cache,
            "problem": cache_problem,
            "programs": len(programs),
            "mib": sum(programs) / 2**20,
        },
        "runs": {
            "folder": str(runs),
            "writable": os.access(there, os.W_OK),
            "free_gib": shutil.disk_usage(there).free / 2**30,
        },
    }


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """What was found, as lines of a table: part, name and value."""
    return [
        [part, SHOWN.get(key) or str(key), _cell(value)]
        for part, section in found.items()
        if isinstance(section, Mapping)
        for key, value in section.items()
    ]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return as_cell(value) or "none"


def _sizes(cache: Path) -> list[int]:
    sizes = []
    for file in (*cache.rglob("*-cache"), *cache.rglob("*.program")):
        with contextlib.suppress(FileNotFoundError):  # another process prunes
            sizes.append(file.stat().st_size)
    return sizes
