"""What a run would find on this machine: versions, devices, compiled programs and room on the disk."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from hmrl_cli.storage import provenance
from hmrl_cli.storage.naming import RUNS


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


def _sizes(cache: Path) -> list[int]:
    sizes = []
    for file in cache.rglob("*-cache"):
        with contextlib.suppress(FileNotFoundError):  # another process prunes
            sizes.append(file.stat().st_size)
    return sizes
