"""What comes with the package: intact, small, and named by what a user may type."""

import pytest

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.storage import exports, pretrained, provenance, upstream
from hmrl_cli.storage.manifest import sha256
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import trained

NAMES = pretrained.names()
WHEELED = "pretrained:wheeled/vgcrl"


def resolve(preset, skills):
    return upstream.resolve("meta-train", preset, flags={"hierarchy.skills": skills})


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole_and_its_card_says_what_it_is(name):
    file = pretrained.path_of(f"pretrained:{name}")
    card, document = exports.read_card(file), pretrained.card(name)
    assert sha256(exports.read_bytes(file, card)) == document["sha256"] and card.whole
    assert card.experiment.training.num_seeds == 1 and document["description"].endswith(".")
    assert name == f"{document['family']}/{document['algorithm']}"
    assert document["trained"]["command"].startswith(f"hmrl {card.experiment.algorithm.command} {name}")
    assert document["measured"] and document["measured_on"]["versions"]["jax"]
    assert "/tmp" not in str(document) and "/home" not in str(document)
    if card.kind == "policy":  # the skills that it acts through are here, as they were
        source = upstream.open_skills(card.experiment)
        assert pretrained.is_name(source.source)
        assert config.config_hash(source.experiment) == config.config_hash(card.skills_from)


def test_all_are_small():
    assert len(NAMES) == 6
    assert sum(file.stat().st_size for file in pretrained.FOLDER.rglob("*") if file.is_file()) <= 2_000_000


def test_skills_are_acted_through_by_name():
    resolved, sources = resolve("wheeled/hmrl", WHEELED)
    assert resolved.experiment.algorithm.name == "skill_prior"  # what the preset has for places
    assert resolved.experiment.hierarchy.skills == WHEELED
    record, file = provenance.record_of(sources.skills), pretrained.path_of(WHEELED)
    assert record["run"] == WHEELED and record["arrays_sha256"] == sha256(file.read_bytes())
    assert record["config_sha256"] == sha256(file.with_suffix(".json").read_bytes())


def test_a_run_with_a_checkpoint_outlives_them(tmp_path, monkeypatch):
    resolved, sources = resolve("wheeled/hmrl", WHEELED)
    with RunDir.create(tmp_path / "run", resolved, sources=sources) as run:
        trained(run, 1)
    assert upstream.skills_of(tmp_path / "run", resolved.experiment) == sources.skills
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    kept = upstream.skills_of(tmp_path / "run", resolved.experiment)
    assert kept.arrays_sha256 == sources.skills.arrays_sha256
    assert kept.experiment == sources.skills.experiment


@pytest.mark.parametrize(
    ("preset", "skills", "error", "message"),
    [
        ("wheeled/hmrl", "pretrained:wheeld/vgcrl", ConfigError, f"; did you mean '{WHEELED}'. .see: hmrl"),
        (
            "wheeled/hmrl",
            "pretrained:wheeled",
            ConfigError,
            f"'pretrained:wheeled/skill_prior' or '{WHEELED}'",
        ),
        ("wheeled/hmrl", "pretrained:../wheeled/vgcrl", ConfigError, "^hierarchy.skills: found 'pretrained:"),
        ("wheeled/hmrl", "pretrained:walk", ConfigError, "'pretrained:walk'; must be pretrained .see: hmrl"),
        ("ant_goal/hmrl", WHEELED, InputError, "are skills of family 'wheeled'; must be of 'ant_goal'"),
        ("wheeled/hmrl", "pretrained:wheeled/skill_prior", InputError, "a 'policy' export; must be 'skills'"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_named(preset, skills, error, message):
    with pytest.raises(error, match=message) as caught:
        resolve(preset, skills)
    assert "\n" not in str(caught.value)
