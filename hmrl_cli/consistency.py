"""What settings must fit together although each of them is right by itself.

Every check raises a `ConfigError` that names the setting, what was found and what would be right.
"""

from __future__ import annotations

from hmrl_cli import plugins
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.schema import Evaluation, Experiment


def check_command(command: str, preset: str, experiment: Experiment) -> None:
    """The command is the one that trains the algorithm."""
    name = experiment.algorithm.name
    right = plugins.command_of("algorithms", name)
    if right != command:
        raise ConfigError(
            f"algorithm.name: found {name!r}, which {command} does not train\n"
            f"to train it: hmrl {right} {preset}"
        )


def check_bonus(experiment: Experiment) -> None:
    """A bonus goes with an algorithm that takes one."""
    if experiment.bonus is None or plugins.takes_bonus(experiment.algorithm.name):
        return
    takers = ", ".join(name for name in plugins.names("algorithms") if plugins.takes_bonus(name))
    raise ConfigError(
        f"bonus.name: found {experiment.bonus.name!r}, but {experiment.algorithm.name} takes no bonus; "
        f"must go with one of: {takers}"
    )


def check_evaluation(experiment: Experiment) -> None:
    """Settings of the updates need an algorithm that makes some, and must not contradict each other."""
    found, plain = experiment.evaluation, Evaluation()
    if not getattr(experiment.algorithm, "inner_loop", False):
        for field in ("rule", "imitation_steps", "fallback", "late_fallback", "latent_std", "tune_after"):
            if getattr(found, field) != getattr(plain, field):
                raise ConfigError(
                    f"evaluation.{field}: found {shown(getattr(found, field))}, but "
                    f"{experiment.algorithm.name} has no inner loop; must be {shown(getattr(plain, field))}"
                )
    elif found.deterministic:
        raise ConfigError(
            f"evaluation.deterministic: found true, but the updates of {experiment.algorithm.name} "
            "are made of sampled actions; must be false"
        )
    _check_what_moves(experiment)
    if found.imitation_steps and found.rule != "refit":
        raise ConfigError(
            f"evaluation.imitation_steps: found {found.imitation_steps}; "
            "must be 0 unless evaluation.rule is refit"
        )
    if found.late_fallback and not found.fallback:
        raise ConfigError(
            f"evaluation.late_fallback: found {found.late_fallback}; must be 0 without evaluation.fallback"
        )
    for field in ("rule", "fallback"):
        if found.tune_after == 0 and getattr(found, field) != getattr(plain, field):
            raise ConfigError(
                f"evaluation.{field}: found {shown(getattr(found, field))}, but no update goes by the rule; "
                f"must be {shown(getattr(plain, field))} where evaluation.tune_after is 0"
            )


def _check_what_moves(experiment: Experiment) -> None:
    """An evaluation whose updates could move nothing would be a flat line that looks like a result."""
    found, algorithm = experiment.evaluation, experiment.algorithm
    if "latent_size" not in type(algorithm).model_fields:
        if found.latent_std != 1.0:
            raise ConfigError(
                f"evaluation.latent_std: found {found.latent_std}; "
                f"must be 1 with {algorithm.name}, which has no latent"
            )
        if found.rule == "refit" and not found.imitation_steps:
            raise ConfigError(
                f"evaluation.imitation_steps: found 0; must be more with {algorithm.name}, "
                "which has no latent for a refit to move, or evaluation.rule gradient"
            )
    moves_latent = found.rule == "gradient" and getattr(algorithm, "adapts", None) == "latent"
    if moves_latent and found.episodes == 1 and found.adapt_steps and found.tune_after != 0:
        raise ConfigError(
            "evaluation.episodes: found 1; must be 2 or more, for the latent moves by how episodes compare"
        )


def check_together(experiment: Experiment) -> None:
    """What no single section can tell."""
    last_seed = experiment.training.seed + experiment.training.num_seeds - 1
    if last_seed >= 2**31:
        raise ConfigError(f"training.num_seeds: the last seed would be {last_seed}; must be below 2**31")
    if experiment.hierarchy is not None:
        if experiment.training.action_repeat != 1:
            raise ConfigError(
                f"training.action_repeat: found {experiment.training.action_repeat}; must be 1 with a "
                "hierarchy, whose steps_per_skill says how long a skill runs"
            )
        if not experiment.hierarchy.skills:
            raise ConfigError("hierarchy.skills: this preset acts through skills; add --skills RUN_DIR")
    _check_horizon(experiment)


def _check_horizon(experiment: Experiment) -> None:
    """A skill, or an action that is held, must fit into an episode a whole number of times."""
    if experiment.hierarchy is not None and experiment.hierarchy.use == "act":
        field, steps = "hierarchy.steps_per_skill", experiment.hierarchy.steps_per_skill
    else:
        field, steps = "training.action_repeat", experiment.training.action_repeat
    family = experiment.family
    if family.horizon % steps:
        raise ConfigError(
            f"{field}: a decision every {steps} steps does not divide the horizon of "
            f"{family.name}, {family.horizon}"
        )
