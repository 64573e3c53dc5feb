"""A belief about the task of a trial, as VariBAD infers it (Zintgraf et al. 2020, 1910.08348).

A recurrent encoder reads the trial.  Before every step t it gives a Gaussian q(m|tau_:t) over a latent m of
the task.  From m, decoders predict the rewards of ALL steps of the trial, those before t and those after t.
They may also predict the next observations.  The evidence lower bound (eq. 9) of the time t is

    E_{m ~ q(m|tau_:t)} [log p(tau_:H+ | m)] - KL(q(m|tau_:t) || q(m|tau_:t-1)).

The prior of the first belief is N(0, I).  The choices here that differ from the paper, or fill its gaps:

* Observations and rewards are normalised by running moments.  So a weight has one meaning in all units.
* log p of a prediction is minus its squared error, as in the authors' code; of an observation, the mean one.
* A gradient step decodes some steps of each trial, from some of its beliefs.  Both are drawn anew each time.
* The error is a mean over the steps of the trial, and `kl_weight` multiplies the divergence beside it.  The
  bound has the weight 1 / steps, with which beliefs of long trials also move at steps that tell nothing.

Every bound contains the future, which is not known at time t.  So the optimal q(m|tau_:t) has about the mean
of the exact posterior, and a smaller variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.meta import _trials
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, networks, replay
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.ppo import shuffled
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import Strict
from hmrl_cli.types import TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.moments import Moments
    from hmrl_cli.types import Array, Key, Metrics, Params

LOG_STD = (-5.0, 2.0)  # limits of a belief


class Config(Strict):
    """Settings of the belief."""

    latent_size: int = Field(5, gt=0, le=1000, description="dimensions of the latent m of a task")
    memory_size: int = Field(64, gt=0, le=65_536, description="units of the encoder's hidden state")
    decoder_hidden: networks.Hidden = Field(
        (64, 32), strict=False, description="units per hidden layer of a decoder"
    )
    observation_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of predicting next observations beside rewards; 0: not predicted",
    )
    kl_weight: float = Field(
        0.03,
        ge=0,
        le=1000,
        description="weight of the divergence of each belief from the one before, beside the mean error",
    )
    learning_rate: float = Field(3e-3, gt=0, lt=1, description="learning rate of encoder and decoders (Adam)")
    gradient_steps: int = Field(10, gt=0, le=100_000, description="gradient steps per update")
    trials_per_step: int = Field(32, gt=0, le=100_000, description="trials in one gradient step")
    beliefs_per_trial: int = Field(
        32,
        gt=0,
        le=1_000_000,
        description="beliefs of a trial that are decoded in one gradient step, at most",
    )
    decoded_steps: int = Field(
        32, gt=0, le=1_000_000, description="steps of a trial that each belief predicts then, at most"
    )
    buffer_trials: int = Field(
        1000, gt=0, le=10_000_000, description="most recent trials, from which encoder and decoders learn"
    )


class Experience(NamedTuple):
    """Steps of trials, leaves [..., leaf]."""

    seen: Array  # [F]  `_trials.inputs` of the step
    obs: Array  # [obs_size]
    action: Array  # [action.size]  one-hot if discrete
    reward: Array  # []
    next_obs: Array  # [obs_size]
    valid: Array  # []


class State(NamedTuple):
    """Parameters of encoder and decoders, and of their optimiser."""

    params: Params
    optimizer: Any


class Belief(NamedTuple):
    """Encoder and decoders, bound to their family."""

    config: Config
    family: TaskFamily
    encoder: networks.Recurrent
    decoders: dict[str, networks.Network]  # of "reward", perhaps of "next_obs"

    def init(self, key: Key) -> State:
        """Fresh networks."""
        encoder_key, *keys = jax.random.split(key, 1 + len(self.decoders))
        params = {name: net.init(k) for k, (name, net) in zip(keys, self.decoders.items(), strict=True)}
        params["encoder"] = self.encoder.init(encoder_key)
        return State(params, self._optimizer().init(params))

    def buffer(self, num_steps: int) -> replay.Buffer:
        """An empty buffer for trials of so many steps."""
        obs, action = jnp.zeros((num_steps, self.family.obs_size)), self.family.action.size
        seen, number = jnp.zeros((num_steps, _trials.input_size(self.family))), jnp.zeros(num_steps)
        example = Experience(seen, obs, jnp.zeros((num_steps, action)), number, obs, number)
        return replay.init(example, self.config.buffer_trials)

    def experience(self, seen: Array, steps: Transition) -> Experience:
        """Steps [...] with the `_trials.inputs` [..., F] that were seen in them."""
        action = networks.action_code(self.family.action, steps.action)
        return Experience(seen, steps.obs, action, steps.reward, steps.next_obs, steps.valid)

    def update(self, params: Params, observed: Moments, hidden: Array, seen: Array) -> tuple[Array, Gaussian]:
        """The next hidden state and the belief [L], after an input [F] of the encoder."""
        x = _trials.normalized(observed, seen)
        hidden = self.encoder.step(params["encoder"], hidden, x)
        return hidden, _gaussian(self.encoder.output(params["encoder"], hidden, x))

    def beliefs(self, params: Params, observed: Moments, seen: Array, valid: Array) -> Gaussian:
        """The beliefs [N, T, L] in trials with inputs [N, T, F]; steps with valid [N, T] = 0 are left out."""
        x = _trials.normalized(observed, seen)
        return _gaussian(self.encoder.apply(params["encoder"], (x, valid)))

    def error(self, params: Params, observed: Moments, m: Array, steps: Experience) -> Array:
        """Minus log p(reward, next observation | m) [...] of steps [...], given m [..., L]."""
        before, after = (
            moments.normalize(observed, jnp.concatenate([obs, steps.reward[..., None]], axis=-1))
            for obs in (steps.obs, steps.next_obs)
        )
        obs, next_obs, reward = before[..., :-1], after[..., :-1], after[..., -1:]
        given = jnp.concatenate([m, obs, steps.action], axis=-1)
        inputs = {"reward": jnp.concatenate([given, next_obs], axis=-1), "next_obs": given}
        targets = {"reward": reward, "next_obs": next_obs}
        weights = {"reward": 1.0, "next_obs": self.config.observation_weight}
        errors = [
            weights[name] * jnp.mean((net.apply(params[name], inputs[name]) - targets[name]) ** 2, axis=-1)
            for name, net in self.decoders.items()
        ]
        return sum(errors[1:], start=errors[0])

    def loss(self, key: Key, params: Params, observed: Moments, trials: Experience) -> tuple[Array, Metrics]:
        """Mean error plus weighted divergence of the beliefs in trials [N, T]: minus the weighted bound."""
        m_key, belief_key, step_key = jax.random.split(key, 3)
        q = self.beliefs(params, observed, trials.seen, trials.valid)
        told, m_valid = _some(belief_key, self.config.beliefs_per_trial, (q.sample(m_key), trials.valid))
        steps: Experience = _some(step_key, self.config.decoded_steps, trials)
        shape = (*m_valid.shape, steps.valid.shape[-1])  # [N, beliefs, steps]
        m = jnp.broadcast_to(told[:, :, None], (*shape, told.shape[-1]))
        each = jax.tree.map(lambda x: jnp.broadcast_to(x[:, None], (*shape, *x.shape[2:])), steps)
        error = masked_mean(self.error(params, observed, m, each), m_valid[..., None] * each.valid)
        divergence = masked_mean(divergences(q, trials.valid), trials.valid)
        loss = error + self.config.kl_weight * divergence
        return loss, {"decoder_error": error, "belief_kl": divergence}

    def learn(
        self, key: Key, state: State, observed: Moments, buffer: replay.Buffer
    ) -> tuple[State, Metrics]:
        """Gradient steps on trials of the buffer."""

        def step(state: State, t: Array) -> tuple[State, Metrics]:
            draw_key, loss_key = jax.random.split(jax.random.fold_in(key, t))
            trials = replay.sample(draw_key, buffer, self.config.trials_per_step)

            def loss(params: Params) -> tuple[Array, Metrics]:
                return self.loss(loss_key, params, observed, trials)

            grads, metrics = jax.grad(loss, has_aux=True)(state.params)
            updates, optimizer = self._optimizer().update(grads, state.optimizer)
            return State(optax.apply_updates(state.params, updates), optimizer), metrics

        state, metrics = jax.lax.scan(step, state, jnp.arange(self.config.gradient_steps))
        return state, jax.tree.map(jnp.mean, metrics)

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.learning_rate)


def divergences(q: Gaussian, valid: Array) -> Array:
    """KL [N, T] of each belief from the one before in its trial, of the first one from N(0, I).

    Args:
        q: beliefs [N, T, L].
        valid: [N, T] 1 where the belief counts; the belief before is the last one that counts.
    """
    time = jnp.where(valid > 0, jnp.arange(valid.shape[-1]), -1)
    before = jnp.pad(jax.lax.cummax(time, axis=1)[:, :-1], ((0, 0), (1, 0)), constant_values=-1)[..., None]
    last = jax.tree.map(lambda x: jnp.take_along_axis(x, jnp.maximum(before, 0), axis=1), q)
    return q.kl(jax.tree.map(lambda x: jnp.where(before < 0, 0.0, x), last))


def _gaussian(out: Array) -> Gaussian:
    mean, log_std = jnp.split(out, 2, axis=-1)
    return Gaussian(mean, jnp.clip(log_std, *LOG_STD))


def _some(key: Key, count: int, trials: Any) -> Any:
    """At most `count` different times of each trial, leaves [N, T, ...] -> [N, count, ...]."""
    num_trials, total = jax.tree.leaves(trials)[0].shape[:2]
    if count >= total:
        return trials
    rows = jax.vmap(lambda k: shuffled(k, total)[:count])(jax.random.split(key, num_trials))
    return jax.tree.map(lambda x: jax.vmap(lambda trial, row: trial[row])(x, rows), trials)


def make(config: Config, family: TaskFamily) -> Belief:
    """The belief about the tasks of a family, plain or lifted."""
    size, latent = _trials.input_size(family), config.latent_size
    # the first beliefs are close to the prior
    head = networks.mlp(config.memory_size + size, (), 2 * latent, output_scale=0.1)
    given = latent + family.obs_size + family.action.size
    decoders = {"reward": networks.mlp(given + family.obs_size, config.decoder_hidden, 1)}
    if config.observation_weight:
        decoders["next_obs"] = networks.mlp(given, config.decoder_hidden, family.obs_size)
    return Belief(config, family, networks.recurrent(size, config.memory_size, head), decoders)
