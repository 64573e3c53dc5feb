"""Programs on the disk: which are found again, and that they do what fresh ones do."""

import hashlib
import json
import os
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.config import recorded
from hmrl_cli.lazy import jax
from hmrl_cli.runner import programs, startup
from hmrl_cli.storage import checkpoints
from tests.trainings import ALGORITHMS, SETTINGS, SMALL, resolve

MATRIX = jnp.array([[2.0, 1.0], [1.0, 2.0]])


@pytest.fixture(autouse=True)
def on_a_processor():
    if jax.default_backend() != "cpu":
        pytest.skip("programs of other devices are not kept")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache of programs that is the package's own, in a process of the command line."""
    monkeypatch.setattr(programs._Switch, "on", True)
    monkeypatch.setattr(programs, "STARTED", float("inf"))  # whoever edits while tests run
    monkeypatch.setenv("HMRL_CACHE_DIR", str(tmp_path))
    found = startup.cache_folder()
    found.mkdir(parents=True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(found))
    return found


def compiled(*sets, arguments=(MATRIX,), traced=lambda: None, skills_from=None, **told):
    """What a start finds: the program and how often it was traced."""
    count = []

    def run(*arguments):
        count.append(traced())
        return jnp.linalg.cholesky(arguments[0]) * 2.0

    experiment = resolve("maml", *sets).experiment
    found = programs.compiled(jax.jit(run), arguments, (experiment, skills_from), name="test", **told)
    return found, len(count)


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
    assert compiled(skills_from=resolve("diayn").experiment)[1] == 1


def test_a_program_of_a_family_serves_all_learners(folder):
    learners = ("algorithm.inner_steps=3", "algorithm.inner_steps=4")
    assert [compiled(one, sections=["family"])[1] for one in learners] == [1, 0]
    assert compiled("family.horizon=9", sections=["family"])[1] == 1


def test_other_code_flags_and_places_are_other_programs(folder, monkeypatch):
    compiled()
    with monkeypatch.context() as patch:
        patch.setattr(programs, "_hash_of", lambda *_: "changed")
        assert compiled()[1] == 1
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"] + " ")
        assert compiled()[1] == 1
    assert compiled(arguments=(jax.device_put(MATRIX, jax.devices()[0]),))[1] == 1  # held there
    assert compiled()[1] == 0


def test_code_is_what_tracing_reads_as_long_as_it_is_that_of_the_process(monkeypatch, tmp_path):
    for name in ("families/a.py", "families/assets/b.xml", "cli/c.py", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "families" / ".#a.py").symlink_to("nowhere")  # an editor's lock
    monkeypatch.setattr(programs, "STARTED", time.time() + 60.0)
    before = programs._code(tmp_path)
    for name, changes in (("cli/c.py", False), ("families/assets/b.xml", True), ("families/a.py", True)):
        (tmp_path / name).write_text("2")
        programs._hash_of.cache_clear()
        assert (programs._code(tmp_path) != before) == changes
        before = programs._code(tmp_path)
    monkeypatch.setattr(programs, "STARTED", time.time() - 60.0)
    assert before and programs._code(tmp_path) is None
    assert programs._code(tmp_path / "empty") is None


def test_a_damaged_file_is_made_anew(folder):
    compiled()
    (file,) = folder.glob("*.program")
    content = file.read_bytes()
    whole = hashlib.sha256(b"?").digest() + b"?"
    for damaged in (b"", content[:-1], content[: programs.DIGEST], content[:-1] + b"?", whole):
        file.write_bytes(damaged)
        assert compiled()[1] == 1 and file.read_bytes() != damaged
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
    with monkeypatch.context() as patch:
        patch.setattr(programs._Switch, "on", False)  # in a session of Python
        assert compiled()[1] == 1
    assert not [*folder.iterdir()]
    folder.rmdir()
    with pytest.warns(UserWarning, match="Error writing persistent compilation cache entry for .*No such"):
        assert compiled()[0](MATRIX).shape == (2, 2)


# A process that ends where it would compile a program that is kept.
AGAIN = """
import os, sys
from hmrl_cli.cli import main
from hmrl_cli.runner import programs
if sys.argv[1] == "again":
    programs._apart_from_jax = lambda: os._exit(9)
sys.exit(main.run(sys.argv[2:]))
"""


def start(which, folder, *arguments):
    environment = {key: x for key, x in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    environment["HMRL_CACHE_DIR"] = str(folder / "cache")
    command = [sys.executable, "-c", AGAIN, which, *arguments]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


def results(run):
    """The digest of a run's arrays, its metrics, and its returns or what its skills are."""
    measured = [*run.glob("eval/*.json"), *run.glob("skills.json")]
    found = [json.loads(file.read_text()) for file in measured]
    return (
        checkpoints.fingerprint(run / "checkpoints"),
        (run / "metrics.jsonl").read_text(),
        [one.get("per_task", one) for one in found],
    )


FAST = ("maml", "diayn_ppo")
SLOW = sorted({*ALGORITHMS, *SETTINGS} - {*FAST})


@pytest.mark.parametrize("algorithm", [*FAST, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)])
def test_a_second_start_compiles_nothing_and_ends_the_same(algorithm, tmp_path):
    """In a process of its own, which has not yet bound what a program calls."""
    sets = (*SMALL, *SETTINGS.get(algorithm, ()), f"algorithm.name={algorithm}", "training.epochs=2")
    command, runs, kept = resolve(algorithm).command, {}, {}
    for which in ("first", "again"):
        run = tmp_path / which
        options = [word for one in sets for word in ("--set", one)]
        start(which, tmp_path, command, "point/smoke", *options, "--run-dir", str(run), "-q")
        if command == "meta-train":
            start(which, tmp_path, "eval", str(run))
        runs[which], kept[which] = results(run), {*tmp_path.glob("cache/jax/*/*.program")}
    assert runs["first"] == runs["again"]
    assert len(kept["first"]) == (3 if command == "meta-train" else 2) and kept["again"] == kept["first"]
