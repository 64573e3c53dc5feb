"""Exports of a run: its frozen skills, or its policy before any adaptation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.errors import InputError
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner.assembly import Parts, assemble, seed_keys, state_shapes
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import exports, files, pretrained, reader
from hmrl_cli.types import SkillLibrary

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Array, Key, Params, State


def export(run: reader.Info, out: Path, progress: Progress) -> dict[str, Any]:
    """Write the frozen skills of a skill run, or the policy of a meta-run before any adaptation.

    Args:
        run: the run.
        out: the file of the arrays, NAME.safetensors; the card becomes NAME.json beside it.
        progress: shows the phases and notes.

    Returns:
        the card, as a JSON document.

    Raises:
        ConfigError: `out` has another suffix, lies in a run, or exists and is no export.
        InputError: the run or its checkpoint cannot be used; a complete run needs its last checkpoint.
        StorageError: the files cannot be written.
    """
    exports.check_output(out, run.experiment)
    progress.phase("loading")
    trained = open_trained(run, "sparse", progress, only=run.last_epoch)
    frozen = jax.jit(_freezing(trained.experiment, trained.parts))(trained.state, trained.skills)
    kind: exports.Kind = "skills" if trained.parts.learns_skills else "policy"
    data, card = exports.encode(frozen, kind, run.experiment, trained.skills_from, trained.epoch)
    files.write_bytes(out, data)
    files.write_json(exports.card_path(out), card)
    return card


def load_skills(path: Path, seed: int = 0) -> SkillLibrary:
    """The exported skills of one seed.

    Args:
        path: the file of the arrays, NAME.safetensors; or a name that comes with the package.
        seed: the row of the seed in the export; 0 is the first.

    Raises:
        InputError: the export cannot be used, or has no such seed.
    """
    path = pretrained.path_of(path)
    card = exports.read_card(path, "skills")
    params = row(path, card.experiment, read(path, card), seed)
    return assemble(card.experiment).learner.skills(params)


def load_policy(path: Path, seed: int = 0) -> Callable[[Key], Callable[[Key, Array], Array]]:
    """The exported policy of one seed, before any adaptation.

    Args:
        path: the file of the arrays, NAME.safetensors; or a name that comes with the package.
        seed: the row of the seed in the export; 0 is the first.

    Returns:
        a function from the key of an episode to a function (key, obs [obs_size]) -> decision.  The decision
        is an action, or a skill where the policy acts through skills.

    Raises:
        InputError: the export cannot be used, or has no such seed.
    """
    path = pretrained.path_of(path)
    card = exports.read_card(path, "policy")
    found = row(path, card.experiment, read(path, card), seed)
    learner = assemble(card.experiment, card.skills_from).make_learner(found["skills"])

    def episode(key: Key) -> Callable[[Key, Array], Array]:
        behave = learner.behaviour(key, found["policy"])
        return lambda key, obs: behave(key, obs)[0]

    return episode


def read(path: Path, card: exports.Card) -> Any:
    """The parameters of an export that acting needs, as a tree, leaves [S, ...].

    Args:
        path: the file of the arrays.
        card: the card of the export.

    Raises:
        InputError: the arrays are damaged, or not those of the card.
    """
    parts = assemble(card.experiment, card.skills_from)
    freeze = _freezing(card.experiment, parts, adapts=card.adapts or card.whole)
    if card.whole:
        return jax.jit(freeze)(*read_whole(path, card, parts))
    template = jax.eval_shape(freeze, *state_shapes(card.experiment, parts))
    return jax.tree.map(jnp.asarray, exports.read(path, card, template))


def read_whole(path: Path, card: exports.Card, parts: Parts) -> Any:
    """The tree (state, skills) of an export that is a whole checkpoint, leaves [S, ...].

    Args:
        path: the file of the arrays.
        card: the card of the export.
        parts: those of the experiment on the card.

    Raises:
        InputError: the arrays are damaged, or not those of the card.
    """
    return jax.tree.map(jnp.asarray, exports.read(path, card, state_shapes(card.experiment, parts)))


def row(path: Path, experiment: Experiment, tree: Any, seed: int) -> Any:
    """One seed's row of a tree with leaves [S, ...]; an InputError where there is no such seed."""
    number = experiment.training.num_seeds
    if not 0 <= seed < number:
        raise InputError(f"{path}: found seed {seed}; must be from 0 to {number - 1}")
    return jax.tree.map(lambda x: x[seed], tree)


def _freezing(experiment: Experiment, parts: Parts, adapts: bool = True) -> Callable[[State, Params], Any]:
    """A function of (state, skills), leaves [S, ...], that returns the tree of an export, leaves [S, ...].

    With `adapts`, a policy comes with what its adaptation to outside episodes needs, if it has one.
    """
    if parts.learns_skills:
        return lambda state, skills: parts.learner.freeze(state)

    def one_seed(key: Key, state: State, skills: Params) -> Any:
        task = parts.family.sample(key, "train")  # unused, because no update is made
        learner, unadapted = parts.make_learner(skills), Evaluation(adapt_steps=0, episodes=1)
        adapted, _ = learner.adapt(key, state, task, unadapted)
        tree = {"policy": adapted, "skills": skills}
        if adapts and learner.keep is not None:
            tree["adapts"] = learner.keep(state)
        return tree

    keys = seed_keys(experiment).evaluate
    return lambda state, skills: jax.vmap(one_seed)(keys, state, skills)
