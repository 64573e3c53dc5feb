"""How MAML and MAESN adapt to a new task, in the simulator and to episodes from outside."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hmrl_cli.environment.rollout import Held, online_act
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import replay
from hmrl_cli.meta_gradient import batches, inner_loop
from hmrl_cli.schema import SCHEDULE
from hmrl_cli.search import adaptation, belief
from hmrl_cli.types import Adaptation, AdaptState, Online, Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.meta_gradient.batches import Carry
    from hmrl_cli.meta_gradient.inner_loop import Episodes, Fallback, Latent
    from hmrl_cli.meta_gradient.learner import Meta, MetaGradient, State
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.search.adaptation import Known
    from hmrl_cli.types import Array, Key, Task

    Policy = Callable[[Key, Array], tuple[Array, Array]]


def adapt(
    learner: MetaGradient, key: Key, state: State, task: Task, budget: Evaluation
) -> tuple[AdaptState, Adaptation]:
    """Adapt to a new task; results are [adapt_steps + 1].  The latent starts at its prior N(0, std^2 I).

    With the rule "relabel" neither parameters nor latent adapt.  The policy searches for a reward.  Once
    it has found one, episodes repeat the skills that lead there.
    """
    start = learner.start(state.meta, budget)
    if budget.rule == "relabel":
        belief_key, key = jax.random.split(key)
        first = partial(belief.prior, belief_key, None, learner.family.action, budget.relabel)
        explore = partial(learner.behaviour, state=start)
        return start, adaptation.adapt(key, learner.family, task, budget, first, explore)[2]

    def collect(key: Key, acting: AdaptState, fallback: Fallback | None) -> Episodes:
        return learner.collect(key, acting, task, budget.episodes, fallback)

    inner_update = partial(_tested(learner, budget).inner_update, state.meta)
    return batches.adapt(key, start, collect, inner_update, learner.policy, budget)


def online(learner: MetaGradient, budget: Evaluation) -> Online:
    """The adaptation of `adapt`, for episodes from outside the simulator."""
    return (_searching if budget.rule == "relabel" else _updating)(learner, budget)


def _searching(learner: MetaGradient, budget: Evaluation) -> Online:
    search = adaptation.Search(learner.family, budget, follows=True)

    def begin(key: Key, meta: Meta, obs: Array) -> tuple[Key, tuple[AdaptState, Known]]:
        belief_key, key = jax.random.split(key)
        first = partial(belief.prior, belief_key, None, learner.family.action, budget.relabel)
        return key, (learner.start(meta, budget), search.begin(first, obs))

    def act(plan: tuple[AdaptState, Known], held: Held, t: Array, obs: Array) -> tuple[Array, Array, Held]:
        return search.act(partial(learner.behaviour, state=plan[0]), held, t, obs)

    def absorb(
        key: Key, plan: tuple[AdaptState, Known], count: Array, held: Held, steps: Transition
    ) -> tuple[AdaptState, Known]:
        return plan[0], search.absorb(plan[1], count, held, steps)

    return Online(
        budget.episodes,
        begin,
        lambda key, plan, count: search.choose(key, plan[1], count),
        act,
        absorb,
        search.sense,
    )


def _updating(learner: MetaGradient, budget: Evaluation) -> Online:
    tested = _tested(learner, budget)

    def choose(key: Key, plan: tuple[Meta, Carry], count: Array) -> Held:
        key, fallback = jax.random.fold_in(key, count), batches.fallback_of(count, budget)
        return inner_loop.choose(key, plan[1].state, learner.family, budget.episodes, fallback)

    def experience(held: Held, steps: Transition) -> Episodes:
        return inner_loop.experience(held, steps, learner.config.discount, learner.config.gae_lambda)

    def begin(key: Key, meta: Meta, obs: Array) -> tuple[Key, tuple[Meta, Carry]]:
        start = learner.start(meta, budget)

        def blank() -> Episodes:
            held = choose(key, (meta, batches.Carry(start, None, None)), jnp.int32(0))
            return experience(held, _blank(learner, budget.episodes))

        return key, (meta, batches.begin(start, blank, budget))

    def policy(plan: tuple[Meta, Carry], latent: Latent) -> Policy:
        return inner_loop.sampling_policy(learner.policy, plan[1].state.params, latent.z)

    def absorb(
        key: Key, plan: tuple[Meta, Carry], count: Array, held: Held, steps: Transition
    ) -> tuple[Meta, Carry]:
        meta, now = plan
        inner_update = partial(tested.inner_update, meta)
        episodes, start = experience(held, steps), learner.start(meta, budget)
        return meta, batches.updated(key, now, count, episodes, start, inner_update, learner.policy, budget)

    return Online(budget.episodes, begin, choose, online_act(policy), absorb)


def _tested(learner: MetaGradient, budget: Evaluation) -> MetaGradient:
    """The learner with the evaluation's schedule of step sizes in place of the trained one."""
    given = {name: getattr(budget, name) for name in SCHEDULE if getattr(budget, name) is not None}
    return learner._replace(config=learner.config.model_copy(update=given))


def kept(state: State) -> Meta:
    """The meta-parameters that an adaptation needs: all except the latents of training tasks."""
    return state.meta._replace(latents=None)


def _blank(learner: MetaGradient, episodes: int) -> Transition:
    """Blank steps of `episodes` episodes, of which only the shapes matter."""
    shape = (episodes, learner.family.horizon)
    obs, number = jnp.zeros((*shape, learner.family.obs_size)), jnp.zeros(shape)
    action = jax.tree.map(
        lambda x: jnp.zeros((*shape, *x.shape), x.dtype), replay.blank(learner.family.action)
    )
    return Transition(obs, action, number, number, number, number, obs)
