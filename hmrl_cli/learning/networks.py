"""Networks as pairs `init(key) -> params` and `apply(params, ...)`.

Parameters are a plain nested dict.  `apply` takes any number of leading batch axes.  No other module imports
flax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.lazy import jax, jnp, nn
from hmrl_cli.learning import moments
from hmrl_cli.learning.distributions import Categorical, Gaussian, Policy, SquashedGaussian
from hmrl_cli.types import Action, Continuous, Discrete

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params

Activation = Literal["relu", "tanh"]
Hidden = tuple[Annotated[int, Field(gt=0, le=65_536)], ...]  # units of each hidden layer


class Network(NamedTuple):
    """A function with parameters."""

    init: Callable[[Key], Params]
    apply: Callable[..., Any]


class Recurrent(NamedTuple):
    """A network with a hidden state [..., M], which is 0 before the first step of a sequence.

    `apply(params, (x, valid))` maps whole sequences x [..., T, F] to outputs [..., T, ...].  A step with
    valid [..., T] = 0 leaves the hidden state unchanged.
    """

    init: Callable[[Key], Params]
    apply: Callable[..., Any]
    step: Callable[[Params, Array, Array], Array]  # hidden state, x [..., F] -> the next hidden state
    output: Callable[[Params, Array, Array], Any]  # next hidden state, x [..., F] -> the head's output
    # first hidden state, (x, valid) -> the hidden states after each step [..., T, M]
    unroll: Callable[[Params, Array, tuple[Array, Array]], Array]
    hidden_size: int

    def of_sequences(self) -> Network:
        """The network as a function of whole sequences."""
        return Network(self.init, self.apply)


def mlp(
    input_size: int,
    hidden: Sequence[int],
    output_size: int,
    activation: Activation = "relu",
    output_scale: float = 1.0,
) -> Network:
    """Fully connected network [..., input_size] -> [..., output_size].

    `output_scale` multiplies the initial weights of the last layer.  With a small scale, the initial output
    is close to 0 for every input.
    """
    last_init = nn.initializers.variance_scaling(output_scale**2, "fan_in", "truncated_normal")
    layers: list[Any] = []
    for size in hidden:
        layers += [nn.Dense(size), nonlinearity(activation)]
    module = nn.Sequential([*layers, nn.Dense(output_size, kernel_init=last_init)])

    def init(key: Key) -> Params:
        return module.init(key, jnp.zeros(input_size))["params"]

    def apply(params: Params, x: Array) -> Any:
        # one row axis: derivatives of products with more batch axes are slow on a CPU
        rows = x.reshape(-1, x.shape[-1])
        out: Any = module.apply({"params": params}, rows)
        return out.reshape(*x.shape[:-1], output_size)

    return Network(init, apply)


def nonlinearity(activation: Activation) -> Callable[[Array], Array]:
    """The function between the layers of `mlp`."""
    return {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation]


def layers_of(params: Params) -> list[Params]:
    """The layers of an `mlp` from input to output, each with a kernel [..., I, O] and a bias [..., O]."""
    return [params[name] for name in sorted(params, key=lambda name: int(name.removeprefix("layers_")))]


def policy(
    obs_size: int,
    action: Action,
    hidden: Sequence[int],
    *,
    latent_size: int = 0,
    activation: Activation = "relu",
    init_std: float = 1.0,
    output_scale: float = 1.0,
    body: Callable[..., Network] = mlp,
) -> Network:
    """pi(a | o, z) of meta-learners and PPO: `apply(params, obs, latent)` -> Gaussian or Categorical.

    The standard deviation of continuous actions is learned and does not depend on the state (Finn et al.
    2017, app. A.2).  Their initial mean is near 0 if `output_scale` is small.  `latent` has the shape [...,
    latent_size], and is None if latent_size is 0.  `body` makes the network, with the arguments of `mlp`.
    """
    # initial logits near 0 make the initial choice of skills uniform
    scale = output_scale if isinstance(action, Continuous) else 0.01
    net = body(obs_size + latent_size, hidden, action.size, activation, output_scale=scale)

    def init(key: Key) -> Params:
        params = {"net": net.init(key)}
        if isinstance(action, Continuous):
            params["log_std"] = jnp.full(action.size, math.log(init_std), jnp.float32)
        return params

    def apply(params: Params, obs: Array, latent: Array | None = None) -> Policy:
        out = net.apply(params["net"], obs if latent is None else jnp.concatenate([obs, latent], axis=-1))
        if isinstance(action, Discrete):
            return Categorical(out)
        return Gaussian(out, jnp.broadcast_to(params["log_std"], out.shape))

    return Network(init, apply)


def normalizing(policy: Network, obs_size: int) -> Network:
    """A policy of normalised observations.

    The moments are in `params["observed"]`.  No gradient changes them.
    """

    def init(key: Key) -> Params:
        return {"policy": policy.init(key), "observed": moments.initial(obs_size)}

    def apply(params: Params, obs: Array, latent: Array | None = None) -> Policy:
        observed = jax.lax.stop_gradient(params["observed"])
        return policy.apply(params["policy"], moments.normalize(observed, obs), latent)

    return Network(init, apply)


def action_code(action: Action, value: Array) -> Array:
    """An action as network input [..., action.size].

    A continuous action is clipped to [-1, 1] as the family does.  A discrete action is one-hot.
    """
    if isinstance(action, Discrete):
        return jax.nn.one_hot(value, action.size)
    return jnp.clip(value, -1.0, 1.0)


def soft_policy(obs_size: int, action: Action, hidden: Sequence[int]) -> Network:
    """Policy of soft actor-critic: `apply(params, obs)` -> SquashedGaussian or Categorical.

    The standard deviation depends on the state.
    """
    discrete = isinstance(action, Discrete)
    net = mlp(obs_size, hidden, action.size if discrete else 2 * action.size, output_scale=0.01)

    def apply(params: Params, obs: Array) -> SquashedGaussian | Categorical:
        out = net.apply(params, obs)
        if discrete:
            return Categorical(out)
        mean, log_std = jnp.split(out, 2, axis=-1)
        return SquashedGaussian(mean, jnp.clip(log_std, -10.0, 2.0))

    return Network(net.init, apply)


def twin_critic(obs_size: int, action: Action, hidden: Sequence[int]) -> Network:
    """Two independent soft Q functions.

    For continuous actions `apply(params, obs, action)` returns [2, ...].  For discrete actions
    `apply(params, obs)` returns the values of all actions [2, ..., A].
    """
    discrete = isinstance(action, Discrete)
    net = mlp(obs_size, hidden, action.size) if discrete else mlp(obs_size + action.size, hidden, 1)

    def init(key: Key) -> Params:
        return jax.vmap(net.init)(jax.random.split(key, 2))

    def apply(params: Params, obs: Array, action: Array | None = None) -> Array:
        x = obs if action is None else jnp.concatenate([obs, action], axis=-1)
        q = jax.vmap(net.apply, in_axes=(0, None))(params, x)
        return q if discrete else q[..., 0]

    return Network(init, apply)


def recurrent(input_size: int, hidden_size: int, head: Network) -> Recurrent:
    """A gated recurrent unit (Cho et al. 2014) and a head [..., hidden_size + input_size] -> output.

    The head sees the hidden state and the current input, so the hidden state need not repeat the input.
    """
    cell = nn.GRUCell(hidden_size)

    def init(key: Key) -> Params:
        cell_key, head_key = jax.random.split(key)
        cell_params = cell.init(cell_key, jnp.zeros(hidden_size), jnp.zeros(input_size))["params"]
        return {"cell": cell_params, "head": head.init(head_key)}

    def step(params: Params, hidden: Array, x: Array) -> Array:
        return cell.apply({"params": params["cell"]}, hidden, x)[0]

    def output(params: Params, hidden: Array, x: Array) -> Any:
        return head.apply(params["head"], jnp.concatenate([hidden, x], axis=-1))

    def unroll(params: Params, hidden: Array, sequence: tuple[Array, Array]) -> Array:
        x, valid = sequence

        def scan_step(hidden: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            hidden = jnp.where(now[1][..., None] > 0, step(params, hidden, now[0]), hidden)
            return hidden, hidden

        over_time = (jnp.moveaxis(x, -2, 0), jnp.moveaxis(valid, -1, 0))
        return jnp.moveaxis(jax.lax.scan(scan_step, hidden, over_time)[1], 0, -2)

    def apply(params: Params, sequence: tuple[Array, Array]) -> Any:
        x, valid = sequence
        first = jnp.zeros((*valid.shape[:-1], hidden_size))
        # the head is outside the scan: one large product instead of T small ones
        return output(params, unroll(params, first, sequence), x)

    return Recurrent(init, apply, step, output, unroll, hidden_size)
