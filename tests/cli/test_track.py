"""The command `track`: what it prints, and what it refuses."""

import json
import sys

from hmrl_cli.storage import trackers


def test_a_run_is_tracked_and_named(hmrl, monkeypatch):
    run = hmrl("meta-train", "room/tiny", "-q", "--num-seeds", "2").out.strip()
    given = []

    def write(to, seeds):
        given.append((to, seeds))
        print("library noise")
        return [("there", True), ("here", False)]

    monkeypatch.setattr(trackers, "write", write)
    done = hmrl("track", run, "--to", "wandb")
    assert done.code == 0 and "library noise" in done.err
    name = run.removeprefix("runs/")
    assert done.out.splitlines() == [f"{name}/seed0: there", f"{name}/seed1: here, as it was"]
    (to, seeds) = given[0]
    assert to == "wandb" and seeds[0].metrics == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]
    found = json.loads(hmrl("track", run, "--to", "mlflow", "--json").out)
    assert found["to"] == "mlflow" and [row["written"] for row in found["seeds"]] == [True, False]


def test_what_cannot_be_tracked_is_refused(hmrl, monkeypatch):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    wrong = hmrl("track", run, "--to", "wandd")
    assert wrong.code == 2 and "did you mean 'wandb'" in wrong.err
    assert hmrl("track", run).code == 2
    assert hmrl("track", "nowhere", "--to", "wandb").code == 65
    monkeypatch.setitem(sys.modules, "wandb", None)
    missing = hmrl("track", run, "--to", "wandb")
    assert missing.code == 69 and missing.error == [
        "error: --to wandb: wandb is not installed; in a checkout: pip install '.[wandb]'"
    ]
