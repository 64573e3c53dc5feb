"""The Makefile of a suite: a target for each cell, and marks that agree with the runs."""

import re

from hmrl_cli.suite import makefile
from hmrl_cli.suite.cells import cells
from hmrl_cli.suite.states import states
from tests.suite.stand_in import TINY, finish
from tests.suite.test_declaration import ONE


def test_targets_and_what_they_need(tiny):
    text = makefile.text(tiny)
    rules = dict(re.findall(r"^(\.done/\S+):(?: \| (.*))?$", text, re.MULTILINE))
    assert rules == {makefile.mark(cell.name): " ".join(map(makefile.mark, cell.needs)) for cell in tiny}
    (everything,) = re.findall(r"^all: (.*)$", text, re.MULTILINE)
    assert everything.split() == list(rules)
    assert (
        ".done/meta/point/hmrl/seeds0-1.done: | .done/skills/point/diayn/seeds0-1.done\n"
        "\t-@echo meta/point/hmrl/seeds0-1: $(IN)logs/meta/point/hmrl/seeds0-1.log\n"
        "\t@exec $(HMRL) meta-train point/smoke --skills skills/point/diayn/seeds0-1 "
        "--set 'hierarchy.steps_per_skill = 2' --seed 0 --num-seeds 2 "
        "--run-dir meta/point/hmrl/seeds0-1 --resume >>logs/meta/point/hmrl/seeds0-1.log 2>&1\n"
        "\t@touch $@\n"
    ) in text


def test_a_setting_reaches_the_command_as_it_is(read):
    found = cells(read(ONE + "set.training.init_from = 'a $b #c'\n"))
    assert "--set 'training.init_from = \"a $$b #c\"'" in makefile.text(found)


def test_marks_agree_with_the_runs(read, tmp_path):
    found = cells(read(TINY))
    first, second = found[:2]
    finish(first, tmp_path)
    (tmp_path / makefile.mark(second.name)).parent.mkdir(parents=True)
    (tmp_path / makefile.mark(second.name)).touch()  # and its run is gone
    makefile.write(found, states(found, tmp_path), tmp_path)
    marks = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.done") if path.is_file()}
    assert marks == {makefile.mark(first.name)}
    assert (tmp_path / "Makefile").read_text() == makefile.text(found)
