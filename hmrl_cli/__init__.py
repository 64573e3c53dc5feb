"""Exploration via hierarchical meta reinforcement learning.

The command line's main steps as functions: a configuration in, a run directory or a result out.  Errors
are `hmrl_cli.errors.HmrlError`s with the text that the command line prints.  Its notes become warnings.
The settings of jax in `hmrl_cli.lazy.PINNED`, which affect results, are set for the whole process.  So are
the number of CPU devices, a flag of XLA, jax's cache of programs and log levels, by `runner.startup.prepare`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.errors import ConfigError, MissingDependency, did_you_mean, shown, telling_limits
from hmrl_cli.version import __version__

if TYPE_CHECKING:
    from hmrl_cli.config import Resolved, Written
    from hmrl_cli.runner.online import Adapter
    from hmrl_cli.storage.upstream import Sources
    from hmrl_cli.types import Array, Key, SkillLibrary
    from hmrl_cli.views import brax, gym

__all__ = [
    "__version__",
    "adapt",
    "brax_env",
    "compare",
    "evaluate",
    "export",
    "gym_env",
    "gym_vector_env",
    "load_policy",
    "load_skills",
    "meta_train",
    "pretrain_skills",
    "resume",
]


def pretrain_skills(
    preset: Path | str, *sets: str, run_dir: Path | str | None = None, resume: bool = False
) -> Path:
    """Learn skills without reward, as `hmrl pretrain-skills` does.

    Args:
        preset: name of a preset, or path of a TOML file.
        sets: lines of TOML, such as "training.seed = 3".
        run_dir: the run directory; None chooses a new one under runs/.
        resume: continue the run if it exists.

    Returns:
        the run directory.
    """
    return _train("pretrain-skills", str(preset), sets, {}, run_dir, resume)


def meta_train(
    preset: Path | str,
    *sets: str,
    skills: Path | str | None = None,
    run_dir: Path | str | None = None,
    resume: bool = False,
) -> Path:
    """Meta-train a learner of tasks, as `hmrl meta-train` does.

    Args:
        preset, sets, run_dir, resume: see `pretrain_skills`.
        skills: the skill run to act through, its directory or its export; None acts directly.

    Returns:
        the run directory.
    """
    flags = {} if skills is None else {"hierarchy.skills": str(skills)}
    return _train("meta-train", str(preset), sets, flags, run_dir, resume)


def resume(run_dir: Path | str, *, more_epochs: int | None = None, new_dir: Path | str | None = None) -> Path:
    """Continue a run with its recorded settings, as `hmrl resume` does.

    Args:
        run_dir: the run.  A complete one stays as it is.
        more_epochs: number of further epochs for a complete run, trained as a new run.
        new_dir: the directory of the new run; None chooses one under runs/.

    Returns:
        the run directory, or that of the new run.
    """
    from hmrl_cli.storage import upstream

    path = Path(run_dir)
    if more_epochs is None:
        if new_dir is not None:
            raise ConfigError("new_dir: found without more_epochs; must go with more_epochs")
        resolved, sources, written = upstream.of_run(path)
        return _run(resolved, sources, path, True, written)
    if type(more_epochs) is not int or more_epochs < 1:
        raise ConfigError(f"more_epochs: found {shown(more_epochs)}; must be 1 or more")
    return _run(*upstream.longer(path, more_epochs), None if new_dir is None else Path(new_dir), False)


def evaluate(run_dir: Path | str, **settings: Any) -> dict[str, Any]:
    """Adapt to held-out tasks, as `hmrl eval` does; settings are the arguments of `runner.evaluate`."""
    from hmrl_cli.runner import evaluate, startup, unpack
    from hmrl_cli.runner.progress import Warns

    _check_names(settings, evaluate.evaluate, evaluates=True)
    startup.start()
    with telling_limits():
        return evaluate.evaluate(unpack.opened(run_dir), progress=Warns(), **settings)


def compare(*run_dirs: Path | str, group: str | None = None, protocol: str | None = None) -> dict[str, Any]:
    """Compare evaluated runs, as `hmrl compare` does; return its JSON document.

    Args:
        run_dirs: the runs; the first is also compared with each of the others.
        group: dotted path of a setting.  Runs that differ only in the seed become one row, named by it.
        protocol: evaluations by this protocol, or of this name; None: that of each run.
    """
    from hmrl_cli.report import comparison
    from hmrl_cli.storage import reader

    runs = [reader.read(Path(run_directory), code=False) for run_directory in run_dirs]
    reader.check_different([run.path for run in runs])
    return comparison.compare(runs, group, protocol)


def adapt(run: Path | str, seed: int = 0, task: int = 0, **settings: Any) -> Adapter:
    """Adapt to episodes from outside the simulator; see `runner.online.open_adapter` for the arguments."""
    from hmrl_cli.runner import online, startup
    from hmrl_cli.runner.progress import Warns

    _check_names(settings, online.open_adapter, evaluates=True)
    startup.start()
    with telling_limits():
        return online.open_adapter(Path(run), seed=seed, task=task, progress=Warns(), **settings)


def export(run_dir: Path | str, out: Path | str) -> dict[str, Any]:
    """Export skills or a policy to `out`, NAME.safetensors, as `hmrl export` does; return the card."""
    from hmrl_cli.runner import export, startup
    from hmrl_cli.runner.progress import Warns
    from hmrl_cli.storage import reader

    startup.start()
    return export.export(reader.read(Path(run_dir)), Path(out), Warns())


def gym_env(family: Any, **settings: Any) -> gym.FamilyEnv:
    """A family as a `gymnasium.Env`; see `views.episodes.open_episodes` for the arguments."""
    view = _gym().FamilyEnv
    _check_names(settings, view)
    return view(family, **settings)


def gym_vector_env(family: Any, num_envs: int, **settings: Any) -> gym.FamilyVectorEnv:
    """A family as a `gymnasium.vector.VectorEnv`; see `views.episodes.open_episodes` for the arguments."""
    view = _gym().FamilyVectorEnv
    _check_names(settings, view)
    return view(family, num_envs, **settings)


def brax_env(family: Any, **settings: Any) -> brax.FamilyEnv:
    """A family as a `brax.envs.Env`; see `views.episodes.open_episodes` for the arguments."""
    from hmrl_cli.runner import startup

    startup.start()
    from hmrl_cli.views import brax

    _check_names(settings, brax.FamilyEnv)
    return brax.FamilyEnv(family, **settings)


def _gym() -> Any:
    from hmrl_cli.runner import startup

    startup.start()
    try:
        from hmrl_cli.views import gym
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "gymnasium":
            raise
        raise MissingDependency("gymnasium is not installed; in a checkout: pip install '.[gym]'") from None
    return gym


def load_skills(path: Path | str, seed: int = 0) -> SkillLibrary:
    """The exported skills of one seed: `library.policy(library.params, obs, skill)`, a distribution."""
    from hmrl_cli.runner import export, startup

    startup.start()
    return export.load_skills(Path(path), seed)


def load_policy(path: Path | str, seed: int = 0) -> Callable[[Key], Callable[[Key, Array], Array]]:
    """The exported policy of one seed: key of an episode -> (key, observation) -> action or skill."""
    from hmrl_cli.runner import export, startup

    startup.start()
    return export.load_policy(Path(path), seed)


def _check_names(settings: Mapping[str, Any], call: Callable[..., Any], evaluates: bool = False) -> None:
    """Refuse names of settings that a call does not take.

    Args:
        settings: the user's settings by name.
        call: the function that takes these settings as keywords.
        evaluates: whether `call` also takes the names of the [evaluation] table.
    """
    from hmrl_cli.config import keys
    from hmrl_cli.schema import Evaluation

    inner = keys.of({"evaluation": Evaluation}) if evaluates else {}
    parameters = inspect.signature(call).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != "progress"]
    known += Evaluation.model_fields if evaluates else ()
    for name in settings:
        if name not in known:
            tables = [path.split(".")[1] for path in inner if path.endswith(f".{name}")]
            hint = f"; did you mean {tables[0]}={{'{name}': ...}}?" if tables else did_you_mean(name, known)
            raise ConfigError(f"{name}: unknown argument{hint}\nmust be one of: {', '.join(known)}")


def _train(
    command: str,
    preset: str,
    sets: tuple[str, ...],
    flags: Mapping[str, Any],
    run_dir: Path | str | None,
    resume: bool,
) -> Path:
    from hmrl_cli.storage import upstream

    resolved, sources = upstream.resolve(command, preset, list(sets), flags)
    return _run(resolved, sources, None if run_dir is None else Path(run_dir), resume)


def _run(
    resolved: Resolved, sources: Sources, path: Path | None, resume: bool, written: Written | None = None
) -> Path:
    from hmrl_cli.runner import startup
    from hmrl_cli.runner import train as training
    from hmrl_cli.runner.progress import Warns

    startup.start()
    warns = Warns()
    for note in resolved.notes:
        warns.note(note)
    resolved = training.settled(resolved, path, sources, warns.note)
    training.check(resolved, warns.note, sources)
    with telling_limits():
        done = training.run(resolved, path, resume, warns, sources=sources, written=written)
    return Path(done["run"])
