"""The inner loop that MAML and MAESN share: collect episodes of one task, take a policy-gradient step.

An `AdaptState` contains the policy's parameters and the latent distribution.  Step sizes form the same tree.
A part without a step size (None) does not adapt.  MAML adapts the parameters.  MAESN adapts only the latent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hmrl_cli.environment.frames import Frames, frames_of
from hmrl_cli.environment.rollout import Held, RepeatedAction, unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import ROUNDING, differ, discounted, gae, linear_baseline, masked_mean, whiten
from hmrl_cli.types import AdaptState, Discrete, EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params, Task


Surrogate = Literal["log_prob", "ratio"]


class Fallback(NamedTuple):
    """How often an episode repeats one random action, so that it finds rewards that the policy does not."""

    share: Array  # []  share of episodes that repeat an action
    # []  share of these that follow the policy up to a random step, as Go-Explore does (Ecoffet et al. 2021)
    late_share: Array


class Episodes(NamedTuple):
    """N episodes of one task under one AdaptState, with the inputs of the losses."""

    transitions: Transition  # leaves [N, T, ...]
    noise: Array | None  # [N, L]  z = mean + std * noise, one z per episode
    latent: Array | None  # [N, L]  z
    on_policy: Array  # [N]  1 where the policy chose every action, 0 where an action was repeated
    advantage: Array  # [N, T]  whitened, 0 where not valid
    start_advantage: Array  # [N]  whitened return of the episode less its baseline
    returned: Array  # [N]  undiscounted
    # no update uses the rest, which episodes from outside the simulator lack
    success: Array | None = None  # [N]  goal reached at the last step
    reached: Array | None = None  # [N]  goal reached at any step
    frames: Frames | None = None  # [N, ...]  of a recorded family


class Latent(NamedTuple):
    """The exploration latent of an episode."""

    noise: Array | None  # [L]
    z: Array | None  # [L]


def collect(
    key: Key,
    state: AdaptState,
    *,
    policy: Network,
    family: TaskFamily,
    task: Task,
    num_episodes: int,
    discount: float,
    gae_lambda: float,
    fallback: Fallback | None = None,
) -> Episodes:
    """Run episodes with sampled actions, and estimate advantages over a linear baseline fitted to them.

    Args:
        key: draws latents, actions and resets.
        state: parameters of the policy, and the latent distribution or None.
        policy: pi(a | o, z).
        family: gives the dynamics.
        task: [task_size].
        num_episodes: N.
        discount: gamma.
        gae_lambda: lambda of the steps' advantages.
        fallback: how often an episode repeats a random action; None: never.
    """

    def episode(held: Held) -> tuple[Transition, EnvState]:
        act = sampling_policy(policy, state.params, held.given.z)
        return unroll(held.key, act, family, task, held.repeated)

    held = choose(key, state, family, num_episodes, fallback)
    transitions, final = jax.vmap(episode)(held)
    return experience(held, transitions, discount, gae_lambda)._replace(
        success=final.success.astype(jnp.float32),
        reached=final.reached.astype(jnp.float32),
        frames=frames_of(final),
    )


def choose(
    key: Key, state: AdaptState, family: TaskFamily, num_episodes: int, fallback: Fallback | None
) -> Held:
    """What `num_episodes` episodes hold, leaves [N, ...]; see `collect`."""
    noise_key, episode_key = jax.random.split(key)
    noise = latent_noise(noise_key, state.latent, num_episodes)
    latent = Latent(noise, draw_latent(state.latent, noise))

    def episode(key: Key, latent: Latent) -> Held:
        if fallback is None:
            return Held(key, latent)
        repeat_key, key = jax.random.split(key)
        return Held(key, latent, draw_repeated_action(repeat_key, family, fallback))

    return jax.vmap(episode)(jax.random.split(episode_key, num_episodes), latent)


def experience(held: Held, steps: Transition, discount: float, gae_lambda: float) -> Episodes:
    """Episodes that held this, of steps with leaves [N, T, ...], for the losses; see `collect`."""
    advantage, start_advantage = advantages(steps, discount, gae_lambda)
    num_episodes, horizon = steps.reward.shape
    on_policy = jnp.ones(num_episodes)
    if held.repeated is not None:
        on_policy = jnp.float32(held.repeated.start >= horizon)
    return Episodes(
        transitions=steps,
        noise=held.given.noise,
        latent=held.given.z,
        on_policy=on_policy,
        advantage=advantage,
        start_advantage=start_advantage,
        returned=steps.reward.sum(axis=1),
    )


def advantages(transitions: Transition, discount: float, gae_lambda: float) -> tuple[Array, Array]:
    """Whitened advantages of N episodes' steps [N, T] and of their starts [N], over a linear baseline.

    One latent acts for a whole episode, so the advantage of a start is the return less the baseline.  That is
    GAE with lambda = 1.  A smaller lambda would ignore most of the episode.  Where returns are equal, the
    baseline's error is all that is left, and advantages are 0.
    """
    gamma = discount * transitions.discount
    returns = jax.vmap(discounted)(transitions.reward, gamma)
    values = linear_baseline(transitions.obs, returns, transitions.valid)
    estimate = jax.vmap(gae, in_axes=(0, 0, 0, 0, None))
    advantage = estimate(transitions.reward, gamma, values, jnp.zeros(len(returns)), gae_lambda)
    noise, is_start = ROUNDING * jnp.abs(returns[:, 0]).mean(), jnp.ones(len(returns))
    starts = whiten(returns[:, 0] - values[:, 0], is_start, noise)
    return (
        jnp.where(differ(returns, transitions.valid), whiten(advantage, transitions.valid, noise), 0.0),
        jnp.where(differ(returns[:, :1], is_start[:, None]), starts, 0.0),
    )


def mean_reward(episodes: Episodes) -> Array:
    """Mean reward [] over the valid steps of all episodes."""
    steps = episodes.transitions
    return masked_mean(steps.reward, steps.valid)


def sampling_policy(
    policy: Network, params: Params, z: Array | None
) -> Callable[[Key, Array], tuple[Array, Array]]:
    """A function (key, obs) -> sampled action, log pi(action | obs, z)."""

    def act(key: Key, obs: Array) -> tuple[Array, Array]:
        return policy.apply(params, obs, z).sample_with_log_prob(key)

    return act


def draw_repeated_action(key: Key, family: TaskFamily, fallback: Fallback) -> RepeatedAction:
    """A uniformly random action, and the step from which one episode repeats it.

    The step is 0, a random one, or the horizon, which means never.  In a lifted family the action is a skill.
    """
    whether_key, late_key, start_key, what_key = jax.random.split(key, 4)
    late = jax.random.bernoulli(late_key, fallback.late_share)
    start = jnp.where(late, jax.random.randint(start_key, (), 0, family.horizon), 0)
    start = jnp.where(jax.random.bernoulli(whether_key, fallback.share), start, family.horizon)
    if isinstance(family.action, Discrete):
        return RepeatedAction(start, jax.random.randint(what_key, (), 0, family.action.size))
    action = jax.random.uniform(what_key, (family.action.size,), minval=-1.0, maxval=1.0)
    return RepeatedAction(start, action * family.action.bound)


def latent_noise(key: Key, latent: Gaussian | None, num_episodes: int) -> Array | None:
    """Draw standard normal noise [N, L]; None without a latent."""
    return None if latent is None else jax.random.normal(key, (num_episodes, *latent.mean.shape))


def draw_latent(latent: Gaussian | None, noise: Array | None) -> Array | None:
    """z = mu + sigma * noise [N, L]; None without a latent."""
    if latent is None:
        return None
    return jax.vmap(lambda eps: latent.mean + jnp.exp(latent.log_std) * eps)(noise)


def latent_of_steps(latent: Array | None, horizon: int) -> Array | None:
    """Each episode's z at each of its steps: [N, L] -> [N, T, L]."""
    if latent is None:
        return None
    return jnp.broadcast_to(latent[:, None], (latent.shape[0], horizon, latent.shape[1]))


def surrogate(
    adapted: AdaptState, episodes: Episodes, policy: Network, form: Surrogate = "log_prob"
) -> Array:
    """The loss [] of the inner step; parts of `adapted` that are None do not adapt.

    The parameters' term is REINFORCE, -mean_t A_t log pi(a_t | o_t, z) (Finn et al. 2017, eq. 4).  With
    form "ratio" it is -mean_t A_t pi / pi_old (Rothfuss et al. 2019, eq. 8).  Both have the same gradient.
    The outer step differentiates this gradient again.  Only "ratio" then accounts for how pre-update sampling
    affects the episodes, with low variance.

    The latent's term is a score-function loss with constant z_j: -mean_j A_j log N(z_j; mu, sigma) (Gupta et
    al. 2018).  Episodes that repeated an action are excluded, because their actions are not the policy's.
    """
    loss = jnp.float32(0.0)
    if adapted.params is not None:
        steps = episodes.transitions
        z = latent_of_steps(episodes.latent, steps.obs.shape[1])
        likelihood = policy.apply(adapted.params, steps.obs, z).log_prob(steps.action)
        if form == "ratio":
            likelihood = jnp.exp(likelihood - steps.log_prob)
        loss -= masked_mean(likelihood * episodes.advantage, steps.valid * episodes.on_policy[:, None])
    if adapted.latent is not None:
        log_prob = jax.vmap(adapted.latent.log_prob)(episodes.latent)
        loss -= masked_mean(log_prob * episodes.start_advantage, episodes.on_policy)
    return loss


def step_factor(count: Array, decay: float, full_steps: int, floor: float) -> Array:
    """Share [] of the step size that update number `count` [] takes, from 0.

    The first `full_steps` updates take the full step size.  Each later update takes `decay` times the share
    of the one before, but at least `floor`.  The code of MAML uses a, a/2, a/2, ... at test time: decay 0.5,
    full_steps 1, floor 0.5.  The code of MAESN uses s, s, s/2, s/4, ...: decay 0.5, full_steps 2.  Its
    baseline LatentSpace has full_steps 3.
    """
    return jnp.maximum(floor, decay ** jnp.maximum(count - full_steps + 1, 0))


def update(
    state: AdaptState,
    episodes: Episodes,
    step_size: AdaptState,
    policy: Network,
    *,
    form: Surrogate = "log_prob",
    first_order: bool = False,
) -> AdaptState:
    """One gradient step on the parts that have a step size.

    Args:
        state: the state before the step.
        episodes: collected with this state; constants of the loss.
        step_size: params is a tree of [] like the policy's parameters, or None; latent is
            Gaussian(mean [L], log_std [L]), or None.
        policy: pi(a | o, z).
        form: objective of the policy, see `surrogate`.
        first_order: no derivative flows through the direction of the step.
    """
    adapted = AdaptState(
        *(None if size is None else part for part, size in zip(state, step_size, strict=True))
    )
    direction = jax.grad(surrogate)(adapted, episodes, policy, form)
    if first_order:
        direction = jax.lax.stop_gradient(direction)

    def stepped(part: Any, size: Any, slope: Any) -> Any:
        return part if size is None else jax.tree.map(lambda x, s, g: x - s * g, part, size, slope)

    return AdaptState(*map(stepped, state, step_size, direction))
