"""What an experiment is put together from: parts that do not fit are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.cli.new import rendered
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.runner import assembly, evaluate, initial
from hmrl_cli.runner import train as training
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.schema import Evaluation, Relabel
from hmrl_cli.storage import reader
from hmrl_cli.types import AdaptState
from tests import toys
from tests.trainings import resolve, train

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_a_skill_length_that_does_not_divide_the_horizon_is_refused(runs):
    with pytest.raises(
        ConfigError,
        match=r"steps_per_skill: found 4, which does not divide the horizon of point, 6",
    ):
        training.check(resolve("maesn", "hierarchy.steps_per_skill=4", skills=runs / "diayn"))


def test_a_feature_that_the_family_lacks_is_refused():
    with pytest.raises(ConfigError, match="discriminate: point has no feature 'speed'"):
        training.check(resolve("diayn", "algorithm.discriminate=speed"))


def test_a_bonus_for_a_feature_that_the_family_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"bonus.observe: point has no feature 'speed', only identity, xy"):
        training.check(resolve("ppo", "bonus.observe=speed"))
    with pytest.raises(ConfigError, match=r"bonus.name: found 'rnd', but maml takes no bonus; .* ppo, sac"):
        resolve("maml", "bonus.name=rnd")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "raise TypeError(1)",
            r"^\./walk\.py: make raised TypeError: 1\nto see where: rerun with --debug",
        ),
        ("raise ValueError('family.radius: too large')", r"^family\.radius: too large$"),
        ("return 3", r"^\./walk\.py: make returned 3; must return a TaskFamily$"),
    ],
)
def test_a_file_that_makes_no_family_is_told(tmp_path, monkeypatch, line, told):
    monkeypatch.chdir(tmp_path)
    text = rendered("family", "walk").replace("    def sample(", f"    {line}\n\n    def sample(")
    (tmp_path / "walk.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        assembly.make_family(config.family_of("./walk.py"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "obs_size=2",
            "obs_size=3",
            r"^\./walk\.py: obs_size: an observation has the shape \[2\]; must be \[3\]\n",
        ),
        (
            "state.obs + STEP",
            "state.place + STEP",
            r"^walk\.py line \d+, in step: AttributeError: .*place.*\nto see",
        ),
    ],
)
def test_a_family_in_a_file_is_traced_before_it_is_used(tmp_path, monkeypatch, before, after, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.py").write_text(rendered("family", "walk").replace(before, after))
    with pytest.raises(ConfigError, match=told):
        assembly.make_family(config.family_of("./walk.py"))


@pytest.mark.slow
def test_a_policy_starts_as_the_best_skill(runs, tmp_path):
    """Its first policy is one of the skills, folded, and it is an ordinary run from then on."""
    skills = reader.read(runs / "diayn_ppo")
    hidden = ("algorithm.ppo.hidden=[16]", "algorithm.ppo.minibatches=4")
    start = resolve("ppo", 'hierarchy.use="start"', *hidden, skills=runs / "diayn_ppo")
    parts = assembly.assemble(start.experiment, skills.experiment)
    assert parts.steps_per_decision == 1 and parts.act_on(None).horizon == 6
    trained = open_trained(reader.read(runs / "diayn_ppo"), "sparse", Silent())
    frozen = jax.tree.map(lambda x: x[0], trained.parts.learner.freeze(trained.state))
    state = jax.jit(lambda key: initial.begin(start.experiment, parts, key, frozen))(jax.random.key(0))
    library, obs = parts.skill_learner.skills(frozen), jnp.array([0.3, -0.2])
    act = parts.make_learner(frozen).behaviour
    adapted = AdaptState({"policy": state.agent.policy, "observed": state.observed}, None)
    first = act(jax.random.key(0), adapted)(jax.random.key(1), obs)[0]
    of_skills = [library.policy(frozen, obs, z).sample(jax.random.key(1)) for z in library.examples]
    assert min(np.abs(first - skill).max() for skill in of_skills) < 1e-5
    train(tmp_path / "run", start)
    result = evaluate.evaluate(reader.read(tmp_path / "run"), num_tasks=2, adapt_steps=0, progress=Silent())
    assert np.shape(result["per_task"]["return"]) == (1, 2, 1)


def test_only_what_fits_starts_as_a_skill(runs, tmp_path):
    with pytest.raises(
        ConfigError, match="use: found 'start' for ppo and skills of diayn; must be ppo and sk"
    ):
        training.check(resolve("ppo", 'hierarchy.use="start"', skills=runs / "diayn"))
    other = resolve("ppo", 'hierarchy.use="start"', "algorithm.ppo.hidden=[5]", skills=runs / "diayn_ppo")
    with pytest.raises(ConfigError, match=r"algorithm\.ppo\.hidden: found"):
        training.check(other)
    with pytest.raises(ConfigError, match="use: found 'start' for maesn and skills of diayn; must be ppo"):
        training.check(resolve("maesn", 'hierarchy.use="start"', skills=runs / "diayn"))
    start = resolve("ppo", 'hierarchy.use="start"', "algorithm.ppo.hidden=[16]", skills="z").experiment
    places = ("algorithm.observe=identity", "algorithm.ppo.hidden=[16]", "algorithm.ppo.minibatches=4")
    assembly.assemble(start, resolve("vgcrl", *places).experiment)
    with pytest.raises(ConfigError, match="must be ppo and skills learned by PPO, by vgcrl with a fixed"):
        assembly.assemble(start, resolve("vgcrl", *places, "algorithm.q=learned").experiment)


def test_skills_that_cannot_be_located_are_not_searched(runs):
    """Neither by a run, nor by an evaluation of one that adapted in another way."""
    complaint = "found 'relabel' for skills that cannot be located; must be 'gradient' or 'refit', or skills"
    sets = ("hierarchy.steps_per_skill=2", "evaluation.rule=relabel")
    with pytest.raises(ConfigError, match=f"evaluation.rule: {complaint}"):
        training.check(resolve("maesn", *sets, skills=runs / "diayn"))
    with pytest.raises(ConfigError, match=complaint):
        evaluate.evaluate(reader.read(runs / "hmrl"), sets=sets[1:], progress=Silent())
    with pytest.raises(ConfigError, match="found 'skill_prior' for point without skills that can be located"):
        training.check(resolve("skill_prior", *sets, skills=runs / "diayn"))


def test_a_search_cannot_go_to_more_places_than_it_has_decisions():
    parts = assembly.assemble(resolve("maml", "family.horizon=12").experiment)
    parts = parts._replace(act_on=lambda skills: toys.placed(), steps_per_decision=4)
    assembly.check_located(Evaluation(rule="relabel", relabel=Relabel(stops=3)), parts)
    assembly.check_located(Evaluation(rule="gradient", relabel=Relabel(stops=4)), parts)
    with pytest.raises(ConfigError, match="stops: found 4; must be at most 3, an episode's decisions"):
        assembly.check_located(Evaluation(rule="relabel", relabel=Relabel(stops=4)), parts)


def test_nor_on_training_tasks(tmp_path):
    train(tmp_path / "places", resolve("vgcrl"))
    sets = ("algorithm.relabel.stops=4", "evaluation.rule=relabel", "hierarchy.steps_per_skill=2")
    with pytest.raises(ConfigError, match=r"algorithm\.relabel\.stops: found 4; must be at most 3"):
        training.check(resolve("skill_prior", *sets, skills=tmp_path / "places"))


def test_the_plan_counts_environment_steps(runs):
    plan = training.check(resolve("maesn", "hierarchy.steps_per_skill=3", skills=runs / "diayn"))
    # 2 tasks, 4 episodes, before and after the inner update, 6 steps each
    assert plan["steps_per_update"] == 2 * 4 * 2 * 6 and plan["updates"] == 4
    assert training.check(resolve("maesn", "training.action_repeat=2"))["steps_per_update"] == 2 * 4 * 2 * 6


@pytest.mark.parametrize(
    ("algorithm", "sets", "complaint"),
    [
        ("maesn", ["algorithm.tasks_per_update=9"], "tasks_per_update: found 9; must be at most .*, 4"),
        ("diayn", ["algorithm.buffer_capacity=10"], "buffer_capacity: found 10; must hold one update, 24"),
        ("maml", ["algorithm.hidden=[0]"], "algorithm.hidden.0: found 0"),
        ("maml", ["algorithm.hidden=[65536, 65536, 65536]"], "the state would take 1312 GiB"),
    ],
)
def test_sizes_that_cannot_work_are_refused_before_anything_is_compiled(algorithm, sets, complaint):
    with pytest.raises(ConfigError, match=complaint):
        training.check(resolve(algorithm, *sets))


def test_skills_of_another_body_are_refused(runs, monkeypatch):
    """A family says which of its settings decide about tasks alone."""
    theirs = reader.read(runs / "diayn").experiment.family
    assert theirs.sparse_radius != 0.2
    experiment = resolve(
        "maesn", "family.sparse_radius=0.2", "hierarchy.steps_per_skill=2", skills=runs / "diayn"
    )
    training.check(experiment)
    monkeypatch.setattr(type(theirs), "of_tasks", frozenset({"horizon", "reward"}))
    with pytest.raises(InputError, match=r"trained with family.sparse_radius = 0.1; must be as here, 0.2"):
        training.check(experiment)


def test_actions_are_not_held_through_skills(runs):
    with pytest.raises(ConfigError, match="action_repeat: found 2; must be 1 with a hierarchy"):
        resolve("maesn", "training.action_repeat=2", skills=runs / "diayn")


@pytest.mark.slow
def test_skills_can_be_learned_over_skills_but_not_acted_through(runs, tmp_path):
    over = resolve("diayn", f"hierarchy.skills={runs / 'diayn'}", "hierarchy.steps_per_skill=2")
    summary = train(tmp_path / "over", over)
    assert np.shape(summary["skills"]["displacement"]) == (1, 4)
    with pytest.raises(InputError, match="must act directly"):
        training.check(resolve("maesn", "hierarchy.steps_per_skill=2", skills=tmp_path / "over"))
