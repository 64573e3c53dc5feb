"""Commands about results: eval, compare, report, render."""

import json
from pathlib import Path


def test_eval(hmrl, fakes):
    runs = [hmrl("meta-train", "room/tiny", "-q").out.strip() for _ in range(2)]
    Path("t.npz").write_bytes(b"")
    done = hmrl("eval", runs[0], "--json", "--adapt-steps", "3", "--tasks", "t.npz", "--reward", "dense")
    assert json.loads(done.out)["run"] == runs[0]
    kwargs = fakes.calls[-1][1]
    assert (kwargs["adapt_steps"], kwargs["episodes"], kwargs["split"]) == (3, None, "test")
    assert (kwargs["tasks_file"], kwargs["reward"]) == (Path("t.npz"), "dense")
    assert [result["run"] for result in json.loads(hmrl("eval", *runs, "--json").out)] == runs
    calls = len(fakes.calls)
    wrong = hmrl("eval", *runs, "--set", "evaluation.ruel=refit")
    assert wrong.code == 2 and "did you mean 'rule'" in wrong.err and len(fakes.calls) == calls
    wrong = hmrl("eval", *runs, "--protocol", "explroe")
    assert wrong.code == 2 and "found 'explroe'" in wrong.err and len(fakes.calls) == calls
    plain = hmrl("eval", *runs)
    assert fakes.calls[-1][1]["protocol"] is None
    assert plain.out.splitlines() == runs
    assert "2.00 [1.50, 2.50]" in plain.err
    fakes.evaluate = lambda run, **kwargs: {"schema": 1, "run": str(run.path), "accuracy": [0.75]}
    assert "accuracy  [0.75]" in hmrl("eval", runs[0]).err


def test_compare_and_report(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    table = hmrl("compare", run).out
    assert table.splitlines()[1] == "[red]  0.5123   [0.4, 0.6]"
    assert "\x1b" not in table
    assert json.loads(hmrl("compare", run, "--json").out)["rows"][0]["arm"] == "[red]"
    assert hmrl("report", run).out == f"{run}/report.html\n"
    assert hmrl("compare", run, "--protocol", "explore").code == 0
    assert hmrl("report", run, "--protocol", "episodes=50").code == 0
    assert fakes.calls[-2:] == [("compare", "explore"), ("report", "episodes=50")]
    assert hmrl("report", run, run).out == "report.html\n"
    assert json.loads(hmrl("report", run, "-o", "x.html", "--json").out) == {"report": "x.html"}


def test_render(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    assert hmrl("render", run).out == f"{run}/render.html\n"
    assert json.loads(hmrl("render", run, "-o", "x.html", "--json").out) == {"render": "x.html"}
    wrong = hmrl("render", run, "--protocol", "explroe")
    assert wrong.code == 2 and "protocol: found 'explroe'" in wrong.err
    assert hmrl("render", "point", "--split", "hidden", "--num-tasks", "2").out == "point.html\n"
    kwargs = fakes.calls[-1][1]
    assert (kwargs["split"], kwargs["reward"], kwargs["num_tasks"]) == ("hidden", "sparse", 2)
