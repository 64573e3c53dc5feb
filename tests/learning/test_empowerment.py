"""Empowerment against the capacities that information theory knows in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hmrl_cli.learning import empowerment

LOG_2 = np.log(2.0)


def entropy(p):
    return -sum(x * np.log(x) for x in (p, 1.0 - p))


def z_channel(noise):
    """Capacity of a channel whose input 1 comes out as 0 with probability `noise`."""
    return np.log1p((1.0 - noise) * noise ** (noise / (1.0 - noise)))


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        (np.eye(5), np.log(5.0)),
        (np.ones((4, 3)) / 3.0, 0.0),
        ([[1, 0], [1, 0], [0, 1]], LOG_2),  # two inputs do the same
        ([[0.9, 0.1], [0.1, 0.9]], LOG_2 - entropy(0.1)),
        ([[0.7, 0.3, 0.0], [0.0, 0.3, 0.7]], 0.7 * LOG_2),  # an erasure
        ([[1.0, 0.0], [0.5, 0.5]], np.log(1.25)),
        ([[1.0, 0.0], [0.2, 0.8]], z_channel(0.2)),
    ],
)
def test_capacities_of_known_channels(channel, expected):
    found = jax.jit(empowerment.capacity)(jnp.array(channel, jnp.float32))
    assert found.value == pytest.approx(expected, abs=2e-5)
    assert expected - 1e-6 <= found.upper <= found.value + 2e-5
    assert found.source.sum() == pytest.approx(1.0, abs=1e-5) and (found.source >= 0).all()


def test_the_best_source_of_a_z_channel_is_not_even():
    found = empowerment.capacity(jnp.array([[1.0, 0.0], [0.5, 0.5]]))
    assert found.source[1] == pytest.approx(0.4, abs=5e-3)


def grid(size, slip):
    """p(s'|s, a) [5, S, S] of stay, left, right, down, up on a square grid; a slip stays."""
    moves = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
    cells = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1).reshape(-1, 2)
    table = np.zeros((5, size**2, size**2))
    for a, move in enumerate(moves):
        for s, cell in enumerate(cells):
            x, y = np.clip(cell + move, 0, size - 1)
            table[a, s, x * size + y] += 1.0 - slip
            table[a, s, s] += slip
    return jnp.array(table, jnp.float32)


def test_empowerment_of_a_grid_counts_the_cells_in_reach():
    """Without noise it is the log of their number (Klyubin et al. 2005)."""
    one = np.asarray(jax.jit(empowerment.of_states, static_argnums=1)(grid(5, 0.0), 1)).reshape(5, 5)
    np.testing.assert_allclose(np.exp(one[[0, 0, 2], [0, 2, 2]]), [3, 4, 5], rtol=1e-3)
    three = np.asarray(jax.jit(empowerment.of_states, static_argnums=1)(grid(5, 0.0), 3)).reshape(5, 5)
    np.testing.assert_allclose(np.exp(three[[0, 2], [0, 2]]), [10, 21], rtol=1e-3)  # 25 less four corners


def test_noise_lowers_empowerment():
    still, noisy = (jax.jit(empowerment.of_states, static_argnums=1)(grid(4, slip), 2) for slip in (0.0, 0.3))
    assert (noisy < still - 0.1).all()


def test_a_learned_bound_approaches_the_capacity_from_below():
    """Gradient ascent on p(z) and q(z|s') together, as VIC does (1611.07507)."""
    rng = np.random.default_rng(0)
    channel = jnp.array(rng.dirichlet(np.full(9, 0.15), size=6), jnp.float32)
    exact = empowerment.capacity(channel).value

    def bound(params):
        log_p = jax.nn.log_softmax(params["p"])
        log_q = jax.nn.log_softmax(params["q"], axis=0)  # [6, 9] q(z|s')
        return jnp.sum(jnp.exp(log_p)[:, None] * channel * (log_q - log_p[:, None]))

    optimizer = optax.adam(0.05)

    def ascend(carry, _):
        params, moments = carry
        value, slope = jax.value_and_grad(lambda params: -bound(params))(params)
        updates, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(params, updates), moments), -value

    start = {"p": jnp.zeros(6), "q": jnp.zeros((6, 9))}
    bounds = jax.jit(lambda: jax.lax.scan(ascend, (start, optimizer.init(start)), None, 1500)[1])()
    assert (bounds <= exact + 1e-5).all()
    assert bounds[0] == pytest.approx(0.0, abs=1e-6)  # knows nothing
    assert bounds[-1] == pytest.approx(float(exact), abs=2e-3)


def test_skills_that_live_longer_prove_nothing():
    """All see the same state, and q names the skill whose episodes last: no information, no bound above 0."""
    valid = jnp.zeros((8, 100)).at[:, 0].set(1.0).at[0].set(1.0)
    log_q = jnp.log(jnp.where(jnp.arange(8) == 0, 0.93, 0.01))
    assert empowerment.lower_bound(jnp.tile(log_q[:, None], 100), -jnp.log(8.0), valid) < 0


def test_the_bound_of_samples_is_the_mutual_information_under_the_true_posterior():
    channel = jnp.array([[0.9, 0.1], [0.1, 0.9]])
    skill_key, state_key = jax.random.split(jax.random.key(0))
    skills = jax.random.randint(skill_key, (20_000,), 0, 2)
    states = jax.random.categorical(state_key, jnp.log(channel)[skills])
    seen = jnp.ones(20_000)
    right = empowerment.lower_bound(jnp.log(channel)[skills, states], -LOG_2, seen)  # symmetric: q = channel
    log_q = jnp.log(jnp.array([0.6, 0.4]))[jnp.abs(skills - states)]
    wrong = empowerment.lower_bound(log_q, -LOG_2, seen)
    information = empowerment.capacity(channel).value
    assert right == pytest.approx(float(information), abs=0.02)
    assert wrong < right - 0.1
    half = empowerment.lower_bound(log_q, -LOG_2, seen * (skills == states))
    assert half == pytest.approx(np.log(0.6) + LOG_2, abs=1e-4)  # of the steps that count alone
