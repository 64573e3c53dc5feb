"""MAESN learns to adapt its latent."""

import pytest

from hmrl_cli.algorithms.meta import maesn
from tests.algorithms.meta.walkers import adapted_returns, lifted, plain


@pytest.mark.parametrize(
    ("family", "margin"), [pytest.param(plain, 1.5, marks=pytest.mark.slow), (lifted, 0.5)]
)
def test_maesn_adapts_its_latent_in_one_step(family, margin):
    config = maesn.Config(hidden=(32,), num_train_tasks=20, tasks_per_update=10, mean_step_size=1.0)
    before, after = adapted_returns(maesn.make(config, family()), 60)
    assert after > before + margin
