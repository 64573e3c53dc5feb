"""Spaces that skills are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.algorithms.skills import _spaces


def test_spaces_hold_what_they_say():
    centred = _spaces.one_of(3, centred=True)
    corners = np.asarray(centred.encode(centred.examples))
    np.testing.assert_allclose(corners.sum(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.diag(corners), 1, rtol=1e-6)
    draws = np.asarray(centred.draw(jax.random.key(0), 7))
    assert sorted(np.bincount(draws)) == [2, 2, 3]  # as even as 7 can be
    draws = np.asarray(jax.vmap(lambda key: centred.draw(key, 7))(jax.random.split(jax.random.key(0), 600)))
    np.testing.assert_allclose(np.bincount(draws.ravel()) / draws.size, 1 / 3, atol=0.01)  # whoever is third
    for size in (2, 3):
        space = _spaces.direction(size)
        drawn = space.draw(jax.random.key(0), 2000)
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)
        np.testing.assert_allclose(np.linalg.norm(space.examples, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(_spaces.box(2).encode(jnp.array([3.0, -0.5])), [1.0, -0.5])


def test_places_stand_for_a_box():
    np.testing.assert_allclose(_spaces.places(1)[:, 0], np.arange(-15, 16, 2) / 16)
    square = {(x, y) for x in (-0.75, -0.25, 0.25, 0.75) for y in (-0.75, -0.25, 0.25, 0.75)}
    assert {*map(tuple, _spaces.places(2).tolist())} == square
    many = _spaces.places(5)
    assert many.shape == (16, 5) and many.dtype == np.float32 and np.abs(many).max() <= 1
    np.testing.assert_array_equal(many, _spaces.places(5))
