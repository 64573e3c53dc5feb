"""Tasks of an evaluation."""

from hmrl_cli.evaluation.tasks import sample_tasks, tasks_digest
from tests import toys


def test_tasks_of_a_split_are_always_the_same_and_splits_differ():
    family = toys.walker()
    test, again = (sample_tasks(family, "test", 6) for _ in range(2))
    assert tasks_digest(test) == tasks_digest(again)
    assert tasks_digest(test) != tasks_digest(sample_tasks(family, "hidden", 6))
