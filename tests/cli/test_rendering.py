"""The command that plays episodes on a page."""

import json


def test_render(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    assert hmrl("render", run).out == f"{run}/render.html\n"
    assert json.loads(hmrl("render", run, "-o", "x.html", "--json").out) == {"render": "x.html"}
    wrong = hmrl("render", run, "--protocol", "explroe")
    assert wrong.code == 2 and "protocol: found 'explroe'" in wrong.err
    wrong = hmrl("render", run, "--set", "evaluation.ruel=refit")
    assert wrong.code == 2 and "did you mean 'rule'" in wrong.err
    wrong = hmrl("render", "point", "--set", "evaluation.rule=refit")
    assert wrong.code == 2 and "--set: found 'evaluation.rule=refit' for a family" in wrong.err
    assert hmrl("render", run, "--set", "evaluation.episodes=2").code == 0
    assert fakes.calls[-1][1]["sets"] == ["evaluation.episodes=2"]
    assert hmrl("render", "point", "--split", "hidden", "--num-tasks", "2").out == "point.html\n"
    kwargs = fakes.calls[-1][1]
    assert (kwargs["split"], kwargs["reward"], kwargs["num_tasks"]) == ("hidden", "sparse", 2)
