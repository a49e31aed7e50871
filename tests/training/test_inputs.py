"""Timelines to tensors: nothing after a date, nothing lost before it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.training.choices import Limits
from claimpt_tf.training.inputs import as_of, random_dates


def patients(lengths: list[int], seed: int = 0) -> dict[str, tf.RaggedTensor]:
    """Transformed features of patients with so many visits, 10 days apart."""
    draw = np.random.default_rng(seed)
    days = [[17000 + 10 * n for n in range(length)] for length in lengths]
    rows = tf.ragged.constant(days, dtype=tf.int64, row_splits_dtype=tf.int64)
    visits = sum(lengths)
    counts = draw.integers(1, 4, visits)
    codes = tf.RaggedTensor.from_row_lengths(
        tf.RaggedTensor.from_row_lengths(
            tf.constant(draw.integers(3, 30, counts.sum())), counts
        ),
        tf.constant(lengths, tf.int64),
    )
    types = tf.constant(draw.integers(1, 6, visits))
    return {
        "visit_day": rows,
        "visit_length": rows.with_values(tf.zeros(visits, tf.int64)),
        "visit_type": rows.with_values(types),
        "log_cost": rows.with_values(tf.ones(visits)),
        "code_ids": codes,
        "stem_ids": codes,
        "sex": tf.ones(len(lengths), tf.int64),
        "birth_day": tf.fill([len(lengths)], tf.constant(15000, tf.int64)),
    }


def test_as_of_drops_later_visits_and_keeps_the_latest() -> None:
    inputs = as_of(patients([0, 3, 9]), tf.constant([17045] * 3, tf.int64), Limits(4))
    assert inputs["visit_day"].numpy().tolist() == [
        [0, 0, 0, 0],
        [17000, 17010, 17020, 0],
        [17010, 17020, 17030, 17040],
    ]
    assert inputs["query_day"].numpy().tolist() == [[17045]] * 3


def test_as_of_an_open_stay_is_not_known() -> None:
    given = patients([2])
    given["visit_length"] = given["visit_day"].with_values(
        tf.constant([0, 5], tf.int64)
    )
    inputs = as_of(given, tf.constant([17012], tf.int64), Limits())
    assert inputs["visit_day"].numpy().tolist() == [[17000]]


def test_as_of_leaves_out_what_is_older_than_the_lookback() -> None:
    """As CohortGen does: a visit counts that began in the last N days."""
    given, day = patients([9]), tf.constant([17045], tf.int64)
    inputs = as_of(given, day, Limits(lookback_days=25))
    assert inputs["visit_day"].numpy().tolist() == [[17030, 17040]]
    inputs = as_of(given, day, Limits(lookback_days=26))
    assert inputs["visit_day"].numpy().tolist() == [[17020, 17030, 17040]]


def test_as_of_without_any_visit_has_a_shape() -> None:
    inputs = as_of(patients([0, 0]), tf.constant([17000, 17000], tf.int64), Limits())
    assert inputs["code_ids"].shape == (2, 1, 1)
    assert not inputs["visit_type"].numpy().any()


def test_as_of_is_what_a_plain_loop_gives() -> None:
    lengths, limits = [0, 12, 1, 30, 0, 7], Limits(visits=6, codes=2, lookback_days=120)
    given = patients(lengths)
    draw = np.random.default_rng(3)
    stays = draw.choice([0, 0, 0, 35], sum(lengths))
    given["visit_length"] = given["visit_day"].with_values(tf.constant(stays))
    day = 17000 + draw.integers(50, 250, len(lengths))
    inputs = as_of(given, tf.constant(day), limits)
    assert inputs["code_ids"].shape == (6, 6, 2)
    for row, asked in enumerate(day):
        visits = [
            (start, kind, codes[:2])
            for start, stay, kind, codes in zip(
                *(
                    given[name][row].numpy()
                    for name in ("visit_day", "visit_length", "visit_type")
                ),
                given["code_ids"][row].to_list(),
                strict=True,
            )
            if start + stay <= asked and start > asked - 120
        ][-6:]
        shown = int((inputs["visit_type"][row].numpy() > 0).sum())
        assert shown == len(visits)
        for place, (start, kind, codes) in enumerate(visits):
            assert inputs["visit_day"][row, place] == start
            assert inputs["visit_type"][row, place] == kind
            found = inputs["code_ids"][row, place].numpy()
            assert found[found > 0].tolist() == codes


def test_as_of_refuses_a_visit_without_a_length() -> None:
    given = patients([2, 1])
    given["visit_length"] = tf.RaggedTensor.from_row_lengths(
        tf.zeros(3, tf.int64), tf.constant([1, 2], tf.int64)
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="every visit needs"):
        as_of(given, tf.constant([17045] * 2, tf.int64), Limits())


@pytest.mark.parametrize("only_visits", [False, True])
def test_random_dates_stay_within_what_is_observed(only_visits: bool) -> None:
    given = patients([1, 5, 40])
    end = tf.constant([17100, 17100, 17500], tf.int64)
    inputs = random_dates(given, end, 30, 16, Limits(8), [1, 2], only_visits)
    observed = inputs["observed_to"].numpy()
    days, asked = inputs["visit_day"].numpy(), inputs["query_day"].numpy()
    for row in range(3):
        real = days[row][inputs["visit_type"].numpy()[row] > 0]
        assert real.min() <= asked[row].min()
        assert asked[row].max() <= max(observed[row] - 30, real.min())
        assert real.max() <= observed[row]
        if only_visits:
            latest = max(observed[row] - 30, real.min())
            assert set(asked[row]) <= {*real, latest}


def test_random_run_ends_before_what_it_cut_off() -> None:
    """Beyond a cut nothing is observed: the day before the next visit is the last."""
    given = patients([40])
    for seed in range(20):
        inputs = random_dates(
            given, tf.constant([17900], tf.int64), 0, 2, Limits(8), [seed, 0]
        )
        last = inputs["visit_day"].numpy().max()
        want = 17900 if last == 17390 else last + 9
        assert inputs["observed_to"].numpy().tolist() == [want]


def test_same_seed_same_dates() -> None:
    end = tf.constant([17300, 17500], tf.int64)
    one, two, other = (
        random_dates(patients([9, 30]), end, 30, 8, Limits(), [seed, 5])["query_day"]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one.numpy() != other.numpy()).any()
