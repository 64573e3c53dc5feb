import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.learning import replay


def test_the_ring_keeps_the_newest_valid_entries():
    buffer = replay.init({"x": jnp.float32(0)}, 5)
    for first in (0, 4, 8):
        batch = {"x": jnp.arange(first, first + 4, dtype=jnp.float32)}
        buffer = jax.jit(replay.add)(buffer, batch, jnp.array([1, 1, 0, 1]))
    # entries 2, 6 and 10 were not valid; of 0 1 3 4 5 7 8 9 11 the last five remain
    assert sorted(np.asarray(buffer.data["x"])) == [5, 7, 8, 9, 11]
    assert buffer.size == 5 and buffer.position == 4


def test_samples_come_from_what_is_held():
    buffer = replay.init(jnp.float32(0), 100)
    buffer = replay.add(buffer, jnp.array([3.0, 4.0, 5.0]), jnp.ones(3))
    drawn = replay.sample(jax.random.key(0), buffer, 200)
    assert set(np.asarray(drawn)) == {3.0, 4.0, 5.0}
