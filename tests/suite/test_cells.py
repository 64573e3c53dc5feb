"""The graph of a suite: which cells there are, what each needs, and its command."""

import re

import pytest

from hmrl_cli.cli.new import rendered
from hmrl_cli.errors import ConfigError
from hmrl_cli.suite.cells import cells, chosen
from tests.suite.stand_in import TINY
from tests.suite.test_declaration import ONE
from tests.test_docs import GUIDE, parse


def by_name(suite):
    return {cell.name: cell for cell in cells(suite)}


def test_the_suite_of_the_guide_has_as_many_cells_as_the_guide_says(read):
    page = GUIDE["suites"].read_text()
    text = re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1]
    kinds = [cell.kind for cell in cells(read(text))]
    assert {kind: kinds.count(kind) for kind in kinds} == {"skills": 2, "meta": 4, "eval": 12}
    assert "two runs of skills, four meta-runs, and 12 evaluations" in page
    with pytest.raises(ConfigError, match=r"evaluated by explore: .*\n.*: eval.protocol in \[arms.hmrl\]$"):
        cells(read(text.replace("[eval]", '[eval]\nprotocol = "explore"')))


def test_the_graph_of_a_suite(tiny):
    names = [cell.name for cell in tiny]
    families = ("point", "sparse_point")
    skills = [f"skills/{family}/diayn/seeds0-1" for family in families]
    metas = [f"meta/{family}/{arm}/seeds0-1" for family in families for arm in ("hmrl", "maesn")]
    evals = [f"eval{meta[4:]}/{split}-sparse" for meta in metas for split in ("test", "train")]
    assert names == [*skills, *metas, *evals]
    needs = {cell.name: cell.needs for cell in tiny}
    assert [needs[name] for name in metas] == [(skills[0],), (), (skills[1],), ()]
    assert [needs[name] for name in evals] == [(meta,) for meta in metas for _ in range(2)]
    for cell in tiny:
        assert all(names.index(need) < names.index(cell.name) for need in cell.needs)
        parse(list(cell.arguments))


def test_a_cell_is_a_command_that_resumes(read):
    found = by_name(read(TINY.replace("seeds = 2", "seeds = 3")))
    assert " ".join(found["meta/point/hmrl/seeds0-2"].arguments) == (
        "meta-train point/smoke --skills skills/point/diayn/seeds0-2 --set hierarchy.steps_per_skill = 2 "
        "--seed 0 --num-seeds 3 --run-dir meta/point/hmrl/seeds0-2 --resume"
    )
    assert found["skills/point/diayn/seeds0-2"].arguments[:2] == ("pretrain-skills", "point/smoke")
    evaluation = found["eval/point/hmrl/seeds0-2/train-sparse"]
    assert evaluation.result == "meta/point/hmrl/seeds0-2/eval/train-sparse.json"


def test_seeds_are_side_by_side_or_in_runs_of_their_own(read):
    def places(text):
        return [cell.name.rpartition("/")[2] for cell in cells(read(text)) if cell.kind == "meta"]

    for seeds, expected in {
        "seeds = 3": ["seeds0-2"],
        "seeds = 3\nseeds_per_run = 1": ["seed0", "seed1", "seed2"],
        "seeds = 5\nseeds_per_run = 2": ["seeds0-1", "seeds2-3", "seed4"],
        "seeds = [7, 0, 1]": ["seeds0-1", "seed7"],
    }.items():
        assert places(ONE.replace("[suite]", f"[suite]\n{seeds}")) == expected
    assert places(ONE + "[on.point]\nseeds = 2") == ["seeds0-1"]
    assert places(ONE + "seeds = [4]\n[on.point]\nseeds = 2") == ["seed4"]  # of the arm


def test_an_arm_acts_through_skills_of_its_own_seeds(read):
    own = TINY.replace("[skills.diayn]", "[skills.diayn]\nseeds = [3]")
    with pytest.raises(
        ConfigError, match=r"^arms.hmrl.seeds: found \[0, 1\] in a run; must be the seeds of a run "
    ):
        cells(read(own))
    both = by_name(read(own.replace("[arms.hmrl]", "[arms.hmrl]\nseeds = [3]")))
    assert both["meta/point/hmrl/seed3"].needs == ("skills/point/diayn/seed3",)
    assert "meta/point/maesn/seeds0-1" in both


def test_settings_of_the_closer_table_win(read):
    text = ONE.replace('"point"', '["point", "sparse_point"]').replace("point/smoke", "{family}/smoke")
    text += "set.training.epochs = 5\non.sparse_point.set.training.epochs = 6\n"
    text += (
        "[set.training]\nepochs = 3\ncheckpoint_every = 7\n[on.point.set]\ntraining.updates_per_epoch = 4\n"
    )
    found = by_name(read(text + "[grid]\nalgorithm.hidden = [[8]]\n"))
    first, second = (found[f"meta/{name}/maesn/hidden-8/seed0"] for name in ("point", "sparse_point"))
    assert (first.experiment.training.epochs, first.experiment.training.updates_per_epoch) == (5, 4)
    assert (second.experiment.training.epochs, second.experiment.training.updates_per_epoch) == (6, 1)
    assert second.experiment.training.checkpoint_every == 7 and second.experiment.algorithm.hidden == (8,)
    # a search is measured on training tasks unless the suite says otherwise
    assert {cell.result.rpartition("/")[2] for cell in found.values() if cell.kind == "eval"} == {
        "train-sparse.json"
    }


def test_a_preset_may_depend_on_the_skills(read):
    """As point/hmrl does, by its table [over]."""
    text = '[suite]\nfamilies = "point"\n[skills.a]\npreset = "{family}/vgcrl"\n'
    found = by_name(read(text + '[arms.hmrl]\npreset = "{family}/hmrl"\nskills = "a"\n'))
    assert found["meta/point/hmrl/seed0"].experiment.algorithm.name == "skill_prior"


def test_a_preset_may_be_a_file_beside_the_suite(read, tmp_path):
    (tmp_path / "own.toml").write_text('extends = "point/smoke"\n[training]\nepochs = 9\n')
    (cell,) = [cell for cell in cells(read(ONE.replace("point/smoke", "own.toml"))) if cell.kind == "meta"]
    assert cell.experiment.training.epochs == 9 and cell.arguments[1] == str(tmp_path / "own.toml")


def test_a_setting_may_name_a_file_beside_the_suite(read, tmp_path, monkeypatch):
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    monkeypatch.chdir("/")
    found = cells(read(ONE.replace('"point"', '"./walk.py"') + 'set.family.name = "./walk.py"\n'))
    assert f'family.name = "{tmp_path}/walk.py"' in found[0].arguments


def test_a_protocol_of_the_suite_stands_on_one_of_hmrl(read):
    text = ONE + "eval.set.evaluation.num_tasks = 2\n"
    text += (
        '[eval]\nprotocol = ["own", "refit", "both"]\nset.evaluation = { num_tasks = 1, adapt_steps = 2 }\n'
    )
    text += '[protocols.both]\nprotocol = "refit"\nset.evaluation.selectivity = 3.0\n'
    found = by_name(read(text))
    both = found["eval/point/maesn/seed0/test-sparse-both"]
    assert both.way == "both" and " ".join(both.arguments[6:]) == (
        "--protocol refit --set evaluation.num_tasks = 2 --set evaluation.adapt_steps = 2 "
        "--set evaluation.selectivity = 3.0"
    )
    stem = "test-sparse-refit-num_tasks=2-adapt_steps=2-selectivity=3.0.json"
    assert both.result == f"meta/point/maesn/seed0/eval/{stem}"
    assert found["eval/point/maesn/seed0/test-sparse-own"].arguments[6:8] == ("--protocol", "own")


def test_a_protocol_may_have_splits_and_rewards_of_its_own(read):
    text = ONE + '[eval]\nsplit = ["test", "hidden"]\nprotocol = ["own", "oracle", "trained"]\n'
    text += '[protocols.oracle]\nprotocol = "own"\nreward = ["sparse", "dense"]\nsplit = "test"\n'
    text += '[protocols.trained]\nsplit = "train"\n'
    with pytest.raises(ConfigError, match="'own' and 'oracle' are the same evaluation of maesn on point"):
        cells(read(text))
    text = text.replace('["sparse", "dense"]', '"dense"')
    assert [cell.name.rpartition("/")[2] for cell in cells(read(text)) if cell.kind == "eval"] == [
        *("test-sparse-own", "hidden-sparse-own", "test-dense-oracle", "train-sparse-trained"),
    ]


def test_a_part_of_a_suite_has_all_that_it_needs(read):
    planned = cells(read(TINY))
    part = chosen(planned, ["eval/point/hmrl/*/test-*", "meta/*/maesn/*"])
    assert [cell.name for cell in part] == [
        "skills/point/diayn/seeds0-1",
        "meta/point/hmrl/seeds0-1",
        "meta/point/maesn/seeds0-1",
        "meta/sparse_point/maesn/seeds0-1",
        "eval/point/hmrl/seeds0-1/test-sparse",
    ]
    assert chosen(planned, ["*"]) == planned
    with pytest.raises(ConfigError, match=r"--only: found 'eval/ant/\*'; must match names of cells, such as"):
        chosen(planned, ["*", "eval/ant/*"])


def test_an_arm_may_have_no_evaluation(read):
    text = ONE + 'eval.split = []\n[eval]\nsplit = ["test", "hidden"]\n'
    assert [cell.kind for cell in cells(read(text))] == ["meta"]


def test_a_family_may_be_evaluated_otherwise_and_an_arm_still_more(read):
    """The arm wins over the family, and the family over the suite."""
    text = ONE.replace('"point"', '["point", "sparse_point"]').replace("point/smoke", "{family}/smoke")
    text += 'eval = { reward = "dense", set.evaluation.episodes = 3 }\n'
    text += '[eval]\nsplit = "test"\nset.evaluation = { num_tasks = 1, adapt_steps = 1, episodes = 1 }\n'
    text += '[on.point.eval]\nsplit = ["hidden"]\nreward = "sparse"\n'
    text += "set.evaluation = { adapt_steps = 2, episodes = 2 }\n"
    found = [" ".join(cell.arguments[2:]) for cell in cells(read(text)) if cell.kind == "eval"]
    settings = (
        "--set evaluation.num_tasks = 1 --set evaluation.adapt_steps = {} --set evaluation.episodes = 3"
    )
    assert found == [
        f"--split hidden --reward dense {settings.format(2)}",
        f"--split test --reward dense {settings.format(1)}",
    ]


def test_libraries_are_trained_where_arms_need_them(read):
    only = TINY.replace('skills = "diayn"', 'skills = "diayn"\nfamilies = ["point"]')
    assert [cell.family for cell in cells(read(only)) if cell.kind == "skills"] == ["point"]
    alone = TINY.partition("[arms")[0]
    assert [cell.kind for cell in cells(read(alone))] == ["skills", "skills"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{family}/smoke", "{family}/smok", "arms.maesn on point: preset: found 'point/smok'; did you mean"),
        ("{family}/smoke", "ant_goal/maesn", "arms.maesn: ant_goal/maesn is of family ant_goal"),
        ('preset = "{family}/smoke"', "set.training.epoch = 3", "arms.maesn.preset: missing"),
        ("smoke", 'smoke"\nset.training.epoch = "3', "did you mean 'epochs'? (from [arms.maesn.set])"),
        ("smoke", 'smoke"\nset.algorithm.name = "mamll', "found 'mamll' (from [arms.maesn.set])"),
        ("smoke", 'smoke"\non.point.set.training.epoch = "3', "(from [arms.maesn.on.point.set])"),
        ("smoke", 'smoke"\n[set]\ntraining.epoch = "3', "(from [set])"),
        ("smoke", 'smoke"\n[on.point]\nset.training.epoch = "3', "(from [on.point.set])"),
        ("smoke", 'smoke"\n[on.point]\neval.set.evaluation.episode = "3', "(from [on.point.eval.set])"),
        ("smoke", 'smoke"\nset.algorithm.step_hold = "3', "found '3' (from [arms.maesn.set])"),
        ("smoke", 'smoke"\neval.protocol = "expl', "protocol: found 'expl'"),
        ("smoke", 'smoke"\neval.protocol = ["own", "a"]\n[protocols]\na.protocol = "own', "the same"),
        ("smoke", 'smoke"\neval.set.training.epochs = 3 #', "[arms.maesn.eval.set] 'training.epochs"),
        ("smoke", 'smoke"\neval.set.evaluation.adapt_step = 3 #', "steps'? (from [arms.maesn.eval.set])"),
        ("smoke", 'smoke"\neval.set.evaluation.relabel.width = 0.5 #', "width: found 0.5, but"),
        ("smoke", 'smoke"\n[grid]\nalgorithm.lr = [1] #', "lr: unknown key (from [grid] or [random])"),
        ("smoke", 'smoke"\n[grid]\ntraining.seed = [1] #', "training.seed: found among its settings"),
        ("smoke", 'hmrl', "arms.maesn.skills: missing, and point/hmrl acts through skills; must be NAME"),
    ],
)  # fmt: skip
def test_what_no_run_could_be_of_is_refused_before_any_training(old, new, message, read):
    text = '[suite]\nfamilies = "point"\n[arms.maesn]\npreset = "{family}/smoke"\n'.replace(old, new)
    with pytest.raises(ConfigError) as error:
        cells(read(text))
    assert message in str(error.value) and "tiny.toml" in str(error.value)


def test_skills_that_an_arm_cannot_have_are_refused(read):
    with pytest.raises(ConfigError, match=r"skills\.diayn\.families: found \['point'\]"):
        cells(read(TINY.replace("[skills.diayn]", '[skills.diayn]\nfamilies = ["point"]')))
