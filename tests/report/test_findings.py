"""The sentence that a page begins with."""

import numpy as np

from hmrl_cli.report.comparison import compared, read_arms
from hmrl_cli.report.findings import finding, mean_finding
from tests.storage.documents import document, run


def test_the_best_run_is_told_with_its_difference_from_the_next(tmp_path):
    scores = np.zeros((2, 4, 2))
    rates = {"low": 0.25, "best": 0.75, "middle": 0.5}
    arms = read_arms([run(tmp_path, name, document(scores, rate)) for name, rate in rates.items()])
    text = finding(arms)
    assert text.startswith("On 4 test tasks of toy (sparse reward), best has the highest success, 0.75 [")
    assert text.endswith("after 5 episodes of a task. That is 0.25 [0.25, 0.25] more than middle, the next.")
    less = [arm._replace(documents=[arm.documents[0] | {"episodes": 3}]) for arm in arms[2:]]
    assert finding([*arms[:2], *less]).endswith(" The next is middle, after 3.")
    assert "Doing nothing has 0.25." in finding(arms[:1])


def test_a_tie_is_told(tmp_path):
    arms = read_arms([run(tmp_path, name, document(np.zeros((2, 4, 2)), 0.5)) for name in "ab"])
    text = finding(arms)
    assert " b has the same. Over the whole adaptation the difference is 0.00 [-0.32, 0.32]. The" in text
    (found,) = arms[1].documents
    later = np.stack([np.zeros((2, 4)), np.full((2, 4), 0.5)], axis=-1)
    late = arms[1]._replace(documents=[found | {"per_task": found["per_task"] | {"success": later}}])
    assert " b has the same. Over the whole adaptation the difference is 0.25 [" in finding([arms[0], late])


def test_an_uncertain_order_is_told(tmp_path):
    """Where none succeeds, the return decides."""
    noise = np.random.default_rng(0).normal(size=(2, 2, 4, 2))
    arms = read_arms([run(tmp_path, name, document(x, 0.0)) for name, x in zip("ab", noise, strict=True)])
    text = finding(arms)
    assert "the highest return" in text and text.endswith("includes 0, so the order is not certain.")
    older = [arm._replace(documents=[{**arm.documents[0], "per_task": None}]) for arm in arms]
    assert finding(older).endswith("the next.") is False and "more than" not in finding(older)


def test_the_best_run_over_families_is_told(tmp_path):
    arms = read_arms(
        [
            run(tmp_path / family, name, document(np.zeros((2, 4, 2)), rate, family=family))
            for family in ("one", "two")
            for name, rate in (("a", 0.25), ("b", 0.5))
        ]
    )
    text = mean_finding(compared(arms)["aggregate"], arms)
    assert text.startswith("Over 2 families (test tasks, sparse reward), b has the highest success, 0.50 [")
    assert text.endswith("That is 0.25 [0.25, 0.25] more than a, the next.")
    other = arms[0]._replace(documents=[{**arms[0].documents[0], "tasks_sha256": "x"}])
    assert mean_finding(compared(arms)["aggregate"], [other, *arms[1:]]).endswith("a, on other tasks.")


def test_what_most_arms_were_evaluated_on_is_told(tmp_path):
    """One of them on another reward as well, and with a higher rate."""
    arms = read_arms([run(tmp_path, name, document(np.zeros((2, 4, 2)), 0.25)) for name in "ab"])
    dense = document(np.zeros((2, 4, 2)), 1.0, reward="dense")
    arms[0] = arms[0]._replace(documents=[dense, *arms[0].documents])
    assert finding(arms).startswith("On 4 test tasks of toy (sparse reward), a has the highest success, 0.25")


def test_returns_are_ranked_as_the_table_shows_them(tmp_path):
    """By interquartile means; plain means may rank otherwise."""
    high = np.array([[0.0, 0.0, 0.0, 100.0]] * 2)[..., None] * np.ones(2)
    arms = read_arms(
        [run(tmp_path, name, document(x, 0.0)) for name, x in (("a", high), ("b", np.full((2, 4, 2), 5.0)))]
    )
    text = finding(arms)
    assert ", b has the highest return, 5.00 [5.00, 5.00]" in text
    assert "The next is a, with 0.00; the difference of means is -20.00 [" in text


def test_trials_of_a_memory_are_no_episodes_of_one_task(tmp_path):
    arms = read_arms([run(tmp_path, "a", document(np.zeros((2, 4, 2)), 0.5, learns_from="one"))])
    assert "after 1 episode of a task" in finding(arms)
