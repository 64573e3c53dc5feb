"""The tables of a suite hold what can be run."""

import pydantic
import pytest

from hmrl_cli.config.validation import parsed
from hmrl_cli.suite import sections


def test_one_value_is_a_list_of_one():
    found = parsed(sections.Evaluation, {"split": "test", "reward": ["sparse", "dense"]})
    assert (found.split, found.reward) == (("test",), ("sparse", "dense"))
    assert parsed(sections.Head, {"seeds": 3}).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (sections.Evaluation, {"split": ["test", "test"]}),
        (sections.Evaluation, {"reward": ["dense", "dense"]}),
        (sections.Library, {"families": ["point", "point"]}),
        (sections.OnFamily, {"seeds": [1, 0, 1]}),
    ],
)
def test_what_is_twice_is_refused(section, values):
    with pytest.raises(pydantic.ValidationError, match="must be different ones"):
        parsed(section, values)


@pytest.mark.parametrize("high", [10**400, 1e20, float("inf"), float("nan")])
def test_a_bound_of_which_no_draw_can_be_computed_is_refused(high):
    with pytest.raises(pydantic.ValidationError):
        parsed(sections.Range, {"low": 1, "high": high})
    assert parsed(sections.Range, {"low": 1, "high": 2**53}).high == 2**53
