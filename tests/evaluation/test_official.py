import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.evaluation.official import metrics_of_means, quantities
from tagpr.tasks import ALL_TASKS

ANSWERS = {
    "LaMP_1": ["[1]", "[2]", "1", ""],
    "LaMP_2": ["comedy", "action", "Comedy", "violence"],
    "LaMP_3": ["1", "4.5", "7", "x"],
    "LaMP_5": ["a b c", "b a", "", "c"],
}
GOLDS = {
    "LaMP_1": ["[1]", "[2]"],
    "LaMP_2": ["comedy", "action"],
    "LaMP_3": ["1", "4"],
    "LaMP_5": ["a b", "c a b"],
}


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1))
def test_a_weight_counts_like_that_many_questions(name, picks):
    task = ALL_TASKS[name]
    answers = [ANSWERS[name][a] for a, _ in picks]
    golds = [GOLDS[name][g] for _, g in picks]
    weights = np.arange(1.0, len(picks) + 1) % 3
    weights[0] = 2
    repeated = [i for i, weight in enumerate(weights) for _ in range(int(weight))]
    expected = task.metrics([answers[i] for i in repeated], [golds[i] for i in repeated])
    means = weights @ quantities(task, answers, golds) / weights.sum()
    assert metrics_of_means(task, means) == pytest.approx(list(expected.values()), abs=1e-12)


def test_several_means_at_once():
    means = np.array([[[1.0, 4.0], [0.5, 0.25]], [[2.0, 9.0], [0.0, 0.0]]])
    assert metrics_of_means(ALL_TASKS["LaMP_3"], means).tolist() == [[[1, 2], [0.5, 0.5]], [[2, 3], [0, 0]]]
