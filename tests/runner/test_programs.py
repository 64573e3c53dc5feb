"""Programs on the disk: which are found again, and that they do what fresh ones do."""

import json
import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.config import recorded
from hmrl_cli.lazy import jax
from hmrl_cli.runner import programs, startup
from hmrl_cli.storage import checkpoints
from tests.trainings import ALGORITHMS, SETTINGS, SMALL, resolve

MATRIX = jnp.array([[2.0, 1.0], [1.0, 2.0]])


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache of programs that is the package's own."""
    monkeypatch.setenv("HMRL_CACHE_DIR", str(tmp_path))
    found = startup.cache_folder()
    found.mkdir(parents=True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(found))
    return found


def compiled(*sets, arguments=(MATRIX,), traced=lambda: None, **told):
    """What a start finds: the program and how often it was traced."""
    count = []

    def run(*arguments):
        count.append(traced())
        return jnp.linalg.cholesky(arguments[0]) * 2.0

    experiment = resolve("maml", *sets).experiment
    return programs.compiled(jax.jit(run), arguments, (experiment, None), name="test", **told), len(count)


def test_a_program_is_traced_once_for_all_that_it_depends_on(folder):
    fresh, traced = compiled()
    again, traced_again = compiled()
    assert (traced, traced_again) == (1, 0)
    np.testing.assert_array_equal(fresh(MATRIX), again(MATRIX))
    of_the_host = ("training.seed=5", "training.epochs=9", "evaluation.episodes=3")
    assert [compiled(one)[1] for one in of_the_host] == [0, 0, 0]
    others = ("algorithm.inner_steps=3", "family.horizon=9", "training.num_seeds=2")
    assert [compiled(one)[1] for one in others] == [1, 1, 1]
    assert compiled(reward="dense")[1] == 1 and compiled(arguments=(MATRIX, MATRIX))[1] == 1


def test_other_code_and_another_device_are_other_programs(folder, monkeypatch):
    compiled()
    with monkeypatch.context() as patch:
        patch.setattr(programs, "_code", lambda: "changed")
        assert compiled()[1] == 1
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"] + " ")
    assert compiled()[1] == 1


def test_a_damaged_file_is_made_anew(folder):
    compiled()
    (file,) = folder.glob("*.program")
    content = file.read_bytes()
    for damaged in (b"", content[:-1], content[: programs.DIGEST], content[:-1] + b"?"):
        file.write_bytes(damaged)
        assert compiled()[1] == 1 and file.read_bytes()[:-1] != damaged[:-1]
        assert compiled()[1] == 0


def test_what_cannot_be_known_or_written_is_not_kept(folder, monkeypatch):
    def from_the_cache_of_jax():
        jax.monitoring.record_event(programs.HIT)

    assert compiled(traced=from_the_cache_of_jax)[1] == 1
    with monkeypatch.context() as patch:
        patch.setattr(recorded, "record", lambda experiment: {"family": {"name": "rooms.py"}})
        assert compiled()[1] == 1
    with monkeypatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder.parent))  # another's
        assert compiled()[1] == 1
    assert not [*folder.iterdir()]
    monkeypatch.setattr(programs.files, "write_bytes", lambda *_: 1 / 0)
    assert compiled()[0](MATRIX).shape == (2, 2)


# A process that ends where it would compile a program that is kept.
AGAIN = """
import sys
from hmrl_cli.cli import main
from hmrl_cli.runner import programs
if sys.argv[1] == "again":
    programs._apart_from_jax = lambda: sys.exit("compiled anew")
sys.exit(main.run(sys.argv[2:]))
"""


def start(which, folder, *arguments):
    environment = {key: x for key, x in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    environment["HMRL_CACHE_DIR"] = str(folder / "cache")
    command = [sys.executable, "-c", AGAIN, which, *arguments]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


def results(run):
    """The digest of a run's arrays, its metrics and its returns."""
    evaluated = [json.loads(file.read_text())["per_task"] for file in run.glob("eval/*.json")]
    return (
        checkpoints.fingerprint(run / "checkpoints"),
        (run / "metrics.jsonl").read_text(),
        evaluated,
    )


others = sorted({*ALGORITHMS, *SETTINGS} - {"maml"})


@pytest.mark.parametrize(
    "algorithm", ["maml", *(pytest.param(one, marks=pytest.mark.slow) for one in others)]
)
def test_a_second_start_compiles_nothing_and_ends_the_same(algorithm, tmp_path):
    """In a process of its own, which has not yet bound what a program calls."""
    sets = (*SMALL, *SETTINGS.get(algorithm, ()), f"algorithm.name={algorithm}", "training.epochs=2")
    command, runs = resolve(algorithm).command, {}
    for which in ("first", "again"):
        run = tmp_path / which
        options = [word for one in sets for word in ("--set", one)]
        start(which, tmp_path, command, "point/smoke", *options, "--run-dir", str(run), "-q")
        if command == "meta-train":
            start(which, tmp_path, "eval", str(run))
        runs[which] = results(run)
    assert runs["first"] == runs["again"]
