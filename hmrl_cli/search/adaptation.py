"""Adaptation to one task by a search for its reward among skills, and exploitation of what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.environment.frames import episodes_of, frames_of
from hmrl_cli.environment.rollout import Held, RepeatedAction, decide, keys_of, unroll_sensing
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import replay
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.search import belief as beliefs
from hmrl_cli.search import relabel, turning_back
from hmrl_cli.search.belief import Belief
from hmrl_cli.search.relabel import DecisionBuffer
from hmrl_cli.search.turning_back import Watch
from hmrl_cli.types import Adaptation, Continuous, EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Task


class Plan(NamedTuple):
    """What the search knows of a task."""

    belief: Belief
    target: Array  # [size]  weighted mean of the skills with the highest rewards
    target_std: Array  # [size]
    best: Array  # [size]  the skill to repeat
    found: Array  # [] bool  whether a reward stood out in any batch so far
    start: Array  # [size]  place where episodes start


class Known(NamedTuple):
    """Knowledge from the episodes so far."""

    plan: Plan
    buffer: DecisionBuffer
    least_gain: Array  # []  gain of a decision's reward that counts as a find


class Given(NamedTuple):
    """The `Held.given` of an episode of a search."""

    key: Key  # of the policy that it may follow
    watch: Watch  # changes in the episode


Behaviour = Callable[["Key"], Callable[["Key", "Array"], tuple["Array", "Array"]]]
Act = Callable[[Watch, "Array", "Array"], tuple["Array", "Array", Watch]]
Prior = Callable[["Array"], Belief]


class Search(NamedTuple):
    """A search for the reward of one task, as functions of the experience in its episodes."""

    family: TaskFamily  # lifted, with the feature "skill"; its actions are skills
    budget: Evaluation
    follows: bool  # whether searching episodes follow a policy, except for the share `budget.fallback`

    def begin(self, prior: Prior, obs: Array, least_gain: Array | float | None = None) -> Known:
        """The state before any episode, given the first observation [obs_size]; see `adapt`."""
        size, settings = self.family.action.size, self.budget
        if least_gain is None:
            least_gain = 0.0 if settings.least_gain is None else settings.least_gain / self.family.horizon
        start = self.family.features["skill"](obs)
        zeros, nothing = jnp.zeros(size), jnp.zeros((), bool)
        plan = Plan(prior(start), zeros, jnp.ones(size), best=zeros, found=nothing, start=start)
        buffer = relabel.empty_buffer(settings.adapt_steps + 1, settings.episodes, self.family.horizon, size)
        return Known(plan, buffer, jnp.float32(least_gain))

    def choose(self, key: Key, known: Known, count: Array) -> Held:
        """The episodes [N] of batch number `count` []; what they hold is a `Given`."""
        episodes, is_last = self.budget.episodes, count >= self.budget.adapt_steps
        repeat_key, episode_key = jax.random.split(jax.random.fold_in(key, count))
        exploits = _is_exploiting(known.plan, is_last, self.budget)
        share = jnp.where(is_last, 0.0, self.budget.fallback) if self.follows else jnp.float32(1)
        draw_key, share_key, place_key = jax.random.split(repeat_key, 3)
        actions = _actions_to_repeat(
            draw_key, place_key, known.plan, exploits, is_last, self.budget, bound_of(self.family)
        )
        repeats = (exploits > 0) | jax.random.bernoulli(share_key, share, (episodes,))
        start = jnp.where(repeats, 0, self.family.horizon)
        if (stops := self.budget.relabel.stops) == 1:
            repeated = RepeatedAction(start, actions[:, 0])
        else:
            repeated = RepeatedAction(start, actions, jnp.full(episodes, self.family.horizon // stops))
        keys = jax.random.split(episode_key, episodes)
        policy_keys, keys = jax.vmap(lambda key: tuple(jax.random.split(key)))(keys)
        # a later search looks for other rewards than the one found
        least_gain = jnp.where(known.plan.found, jnp.inf, known.least_gain)
        watch = turning_back.begin(least_gain, self.family.action.size)
        watches = jax.tree.map(lambda x: jnp.broadcast_to(x, (episodes, *x.shape)), watch)
        return Held(keys, Given(policy_keys, watches), repeated)

    def act_of(self, behaviour: Behaviour | None, key: Key, held: Held) -> Act:
        """The policy of an episode: watch, step t [], obs -> action, log pi, the next watch."""
        repeated, bound = held.repeated, bound_of(self.family)
        assert repeated is not None
        policy = behaviour(held.given.key) if behaviour is not None else self._nothing

        def act(watch: Watch, t: Array, obs: Array) -> tuple[Array, Array, Watch]:
            action, log_prob = decide(key, policy, t, obs, repeated)
            place = self.family.features["skill"](obs)
            watch = turning_back.notice(watch, place, t, turning_back.moving_on(repeated, t))
            back = jnp.clip(turning_back.place_of(watch), -bound, bound)
            return jnp.where(turning_back.has_turned(watch), back, action), log_prob, watch

        return act

    def act(self, behaviour: Behaviour | None, held: Held, t: Array, obs: Array) -> tuple[Array, Array, Held]:
        """The action of step t [] for an observation, its log pi, and the episode so far."""
        action, log_prob, watch = self.act_of(behaviour, keys_of(held.key)[1], held)(held.given.watch, t, obs)
        return action, log_prob, _watching(held, watch)

    def sense(self, held: Held, reward: Array, done: Array) -> Held:
        """The episode after a decision with this reward [], which may have ended it early [] bool."""
        return _watching(held, turning_back.sense(held.given.watch, reward, done))

    def _nothing(self, key: Key, obs: Array) -> tuple[Array, Array]:
        """The policy of an episode that repeats places from its start."""
        return jnp.zeros(self.family.action.size), jnp.float32(0)

    def absorb(self, known: Known, count: Array, held: Held, steps: Transition) -> Known:
        """The state after the steps [N, T] of batch number `count` []."""
        plan, buffer, least_gain = known
        # a decision that ends early has less action cost; it must not count as a find
        complete = steps.valid * steps.discount
        searched = 1.0 - _is_exploiting(plan, count >= self.budget.adapt_steps, self.budget)
        place = self.family.features["skill"](steps.next_obs)
        assert held.repeated is not None
        aimed = ((held.repeated.start == 0) & ~turning_back.has_turned(held.given.watch)).astype(jnp.float32)
        aims = held.repeated.action if held.repeated.steps is not None else held.repeated.action[:, None]
        belief = beliefs.after_search(plan.belief, aims, aimed, place, complete)
        # an episode of several places is no trial of one of them
        tried = aimed if held.repeated.steps is None else aimed * (1.0 - searched)
        # nor do rewards tell of what is usual, once it has turned back
        is_before = jnp.arange(self.family.horizon) < held.given.watch.turned[:, None]
        searching = searched[:, None] * is_before
        new = DecisionBuffer(place, steps.reward, complete, searching, aims[:, -1], tried)
        buffer = replay.put_batch(buffer, new, count)
        plan = _updated(plan, belief, buffer, least_gain, self.budget, bound_of(self.family))
        return Known(plan, buffer, least_gain)

    def counted(self, plan: Plan, count: Array) -> Array:
        """1 for the episodes [N] of a batch that a result counts, else 0."""
        is_last = count >= self.budget.adapt_steps
        counted = jnp.where(plan.found, _repeats_best(self.budget.episodes, is_last), 1.0)
        return jnp.broadcast_to(counted, (self.budget.episodes,))


def adapt(
    key: Key,
    family: TaskFamily,
    task: Task,
    budget: Evaluation,
    prior: Prior,
    behaviour: Behaviour | None = None,
    least_gain: Array | float | None = None,
) -> tuple[Plan, DecisionBuffer, Adaptation]:
    """Search in batches of episodes; after a find, a share of each batch exploits it.

    An episode repeats one skill, or follows `behaviour`.  The first exploiting episode of a batch repeats the
    best guess.  The others repeat draws around it.  After a find, all episodes of the last batch repeat the
    best guess.  Searching episodes repeat the skill of a place that the belief chooses, or of several places
    one after another.  One that meets the first reward turns back to it (`turning_back`).

    Args:
        key: key of this task.
        family: a lifted family with the feature "skill"; its actions are skills.
        task: [task_size], the task to adapt to.
        budget: number of batches and episodes, and settings.
        prior: place where episodes start -> distribution of the reward's place before any episode.
        behaviour: key -> policy of a searching episode.  Then only the share `budget.fallback` of searching
            episodes repeats a place, and in the last batch none does.  None: all repeat a place.
        least_gain: gain of a decision's reward that counts as a find; None: the budget's, per decision.

    Returns:
        the last plan, all decisions, and means over episodes of each batch, leaves [adapt_steps + 1].  Once a
        reward was found, a mean counts only episodes that repeat the best guess.
    """
    search = Search(family, budget, follows=behaviour is not None)

    def episode(held: Held) -> tuple[Held, Transition, EnvState]:
        reset_key, policy_key = keys_of(held.key)
        act, watch = search.act_of(behaviour, policy_key, held), held.given.watch
        watch, steps, final = unroll_sensing(reset_key, act, turning_back.sense, watch, family, task)
        return _watching(held, watch), steps, final

    def one_batch(known: Known, count: Array) -> tuple[Known, Adaptation]:
        held = search.choose(key, known, count)
        held, steps, final = jax.vmap(episode)(held)
        counted = search.counted(known.plan, count)
        record = (steps.reward.sum(axis=1), jnp.float32(final.success), jnp.float32(final.reached))
        returned, success, reached = (masked_mean(x, counted) for x in record)
        episodes = episodes_of(frames_of(final), counted, record[2])
        means = Adaptation(returned, success, reached, episodes)
        return search.absorb(known, count, held, steps), means

    obs = family.reset(jax.random.fold_in(key, budget.adapt_steps + 1), task).obs
    first = search.begin(prior, obs, least_gain)
    known, records = jax.lax.scan(one_batch, first, jnp.arange(budget.adapt_steps + 1))
    return known.plan, known.buffer, records


def bound_of(family: TaskFamily) -> Array:
    """Half the sides [size] of the box of a lifted family's skills."""
    assert isinstance(family.action, Continuous), "skills must be places"
    return jnp.asarray(family.action.bound)


def _watching(held: Held, watch: Watch) -> Held:
    """The episode with a new watch."""
    return held._replace(given=held.given._replace(watch=watch))


def _is_exploiting(plan: Plan, is_last: Array, budget: Evaluation) -> Array:
    """1 for the episodes [N] of a batch that exploit a find, at least one; 0 for searching episodes."""
    share = jnp.maximum(1.0, jnp.round(budget.relabel.exploit * budget.episodes))
    in_share = jnp.arange(budget.episodes) < share
    return (plan.found & (in_share | is_last)).astype(jnp.float32)


def _repeats_best(episodes: int, is_last: Array) -> Array:
    """1 for the episodes [N] of a batch that repeat the best guess once a reward was found."""
    return ((jnp.arange(episodes) == 0) | is_last).astype(jnp.float32)


def _actions_to_repeat(
    draw_key: Key,
    place_key: Key,
    plan: Plan,
    exploits: Array,
    is_last: Array,
    budget: Evaluation,
    bound: Array,
) -> Array:
    """Skills [N, S, size] for the episodes of a batch: near the best guess, or places to search."""
    draws = jax.random.normal(draw_key, (budget.episodes, len(plan.target)))
    draws *= 1.0 - _repeats_best(budget.episodes, is_last)[:, None]
    near_best = plan.best + plan.target_std * draws
    places = beliefs.next_places(place_key, plan.belief, plan.start, budget.episodes, budget.relabel)
    return jnp.clip(jnp.where(exploits[:, None, None] > 0, near_best[:, None], places), -bound, bound)


def _updated(
    plan: Plan,
    belief: Belief,
    buffer: DecisionBuffer,
    least_gain: Array | float,
    budget: Evaluation,
    bound: Array | float,
) -> Plan:
    """The plan after a batch of new decisions, given the belief after it.

    `found` never becomes false again.  If most searches succeed, no reward stands out any more.
    """
    center, std = relabel.target(buffer, budget.selectivity, budget.relabel.imprecision)
    best = relabel.best_guess(buffer, center, budget.relabel.imprecision, bound)
    found = plan.found | (relabel.reward_gain(buffer) > least_gain)
    return Plan(belief, center, std, best, found, plan.start)
