"""Commands about results: eval."""

import json
from pathlib import Path

from hmrl_cli.errors import InputError
from hmrl_cli.runner import unpack
from hmrl_cli.storage import reader


def test_eval(hmrl, fakes, monkeypatch):
    runs = [hmrl("meta-train", "room/tiny", "-q").out.strip() for _ in range(2)]
    Path("t.npz").write_bytes(b"")
    done = hmrl("eval", runs[0], "--json", "--adapt-steps", "3", "--tasks", "t.npz", "--reward", "dense")
    assert json.loads(done.out)["run"] == runs[0]
    kwargs = fakes.calls[-1][1]
    assert (kwargs["adapt_steps"], kwargs["episodes"], kwargs["split"]) == (3, None, None)
    assert (kwargs["tasks_file"], kwargs["reward"]) == (Path("t.npz"), "dense")
    assert [result["run"] for result in json.loads(hmrl("eval", *runs, "--json").out)] == runs
    calls = len(fakes.calls)
    wrong = hmrl("eval", *runs, "--set", "evaluation.ruel=refit")
    assert wrong.code == 2 and "did you mean 'rule'" in wrong.err and len(fakes.calls) == calls
    wrong = hmrl("eval", *runs, "--protocol", "explroe")
    assert wrong.code == 2 and "found 'explroe'" in wrong.err and len(fakes.calls) == calls
    assert "seeds" not in hmrl("eval", *runs, "--json").err
    plain = hmrl("eval", *runs)
    assert f"run 2 of 2: {runs[1]}\n" in plain.err
    for run in runs:
        assert (
            f"{run}: test tasks, sparse reward, 1 update x 20 episodes, 3 seeds x 40 tasks\nupdates"
            in plain.err
        )
    assert fakes.calls[-1][1]["protocol"] is None
    assert plain.out.splitlines() == runs
    assert "2.00 [1.50, 2.50]" in plain.err
    quiet = hmrl("eval", *runs, "-q")
    assert quiet.out == plain.out
    assert "run 2 of 2" not in quiet.err and "2.00 [1.50, 2.50]" in quiet.err
    usual = fakes.evaluate
    changed = {"episodes": 50, "selectivity": 3.0, "least_gain": None}
    protocol = {"protocol": {"name": "refit", "changed": changed}, "num_seeds": 1, "episodes": 50}
    with monkeypatch.context() as patch:
        patch.setattr(fakes, "evaluate", lambda run, **kwargs: {**usual(run), **protocol})
        what = (
            "1 update x 50 episodes, 1 seed x 40 tasks, protocol refit, selectivity = 3, least_gain = none\n"
        )
        assert what in hmrl("eval", runs[0]).err


def test_one_run_that_cannot_be_used_costs_no_other(hmrl, fakes, monkeypatch):
    runs = [hmrl("meta-train", "room/tiny", "-q").out.strip() for _ in range(3)]
    usual = fakes.evaluate

    def evaluate(run, **kwargs):
        if str(run.path) == runs[1]:
            raise InputError(f"{run.path}: holds no intact checkpoint")
        return usual(run, **kwargs)

    monkeypatch.setattr(fakes, "evaluate", evaluate)
    found = hmrl("eval", *runs)
    assert (found.code, found.out.split()) == (65, [runs[0], runs[2]])
    assert found.err.endswith(f"error: {runs[1]}: holds no intact checkpoint\n")
    twice = hmrl("eval", runs[0], runs[2], runs[0])
    assert (twice.code, twice.out) == (2, "") and f"found {runs[0]} twice" in twice.err
    Path(runs[1], "status.json").write_text("{")
    damaged = hmrl("eval", *runs)
    assert (damaged.code, damaged.out.split()) == (65, [runs[0], runs[2]])
    assert f"error: {runs[1]}/status.json: is no valid JSON" in damaged.err.splitlines()[-2]
    assert damaged.err.splitlines()[-1].startswith("to write it anew: ")
    mistyped = hmrl("eval", *runs, "runs/none")
    assert (mistyped.code, mistyped.out) == (65, "") and "runs/none: does not exist" in mistyped.err
    found = hmrl("eval", *runs, "--json")
    assert found.code == 65 and [one["run"] for one in json.loads(found.out)] == [runs[0], runs[2]]


def test_a_table_of_skills_sums_up_seeds_and_skills(hmrl, fakes):
    """However many skills there are, a measure is one row; where they lead has no mean."""
    run = hmrl("pretrain-skills", "room/tiny", "-q").out.strip()
    stays, place = [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]], [[[0.0, 1.0]] * 3] * 2
    measures = {"accuracy": [0.75, 0.25], "stays": stays, "place": place, "direction": stays}
    fakes.evaluate = lambda run, **kwargs: {"schema": 1, "run": str(run.path), **measures}
    told = hmrl("eval", run)
    assert told.out == f"{run}\n"
    rows = [line.split() for line in told.err.splitlines()]
    assert rows[-4:] == [
        [f"{run}:", "skills"],
        ["measure", "mean", "least", "most", "over"],
        ["accuracy", "0.5", "0.25", "0.75", "2", "seeds"],
        ["stays", "0.75", "0", "1", "2", "seeds", "x", "3", "skills"],
    ]


def test_eval_of_what_is_pretrained(hmrl, fakes, monkeypatch):
    run, name = hmrl("meta-train", "room/tiny", "-q").out.strip(), "pretrained:sparse_point/skill_prior"
    asked = []
    monkeypatch.setattr(unpack, "opened", lambda path: asked.append(str(path)) or reader.read(Path(run)))
    assert hmrl("eval", name, "--num-tasks", "3").out == f"{run}\n" and asked == [name]
    for wrong, text in (
        (("eval", "pretrained:sparse_pont/skill_prior"), f"did you mean '{name}'"),
        (("eval", name, "--set", "evaluation.ruel=refit"), "did you mean 'rule'"),
    ):
        refused = hmrl(*wrong)
        assert refused.code == 2 and text in refused.err and len(asked) == 1
    assert len(hmrl("eval", "pretrained:x").error) == 1
