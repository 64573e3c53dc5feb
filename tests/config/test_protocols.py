"""Named ways to adapt: between a run's settings and the command line."""

import pytest

from hmrl_cli import config
from hmrl_cli.config import presets, protocols
from hmrl_cli.errors import ConfigError
from hmrl_cli.schema import BUDGET, WAY

EXPLORE = {"rule": "refit", "imitation_steps": 200, "fallback": 0.3, "late_fallback": 0.5}
PLAIN = {"rule": "gradient", "imitation_steps": 0, "fallback": 0.0, "late_fallback": 0.0, "tune_after": None}


def trained(preset, *sets):
    flags = {"hierarchy.skills": "z"} if "skill_prior" in preset or "hmrl" in preset else {}
    return config.resolve("meta-train", preset, sets, flags).experiment


def way(experiment, protocol, *sets, **flags):
    found = config.with_evaluation(experiment, sets, flags, protocol).evaluation
    return {name: getattr(found, name) for name in WAY}


def test_the_protocols_of_the_package_say_how_to_adapt_and_not_on_how_much():
    assert {*protocols.files()} == {"own", "refit", "explore", "tune", "relabel"}
    assert not {*protocols.files()} & {*presets.files()}
    for name in protocols.files():
        assert not {*protocols.settings(name)} & {*BUDGET}
        assert f"protocols/{name}" not in presets.files()
    with pytest.raises(ConfigError, match="found 'protocols/own'"):
        config.resolve("meta-train", "protocols/own")


def test_a_protocol_replaces_the_way_of_a_run_and_nothing_else():
    exploring = trained("wheeled/demo_flat", "evaluation.selectivity=5.0")
    assert way(exploring, None) == way(exploring, "explore") == PLAIN | EXPLORE
    assert way(exploring, "own") == PLAIN
    assert way(exploring, "refit") == PLAIN | {"rule": "refit"}
    assert way(exploring, "tune") == PLAIN | {"tune_after": 0}
    refit = config.with_evaluation(exploring, protocol="refit").evaluation
    assert (refit.selectivity, refit.adapt_steps, refit.episodes) == (5.0, 4, 4)
    tuned = trained("wheeled/maesn", "evaluation.tune_after=2")
    assert way(tuned, "own") == PLAIN  # no TOML says none
    assert config.changed_evaluation(tuned, tuned.evaluation) == {}


def test_the_command_line_is_above_a_protocol():
    flat = trained("wheeled/maesn")
    line = "evaluation.fallback=0.1"
    assert way(flat, "explore", line) == PLAIN | EXPLORE | {"fallback": 0.1}
    found = config.with_evaluation(flat, [line], {"episodes": 50}, "explore").evaluation
    assert config.changed_evaluation(flat, found, "explore") == {"episodes": 50, "fallback": 0.1}
    needs_more = config.with_evaluation(
        trained("wheeled/maml"), ["evaluation.imitation_steps=5"], {}, "refit"
    )
    assert needs_more.evaluation.imitation_steps == 5


def test_a_search_is_the_own_way_of_a_learned_prior():
    prior = trained("wheeled/skill_prior")
    for name in ("own", "relabel"):
        assert way(prior, name) == PLAIN | {"rule": "relabel"}
    assert way(trained("wheeled/hmrl", "hierarchy.steps_per_skill=5"), "relabel")["rule"] == "relabel"


@pytest.mark.parametrize(
    ("preset", "name", "complaint"),
    [
        ("wheeled/maesn", "explroe", "protocol: found 'explroe'; did you mean 'explore'"),
        ("wheeled/maesn", "../wheeled/maesn", "protocol: found '../wheeled/maesn'"),
        (
            "wheeled/ppo",
            "explore",
            "--protocol explore: evaluation.rule: found 'refit', but ppo has no inner",
        ),
        ("wheeled/maml", "refit", "--protocol refit: evaluation.imitation_steps: found 0; must be more"),
        ("wheeled/maesn", "relabel", "found 'relabel'; must be 'gradient' or 'refit' without skills"),
        ("wheeled/skill_prior", "refit", "found 'refit'; must be 'relabel' with skill_prior"),
        ("wheeled/sac", "tune", "evaluation.tune_after: found 0, but sac has no inner loop"),
    ],
)
def test_a_protocol_that_would_do_nothing_is_refused(preset, name, complaint):
    with pytest.raises(ConfigError) as caught:
        config.with_evaluation(trained(preset), protocol=name)
    assert complaint in str(caught.value) and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[evaluation]\nnum_tasks = 3\n",
            "protocol mine: found evaluation.num_tasks; must be left to the run",
        ),
        ("rule = 'refit'\n", "protocol mine: must be one table, [evaluation]"),
        ("[evaluation]\nruel = 'refit'\n", "did you mean 'rule'? (from --protocol mine)"),
        ("[evaluation", "protocol mine: not valid TOML"),
    ],
)
def test_a_file_that_is_no_protocol_is_refused(tmp_path, monkeypatch, text, complaint):
    flat = trained("wheeled/maesn")
    monkeypatch.setattr(presets, "folder", lambda: tmp_path)
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "mine.toml").write_text(text)
    assert presets.files() == {}
    with pytest.raises(ConfigError) as caught:
        config.with_evaluation(flat, protocol="mine")
    assert complaint in str(caught.value)


def test_an_argument_in_python_is_no_flag():
    flat = trained("wheeled/maesn")
    for named, origin in (({}, "argument foo"), ({"named": config.flag_of}, "--foo")):
        with pytest.raises(ConfigError, match=rf"evaluation\.foo: unknown key \(from {origin}\)"):
            config.with_evaluation(flat, flags={"foo": 7}, **named)
    with pytest.raises(ConfigError, match=r"evaluation\.relabel\.sight: found 0\.3, but"):  # as a flag is
        config.with_evaluation(flat, flags={"relabel": {"sight": 0.3}})
