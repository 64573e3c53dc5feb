"""The state in which a training begins: that of a checkpoint, that of another run, or a new one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import export
from hmrl_cli.runner.assembly import Parts, assemble, seed_keys, state_shapes
from hmrl_cli.schema import Strict
from hmrl_cli.storage import exports, manifest, pretrained, provenance, reader, upstream
from hmrl_cli.storage.metrics import read_metrics

if TYPE_CHECKING:
    from hmrl_cli.storage.writer import RunDir
    from hmrl_cli.types import Key, Params, State

TOLD = 3  # settings that a message names
OF_A_LEARNER = ("family", "algorithm", "bonus", "hierarchy")  # the tables that decide the shapes of a state


def check(
    experiment: Experiment, parts: Parts, shapes: Any, sources: upstream.Sources, note: Callable[[str], None]
) -> None:
    """Refuse an experiment whose training could not begin.  Nothing is compiled.

    Args:
        experiment: what to run.
        parts: its parts.
        shapes: what `state_shapes` returns for them.
        sources: what the run stands on.
        note: is called with what the user should know.

    Raises:
        ConfigError: the parts do not fit.
        InputError: the run cannot start from its parent.
    """
    parent = sources.parent
    if parent is None:
        _check_new(experiment, parts, shapes[1])
    elif isinstance(parent.record, reader.Info):
        _check_parent(experiment, shapes[0], parent, note)
        if experiment.training.continues:
            _check_continues(parent, parent.record, sources.skills)


def restored_or_begun(run: RunDir, resume: bool, parts: Parts) -> tuple[int, State, Params]:
    """Number of finished epochs, state and skills: of the newest intact checkpoint, or of a new run."""
    experiment, parent = run.experiment, run.sources.parent
    found = run.load(state_shapes(experiment, parts)) if resume else None
    if found:
        return found.epoch, *jax.tree.map(jnp.asarray, found.tree)
    if parent is not None:
        state, their_skills = _state_of(parent, experiment.training.num_seeds)
        if experiment.training.continues:
            return parent.epoch, state, their_skills
        return 0, state, load_skills(experiment, run.sources.skills, parts)
    skills = load_skills(experiment, run.sources.skills, parts)
    state = jax.jit(jax.vmap(lambda key, params: begin(experiment, parts, key, params)))(
        seed_keys(experiment).init, skills
    )
    # without JAX's weak types, which a checkpoint does not keep: with them a resumed run is another program
    return 0, jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state), skills


def begin(experiment: Experiment, parts: Parts, key: Key, skills: Params) -> State:
    """The state of one seed before training, where it starts from no other run."""
    learner = parts.make_learner(skills)
    if parts.skill_learner is None or experiment.hierarchy is None or experiment.acts_through_skills:
        return learner.init(key)
    init_key, start_key = jax.random.split(key)
    state = learner.init(init_key)
    assert parts.skill_learner.fold is not None, "assemble has seen to that"
    fold = functools.partial(parts.skill_learner.fold, skills)
    return learner.start(start_key, state, parts.skill_learner.skills(skills), fold)


def _check_new(experiment: Experiment, parts: Parts, skills: Params) -> None:
    """Raise ConfigError where a new state could not be made; `skills` are shapes, leaves [S, ...]."""
    try:
        jax.eval_shape(
            jax.vmap(lambda key, params: begin(experiment, parts, key, params)),
            seed_keys(experiment).init,
            skills,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def load_skills(experiment: Experiment, source: upstream.Source | None, parts: Parts) -> Params:
    """Frozen skills for every seed, leaves [S, ...].

    With n skill seeds from s on, seed i gets the skills in row (i - s) mod n.  So a seed gets the same skills
    alone and beside other seeds.

    Raises:
        InputError: the skills are damaged, or have changed since they were opened.
    """
    if source is None or parts.skill_learner is None:
        return None
    if isinstance(source.record, exports.Card):
        params = export.read(pretrained.path_of(source.source), source.record)
    else:
        params = parts.skill_learner.freeze(_read(source, "hierarchy.skills")[0])
    ours, theirs = experiment.training, source.experiment.training
    chosen = (ours.seed - theirs.seed + np.arange(ours.num_seeds)) % theirs.num_seeds
    return jax.tree.map(lambda x: jnp.asarray(x)[chosen], params)


def _state_of(parent: upstream.Source, num_seeds: int) -> Any:
    """State and skills in the last checkpoint of a parent, leaves [num_seeds, ...].

    Seed i starts from row i, or from the only row.
    """
    rows = np.arange(num_seeds) % parent.experiment.training.num_seeds
    return jax.tree.map(lambda x: jnp.asarray(x[rows]), _read(parent, "training.init_from"))


def _read(source: upstream.Source, setting: str) -> Any:
    """The tree (state, skills) in the checkpoint of a source, leaves [S, ...]."""
    assert isinstance(source.record, reader.Info), "what is gone was copied into a checkpoint"
    found = reader.read_checkpoint(source.record, _shapes(source), source.epoch)
    if found.arrays_sha256 != source.arrays_sha256:
        raise InputError(f"{setting}: {source.source} has changed since this run began; start another run")
    return found.tree


def _shapes(source: upstream.Source) -> Any:
    """Shapes and dtypes of the tree in a checkpoint of a source, leaves [S, ...]."""
    return state_shapes(source.experiment, assemble(source.experiment, source.skills_from))


def _check_parent(
    experiment: Experiment, state: Any, parent: upstream.Source, note: Callable[[str], None]
) -> None:
    """Refuse a parent of other shapes; `state` are the shapes that are needed, leaves [S, ...]."""
    source, ours, theirs = parent.source, experiment.training, parent.experiment.training
    if theirs.num_seeds not in (1, ours.num_seeds):
        raise InputError(
            f"training.num_seeds: found {ours.num_seeds}, where {source} has {theirs.num_seeds}; "
            f"must be {theirs.num_seeds}, or any number with a parent of one seed"
        )
    different = _different(experiment, parent.experiment)
    needed, found = (_leaves_of_one_seed(tree) for tree in (state, _shapes(parent)[0]))
    problem = manifest.first_difference(needed, found)
    if problem:
        raise InputError(f"training.init_from: {problem}{_because(different, source)}")
    of_start = set(_at_start(experiment))
    for path in different:
        if path in of_start or _adapts(experiment, path):
            note(f"{path} does nothing: the state is that of {source}, and goes on from there")
    names = ("name", *(experiment.family.of_tasks - Strict.of_tasks))
    of_tasks = [path for path in different if path.removeprefix("family.") in names]
    if of_tasks and getattr(state, "tasks", None) is not None:
        note(f"the training tasks are those of {source}, which has another {', '.join(of_tasks)}")


def _at_start(settings: Strict) -> Iterator[str]:
    """Dotted paths of the settings that matter only at the start of a training."""
    yield from settings.at_start
    for table, inner in settings:
        if isinstance(inner, Strict):
            yield from (f"{table}.{path}" for path in _at_start(inner))


def _adapts(experiment: Experiment, path: str) -> bool:
    """Whether a setting is a learning rate that adapts to `target_kl`.  The state contains that rate."""
    table, _, name = path.rpartition(".")
    return name == "learning_rate" and f"{table}.target_kl" in config.flat(experiment)


def _because(different: Mapping[str, tuple[Any, Any]], source: str) -> str:
    """Up to three reasons why a parent does not fit: plugins first, then the hierarchy, then others.

    If a plugin differs, its settings are left out.
    """
    others = {path.removesuffix(".name") for path in different if path.endswith(".name")}
    order = {"hierarchy": 0, "algorithm": 1, "family": 2}
    paths = sorted(
        (path for path in different if path.endswith(".name") or path.partition(".")[0] not in others),
        key=lambda path: (not path.endswith(".name"), order.get(path.partition(".")[0], 3)),
    )
    if not paths:
        return f", in {source}"
    values = {path: [config.value_text(value) for value in different[path]] for path in paths[:TOLD]}
    told = [f"{path} = {theirs}, not {ours}" for path, (ours, theirs) in values.items()]
    more = f", and {len(paths) - TOLD} more" if len(paths) > TOLD else ""
    return f": {source} has {', '.join(told)}{more}"


def _different(ours: Experiment, theirs: Experiment) -> dict[str, tuple[Any, Any]]:
    """The settings that can decide shapes and differ: dotted path -> (ours, theirs)."""
    left, right = config.flat(ours), config.flat(theirs)
    paths = [path for path in {**left, **right} if path.startswith(OF_A_LEARNER)]
    return {path: (left.get(path), right.get(path)) for path in paths if left.get(path) != right.get(path)}


def _leaves_of_one_seed(tree: Any) -> Mapping[str, Any]:
    """Shape and dtype of every leaf, without the axis of the seeds, by path."""
    return manifest.leaves(
        manifest.flatten(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree))
    )


def _check_continues(parent: upstream.Source, record: reader.Info, skills: upstream.Source | None) -> None:
    """Refuse to continue a run over other skills than its own, or a run without its metrics."""
    theirs = record.provenance.get("skills")
    if provenance.identity(theirs) != provenance.identity(provenance.record_of(skills)):
        raise InputError(f"hierarchy.skills: is not what {parent.source} was trained on; must be as there")
    metrics_of(parent)


def metrics_of(parent: upstream.Source) -> list[dict[str, Any]]:
    """The metrics of a parent, a line for every epoch.

    Raises:
        InputError: metrics.jsonl is damaged, or lacks an epoch.
    """
    assert isinstance(parent.record, reader.Info)
    found = read_metrics(parent.record.path)[: parent.epoch]
    if [line["epoch"] for line in found] != list(range(1, parent.epoch + 1)):
        raise InputError(
            f"training.init_from: {parent.source}/metrics.jsonl lacks lines; "
            f"must have one for each of {parent.epoch} epochs"
        )
    return found
