"""Statistics of paired differences: scipy's where it has them, closed forms, and known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.stats import mstats

from cvtrain.analysis.difference import Difference, adjusted_p, student_p
from cvtrain.analysis.statistics import (
    LEVEL,
    constant,
    discordance_p,
    holm,
    interval,
    significant,
    summary,
    summary_means,
)


def test_up_to_four_values_have_students_t():
    values = np.array([0.1, 0.4, -0.2, 0.3])
    student = stats.ttest_1samp(values, 0.0)
    estimate, expected = interval(values), student.confidence_interval(0.95)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx(
        (values.mean(), expected.low, expected.high)
    )
    assert summary(values).difference_p() == pytest.approx(student.pvalue)


@pytest.mark.parametrize("n", [5, 8, 10, 26, 41])
def test_more_have_the_trimmed_mean_with_yuens_error(n):
    values = np.random.default_rng(n).standard_t(3, n)
    g = int(0.2 * n)
    winsorized = np.asarray(mstats.winsorize(values, limits=(g / n, g / n)))
    h = n - 2 * g
    error = math.sqrt((n - 1) * winsorized.var(ddof=1) / (h * (h - 1)))
    estimate = summary(values)
    assert estimate.mean == pytest.approx(stats.trim_mean(values, 0.2))
    assert (estimate.error, estimate.freedom) == (pytest.approx(error), h - 1)


def test_means_of_many_rows_are_those_of_each():
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((40, 11))
    rows[1:9, :7] = 0.25  # ties in the middle, which trim nothing
    rows[9:15] = rows[9:15, :1]
    rows[15:20, :3] = math.inf
    rows[20:24, 0] = -math.inf
    expected = [summary(row).mean for row in rows]
    assert summary_means(rows).tolist() == expected
    assert summary_means(rows[:, :3]).tolist() == [summary(row[:3]).mean for row in rows]


def test_two_one_sided_tests_pass_where_the_ninety_percent_interval_is_within_the_margin():
    rng = np.random.default_rng(2)
    for _ in range(50):
        estimate = summary(rng.normal(0.001, 0.004, 12))
        half = estimate.error * stats.t.ppf(0.95, estimate.freedom)
        inside = estimate.mean - half > -0.005 and estimate.mean + half < 0.005
        assert (estimate.equivalence_p(0.005) < 0.05) == inside


def test_a_difference_up_to_what_is_resolved_is_none():
    estimate = summary(np.random.default_rng(3).normal(-0.004, 0.004, 12))
    assert estimate.difference_p(0.0) == estimate.difference_p()
    assert estimate.difference_p(0.001) == pytest.approx(
        2 * stats.t.sf((abs(estimate.mean) - 0.001) / estimate.error, estimate.freedom)
    )
    assert estimate.difference_p(0.01) == 1


def test_equal_differences_leave_no_doubt_and_infinite_ones_are_none():
    assert summary(np.full(5, 0.001)).equivalence_p(0.005) == 0
    assert summary(np.full(5, 0.006)).equivalence_p(0.005) == 1
    assert summary(np.zeros(5)).difference_p() == 1
    assert summary(np.full(5, 0.1)).difference_p() == 0
    assert summary(np.full(5, 0.1)).difference_p(0.1) == 1
    assert summary(np.full(5, 0.1)).difference_p(0.09) == 0
    estimate = interval(np.full(5, 0.1))
    assert (estimate.mean, estimate.low, estimate.high) == (0.1, 0.1, 0.1)
    assert not constant(np.full(5, np.inf)) and not constant(np.array([1.0, np.inf]))
    one_lost = np.array([0.001] * 5 + [np.inf])
    assert math.isnan(summary(one_lost[:4:-1]).equivalence_p(0.005))
    assert math.isnan(summary(np.full(6, np.inf)).equivalence_p(0.005))


def test_infinite_values_count_as_worse_than_any_up_to_the_trimmed_share():
    values = np.random.default_rng(1).normal(0, 1, 10)
    lost = values.copy()
    lost[values.argmin()] = -np.inf
    assert summary(lost).mean == summary(values).mean
    assert summary(lost).error == summary(values).error
    lost[:5] = -np.inf
    assert math.isnan(summary(lost).error)


def test_ties_in_the_middle_do_not_make_an_interval_of_no_width():
    values = np.array([-0.03, -0.01, 0, 0, 0, 0, 0, 0, 0.02, 0.03])
    estimate = interval(values)
    assert estimate.low < 0 < estimate.high
    assert estimate.high - estimate.low > 0.01


def test_mcnemars_test_is_the_binomial_of_the_pairs_of_which_one_failed():
    assert discordance_p(0, 0) == (1.0, 1.0)
    assert discordance_p(5, 0) == (pytest.approx(2**-5), pytest.approx(2**-4))
    assert discordance_p(0, 5)[0] == 1.0
    assert discordance_p(3, 1)[0] == pytest.approx(5 / 16)


def test_holms_p_values_are_those_of_the_step_down():
    plain = [0.01, math.nan, 0.04, 0.03, 0.005]
    adjusted = holm(plain)
    assert math.isnan(adjusted[1])
    assert [adjusted[i] for i in (0, 2, 3, 4)] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert not significant(0.05) and significant(0.049) and not significant(math.nan)


@pytest.mark.parametrize("truth", [0.0, 0.02])
def test_the_number_of_seeds_is_enough_as_often_as_is_said(truth, share):
    rng = np.random.default_rng(3)
    pilot = truth + 0.01 * stats.norm.ppf((np.arange(10) + 0.5) / 10)
    needed = summary(pilot).seeds_for_answer(0.005, lambda seeds: np.full(len(seeds), LEVEL))
    assert needed > 10
    draws = share(4000)
    answered = 0
    for _ in range(draws):
        estimate = summary(rng.normal(truth, 0.01, needed))
        answered += significant(estimate.equivalence_p(0.005)) or significant(
            estimate.difference_p()
        )
    assert answered / draws > 0.7


def test_p_values_of_many_contests_are_those_of_benjamini_and_hochberg():
    rng = np.random.default_rng(8)
    values = [rng.normal(mean, 1.0, 12) for mean in (0.0, 0.6, 0.9, 1.2, 0.3)]

    def of(v):
        return Difference(float(v.mean()), math.nan, math.nan, len(v), False, values=v)

    p_values = adjusted_p([of(values[0]), of(values[0][:9]), *map(of, values[1:])])
    assert math.isnan(p_values.pop(1))
    plain = [stats.ttest_1samp(v, 0).pvalue for v in values]
    ranked = sorted(plain)
    for p, adjusted in zip(plain, p_values, strict=True):
        expected = min(5 * q / rank for rank, q in enumerate(ranked, 1) if q >= p)
        assert adjusted == pytest.approx(min(1, expected), rel=1e-9)
    assert math.isnan(student_p(np.array([0.1, np.inf])))
