"""MAML learns to adapt."""

import pytest

from hmrl_cli.algorithms.meta import maml
from tests.algorithms.meta.walkers import adapted_returns, lifted, plain


@pytest.mark.parametrize(
    ("family", "margin"), [(plain, 4.0), pytest.param(lifted, 2.0, marks=pytest.mark.slow)]
)
def test_maml_adapts_in_one_step(family, margin):
    config = maml.Config(hidden=(32,), inner_lr=0.3, tasks_per_update=10)
    before, after = adapted_returns(maml.make(config, family()), 30)
    assert after > before + margin
