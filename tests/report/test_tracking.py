"""What a tracker gets of a run: every seed's own numbers, under an identity that lasts."""

import json
import shutil

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report.tracking import seeds_of
from hmrl_cli.storage import reader
from tests.storage.documents import document, run

LINES = [{"epoch": epoch, "env_steps": 10 * epoch, "loss": [epoch + 0.5, epoch + 0.25]} for epoch in (1, 2)]


@pytest.fixture
def trained(tmp_path):
    scores = np.arange(16.0).reshape(2, 4, 2)  # [seed, task, step]
    path = run(tmp_path, "a", document(scores, num_seeds=2), sets=("training.num_seeds=2", "training.seed=5"))
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (path / "skills.json").write_text(
        json.dumps({"epoch": 2, "accuracy": [0.5, 0.75], "place": [[[0]], [[1]]]})
    )
    kept = {
        "created": "2026-01-01T00:00:00+00:00",
        "argv": ["hmrl", "x"],
        "versions": {"jax": "1"},
        "git": None,
    }
    (path / "provenance.json").write_text(
        json.dumps({**kept, "config_hash": reader.read_written(path).config_hash, "origins": {"a": "b"}})
    )
    return path


def test_each_seed_has_its_own_numbers(trained):
    one, two = seeds_of(reader.read(trained))
    assert (one.name, two.name, one.group) == ("a/seed5", "a/seed6", "a") and one.id != two.id
    assert two.settings["training.seed"] == 6 and two.settings["training.num_seeds"] == 1
    assert one.metrics == [(1, {"env_steps": 10, "loss": 1.5}), (2, {"env_steps": 20, "loss": 2.5})]
    assert two.metrics[1] == (2, {"env_steps": 20, "loss": 2.25})
    assert two.numbers == {"skills/accuracy": 0.75}
    curve = two.evaluations["test-sparse"]
    assert [(updates, values["return"]) for updates, values in curve] == [(0, 11.0), (1, 12.0)]
    assert set(curve[0][1]) == {"return", "success", "reached"}
    provenance = {key: value for key, value in one.settings.items() if key.startswith("provenance.")}
    assert provenance["provenance.versions.jax"] == "1" and provenance["provenance.argv"] == "hmrl x"
    assert not [key for key in provenance if "origins" in key or "git" in key]


def test_the_identity_lasts_and_the_digest_follows_the_content(trained, tmp_path):
    before = seeds_of(reader.read(trained))
    shutil.copytree(trained, tmp_path / "copy" / "a")
    assert seeds_of(reader.read(tmp_path / "copy" / "a")) == before
    (trained / "metrics.jsonl").write_text(json.dumps(LINES[0]) + "\n")
    after = seeds_of(reader.read(trained))
    assert [seed.id for seed in after] == [seed.id for seed in before]
    assert after[0].digest != before[0].digest


def test_a_run_without_some_of_its_files_is_tracked_by_what_there_is(trained):
    for name in ("metrics.jsonl", "skills.json", "provenance.json"):
        (trained / name).unlink()
    file = trained / "eval" / "test-sparse.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "per_task": None}))
    one, two = seeds_of(reader.read(trained))
    assert one.metrics == [] and one.evaluations == {} and one.numbers == {} and one.id != two.id
    file.write_text("{")
    with pytest.raises(InputError, match=r"test-sparse\.json"):
        seeds_of(reader.read(trained))
