"""The file of a suite is read as it is meant, or refused with the key and the file."""

import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.suite.sections import Range
from tests.suite.stand_in import TINY

ONE = '[suite]\nfamilies = "point"\n[arms.maesn]\npreset = "point/smoke"\n'


def test_short_and_long_forms_are_one(read):
    short, long = (
        read(ONE),
        read(ONE.replace('"point"', '["point"]').replace("[suite]", "[suite]\nseeds = [0]")),
    )
    assert short.head == long.head and short.head.seeds == (0,) and short.name == "tiny"
    assert read(TINY).head.seeds == (0, 1) and read(TINY).eval.split == ("test", "train")
    nested, quoted = (read(f"{ONE}[grid]\n{key} = [1, 2]\n") for key in ("algorithm.x", '"algorithm.x"'))
    assert nested.grid == quoted.grid == {"algorithm.x": [1, 2]} and nested.searches and not short.searches


def test_ranges_may_be_nested_and_lists(read):
    text = "[random.ranges]\nalgorithm.lr = { low = 0.1, high = 1.0, log = true }\n'a.b' = [1, 2]\n"
    assert read(ONE + text).ranges == {"algorithm.lr": Range(low=0.1, high=1.0, log=True), "a.b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("[suite", "not valid TOML"),
        ("[arm.x]\npreset = 'a'", "arm: unknown key; did you mean 'arms'?"),
        (
            "[zzz]\nx = 1",
            "\nmust be one of: suite, set, skills, arms, on, eval, protocols, grid, random, slurm",
        ),
        (ONE + "zzz = 'a'", "\nmust be one of: preset, set, seeds, families, on, skills, eval"),
        ("arms = 3", "arms: found 3"),
        ("[arms]\nhmrl = 3", "arms.hmrl: found 3"),
        (ONE + "prest = 'a'", "arms.maesn.prest: unknown key; did you mean 'preset'?"),
        (ONE + "on.point.sets = {}", "arms.maesn.on.point.sets: unknown key"),
        (ONE + "on.sparse_point.set = {}", "arms.maesn.on: found 'sparse_point'"),
        (ONE + "families = ['poin']", "arms.maesn.families: found 'poin'; did you mean 'point'?"),
        (ONE + "skills = 'diayn'", "arms.maesn.skills: found 'diayn'; must be declared, as [skills.NAME]"),
        (ONE + "[arms.'a/b']\npreset = 'x'", "arms: found 'a/b'"),
        (ONE + "[eval]\nsplit = ['test', 'hiden']", "eval.split.1: found 'hiden'"),
        (ONE + "[eval]\nreward = 'both'", "eval.reward.0: found 'both'"),
        (ONE + "[eval]\nreward = []", "eval.reward: found []"),
        (ONE + "[eval]\nsplit = ['test', 'test']", "eval.split: found ['test', 'test']"),
        (ONE + "eval.protocol = ['own', 'own']", "arms.maesn.eval.protocol: found ['own', 'own']"),
        (ONE + "[eval]\nprotocol = 'explor'", "eval.protocol: found 'explor'; did you mean 'explore'?"),
        (ONE + "[grid]\nalgorithm.x = 3", "grid.algorithm.x: found 3"),
        (ONE + "[random]\nsamples = 0", "random.samples: found 0"),
        (ONE + "[random]\nsamples = 5", "random.ranges: missing; must be KEY = { low"),
        (ONE + "[random.ranges]\n'a.b' = 3", "random.ranges.a.b: found 3"),
        (ONE + "[random.ranges]\n'a.b' = { low = 2, high = 1 }", "random.ranges.a.b: found"),
        (ONE + "[random.ranges]\n'a.b' = { low = 0.0, high = 1, log = true }", "must have 0 < low < high"),
        (ONE + "[random.ranges]\n'a.b' = { low = 1, high = 2, lgo = true }", "ranges.a.b.lgo: unknown key"),
        (ONE + "[on.poin]\nseeds = 3", "on: found 'poin'; did you mean 'point'?"),
        (ONE + "[on.point]\neval.protocol = 'refi'", "on.point.eval.protocol: found 'refi'; did you mean"),
        (ONE.replace("[suite]", "[suite]\nseeds = [0, 0]"), "suite.seeds: found [0, 0]"),
        (ONE.replace("[suite]", "[suite]\nseeds = -1"), "suite.seeds: found -1 (from"),
        (ONE.replace("[suite]", "[suite]\nname = 'a b'"), "suite.name: found 'a b'"),
        (ONE.replace('"point"', '"poin"'), "suite.families: found 'poin'"),
        (ONE.replace('"point"', '"reachr"'), "did you mean 'reacher'?; must be a family: hmrl list families"),
        (ONE.replace('"point"', '"./my.py"'), "suite.families: found './my.py', which does not exist"),
        (ONE + "[protocols]\nown.set = {}", "protocols.own: is a protocol of hmrl"),
        (ONE + "[protocols]\na.protocol = 'ow'", "protocols.a.protocol: found 'ow'; did you mean 'own'?"),
        (
            ONE + "[protocols]\na.set.evaluation.adapt_step = 3",
            "protocols.a.set.evaluation.adapt_step: unknown key; did you mean 'adapt_steps'?",
        ),
        (ONE + "[protocols]\na.set.training.epochs = 3", "protocols.a.set.training: unknown key"),
        (ONE + "[slurm]\ntime = [1]", "slurm.time: found [1]"),
        (ONE + '[slurm]\ntime = "1\\nrm"', "slurm.time: found"),
        (ONE + "[slurm]\ncomment = 'a\"b'", "slurm.comment: found"),
        (ONE + "[slurm]\n'mail user' = 'a'", "slurm.mail user: must be a long option of sbatch"),
        (ONE + "[slurm]\narray = '0-3'", "slurm.array: is an option that hmrl decides; must be left out"),
        (ONE + "[slurm]\ncpus_per_task = 4", "must be a long option of sbatch, as in cpus-per-task"),
        (ONE.replace('"point"', '["point", "./point.py"]'), "suite.families: found two of the name point"),
        (ONE + "[grid]\n'a.b' = [1]\n[random.ranges]\n'a.b' = [2]", "grid.a.b: found in [random], too"),
        ("[suite]\nfamilies = 'point'", "arms: missing"),
        ("[arms.maesn]\npreset = 'x'", "suite.families: missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(text, message, read):
    with pytest.raises(ConfigError) as error:
        read(text)
    told = str(error.value)
    assert message in told and "tiny.toml" in told and len(told.splitlines()) <= 2


def test_a_missing_file_is_named(tmp_path):
    from hmrl_cli.suite import declaration

    with pytest.raises(ConfigError, match=r"none\.toml: does not exist"):
        declaration.read(tmp_path / "none.toml")
