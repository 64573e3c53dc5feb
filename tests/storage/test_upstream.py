"""What a run stands on: parents checked, recorded and verified; sources that are gone and needed no more."""

import json
import shutil
from functools import partial

import pytest

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.storage import reader, upstream
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import finished_skills, flip, message, trained


@pytest.fixture
def child(preset, tmp_path):
    """Resolve a skill run that starts from a run."""
    finished_skills(preset, tmp_path / "parent")

    def resolve(*sets, parent="parent"):
        return config.resolve("pretrain-skills", preset, sets, {"training.init_from": parent})

    return resolve


def refusal(resolved):
    with pytest.raises(InputError) as caught:
        upstream.open_parent(resolved.experiment)
    assert caught.value.exit_code == 65
    return message(caught)


def test_a_parent_is_checked(child, preset, tmp_path):
    assert upstream.open_parent(child().experiment).epoch == 1
    assert upstream.open_parent(config.resolve("pretrain-skills", preset).experiment) is None
    assert "found 'nowhere', which is no directory\nmust be the run directory of a finished: hmrl pret" in (
        refusal(child(parent="nowhere"))
    )
    half = finished_skills(preset, tmp_path / "half", complete=False)
    assert refusal(child(parent=half)).endswith(
        f"is killed; must be complete or diverged\nto finish it: hmrl resume {half}"
    )
    with RunDir.create(tmp_path / "live", config.resolve("pretrain-skills", preset)):
        assert refusal(child(parent="live")).endswith(
            "is running; must be complete or diverged\nonce its training has ended"
        )
    assert "parent is a run of diayn; must be of vic" in refusal(child("algorithm.name=vic"))
    RunDir.create(tmp_path / "meta", config.resolve("meta-train", preset)).close()
    assert "meta is a run of meta-train; must be one of pretrain-skills" in refusal(child(parent="meta"))
    flip(tmp_path / "parent" / "checkpoints" / "1" / "manifest.json")
    assert "training.init_from: " in refusal(child()) and "damaged" in refusal(child())


def test_what_is_pretrained_is_no_parent_before_it_is_a_run(child):
    """`hmrl eval` makes the run; an unknown name is told the names first."""
    assert refusal(child(parent="pretrained:wheeled/vgcrl")) == (
        "training.init_from: found 'pretrained:wheeled/vgcrl', which is pretrained; must be a run directory\n"
        "that of hmrl eval pretrained:wheeled/vgcrl is runs/pretrained-wheeled-vgcrl"
    )
    assert refusal(child(parent="pretrained:wheeled/skill_prior")).endswith(
        "which is pretrained (policy); must be the run directory of a finished: hmrl pretrain-skills"
    )
    with pytest.raises(ConfigError, match=r"init_from: .*did you mean 'pretrained:wheeled/vgcrl'"):
        upstream.open_parent(child(parent="pretrained:weeled/vgcrl").experiment)


def test_a_run_that_diverged_can_be_started_from_and_not_continued(child, tmp_path):
    file = tmp_path / "parent" / "status.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "diverged"}))
    assert upstream.open_parent(child().experiment).epoch == 1
    assert "is diverged; must be complete" in refusal(child("training.continues=true"))


def test_what_continues_a_run_has_its_settings_and_more_epochs(child):
    longer = partial(child, "training.continues=true", "training.epochs=3")
    assert upstream.open_parent(longer("training.checkpoint_every=1").experiment).epoch == 1
    assert "family.horizon: found 7, where the run has" in refusal(longer("family.horizon=7"))
    assert "training.seed: found 1, where the run has 0\nmust be as in parent" in refusal(
        longer("training.seed=1")
    )
    assert "training.epochs: found 1; must be more than the 1 epochs of parent" in (
        refusal(longer("training.epochs=1"))
    )
    with pytest.raises(ConfigError, match=r"continues: found True, but there is no training\.init_from"):
        child("training.continues=true", parent=None)


def test_a_parent_is_recorded_and_verified_when_its_child_is_resumed(child, preset, tmp_path):
    resolved = child()
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 1)
    info = reader.read(tmp_path / "r")
    record = info.provenance["parent"]
    assert (record["run"], record["epoch"]) == ("parent", 1)
    assert record["arrays_sha256"] == upstream.open_parent(resolved.experiment).arrays_sha256
    assert info.experiment.training.init_from == "parent"
    again = config.resolve("pretrain-skills", str(tmp_path / "r" / "config.toml"))
    assert again.experiment == resolved.experiment  # so that the run repeats from its config
    RunDir.resume(tmp_path / "r", resolved).close()
    shutil.rmtree(tmp_path / "parent")
    finished_skills(preset, tmp_path / "parent", ["training.seed=1"])
    with pytest.raises(InputError) as caught:
        RunDir.resume(tmp_path / "r", resolved)
    assert message(caught).startswith(
        "training.init_from: parent has changed since this run began\nmust be the p"
    )


def test_sources_that_are_gone_are_needed_until_the_first_checkpoint(child, preset, tmp_path):
    skills = finished_skills(preset, tmp_path / "skills")
    over = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    for name, resolved, source in (("skills", over, "skills"), ("parent", child(), "parent")):
        path = tmp_path / f"of-{name}"
        whole = getattr(upstream.open_sources(resolved.experiment), name)
        RunDir.create(path, resolved).close()
        (tmp_path / source).rename(tmp_path / "elsewhere")
        with pytest.raises(InputError, match="which is no directory"):
            upstream.sources_of(path, resolved.experiment)
        (tmp_path / "elsewhere").rename(tmp_path / source)
        with RunDir.resume(path, resolved) as run:
            trained(run, 1)
        (tmp_path / source).rename(tmp_path / "elsewhere")
        sources = upstream.sources_of(path, resolved.experiment)
        found = getattr(sources, name)
        assert isinstance(found.record, upstream.Recorded) and found[2:5] == whole[2:5]
        assert name == "parent" or found.experiment == whole.experiment
        RunDir.resume(path, resolved, sources=sources).close()
        with pytest.raises(InputError, match="which is no directory"):
            RunDir.resume(path, resolved)  # as --resume does, by the setting alone
        (tmp_path / source).mkdir()  # there, and something else
        with pytest.raises(InputError, match=r"holds no config\.toml"):
            upstream.sources_of(path, resolved.experiment)
        (tmp_path / source).rmdir()
        (tmp_path / "elsewhere").rename(tmp_path / source)


def test_the_preset_of_a_run_may_depend_on_who_learned_its_skills(preset, tmp_path, monkeypatch):
    """The skills are read once."""
    finished_skills(preset, tmp_path / "skills")
    (tmp_path / "other.toml").write_text(f'extends = "{preset}"\n[hierarchy]\nsteps_per_skill = 2\n')
    (tmp_path / "over.toml").write_text(f'extends = "{preset}"\n[over]\ndiayn = "other.toml"\n')
    reads, read = [], upstream._skills_record
    monkeypatch.setattr(upstream, "_skills_record", lambda source: reads.append(source) or read(source))
    resolved, sources = upstream.resolve("meta-train", "over.toml", flags={"hierarchy.skills": "skills"})
    assert resolved.experiment.hierarchy.steps_per_skill == 2
    assert sources.skills.experiment.algorithm.name == "diayn" and reads == ["skills"]
