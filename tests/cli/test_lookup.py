"""list and show."""

import functools
import importlib.metadata
import json
import re
import tomllib
from pathlib import Path

from hmrl_cli.cli.new import rendered
from hmrl_cli.config import plugins
from hmrl_cli.schema import COMMANDS


def test_list(hmrl):
    everything = json.loads(hmrl("list", "--json").out)
    assert {row["name"] for row in everything["families"]} >= {"point"}
    assert {"name": "room/tiny", "command": "pretrain-skills, meta-train", "description": "A tiny size."} in (
        everything["presets"]
    )
    assert list(json.loads(hmrl("list", "algorithms", "--json").out)) == ["algorithms"]
    text = hmrl("list").out
    assert "maml" in text and "room/tiny" in text
    assert "inner_lr" in hmrl("list", "algorithms", "maml").out
    fields = json.loads(hmrl("list", "algorithms", "maml", "--json").out)
    assert fields["command"] == "meta-train"
    assert any(field["name"] == "inner_lr" and field["description"] for field in fields["fields"])
    told = hmrl("list", "families", "point").out
    assert told.startswith("obs [2] position s, action [2], task [2] goal g") and "horizon" in told
    assert "\nDense r = -||s' - g||, as in MAML." in told and "s' = s + 0.1 clip(action)" in told
    assert {row["name"] for row in everything["bonuses"]} >= {"counts", "icm", "information_gain", "rnd"}
    assert "weight" in hmrl("list", "bonuses", "rnd").out
    assert json.loads(hmrl("list", "bonuses", "rnd", "--json").out)["name"] == "rnd"
    described = json.loads(hmrl("list", "families", "point", "--split", "hidden", "--json").out)
    assert described["split"] == "hidden"
    # the name of a preset has settings of its own, which only a rollout tells
    assert "\nfamily  room/tiny\n" in hmrl("list", "families", "room/tiny").out
    assert hmrl("list", "families", "rom/tiny").code == 2
    line = hmrl("list", "families", "point", "--split", "test").out.splitlines()[-1]
    assert line.split() == ["dense", "flat", "-1"]  # without a controller there is no feasible line
    assert "maml" in hmrl("list", "presets", "room/tiny").out


def test_every_family_says_what_is_observed_done_and_rewarded():
    for name in plugins.names("families"):
        text = plugins.meaning(plugins.load("families", name).make)
        assert re.match(r"obs \[\d+\].* action \[\d+\].* task \[\d+\]", text), name
        assert re.search(r"(Dense|Sparse) r = ", text) and "Success: " in text, name


def test_a_family_may_say_nothing():
    def make(config):
        """Build the family: obs [2].

        Args:
            config: settings.
        """

    assert plugins.meaning(make) == "obs [2]."
    assert plugins.meaning(functools.partial(make)) == plugins.meaning(lambda config: None) == ""


def test_protocols_are_listed(hmrl, tmp_path):
    (tmp_path / "presets" / "protocols").mkdir()
    (tmp_path / "presets" / "protocols" / "far.toml").write_text(
        "# Looks far.\n[evaluation]\nfallback = 0.3\n"
    )
    assert json.loads(hmrl("list", "protocols", "--json").out) == {
        "protocols": [{"name": "far", "description": "Looks far."}]
    }
    listed = json.loads(hmrl("list", "--json").out)
    assert listed["protocols"] and "protocols" not in str(listed["presets"])
    text = hmrl("list", "protocols", "far").out
    assert re.search(r"evaluation.fallback +0.3\n", text) and re.search(r"tune_after +none\n", text)
    assert json.loads(hmrl("list", "protocols", "far", "--json").out)["settings"]["fallback"] == 0.3
    wrong = hmrl("list", "protocols", "fra")
    assert wrong.code == 2 and "did you mean 'far'" in wrong.err


def test_what_is_pretrained_is_listed(hmrl):
    rows = json.loads(hmrl("list", "pretrained", "--json").out)["pretrained"]
    assert {"name": "wheeled/vgcrl", "kind": "skills"}.items() <= rows[-1].items()
    assert "sparse_point/skill_prior" in hmrl("list", "pretrained").out
    for name in ("wheeled/skill_prior", "pretrained:wheeled/skill_prior"):
        text = hmrl("list", "pretrained", name).out
        assert "pretrained:wheeled/skill_prior" in text and "success 1, reached 1" in text
    card = json.loads(hmrl("list", "pretrained", "wheeled/vgcrl", "--json").out)
    assert card["trained"]["seed"] == 0 and card["measured"][0]["numbers"]["accuracy"] > 0.8
    wrong = hmrl("list", "pretrained", "weeled/vgcrl")
    assert wrong.code == 2 and "did you mean 'pretrained:wheeled/vgcrl'" in wrong.err


def test_a_plugin_is_told_where_a_preset_is_wanted(hmrl):
    for argv in (("show", "point"), ("meta-train", "point")):
        wrong = hmrl(*argv)
        assert wrong.code == 2 and "found 'point', a family (see: hmrl list families point)" in wrong.err
    wrong = hmrl("list", "families", "maesn")
    assert "'maesn', an algorithm (see: hmrl list algorithms maesn)\n" in wrong.err
    assert "'icm', a bonus (see: hmrl list bonuses icm)" in hmrl("list", "icm").err


def test_presets_of_a_family_are_listed(hmrl):
    folder = Path("presets/wheeled")
    folder.mkdir()
    (folder / "other.toml").write_text('extends = "room/tiny"\nfamily.name = "wheeled"\n')
    for family, name in (("point", "room/tiny"), ("wheeled", "wheeled/other")):
        listed = json.loads(hmrl("list", "presets", family, "--json").out)["presets"]
        assert [row["name"] for row in listed] == [name]
    assert hmrl("list", "presets", "wheeled").out.splitlines()[1].startswith("wheeled/other  ")
    assert "training.epochs = 2" in hmrl("list", "presets", "room/tiny").out


def test_the_beginning_of_families_is_told_all_of_them(hmrl):
    for name in ("ant_goal@tiny", "ant_maze@tiny", "mine"):
        Path(f"presets/{name}.toml").write_text('extends = "room/tiny"\n')
    assert "training.epochs = 2" in hmrl("list", "presets", "mine").out
    wrong = hmrl("list", "presets", "ant")
    assert wrong.code == 2 and wrong.error == [
        "error: list presets: found 'ant'; did you mean "
        "'ant_dir', 'ant_goal', 'ant_maze', 'ant_vel' or 'ant_waypoint'?",
        "must be a family (see: hmrl list families) or a preset (see: hmrl list presets)",
    ]
    assert "did you mean 'cheetah_hurdles'?" in hmrl("list", "presets", "cheetah").err
    assert hmrl("list", "presets", "attic").error[0] == "error: list presets: found 'attic'"
    assert "did you mean 'ant_goal@tiny'?" in hmrl("list", "presets", "ant_goal@tin").err
    misspelt = hmrl("list", "presets", "half_chetah_vel").error[0]
    assert misspelt == "error: list presets: found 'half_chetah_vel'; did you mean 'half_cheetah_vel'?"


def test_show(hmrl):
    shown = hmrl("show", "room/tiny").out
    assert "# hmrl meta-train room/tiny" in shown and "# hmrl pretrain-skills room/tiny" in shown
    assert any(
        line.startswith("training.epochs = 2 ") and "preset room/tiny" in line for line in shown.splitlines()
    )
    run = hmrl("meta-train", "room/tiny", "-q", "--seed", "3").out.strip()
    text = hmrl("show", run).out
    assert f"# {run}: complete, epoch 2 of 2" in text
    assert tomllib.loads(text)["training"]["seed"] == 3
    document = json.loads(hmrl("show", run, "--json").out)
    assert document["origins"]["training.seed"] == "--seed"
    del document["origins"]["training.seed"]  # as in a run of before there was such a setting
    file = Path(run, "provenance.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"origins": document["origins"]}))
    assert re.search(r"(?m)^training.seed = 3 +# newer than the run$", hmrl("show", run).out)
    assert document["status"]["state"] == "complete"
    assert set(json.loads(hmrl("show", "room/tiny", "--json").out)["commands"]) == set(COMMANDS)


def test_a_folder_that_is_no_run_hides_no_preset_and_no_family(hmrl, fakes):
    for folder in ("room/tiny", "point"):
        Path(folder).mkdir(parents=True)
    assert "# hmrl meta-train room/tiny" in hmrl("show", "room/tiny").out
    assert hmrl("render", "point").code == 0 and fakes.calls[-1][0] == "render"
    assert "holds no config.toml" in hmrl("show", "room").error[0]


def test_a_preset_is_shown_with_other_settings(hmrl):
    shown = hmrl("show", "room/tiny", "--set", "training.epochs = 9").out
    assert len(re.findall(r"(?m)^training.epochs = 9 +# --set$", shown)) == 2
    wrong = hmrl("show", ".", "--set", "training.epochs = 9")
    assert wrong.code == 2 and wrong.error[0].startswith("error: --set: found together with ., a run")


def test_a_preset_that_is_another_one_over_skills_is_shown_as_that(hmrl, monkeypatch):
    Path("mine.toml").write_text('extends = "room/tiny"\n[over]\nvgcrl = "room/tiny"\n')
    shown = hmrl("show", "mine.toml").out.splitlines()
    assert (
        shown[0] == "# over skills that vgcrl learned it is room/tiny: hmrl show mine.toml --skills RUN_DIR"
    )
    asked = []
    monkeypatch.setattr("hmrl_cli.storage.upstream.resolve", lambda *args: asked.append(args))
    hmrl("show", "mine.toml", "--skills", "runs/z", "--set", "training.seed = 1")
    assert asked == [("meta-train", "mine.toml", ["training.seed = 1"], {"hierarchy.skills": "runs/z"})]
    wrong = hmrl("show", ".", "--skills", "runs/z")
    assert wrong.code == 2 and wrong.err.startswith("error: --skills: found together with .,")


def test_a_broken_plugin_of_a_package_is_one_note(hmrl, monkeypatch):
    broken = importlib.metadata.EntryPoint("theirs", "no_such_module", "hmrl.families")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [broken] if group == "hmrl.families" else []
    )
    plugins.entry_points.cache_clear()
    try:
        listed = hmrl("list", "--json")
    finally:
        plugins.entry_points.cache_clear()
    assert listed.code == 0 and "point" in [row["name"] for row in json.loads(listed.out)["families"]]
    assert listed.err == (
        "families: 'theirs' of no_such_module cannot be run: ModuleNotFoundError: "
        "No module named 'no_such_module'; left out\n"
    )


def test_a_file_is_listed_and_rendered(hmrl, fakes):
    Path("walk.py").write_text(rendered("family", "walk"))
    assert "radius" in hmrl("list", "families", "./walk.py").out
    assert hmrl("list", "families", "walk.py", "--json").code == 0
    assert hmrl("render", "./walk.py").code == 0 and fakes.calls[-1][0] == "render"
    gone = hmrl("render", "./gone.py")
    assert gone.code == 2 and "'./gone.py', which does not exist" in gone.error[0]
