"""Builds the parts of an experiment from its configuration.  Nothing is compiled here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.compute import epochs
from hmrl_cli.config import plugin_files, plugins
from hmrl_cli.environment import contract
from hmrl_cli.environment.composition import bonus, lift, repeat, same_action, skill_action
from hmrl_cli.errors import ConfigError, one_error, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax
from hmrl_cli.schema import Evaluation, Relabel
from hmrl_cli.types import Learner, MetaLearner, SkillLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params, Reward, State


class Parts(NamedTuple):
    """The parts of an experiment.  `skills` is the parameters of frozen skills, or None."""

    family: TaskFamily  # neither lifted nor repeated
    act_on: Callable[[Params], TaskFamily]  # skills -> the family whose actions the learner chooses
    # skills -> (key, obs, decision) -> the action of one environment step
    act_within: Callable[[Params], Callable[[Key, Array, Array], Array]]
    make_learner: Callable[[Params], Any]  # skills -> a MetaLearner or SkillLearner
    learner: Any  # the same without skills, for what does not depend on their parameters
    skill_learner: SkillLearner | None  # that trained the skills, None without a hierarchy
    steps_per_update: int  # environment steps of one update of one seed
    steps_per_decision: int  # environment steps of one decision

    @property
    def learns_skills(self) -> bool:
        """Whether the algorithm learns skills, and not tasks."""
        return isinstance(self.learner, SkillLearner)

    def note(self, state: State, budget: Evaluation) -> str:
        """The learner's message on a trained state, leaves [S, ...], and a budget; "" if it has none."""
        note = self.learner.note if isinstance(self.learner, MetaLearner) else None
        return note(state, budget) if note else ""

    def note_on_reward(self, trained: Reward, now: Reward) -> str:
        """A message if a learner that reads rewards meets other rewards than in training; else ""."""
        if trained == now or not isinstance(self.learner, MetaLearner) or not self.learner.reads_reward:
            return ""
        return f"this learner tells tasks apart by {trained} rewards, and now meets {now} ones (--reward)"


@functools.cache
def make_family(family_config: Any, reward: Reward | None = None) -> TaskFamily:
    """The task family of a configuration.

    Tracing physics costs seconds.  Equal configurations give one object, whose functions are traced once
    in the process.

    Args:
        family_config: the `Config` of a family plugin.
        reward: the reward in place of the configured one; None keeps that.

    Raises:
        ConfigError: the plugin refuses the settings, or makes no family, or there is no such reward.
    """
    if reward not in (None, "dense", "sparse"):
        raise ConfigError(f"reward: found {shown(reward)}; must be 'dense' or 'sparse'")
    if reward is not None:
        family_config = family_config.model_copy(update={"reward": reward})
    try:
        family = plugins.make("families", family_config)(family_config)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not isinstance(family, TaskFamily):
        raise ConfigError(f"{family_config.name}: make returned {shown(family)}; must return a TaskFamily")
    family = family._replace(reset=jax.jit(family.reset), step=jax.jit(family.step))
    if plugins.is_foreign("families", family_config):
        _check_contract(family_config.name, family)
    return family


def _check_contract(name: str, family: TaskFamily) -> None:
    """Refuse a family of a user whose functions do not fit together, or raise."""
    try:
        contract.check(family)
    except Exception as error:
        where = plugin_files.line_of(error)
        reason = str(error) if type(error) is ValueError and not where else one_error(error)
        raise ConfigError(f"{where or name}: {reason}\nto see where: rerun with --debug") from error


def assemble(
    experiment: Experiment,
    skills_from: Experiment | None = None,
    reward: Reward | None = None,
    over: Callable[[TaskFamily], TaskFamily] = lambda family: family,
) -> Parts:
    """Compose family, skills, bonus and algorithm.  Nothing is compiled.

    Args:
        experiment: what to run.
        skills_from: the experiment that trained the skills; None without a hierarchy.
        reward: the reward in place of the configured one; None keeps that.
        over: a change of the family below all others, such as `frames.recorded`.

    Raises:
        ConfigError: the parts do not fit.
    """
    family = over(make_family(experiment.family, reward))
    make = plugins.make("algorithms", experiment.algorithm)
    hierarchy, skill_learner = experiment.hierarchy, None
    acts, steps_per_decision = experiment.acts_through_skills, experiment.steps_per_decision
    if hierarchy and skills_from:
        skill_learner = plugins.make("algorithms", skills_from.algorithm)(
            skills_from.algorithm, make_family(skills_from.family)
        )

    def act_on(skills: Params) -> TaskFamily:
        if acts and hierarchy and skill_learner:
            library = skill_learner.skills(skills)
            return lift(family, library, steps_per_decision, stochastic=hierarchy.stochastic)
        return repeat(family, steps_per_decision) if steps_per_decision > 1 else family

    def act_within(skills: Params) -> Callable[[Key, Array, Array], Array]:
        if acts and hierarchy and skill_learner:
            return skill_action(skill_learner.skills(skills), stochastic=hierarchy.stochastic)
        return same_action

    def make_learner(skills: Params) -> Learner:
        composed = act_on(skills)
        if experiment.bonus:
            made = plugins.make("bonuses", experiment.bonus)(experiment.bonus, composed)
            composed = bonus(composed, made)
        return make(experiment.algorithm, composed)

    try:
        # the skills' parameters are not looked at before an episode is run
        learner = make_learner(None)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    steps = learner.steps_per_update * steps_per_decision
    starts = isinstance(learner, MetaLearner) and learner.start is not None
    if skill_learner and not acts and not (starts and skill_learner.fold):
        raise ConfigError(
            f"hierarchy.use: found 'start' for {experiment.algorithm.name} and skills of "
            f"{skills_from.algorithm.name if skills_from else ''}; must be ppo and skills learned by PPO, "
            "by vgcrl with a fixed q"
        )
    parts = Parts(family, act_on, act_within, make_learner, learner, skill_learner, steps, steps_per_decision)
    check_located(experiment.evaluation, parts)
    if experiment.algorithm.searches:
        _check_stops("algorithm.relabel", experiment.algorithm.relabel, parts)
    return parts


def check_located(evaluation: Evaluation, parts: Parts) -> None:
    """Raise ConfigError if a search cannot locate skills, or visits more places than it has decisions."""
    if evaluation.rule != "relabel":
        return
    if "skill" not in parts.act_on(None).features:
        raise ConfigError(
            "evaluation.rule: found 'relabel' for skills that cannot be located; "
            "must be 'gradient' or 'refit', or skills learned by vgcrl"
        )
    _check_stops("evaluation.relabel", evaluation.relabel, parts)


def _check_stops(section: str, relabel: Relabel, parts: Parts) -> None:
    decisions = parts.family.horizon // parts.steps_per_decision
    if relabel.stops > decisions:
        raise ConfigError(
            f"{section}.stops: found {relabel.stops}; must be at most {decisions}, an episode's decisions"
        )


def seed_keys(experiment: Experiment) -> epochs.Streams:
    """The random streams of every seed of an experiment, leaves [S]."""
    training = experiment.training
    return epochs.streams(training.seeds)


def state_shapes(experiment: Experiment, parts: Parts) -> Any:
    """Shapes and dtypes of the tree in a checkpoint: (state, skills), leaves [S, ...]."""

    def init(key: Any) -> Any:
        skills = None
        if parts.skill_learner:
            init_key, key = jax.random.split(key)
            skills = parts.skill_learner.freeze(parts.skill_learner.init(init_key))
        return parts.make_learner(skills).init(key), skills

    return jax.eval_shape(jax.vmap(init), seed_keys(experiment).init)
