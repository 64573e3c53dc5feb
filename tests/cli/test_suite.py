"""Suites at the command line: a plan can be pasted, a run is told, and results are one table."""

import json
import re
import shlex

import pytest

from hmrl_cli.cli import main
from hmrl_cli.runner import startup
from hmrl_cli.suite import cells, declaration
from tests.storage.documents import document
from tests.suite.stand_in import TINY, finish, logged, stand_in


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A suite of two families and two arms in the working directory; gives its cells."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY.replace('["test", "train"]', '"test"'))
    return cells.cells(declaration.read(tmp_path / "tiny.toml"))


def call(capfd, *argv):
    """Exit code, stdout and the last lines of stderr."""
    code = main.run(["suite", *argv])
    return code, *capfd.readouterr()


def test_a_plan_is_a_script(suite, tmp_path, capfd):
    finish(suite[0], tmp_path / "runs/tiny")
    code, out, _ = call(capfd, "plan", "tiny.toml")
    first, place, *lines = out.splitlines()
    assert code == 0 and first == "# suite tiny: 10 cells: 1 done, 9 missing"
    assert place == "mkdir -p runs/tiny && cd runs/tiny || exit"
    assert lines[::2] == [f"# {'missing' if n else 'done'}  {cell.name}" for n, cell in enumerate(suite)]
    assert [tuple(shlex.split(line)) for line in lines[1::2]] == [("hmrl", *cell.arguments) for cell in suite]
    code, out, _ = call(capfd, "plan", "tiny.toml", "--json", "--out", "else where")
    plan = json.loads(out)
    assert plan["folder"] == "else where" and {cell["state"] for cell in plan["cells"]} == {"missing"}
    part = json.loads(call(capfd, "plan", "tiny.toml", "--json", "--only", "skills/*")[1])["cells"]
    assert [cell["name"] for cell in part] == [cell.name for cell in suite if cell.kind == "skills"]
    assert plan["cells"][2]["needs"] == [suite[0].name] and plan["cells"][2]["seeds"] == [0, 1]


def test_a_suite_is_run_and_its_results_are_one_table(suite, tmp_path, capfd, monkeypatch):
    def result(cell):
        return document(family=cell.family, epoch=2)

    pages = []
    monkeypatch.setattr("hmrl_cli.report.page.write_arms", lambda arms, out, of_suite: pages.append(arms))
    monkeypatch.setattr(startup, "prepare", lambda: "")
    monkeypatch.setenv("HMRL", str(stand_in(tmp_path, suite, result)))
    part = [cell for cell in suite if cell.family == "point"]
    code, out, err = call(capfd, "run", "tiny.toml", "--only", "*/point/*")
    assert (code, out) == (0, "runs/tiny\n") and err.splitlines()[-1] == "5 cells: 5 done"
    assert len(logged(tmp_path)) == len(part)
    code, out, more = call(capfd, "run", "tiny.toml", "-j", "4")
    assert (code, out) == (0, "runs/tiny\n") and more.splitlines()[-1] == "10 cells: 10 done"
    told = [line for line in (err + more).splitlines() if ": runs/tiny/logs/" in line]
    assert sorted(told) == sorted(f"{cell.name}: runs/tiny/logs/{cell.name}.log" for cell in suite)
    assert len(logged(tmp_path)) == len(suite)
    code, out, err = call(capfd, "table", "tiny.toml", "--page", "page.html")
    assert code == 0 and out.splitlines()[0] == "tiny: success, with 95 % intervals"
    assert out.splitlines()[1].split() == ["arm", "split", "reward", "point", "sparse_point", "mean"]
    assert re.match(r"hmrl +test +sparse +0\.50 \[.*\] +0\.50 \[.*\] +0\.50 \[", out.splitlines()[2])
    assert [arm.name for arm in pages[0]] == ["hmrl"] * 2 + ["maesn"] * 2 and err == "page: page.html\n"
    (tmp_path / "runs/tiny" / suite[-1].result).unlink()
    code, out, err = call(capfd, "table", "tiny.toml", "--csv")
    assert out.splitlines()[0].startswith("arm,family,split,reward,seeds") and len(out.splitlines()) == 4
    assert err == "1 of 10 cells are not done; see: hmrl suite plan tiny.toml\n"
    _, _, err = call(capfd, "table", "tiny.toml", "--out", "runs/tiny")
    assert err.endswith("see: hmrl suite plan tiny.toml --out runs/tiny\n")
    code, out, _ = call(capfd, "table", "tiny.toml", "--latex", "--measure", "return")
    assert r"\begin{tabular}" in out and "arm & point & sparse" in out and "% tiny: return" in out


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("plan none.toml", 2, "none.toml: does not exist; must be an existing TOML file"),
        ("run tiny.toml -j 0", 2, "'--jobs' / '-j'"),
        ("table tiny.toml", 65, "holds no evaluation of the suite yet"),
        ("table tiny.toml --measure sucess", 2, "--measure: found 'sucess'"),
        ("table tiny.toml --csv --latex", 2, "found together"),
        ("paln tiny.toml", 2, "No such command"),
    ],
)
def test_what_is_wrong_is_told(argv, code, message, suite, capfd):
    found, out, err = call(capfd, *argv.split())
    assert found == code and out == "" and message in err and len(err.splitlines()) <= 2


def test_without_sbatch_the_scripts_are_written(suite, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, err = call(capfd, "run", "tiny.toml", "--slurm")
    assert code == 0 and out == "runs/tiny\n"
    assert err == "there is no sbatch here; to submit: sh runs/tiny/slurm/submit.sh\n"
    assert (tmp_path / "runs/tiny/slurm/requeue.sh").is_file()
