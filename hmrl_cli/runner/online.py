"""Adaptation to episodes from outside the simulator, such as those of a robot."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.environment.composition import step_key
from hmrl_cli.environment.rollout import keys_of
from hmrl_cli.errors import ConfigError, InputError, shown
from hmrl_cli.evaluation import adaptation
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import KEYS, jax, jnp, np
from hmrl_cli.runner import export
from hmrl_cli.runner.assembly import Parts, assemble, check_located, seed_keys
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import exports, pretrained, reader
from hmrl_cli.types import Continuous, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Array, Key, Online, Params, Reward

LAST = 2**32 - 1  # seed or task


class Source(NamedTuple):
    """The data of one seed in a run or an export."""

    experiment: Experiment
    parts: Parts
    kept: Any  # of the trained state, as `MetaLearner.keep` returns it
    skills: Params


def open_adapter(
    path: Path,
    *,
    seed: int = 0,
    task: int = 0,
    reward: Reward = "sparse",
    protocol: str | None = None,
    sets: Sequence[str] = (),
    progress: Progress,
    **settings: Any,
) -> Adapter:
    """A trained learner that adapts to one task, by episodes that the caller runs.

    Args:
        path: a run of `hmrl meta-train`, its export NAME.safetensors, or what is pretrained, by its name.
        seed: the row of the seed in the run; 0 is the first.
        task: decides the random draws, which are those of the evaluation's task with this number.
        reward: the reward that the learner adapts to.
        protocol: a named way to adapt; None: that of the run.
        sets: lines of TOML, of the [evaluation] table, above the protocol.
        progress: shows the phases and notes.
        settings: values of the [evaluation] table by name, above `sets`.

    Raises:
        ConfigError: a setting is unknown or out of range, or the learner adapts in the simulator only.
        InputError: the run or the export cannot be used.
    """
    for name, value in {"seed": seed, "task": task}.items():
        if not isinstance(value, int | np.integer) or not 0 <= value <= LAST:
            raise ConfigError(f"{name}: found {shown(value)}; must be a whole number from 0 to {LAST}")
    progress.phase("loading")
    path = pretrained.path_of(path)
    source = (_of_export if exports.is_export(path) else _of_run)(path, seed, reward, progress)
    experiment, parts = source.experiment, source.parts
    budget = config.with_evaluation(experiment, sets, settings, protocol).evaluation
    if text := parts.note_on_reward(experiment.family.reward, reward):
        progress.note(text)
    check_located(budget, parts)
    budget = adaptation.calibrated(budget, parts.family)
    key = jax.random.fold_in(seed_keys(experiment).evaluate[seed], task)
    return Adapter(key, source, budget)


def _of_run(path: Path, seed: int, reward: Reward, progress: Progress) -> Source:
    run = reader.read(path)
    if run.experiment.algorithm.command == "pretrain-skills":
        raise ConfigError(f"{path}: is a run of skills, which do not adapt; must be a run of hmrl meta-train")
    trained = open_trained(run, reward, progress)
    state, skills = export.row(path, trained.experiment, (trained.state, trained.skills), seed)
    keep = trained.parts.make_learner(skills).keep
    return Source(trained.experiment, trained.parts, None if keep is None else keep(state), skills)


def _of_export(path: Path, seed: int, reward: Reward, progress: Progress) -> Source:
    card = exports.read_card(path, "policy")
    if not (card.adapts or card.whole):
        raise InputError(f"{path}: holds a policy that cannot adapt; must be exported again, by this version")
    found = export.row(path, card.experiment, export.read(path, card), seed)
    parts = assemble(card.experiment, card.skills_from, reward)
    return Source(card.experiment, parts, found["adapts"], found["skills"])


@dataclasses.dataclass
class Episode:
    """An episode so far."""

    held: Any  # as `Online` has it
    steps: list[Transition] = dataclasses.field(default_factory=list)  # its decisions so far
    # of the current decision
    obs: Any = None  # the observation by which it was made
    decision: Any = None
    log_prob: Any = None
    reward: float = 0.0  # so far
    within: int = 0  # environment steps so far
    action: Any = None  # that awaits its reward


class Adapter:
    """A learner that adapts to one task.  Everything that it draws follows from its key.

    An episode is a row of `act` and `observe`, and `reset` starts the next one.  The learner updates after
    every `episodes_per_update` episodes.  After `num_episodes` it has adapted, and goes on acting.
    """

    def __init__(self, key: Key, source: Source, budget: Evaluation) -> None:
        """Nothing is compiled yet; see `open_adapter`."""
        learner, name = source.parts.make_learner(source.skills), source.experiment.algorithm.name
        if learner.online is None or learner.keep is None:
            raise ConfigError(f"algorithm.name: found {name!r}, which adapts in the simulator only")
        try:
            online = learner.online(budget)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._family: TaskFamily = source.parts.act_on(source.skills)  # whose actions are decisions
        self._space = source.parts.family.action
        self._every = source.parts.steps_per_decision
        self._programs = programs(online, source.parts.act_within(source.skills))
        self._key, self._kept = plain(key), source.kept
        self.episodes_per_update = online.episodes
        self.num_episodes = online.episodes * (budget.adapt_steps + 1)
        self.horizon = source.parts.family.horizon
        self.episodes = 0  # that are over
        self._plan: Any = None  # before the first observation
        self._batch: Any = None  # the episodes of the current batch, leaves [N, ...]
        self._recorded: list[Transition] = []  # the episodes of the batch that are over, leaves [T, ...]
        self._now: Episode | None = None
        self._over = False

    @property
    def updates(self) -> int:
        """The number of updates so far."""
        return min(self.episodes, self.num_episodes - self.episodes_per_update) // self.episodes_per_update

    def reset(self) -> None:
        """Start an episode.  One that is not over was aborted: it is forgotten, and starts anew."""
        self._over, self._now = False, None

    def act(self, obs: Any) -> Any:
        """The action for an observation [obs_size]: numbers in [-1, 1] [action_size], or an integer.

        Raises:
            InputError: the observation has another size or is not finite; the episode is over; or the last
                action was not observed.
        """
        obs = _array("act: obs", obs, (self._family.obs_size,))
        if self._over:
            raise InputError("act: the episode is over; must call reset before the next one")
        now = self._now = self._now or self._started(obs)
        if now.action is not None:
            raise InputError("act: the last action has no reward yet; must call observe first")
        count = np.int32(len(now.steps))
        if now.within == 0:
            now.obs, now.reward = obs, 0.0
            decided = self._programs.decide(self._plan, now.held, count, obs)
            now.decision, now.log_prob, now.held = decided
        now.action = np.asarray(
            self._programs.within(now.held, count, np.int32(now.within), obs, now.decision)
        )
        return _in_range(now.action) if isinstance(self._space, Continuous) else int(now.action)

    def observe(self, obs: Any, action: Any, reward: Any, done: Any) -> None:
        """Take what an action led to.

        An episode also ends at the horizon of the family, whatever `done` says.  Before it, `done` says that
        the environment ended the episode early.

        Args:
            obs: the observation after the action, [obs_size].
            action: the action that was taken.  It may differ from the one that `act` returned.
            reward: of the action.
            done: whether the episode is over.

        Raises:
            InputError: a value has another size or is not finite, or no action awaits its reward.
        """
        now, size = self._now, self._space.size
        if now is None or now.action is None:
            raise InputError("observe: no action awaits its reward; must call act first")
        obs = _array("observe: obs", obs, (self._family.obs_size,))
        action = _array("observe: action", action, (size,) if isinstance(self._space, Continuous) else ())
        now.reward += float(_array("observe: reward", reward, ()))
        own = self._every == 1 and self._space is self._family.action  # no skill or repeat chose it
        if own and not np.array_equal(action, _in_range(now.action)):
            now.decision = action.astype(now.action.dtype)
        now.action, now.within = None, now.within + 1
        last = len(now.steps) == self._family.horizon - 1 and now.within == self._every
        if done or now.within == self._every:
            self._record(now, obs, bool(done) and not last)
        if done or last:
            self._close(now.steps, now.held)

    def _started(self, obs: Any) -> Episode:
        """The episode that starts with this observation."""
        if self._plan is None:
            self._key, self._plan = self._programs.begin(self._key, self._kept, obs)
        count, row = divmod(self.episodes, self.episodes_per_update)
        if self._batch is None:
            self._batch = self._programs.choose(self._key, self._plan, np.int32(count))
        return Episode(self._programs.start(self._batch, np.int32(row)))

    def _record(self, now: Episode, obs: Any, early: bool) -> None:
        """Record a decision that is over; `early`: the episode ended before its horizon."""
        log_prob, reward, discount, valid = map(np.float32, (now.log_prob, now.reward, 1.0 - early, 1.0))
        leaves: Any = (now.obs, np.asarray(now.decision), log_prob, reward, discount, valid, obs)
        now.steps.append(Transition(*leaves))
        now.held = self._programs.sense(now.held, np.float32(now.reward), np.bool_(early))
        now.within = 0

    def _close(self, steps: list[Transition], held: Any) -> None:
        """End the episode, and update after the last one of a batch."""
        self._over, self._now = True, None
        count, row = divmod(self.episodes, self.episodes_per_update)
        nothing: Any = np.float32(0)
        rest = steps[-1]._replace(obs=steps[-1].next_obs, reward=nothing, discount=nothing, valid=nothing)
        self._recorded.append(_stacked(steps + [rest] * (self._family.horizon - len(steps))))
        self._batch = self._programs.end(self._batch, np.int32(row), held)
        self.episodes += 1
        if row + 1 < self.episodes_per_update:
            return
        if self.episodes <= self.num_episodes:
            seen = _stacked(self._recorded)
            self._plan = self._programs.absorb(self._key, self._plan, np.int32(count), self._batch, seen)
        self._batch, self._recorded = None, []


class Programs(NamedTuple):
    """The functions of an `Online`, each of which is compiled once."""

    begin: Callable[..., Any]
    choose: Callable[..., Any]
    start: Callable[..., Any]  # episodes [N], row [] -> an episode
    decide: Callable[..., Any]
    within: Callable[..., Any]  # episode, number of a decision [], step in it [], obs, decision -> action
    sense: Callable[..., Any]
    end: Callable[..., Any]  # episodes [N], row [], an episode -> episodes [N]
    absorb: Callable[..., Any]


def programs(online: Online, act: Callable[[Key, Array, Array], Array]) -> Programs:
    """The programs of an adaptation; `act` gives the action of a decision, as `Parts.act_within` says."""

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(lambda *given: plain(function(*keyed(given))))

    def within(held: Any, count: Array, t: Array, obs: Array, decision: Array) -> Array:
        return act(step_key(keys_of(held.key)[0], count, t), obs, decision)

    return Programs(
        compiled(online.begin),
        compiled(online.choose),
        jax.jit(lambda episodes, row: jax.tree.map(lambda x: x[row], episodes)),
        compiled(online.act),
        compiled(within),
        compiled(online.sense),
        jax.jit(lambda episodes, row, held: jax.tree.map(lambda x, y: x.at[row].set(y), episodes, held)),
        compiled(online.absorb),
    )


class KeyData(NamedTuple):
    """A random key as an array, which several programs may take."""

    data: Array  # uint32


def plain(tree: Any) -> Any:
    """The tree with random keys as arrays."""

    def one(x: Any) -> Any:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return KeyData(jax.random.key_data(x)) if is_key else x

    return jax.tree.map(one, tree)


def keyed(tree: Any) -> Any:
    """The tree that `plain` was given."""

    def one(x: Any) -> Any:
        return jax.random.wrap_key_data(x.data, impl=KEYS) if isinstance(x, KeyData) else x

    return jax.tree.map(one, tree, is_leaf=lambda x: isinstance(x, KeyData))


def _stacked(trees: list[Transition]) -> Transition:
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def _in_range(action: Any) -> Any:
    """An action as families take it: numbers in [-1, 1], or an integer as it is."""
    return np.clip(action, -1.0, 1.0) if action.ndim else action


def _array(what: str, given: Any, shape: tuple[int, ...]) -> Any:
    """A new float32 array of this shape with finite numbers: an environment may write into its own again."""
    try:
        array = np.array(given, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{what}: found {shown(given)}; must be numbers") from None
    if array.shape != shape:
        raise InputError(f"{what}: found shape {array.shape}; must be {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{what}: found {shown(given)}; must be finite")
    return array
