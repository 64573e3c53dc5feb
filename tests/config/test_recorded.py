"""Plugins of a run: read with their code, and without it."""

import pytest

from hmrl_cli import config
from hmrl_cli.cli.new import rendered
from hmrl_cli.config import plugins, recorded
from hmrl_cli.errors import InputError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A configuration that a run keeps, of a family that is a file; and the record of the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    experiment = config.resolve("meta-train", "point/smoke", ["family.name=./walk.py"]).experiment
    (tmp_path / "config.toml").write_text(config.to_toml(experiment))
    return experiment, recorded.record(experiment)


def read(tmp_path, kept):
    return config.read(tmp_path / "config.toml", kept)


def test_a_run_finds_its_plugin_again(run, tmp_path, monkeypatch):
    experiment, kept = run
    assert kept.keys() == {"family"} and kept["family"]["file"] == str(tmp_path / "walk.py")
    written = read(tmp_path, kept)
    assert written.experiment == experiment and written.config_hash == config.config_hash(experiment)
    monkeypatch.chdir("/")
    assert read(tmp_path, kept).experiment.family.plugin_file == experiment.family.plugin_file
    other = config.with_evaluation(experiment, [], {"num_tasks": 2})
    assert other.family == experiment.family and other.evaluation.num_tasks == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.unlink(), "which does not exist; must be the file of SHA-256"),
        (lambda file: file.write_text("raise ValueError"), "which has changed since the run began"),
    ],
)
def test_a_run_whose_plugin_is_gone_or_another_can_be_read_and_not_run(run, tmp_path, change, told):
    experiment, kept = run
    change(tmp_path / "walk.py")
    found = read(tmp_path, kept).experiment
    assert config.flat(found) == config.flat(experiment) and found.family.distance == 1.0
    assert config.difference(found, experiment) is None
    for use in (
        lambda: plugins.make("families", found.family),
        lambda: recorded.identity(found.family),
        lambda: config.with_evaluation(found, [], {}),
        lambda: found.family.nothing,
    ):
        with pytest.raises(InputError, match=rf"^family\.name: found '\./walk\.py', {told}"):
            use()


def test_without_a_record_no_code_is_run(run, tmp_path):
    (tmp_path / "walk.py").write_text("raise KeyboardInterrupt")
    found = read(tmp_path, None).experiment.family
    with pytest.raises(InputError, match="no SHA-256 of it in the run"):
        recorded.identity(found)


def test_a_plugin_of_a_package_that_is_not_installed(run, tmp_path):
    (tmp_path / "config.toml").write_text(
        (tmp_path / "config.toml").read_text().replace("./walk.py", "theirs")
    )
    found = read(tmp_path, {"family": {"name": "theirs", "package": "pkg 1.2"}}).experiment.family
    assert found.horizon == 20
    with pytest.raises(InputError, match=r"'theirs', which is not installed; must be a plugin of pkg 1\.2"):
        recorded.identity(found)


def test_only_a_changed_file_is_a_difference(run):
    _, kept = run
    other = {"family": kept["family"] | {"sha256": "0" * 64}}
    assert recorded.difference(kept, kept) is recorded.difference(kept, {}) is None
    assert recorded.difference({"family": other["family"] | {"name": "./b.py"}}, kept) is None
    assert "family.name: ./walk.py has changed" in recorded.difference(other, kept)
