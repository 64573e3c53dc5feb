"""The benchmarks' own words: what the guide shows is what was measured."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from hmrl_cli.config import plugins
from tests.test_docs import parse

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "experiments/bench/families.json"


def script(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"experiments/bench/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def families() -> types.ModuleType:
    return script("families")


def test_the_table_of_the_guide_is_the_one_measured(families):
    page = (ROOT / "hmrl_cli/guide/families.md").read_text()
    shown = page.partition(families.MARKS[0])[2].partition(families.MARKS[1])[0].strip()
    assert shown == families.table(json.loads(RESULT.read_text()))
    for name in families.everything():
        assert f"| `{name}` |" in shown


def test_the_table_goes_between_the_marks(families, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{families.MARKS[0]}\nold\n{families.MARKS[1]}\nbelow\n")
    families.put_into(page, "| new |")
    assert page.read_text() == f"above\n{families.MARKS[0]}\n| new |\n{families.MARKS[1]}\nbelow\n"


def test_bare_physics_is_that_of_the_family(families):
    """Without compiling anything: the pipeline found has the family's body, and point has none."""
    family, physics = families.make("wheeled", dt=0.02, substeps=2)
    assert physics.shapes == family.scene.shapes and physics.substep_dt == pytest.approx(0.01)
    assert families.make("point")[1] is None
    assert families.backends("point") == (None,) and families.backends("ant_goal")[0] == "spring"


TINY = {"tasks": 2, "episodes": 3, "horizon": 6, "hidden": [5, 4]}


@pytest.fixture
def maml(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "experiments/bench"))
    return importlib.import_module("maml")


@pytest.fixture
def peer(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "experiments/bench/peers"))
    return importlib.import_module("numpy_maml")


@pytest.fixture
def peer_problem(maml, peer):
    """A meta-batch of the peer, parameters in float64 and a direction to move them in."""
    learner = peer.Learner(maml.SETTINGS | TINY, 0)
    tasks = [learner.gather(goal) for goal in learner.goals()]
    start = peer.flat(learner.params).astype(np.float64)
    start += 0.1 * learner.rng.standard_normal(start.size)
    direction = learner.rng.standard_normal(start.size)

    def params(vector):
        return [peer.variable(part) for part in peer.unflat(vector, learner.params)]

    return tasks, start, direction, params


def test_the_peers_meta_gradient_is_that_of_finite_differences(peer, peer_problem):
    tasks, start, direction, params = peer_problem
    here = params(start)
    loss, _, olds = peer.objectives(here, tasks, 0.1)
    slope = peer.flat(peer.gradient(loss, here)) @ direction
    low, high = (
        peer.objectives(params(start + step * direction), tasks, 0.1, olds)[0].value for step in (-1e-5, 1e-5)
    )
    assert slope == pytest.approx((high - low) / 2e-5, rel=1e-6)


def test_the_peers_hessian_product_is_the_difference_of_gradients(peer, peer_problem):
    tasks, start, direction, params = peer_problem
    here = params(start)
    _, divergence, olds = peer.objectives(here, tasks, 0.1)
    product = peer.hessian_product(divergence, here, 0.0)(direction)

    def slopes(step):
        """Of the divergence from what the policies were at `start`."""
        there = params(start + step * direction)
        means = []
        for old, task in zip(olds, tasks, strict=True):
            pi = peer.policy(peer.adapt(there, task.before, 0.1, second_order=True), task.after.obs)
            means.append(peer.mean(peer.kl(pi, old)))
        return peer.flat(peer.gradient(peer.average(means), there))

    assert np.allclose(slopes(0.0), 0.0, atol=1e-12)
    assert np.allclose(product, (slopes(1e-5) - slopes(-1e-5)) / 2e-5, rtol=1e-4, atol=1e-7)
    with_damping = peer.hessian_product(divergence, here, 0.5)(direction)
    assert np.allclose(with_damping, product + 0.5 * direction)


def test_the_peers_environment_is_the_family(maml, peer):
    """The same goals, moves, rewards and ends."""
    family = plugins.load("families", "point").make(plugins.load("families", "point").Config())
    goal = np.array([0.12, -0.25], np.float32)
    state, env = family.reset(maml.jax.random.key(0), goal), peer.Navigation()
    assert np.array_equal(env.reset(goal), state.obs)
    for action in ([0.9, -5.0], [0.3, -1.0], [0.05, -0.5]):
        state = family.step(state, np.array(action, np.float32), goal)
        obs, reward, done = env.step(np.array(action, np.float32))
        assert np.allclose(obs, state.obs) and reward == pytest.approx(float(state.reward), abs=1e-6)
        assert done == bool(state.done) == (action == [0.05, -0.5])
    goals = peer.Learner(maml.SETTINGS, 0).goals()
    assert goals.shape == (20, 2) and 0.4 < np.abs(goals).max() < 0.5


def test_the_peer_learns_within_its_trust_region(maml, peer):
    learner = peer.Learner(maml.SETTINGS | TINY | {"episodes": 10, "horizon": 20}, 0)
    before = peer.flat(learner.params)
    did = learner.step()
    assert did["accepted"] and 0 < did["divergence"] <= maml.SETTINGS["max_divergence"]
    assert np.isfinite(did["return_after"]) and not np.array_equal(before, peer.flat(learner.params))


def test_pytorch_maml_rl_is_a_peer_where_there_is_a_checkout(maml, tmp_path):
    assert list(maml.known_peers(1, None, None, [1, 2])) == ["numpy"]
    assert list(maml.known_peers(1, tmp_path, None, [1, 2])) == ["numpy", "torch-1", "torch-2"]


@pytest.mark.slow
def test_this_projects_side_of_the_benchmark_of_maml(maml):
    document = maml.measure_speed(maml.SETTINGS | TINY, 1, {})
    for side in ("hmrl", "remembering"):
        assert document["sides"][side]["iteration_s"]["median"] > 0
        assert document["sides"][side]["sampling_s"]["median"] > 0
    assert "of the ceiling" in maml.table({"speed": document})
    settings = maml.Ours("point/maml_trpo", maml.same_settings(maml.SETTINGS | TINY)).experiment
    assert settings.algorithm.hidden == (5, 4) and settings.family.horizon == 6


def test_the_flop_of_an_iteration_are_counted_by_hand(maml):
    """Hidden layers alone, one unit u = 2 rows a^2: sixteen of a product of the Fisher matrix."""
    settings = maml.SETTINGS | {"tasks": 1, "episodes": 1, "horizon": 1, "hidden": [8], "cg_iterations": 0}
    # two layers 8 x 8: f is 2 u, between the layers 1 u
    one = maml.iteration_flop(settings, 8, 8)
    two = maml.iteration_flop(settings | {"cg_iterations": 1}, 8, 8)
    assert two - one == (6 * 2 + 10) * 2 * 8 * 8


def test_a_side_that_was_cut_off_gives_no_ratio(maml):
    """The peer's cap is a lower bound; this project's is none."""
    runs = {
        name: [{"seed": 0, "reached": reached, "seconds": seconds, "iterations": 9}]
        for name, reached, seconds in (("hmrl", True, 10.0), ("best", False, 10.0), ("peer", False, 30.0))
    }
    ratios = {name: maml.beside.quality_ratio(runs[name], runs["peer"]) for name in ("hmrl", "best")}
    sides = {name: {"compile_s": 0.0, "runs": found} for name, found in runs.items()}
    shown = maml.table({"training": {"target": -15.0, "sides": sides, "times_as_fast": {"peer": ratios}}})
    assert "at least 3.0 times as fast as peer" in shown and shown.count("times as fast") == 1
    assert "cut off: no ratio" in shown


PROGRAM = """HloModule epoch

%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %s = f32[] add(f32[] %a, f32[] %b)
}

%step (state: (s32[], f32[6])) -> (s32[], f32[6]) {
  %g = f32[6]{0} all-reduce(f32[6]{0} %x), channel_id=1, to_apply=%sum
}

%more (state: (s32[], f32[6])) -> pred[] {
  ROOT %p = pred[] compare(s32[] %i, s32[] %n), direction=LT
}

ENTRY %main (state: f32[6]) -> f32[6] {
  %loop = (s32[], f32[6]) while(%init), condition=%more, body=%step, config={"known_trip_count":{"n":"5"}}
  ROOT %all = (u32[2,4]{1,0}, pred[3]{0}) all-gather(u32[1,4]{1,0} %y, pred[1]{0} %z), dimensions={0}
}
"""


def test_exchanges_are_counted_as_often_as_their_loops_run(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments/bench"))
    growth = importlib.import_module("growth")
    assert growth.exchanged(PROGRAM) == 5 * 6 * 4 + 2 * 4 * 4 + 3
    assert growth.exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)


def test_bands_tell_what_lies_outside(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "experiments/bench")
    faults = script("bands").faults
    band = {
        "metric": "success",
        "per_seed": [0.5, 0.6, 0.55, 0.5, 0.6],
        "steps_per_gflop": 100.0,
        "memory_mib": 500,
    }
    assert faults(band, band) == []
    assert faults(band | {"per_seed": [0.75] * 5, "steps_per_gflop": 61.0, "memory_mib": 640}, band) == []
    assert faults(band | {"per_seed": [0.3] * 5, "steps_per_gflop": 59.0, "memory_mib": 660}, band) == [
        "success 0.3, must lie between 0.35 and 0.75",
        "59 steps per GFLOP, must be at least 60",
        "660 MiB, must be at most 650",
    ]


GPU = ROOT / "experiments/bench/gpu.sh"
INTERPRETER = """#!/bin/sh
case "$*" in
*"default_backend()"*) echo gpu ;;
*"device_kind"*) echo 1 H200 ;;
*fingerprint*) echo 20 f00 ;;
*)
  shift 2
  echo "$*" >>"{folder}/log"
  case "$*" in *"--num-seeds 8"*4096*) exit 74 ;; resume*|eval*) exit ;; esac
  run=$(echo "$*" | sed 's/.*--run-dir \\([^ ]*\\) .*/\\1/')
  mkdir -p "$run"
  for speed in 1 3 5 4; do echo "t epoch 2: checkpoint, $speed steps/s"; done >"$run/events.log"
  case "$run" in */killed) exec sleep 60 ;; esac ;;
esac
"""


def test_the_script_for_an_accelerator_asks_for_what_there_is(tmp_path):
    """Beside a stand-in for the interpreter: what fails has a row too, and ends nothing."""
    stand_in = tmp_path / "python"
    stand_in.write_text(INTERPRETER.format(folder=tmp_path))
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["sh", GPU, tmp_path / "out"],
        env=os.environ | {"PYTHON": str(stand_in)},
        capture_output=True,
        text=True,
    )
    rows = (tmp_path / "out" / "table.md").read_text()
    assert (done.returncode, done.stdout, done.stderr) == (1, rows.partition("---|\n")[2], "")
    assert "| equal bytes after kill -9 and resume, deterministic | yes |\n" in rows
    assert "| ant_goal/vgcrl, steps/s, deterministic / free | 4 / 4 |\n" in rows
    assert "| ant_goal/maesn, 8 seeds, steps/s | 4 |\n" in rows
    assert rows.endswith("| ant_goal/vgcrl, 4096 episodes, 8 seeds | failed, code 74 |\n")
    for line in (tmp_path / "log").read_text().splitlines():
        parse(line.split())


@pytest.mark.slow
def test_the_script_for_an_accelerator_runs_on_a_processor(tmp_path):
    sizes = {"SKILLS": "point/smoke", "META": "point/smoke", "EPISODES": "4", "SEEDS": "2"}
    environment = os.environ | sizes | {"PYTHON": sys.executable}
    done = subprocess.run(["sh", GPU, tmp_path / "out"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    rows = (tmp_path / "out" / "table.md").read_text()
    assert done.returncode == 0 and "resume, deterministic | yes |" in rows and len(rows.splitlines()) == 8
