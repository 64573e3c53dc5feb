"""Presets: found by name or path, standing on one another, refused with what would be right."""

import shutil

import pytest

from hmrl_cli import config, inputs
from hmrl_cli.config import presets
from hmrl_cli.errors import ConfigError
from hmrl_cli.schema import COMMANDS
from tests.config.room import ROOM, real, refusal
from tests.mutants import refused


def test_a_preset_stands_on_so_many_others(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    problem = refused(lambda: config.resolve("meta-train", str(tmp_path / "0.toml")))
    assert "stands on more than 64 presets" in problem


TOML = '# Söhne\n[family]\nname = "point"\n'


@pytest.mark.parametrize("data", [TOML.encode("utf-8-sig"), TOML.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path, data):
    (tmp_path / "mine.toml").write_bytes(data)
    assert presets.read(tmp_path / "mine.toml", "mine.toml") == {"family": {"name": "point"}}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TOML.encode("utf-16"), "is UTF-16; must be UTF-8"),
        (TOML.encode("utf-16-be"), "holds NUL bytes"),
        (TOML.encode("utf-32"), "is UTF-32; must be UTF-8"),
        (b"a = 1\n" + TOML.encode("latin-1"), "is not UTF-8: byte 0xf6 in line 2"),
        (b"\x00\x01", "holds NUL bytes"),
        (b" \n", "is empty"),
        (b"#" * 300, "holds more than 200 bytes"),
        (TOML.replace("\n", "\r").encode(), "not valid TOML"),
    ],
)
def test_text_that_is_no_configuration(tmp_path, monkeypatch, data, expected):
    monkeypatch.setattr(inputs, "MAX_TEXT", 200)
    (tmp_path / "mine.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=expected):
        presets.read(tmp_path / "mine.toml", "mine.toml")


def test_an_unknown_preset_of_a_folder_is_told_those_there_that_serve_the_command(add_preset):
    for name in ("a", "b", "c", "d"):
        add_preset(f"den/{name}", 'extends = "room/flat"\nmeta-train.algorithm.name = "learn"\n')
    add_preset("den/skills", 'family.name = "room"\nalgorithm.name = "explore"\n')
    add_preset("attic/walls", 'extends = "room/flat"\n')
    add_preset("den/broken", "[")
    told = refusal("meta-train", "den/walls")
    assert "found 'den/walls'; den has den/a, den/b, den/c, 1 more\nmust be" in told
    assert "; did you mean 'den/skills'?" in refusal("pretrain-skills", "den/skils")
    assert "; did you mean 'attic/walls'?" in refusal("meta-train", "attik/walls")
    assert "den/skills" in presets.serving("pretrain-skills")
    assert not {"den/skills", "den/broken"} & {*presets.serving("meta-train")}


def test_presets_serve_a_command_as_if_they_were_resolved():
    for command in COMMANDS:
        assert {one.preset for one in real() if one.command == command} == {*presets.serving(command)}


def test_a_path_of_no_file_is_told_what_would_be_right(tmp_path):
    for name, reason in (("none.toml", "does not exist"), ("", "is a directory")):
        with pytest.raises(ConfigError) as caught:
            presets.read(tmp_path / name, "mine.toml")
        assert str(caught.value) == f"mine.toml: {reason}; must be an existing TOML file"


def test_extends_merges_below(add_preset):
    add_preset("room/long", 'extends = "room/flat"\n[training]\nepochs = 70\n')
    resolved = config.resolve("meta-train", "room/long")
    assert resolved.experiment.training.epochs == 70
    assert resolved.experiment.algorithm.inner_lr == 0.2
    assert resolved.origins["training.epochs"] == "preset room/long"
    assert resolved.origins["algorithm.inner_lr"] == "preset room/flat"
    assert config.resolve("pretrain-skills", "room/long").experiment.training.epochs == 70


def test_extends_a_file_next_to_it(add_preset, tmp_path):
    (tmp_path / "base.toml").write_text(ROOM)
    (tmp_path / "mine.toml").write_text('extends = "base.toml"\n[family]\nsize = 2\n')
    experiment = config.resolve("meta-train", str(tmp_path / "mine.toml")).experiment
    assert experiment.family.size == 2.0


def test_extends_cycle(add_preset):
    add_preset("a", 'extends = "b"')
    add_preset("b", 'extends = "a"')
    assert "extends itself" in refusal("meta-train", "a")


def test_another_preset_takes_its_place_over_the_skills_of_an_algorithm(add_preset, tmp_path):
    """By the skills of the command line or of a file, whatever it extends, and below what stands above."""
    add_preset("room/wide", 'extends = "room/lifted"\n[family]\nsize = 9\n')
    add_preset(
        "room/hmrl", 'extends = "room/lifted"\n[over]\nexplore = "room/wide"\n[training]\nepochs = 70\n'
    )
    (tmp_path / "mine.toml").write_text('extends = "room/hmrl"\n[family]\nhorizon = 8\n')
    (tmp_path / "named.toml").write_text('extends = "mine.toml"\n[hierarchy]\nskills = "explored"\n')
    learned_by = {"explored": "explore", "other": "dig"}.__getitem__

    def found(preset, *skills, **more):
        flags = dict.fromkeys(["hierarchy.skills"] * len(skills), *skills)
        experiment = config.resolve("meta-train", preset, flags=flags, complete=False, **more).experiment
        return experiment.family.size, experiment.training.epochs

    assert found("room/hmrl", "explored", learned_by=learned_by) == (9.0, 7)
    assert found("room/hmrl", "other", learned_by=learned_by)[1] == 70
    assert found("room/hmrl")[1] == found("room/hmrl", learned_by=learned_by)[1] == 70
    assert found(str(tmp_path / "mine.toml"), "explored", learned_by=learned_by) == (9.0, 7)
    assert found(str(tmp_path / "named.toml"), learned_by=learned_by) == (9.0, 7)
    assert found("room/lifted", "nowhere", learned_by=learned_by)[1] == 7  # asks nothing
    for text in ("over = 3", "[over]\nexplore = 3"):
        add_preset("bad", f'extends = "room/lifted"\n{text}')
        with pytest.raises(ConfigError, match=r"over: found 3 \(from preset bad\); must be a"):
            found("bad", "explored", learned_by=learned_by)
    add_preset("bad", 'extends = "room/lifted"\n[over]\nexplroe = "room/wide"\n')
    with pytest.raises(
        ConfigError, match=r"over: found 'explroe'.*did you mean 'explore'.*must be an algorithm"
    ):
        found("bad")
    add_preset("bad", 'extends = "room/lifted"\n[over]\nexplore = "room/widw"\n')
    with pytest.raises(ConfigError, match=r"over \(from preset bad\): preset: found 'room/widw'"):
        found("bad")  # though these skills are none of it


def test_a_table_for_a_command_that_cannot_use_it_is_an_error(add_preset):
    """Of the other one, too, which comes later."""
    add_preset("room/both", 'extends = "room/lifted"\n[pretrain-skills.algorithm]\nnam = "dig"\n')
    config.resolve("meta-train", "room/both", complete=False)
    with pytest.raises(ConfigError, match=r"algorithm\.nam: unknown key"):
        config.check_tables("room/both")
    config.check_tables("room/lifted")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[family", "not valid TOML"),
        ("family = {", "not valid TOML"),
        ('[family]\nname = "room"\n[training]\nepochs=1', "names no algorithm for meta-train"),
        ('[algorithm]\nname = "learn"', "names no family for meta-train"),
        ('extends = "nowhere"', "preset: found 'nowhere'"),
        ("extends = 3", "extends: found 3"),
        ("meta-train = 3\n", "meta-train: found 3"),
        ('[family]\nname="room"\n[algorithm]\nname="learn"', "training.epochs: missing; must be given"),
        ("a = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_bad_files(add_preset, text, expected):
    path = add_preset("bad", text)
    assert expected in refusal("meta-train", "bad")
    assert expected in refusal("meta-train", str(path))


def test_unknown_presets(add_preset, tmp_path):
    assert "did you mean 'room/flat'?" in refusal("meta-train", "room/falt")
    assert "must be an existing TOML file" in refusal("meta-train", str(tmp_path / "none.toml"))
    assert "must be an existing TOML file" in refusal("meta-train", "a\0b.toml")
    add_preset("room/typo", 'extends = "room/falt"')
    assert "extends (from preset room/typo): preset: found" in refusal("meta-train", "room/typo")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    assert "is not UTF-8: byte 0xff" in refusal("meta-train", str(tmp_path / "latin.toml"))


def test_a_run_directory_is_told_its_configuration(add_preset, tmp_path, monkeypatch):
    """Even where a preset has a name like it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rooms" / "flat").mkdir(parents=True)
    assert "'rooms/flat'; did you mean 'room/flat'?" in refusal("meta-train", "rooms/flat")
    (tmp_path / "rooms" / "flat" / "config.toml").write_text(ROOM)
    told = refusal("meta-train", "rooms/flat")
    file = "rooms/flat/config.toml"
    assert told.splitlines()[0] == f"preset: found 'rooms/flat', a run directory; did you mean {file!r}?"
    assert config.resolve("meta-train", file).experiment.family.name == "room"


def test_only_presets_are_listed(add_preset):
    add_preset("broken", "[")
    listed = presets.files()
    assert list(listed) == ["broken", "room/flat", "room/lifted"]
    assert {name: presets.path_of(name) for name in listed} == listed


@pytest.mark.parametrize(
    "name", ["", "slurm", "room", "results/room", "room/../room/flat", "./room/flat", "a" * 5000, "a\0"]
)
def test_only_what_is_listed_is_a_preset(add_preset, name):
    assert "must be a preset" in refusal("meta-train", name)


def test_what_cannot_be_read_does_not_hide_the_rest(add_preset, tmp_path):
    root = tmp_path / "presets"
    (root / "room" / ".#flat.toml").symlink_to("nowhere")
    (root / "room.toml").mkdir()
    assert list(presets.files()) == ["room/flat", "room/lifted"]
    assert "must be a preset" in refusal("meta-train", str(root / "room" / "flat"))
    shutil.rmtree(root)
    assert "must be a preset" in refusal("meta-train", "room/flat")


def test_every_real_preset_resolves():
    for name in presets.files():
        served = []
        for command in COMMANDS:
            try:
                config.resolve(command, name, complete=False)
                served.append(command)
            except ConfigError as error:
                assert "algorithm" in str(error), f"{name}: {error}"
        assert served, name


def test_over_places_real_presets_learn_where_rewards_are():
    flags = {"hierarchy.skills": "z"}
    for name in ("wheeled", "ant_goal", "ant_maze", "pusher", "point", "sparse_point", "half_cheetah_vel"):
        asked = dict(flags=flags, learned_by=lambda _: "vgcrl")
        found = config.resolve("meta-train", f"{name}/hmrl", **asked).experiment
        alone = config.resolve("meta-train", f"{name}/skill_prior", flags=flags).experiment
        skills = config.resolve("pretrain-skills", f"{name}/vgcrl").experiment
        assert found == alone and found.family.horizon == skills.family.horizon
        other = config.resolve("meta-train", f"{name}/hmrl", flags=flags, learned_by=lambda _: "diayn")
        assert other.experiment.algorithm.name == "maesn"
