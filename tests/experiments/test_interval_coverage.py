"""The study's own parts: truths, the plain bootstrap beside the product, and both tables."""

import numpy as np
import pytest

from experiments.interval_coverage.run import Study, coverage, coverage_table, error_table, errors, percentile_bootstrap

SIZE = {"num_studies": 40, "num_resamples": 60, "seed": 0}


def test_the_true_lead_is_what_was_asked_for_in_spite_of_clipping():
    score, lead, inner = Study(nested=True, bernoulli=True, num_replicates=3, ratio=2.0, lead=0.03).truth()
    assert lead == pytest.approx(0.03, abs=2e-4)
    assert inner > 0.03, "clipping takes a part of it"
    assert score == pytest.approx(0.7, abs=0.02)


def test_people_are_the_same_in_every_replicate_only_where_they_are_shared():
    shape = (5, 3, 100)
    for nested in (True, False):
        study = Study(nested=nested, bernoulli=False, num_replicates=3, ratio=0.0)
        first, second = study.expected(np.random.default_rng(0), shape, 0.0)
        assert np.array_equal(second[:, 0], second[:, 1]) is not nested
        assert first.shape == shape


def test_the_plain_bootstrap_of_one_replicate_is_binomial():
    sums = np.zeros((1, 1, 40, 1, 2))
    sums[0, 0, ::2] = 1.0
    ends = percentile_bootstrap(sums, np.ones((1, 1, 40, 1)), nested=True, num_resamples=4000)
    # Binomial(40, .5) / 40 has its 2.5 % and 97.5 % points at .35 and .65; the second row equals the first
    assert ends[0, 0] == pytest.approx((0.35, 0.65), abs=0.026)
    assert ends[1, 0].tolist() == [0.0, 0.0]


def test_tables_have_a_line_per_study():
    study = Study(nested=False, bernoulli=True, num_replicates=3, ratio=1.0)
    row = coverage(study, **SIZE)
    assert 0.8 < row["score/product/coverage"] <= 1.0
    assert row["score/percentile/coverage"] < row["score/product/coverage"]
    assert len(coverage_table([row])) == 3
    outcomes = errors(Study(nested=True, bernoulli=False, num_replicates=10, ratio=0.0, lead=0.1), **SIZE)
    assert outcomes["holds"] == 1.0
    assert len(error_table([outcomes])) == 3
