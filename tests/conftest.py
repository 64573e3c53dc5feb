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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of a file run in one process, which compiles once what they share."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(CACHE.parent.parent).as_posix()))


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """One whole run of each of the algorithms, and an HMRL run over the skills.

    Tests that use them are of the group "experiment": one process, which trains them once.
    """
    import hmrl_cli  # once the settings above are made
    from tests.trainings import ALGORITHMS, SMALL, one_program, resolve, train

    folder = tmp_path_factory.mktemp("runs")
    with one_program():
        hmrl_cli.pretrain_skills("point/smoke", *SMALL, "training.num_seeds=2", run_dir=folder / "diayn")
    for algorithm in ALGORITHMS[1:]:
        train(folder / algorithm, resolve(algorithm, "training.num_seeds=2"))
    lifted = ("hierarchy.steps_per_skill=2", "training.num_seeds=3")
    hmrl_cli.meta_train("point/smoke", *SMALL, *lifted, skills=folder / "diayn", run_dir=folder / "hmrl")
    return folder
