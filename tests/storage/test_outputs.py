"""Where results go that a user names: never into a run, never in place of what is not ours."""

import os

import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import ConfigError
from hmrl_cli.lazy import np
from hmrl_cli.storage import outputs
from hmrl_cli.storage.writer import RunDir

ARRAYS = {"w": np.float32([1])}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with RunDir.create(tmp_path / "runs" / "r", config.resolve("pretrain-skills", "point/smoke")) as run:
        run.save(1, ARRAYS)
        run.complete({})
    return run.path


def contents(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "name", ["skills", "status", "provenance", "eval/x", "checkpoints/1/manifest", "new/x"]
)
def test_no_export_goes_into_a_run(run, name, capsys):
    before = contents(run)
    assert cli.run(["export", str(run), "-o", str(run / f"{name}.safetensors")]) == 2
    assert "lies in the run" in capsys.readouterr().err
    (run.parent / "link").symlink_to(run)
    assert cli.run(["export", str(run), "-o", f"runs/link/{name}.safetensors"]) == 2
    assert contents(run) == before and not (run / "new").exists()


def test_a_page_goes_into_a_run_under_its_own_name_alone(run, tmp_path, capsys):
    (run / "skills.svg").write_text('<svg><g id="figure_1"></g></svg>')
    (run / "skills.json").write_text('{"schema": 1}')
    for command in (["report", str(run)], ["render", str(run)]):
        for name in ("skills.html", "config.html", "eval/report.html", "checkpoints/1/render.html"):
            assert cli.run([*command, "-o", str(run / name)]) == 2
            assert "lies in the run" in capsys.readouterr().err
    assert cli.run(["report", str(run), "-o", str(run / "skills.svg")]) == 2
    assert cli.run(["report", str(run)]) == cli.run(["report", str(run), "-o", "new/x.html"]) == 0
    assert cli.run(["report", str(run), "-o", "new/x.html"]) == 0  # once more over its own


@pytest.mark.parametrize("name", ["page.html", "picture.svg"])
def test_a_page_replaces_a_page_of_ours_and_nothing_else(tmp_path, name):
    page = tmp_path / name
    outputs.check_page(page, "report")
    ours = [b'<svg><defs/><g id="figure_1">', *outputs.OUR_PAGES]
    foreign = [
        b"<html><title>thesis</title>",
        b"",
        b'<?xml version="1.0"?><svg><g id="figure_1">',
        b"\0" * 99,
    ]
    for content in ours:
        page.write_bytes(b"<svg" + content if content.startswith(b"<g") else content)
        outputs.check_page(page, "report")
    for content in foreign:
        page.write_bytes(content)
        with pytest.raises(ConfigError, match="was not written by hmrl"):
            outputs.check_page(page, "report")
    page.unlink()
    os.mkfifo(page)
    with pytest.raises(ConfigError, match="was not written by hmrl"):
        outputs.check_page(page, "report")
