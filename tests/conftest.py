"""Settings of every test: reused keys are errors, compiled programs are kept, and compiled in little time."""

import importlib.metadata
import os
from pathlib import Path

import pytest

CACHE = Path(__file__).parent.parent / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("JAX_DEBUG_KEY_REUSE", "1")
# Tiny programs that run once: most of the time would go into making them fast.
FLAGS = "--xla_backend_optimization_level=0"
if importlib.metadata.version("jaxlib").startswith("0.10."):  # later ones end the process over this flag
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """One whole run of each of the algorithms, and an HMRL run over the skills.

    Tests that use them are of the group "experiment": one process, which trains them once.
    """
    from tests.trainings import ALGORITHMS, resolve, train  # once the settings above are made

    folder = tmp_path_factory.mktemp("runs")
    for algorithm in ALGORITHMS:
        train(folder / algorithm, resolve(algorithm, "training.num_seeds=2"))
    hierarchical = resolve(
        "maesn", "hierarchy.steps_per_skill=2", "training.num_seeds=3", skills=folder / "diayn"
    )
    train(folder / "hmrl", hierarchical)
    return folder
