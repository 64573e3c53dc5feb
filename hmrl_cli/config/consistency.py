"""Checks of settings that are valid one by one, but may not fit together.

Every check raises a `ConfigError` that names the setting, what was found and what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmrl_cli.config import layers, plugins
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.schema import BY_RULE, SCHEDULE, Strict

# settings that a learner that searches reads even without an update
ALWAYS_SEARCHED = ("evaluation.rule", "evaluation.relabel")
LEARNED = tuple(f"evaluation.relabel.{name}" for name in ("broad", "turned", "width"))  # of a learned prior
GIVEN = ("--", "argument ", "[")  # origins begin so: flags, arguments in Python, tables of a suite
PRESET = "preset "  # and so that of a preset
# settings of the choice of places for episodes that hold one skill
HELD = tuple(f"evaluation.relabel.{name}" for name in ("sight", "noise", "stops"))


def check_command(command: str, preset: str, experiment: Experiment) -> None:
    """Check that the command is the one that trains the algorithm."""
    name = experiment.algorithm.name
    right = experiment.algorithm.command
    if right != command:
        raise ConfigError(
            f"algorithm.name: found {name!r}, which {command} does not train\n"
            f"to train it: hmrl {right} {preset}"
        )


def check_bonus(experiment: Experiment) -> None:
    """Check that the algorithm takes a bonus, if there is one."""
    if experiment.bonus is None or experiment.algorithm.takes_bonus:
        return
    algorithms = plugins.working("algorithms")[0]
    takers = ", ".join(name for name, module in algorithms.items() if module.Config.takes_bonus)
    raise ConfigError(
        f"bonus.name: found {experiment.bonus.name!r}, but {experiment.algorithm.name} takes no bonus; "
        f"must go with one of: {takers}"
    )


def check_evaluation(experiment: Experiment) -> None:
    """Check the way to adapt.  Updates that change nothing would give a curve that looks like a result."""
    found, algorithm = experiment.evaluation, experiment.algorithm
    if algorithm.searches and found.rule != "relabel":
        raise ConfigError(f"evaluation.rule: found {found.rule!r}; must be 'relabel' with {algorithm.name}")
    if found.rule == "relabel" and not experiment.acts_through_skills:
        raise ConfigError(
            "evaluation.rule: found 'relabel'; must be 'gradient' or 'refit' without skills to act through"
        )
    if (
        algorithm.inner_loop
        and not algorithm.has_latent
        and found.rule == "refit"
        and not found.imitation_steps
    ):
        raise ConfigError(
            f"evaluation.imitation_steps: found 0; must be more with {algorithm.name}, "
            "which has no latent for a refit to move, or evaluation.rule gradient"
        )
    learns = algorithm.inner_loop or (algorithm.goes_on and found.tune_after is not None)
    if learns and found.deterministic:
        raise ConfigError(
            f"evaluation.deterministic: found true, but the updates of {algorithm.name} are made of sampled "
            "actions; must be false"
        )
    if algorithm.goes_on and found.tune_after is not None:
        steps = found.episodes * experiment.family.horizon // experiment.steps_per_decision
        if steps % algorithm.ppo.minibatches:
            raise ConfigError(
                f"evaluation.episodes: found {found.episodes}, {steps} steps of an update; "
                f"the steps must be a multiple of algorithm.ppo.minibatches, {algorithm.ppo.minibatches}"
            )
    moves_latent = found.rule == "gradient" and getattr(algorithm, "adapts", None) == "latent"
    if moves_latent and found.episodes == 1 and found.adapt_steps and found.tune_after != 0:
        raise ConfigError(
            "evaluation.episodes: found 1; must be 2 or more, for the latent moves by how episodes compare"
        )


def check_unused(
    experiment: Experiment, origins: Mapping[str, str], why: Mapping[str, str]
) -> tuple[str, ...]:
    """Refuse settings of the command line that nothing reads; note those of a user's file.

    A built-in preset may hold settings that another part of the command makes idle, and a run's
    configuration holds all settings.  So values of built-in presets pass, and so do default values.

    Args:
        experiment: a valid one.
        origins: dotted path -> where the value comes from, as messages name it.
        why: settings, or tables of them, that do nothing -> the reason; see `unused`.

    Returns:
        the notes.

    Raises:
        ConfigError: names the setting and why it does nothing.
    """
    notes = []
    for path, value in layers.leaves(experiment.model_dump(mode="json", exclude_none=True)):
        reason = reason_of(path, why)
        if reason is None or value == _default(experiment, path):
            continue
        origin = origins.get(path, "default")
        found = f"{path}: found {shown(value)}, but {reason}"
        if origin.startswith(GIVEN):
            raise ConfigError(f"{found}; must be left out")
        if origin.endswith(".toml"):
            notes.append(f"{found}: it does nothing (from {origin})")
    return tuple(notes)


def carried_over(experiment: Experiment, origins: Mapping[str, str]) -> tuple[str, ...]:
    """A note on settings that a preset has for its own family, if the command line names another one.

    Args:
        experiment: a valid one.
        origins: dotted path -> where the value comes from, as messages name it.
    """
    if not origins.get("family.name", "").startswith(GIVEN):
        return ()
    of_family = layers.leaves({"family": experiment.family.model_dump(mode="json", exclude_none=True)})
    carried = [
        f"{path} = {shown(value)}"
        for path, value in of_family
        if origins.get(path, "").startswith(PRESET) and value != _default(experiment, path)
    ]
    return (f"from the preset, which is of another family: {', '.join(carried)}",) if carried else ()


def unused(experiment: Experiment) -> dict[str, str]:
    """Settings, or tables of them, that have no effect given the others: dotted path -> reason."""
    found: dict[str, str] = {}
    for section in type(experiment).model_fields:
        found |= _declared(section, getattr(experiment, section))
    evaluation, algorithm = experiment.evaluation, experiment.algorithm
    if algorithm.command == "pretrain-skills":
        of_skills = ("deterministic", "diagnosis")
        idle = (f"evaluation.{name}" for name in type(evaluation).model_fields if name not in of_skills)
        return found | dict.fromkeys(idle, "skills do not adapt")
    found["evaluation.diagnosis"] = f"{algorithm.name} learns no skills"
    if algorithm.searches:
        # the first batch searches before any update
        found = {name: why for name, why in found.items() if name not in ALWAYS_SEARCHED}
        for name in ("fallback", "latent_std", "deterministic"):
            found[f"evaluation.{name}"] = f"{algorithm.name} has no policy"
    elif not algorithm.inner_loop:
        rules = dict.fromkeys((*BY_RULE, "latent_std", "tuning"), f"{algorithm.name} has no inner loop")
        found |= {f"evaluation.{name}": reason for name, reason in rules.items()}
        if not algorithm.goes_on:
            found["evaluation.tune_after"] = f"{algorithm.name} has no inner loop"
    elif not algorithm.has_latent:
        found["evaluation.latent_std"] = f"{algorithm.name} has no latent"
    if algorithm.inner_loop:
        if evaluation.rule == "relabel":
            found |= dict.fromkeys(LEARNED, f"{algorithm.name} has no learned prior")
            if not evaluation.fallback:
                found |= dict.fromkeys(HELD, "there is no evaluation.fallback")
        for name in SCHEDULE:
            if algorithm.inner_steps < 2 and getattr(evaluation, name) is not None:
                found[f"algorithm.{name}"] = f"training has one step, and evaluation.{name} is set"
        decay = algorithm.step_decay if evaluation.step_decay is None else evaluation.step_decay
        if decay == 1:
            found |= dict.fromkeys(("evaluation.step_hold", "evaluation.step_floor"), "its step_decay is 1")
    if experiment.hierarchy is not None and experiment.hierarchy.use == "start":
        found["algorithm.ppo.init_std"] = "the policy starts as a skill"
    return found


def reason_of(path: str, why: Mapping[str, str]) -> str | None:
    """The reason in `unused` why the setting at a path has no effect; None if it may have one."""
    return next((why[name] for name in why if path == name or path.startswith(f"{name}.")), None)


def _declared(path: str, config: Any) -> dict[str, str]:
    """The unused settings that a section and its tables declare: dotted path -> reason."""
    if not isinstance(config, Strict):
        return {}
    found = {f"{path}.{name}": reason for name, reason in config.unused().items()}
    for name in type(config).model_fields:
        found |= _declared(f"{path}.{name}", getattr(config, name))
    return found


def _default(experiment: Experiment, path: str) -> Any:
    """The default of a setting, as plain values; None if the setting is required."""
    section, name, *rest = path.split(".")
    field = type(getattr(experiment, section)).model_fields[name]
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    for name in rest:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return list(value) if isinstance(value, tuple) else value


def check_together(experiment: Experiment) -> None:
    """Check settings of several sections against each other."""
    last_seed = experiment.training.seeds[-1]
    if last_seed >= 2**31:
        raise ConfigError(f"training.num_seeds: the last seed would be {last_seed}; must be below 2**31")
    if experiment.acts_through_skills and experiment.training.action_repeat != 1:
        raise ConfigError(
            f"training.action_repeat: found {experiment.training.action_repeat}; must be 1 with a "
            "hierarchy, whose steps_per_skill says how long a skill runs"
        )
    _check_horizon(experiment)


def _check_horizon(experiment: Experiment) -> None:
    """Check that a skill, or a repeated action, fits into an episode a whole number of times."""
    field = "hierarchy.steps_per_skill" if experiment.acts_through_skills else "training.action_repeat"
    family, steps = experiment.family, experiment.steps_per_decision
    if family.horizon % steps:
        raise ConfigError(
            f"{field}: found {steps}, which does not divide the horizon of {family.name}, {family.horizon}; "
            f"must be a divisor, such as {' or '.join(map(str, _nearest_divisors(family.horizon, steps)))}"
        )


def _nearest_divisors(number: int, wanted: int) -> list[int]:
    """The divisors of `number` nearest to `wanted`: the next one below and the next one above."""
    divisors = [one for one in range(1, number + 1) if number % one == 0]
    above = [one for one in divisors if one > wanted]
    return [one for one in divisors if one < wanted][-1:] + above[:1]
