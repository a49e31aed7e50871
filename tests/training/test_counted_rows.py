"""Rows of the past: which days, what came after them and how long they were watched."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from claimpt_tf.training import counted_rows
from claimpt_tf.training.choices import FinetuneConfig, Question
from claimpt_tf.training.counted_rows import Counter, _thinned, decayed_counts
from claimpt_tf.visits.ids import FIRST_CODE
from tests.training.transformed import members

MEMBERS, VISITS, SEEN, GAP, WINDOW = 40, 12, 9, 5, 60
CODES = [f"ICD10CM:J4{n:02d}" for n in range(20)]


def source(days: list[list[int]], marks: np.ndarray) -> tf.data.Dataset:
    features = members([VISITS] * MEMBERS, 3, codes=len(CODES))
    visits = features["visit_day"]
    rows = {
        **features,
        "visit_outcome": visits.with_values(tf.constant(marks.ravel())),
        "past_days": tf.ragged.constant(
            days, dtype=tf.int64, row_splits_dtype=tf.int64
        ),
        "index_day": tf.constant(visit_days()[:, SEEN - 1] + 1),
        "label": tf.zeros(MEMBERS, tf.int64),
        "patient_id": tf.constant([f"{n}" for n in range(MEMBERS)]),
    }
    return tf.data.Dataset.from_tensors(rows)


def visit_days() -> np.ndarray:
    features = members([VISITS] * MEMBERS, 3, codes=len(CODES))
    return features["visit_day"].to_tensor().numpy().astype(np.int64)


def counter(rows: tf.data.Dataset) -> Counter:
    question = Question(WINDOW, GAP)
    return Counter(decayed_counts(CODES, rows), question, FinetuneConfig())


def drawn() -> tuple[list[list[int]], np.ndarray]:
    """Each member's own number of days, from none to seven, and marked visits."""
    draw, at = np.random.default_rng(1), visit_days()
    days = [
        sorted(draw.integers(one[0], one[SEEN - 1] - GAP, n % 8).tolist())
        for n, one in enumerate(at)
    ]
    return days, draw.integers(0, 2, at.shape)


def test_what_came_after_each_day_and_how_long_it_was_watched(monkeypatch) -> None:
    monkeypatch.setattr(counted_rows, "FEWEST_OUTCOMES", 1)
    days, marks = drawn()
    found = counter(source(days, marks)).past(source(days, marks))
    event, years, member = [], [], []
    for number, (own, at, marked) in enumerate(
        zip(days, visit_days(), marks, strict=True)
    ):
        for day in own:
            watched = min(at[SEEN - 1] + 1 - (day + GAP), WINDOW)
            later = [v for v, mark in zip(at, marked, strict=True)
                     if mark and v > day + GAP]  # fmt: skip
            until = min(later, default=10**6) - (day + GAP)
            event.append(float(until <= watched))
            years.append(min(until, watched) / 365.25)
            member.append(number)
    np.testing.assert_array_equal(found.event, event)
    np.testing.assert_allclose(found.years, years)
    np.testing.assert_array_equal(found.member, member)
    assert 0 < found.event.sum() < len(event)
    marks[:, SEEN:] = 1 - marks[:, SEEN:]  # what came after the index date
    again = counter(source(days, marks)).past(source(days, marks))
    np.testing.assert_array_equal(again.event, event)
    np.testing.assert_allclose(again.years, years)


def test_features_are_those_of_a_labelled_row_on_that_day(monkeypatch) -> None:
    """What a day of the past shows is what an index date on that day would."""
    monkeypatch.setattr(counted_rows, "FEWEST_OUTCOMES", 1)
    days, marks = drawn()
    count = counter(source(days, marks))
    found = count.past(source(days, marks))
    (whole,) = source(days, marks)
    firsts = [own[0] for own in days if own]
    members_with = [n for n, own in enumerate(days) if own]
    asked = {name: tf.gather(one, members_with) for name, one in whole.items()}
    asked["index_day"] = tf.constant(firsts, tf.int64)
    wanted = count.labelled(tf.data.Dataset.from_tensors(asked), 0)
    first_rows = np.unique(found.member, return_index=True)[1]
    np.testing.assert_allclose(
        found.features[first_rows].toarray(), wanted.features.toarray(), rtol=1e-5
    )
    assert wanted.features.nnz > 0


def test_too_few_outcomes_after_such_days_take_any_day(monkeypatch) -> None:
    monkeypatch.setattr(counted_rows, "FEWEST_OUTCOMES", 1000)
    days, marks = drawn()
    few = counter(source(days, marks)).past(source(days, marks))
    none = counter(source(days, marks)).past(source([[]] * MEMBERS, marks))
    assert len(few.event) == len(none.event) > sum(map(len, days))


def test_many_days_are_thinned_evenly() -> None:
    days = tf.RaggedTensor.from_row_lengths(
        tf.range(24 + 3, dtype=tf.int64), tf.constant([24, 0, 3], tf.int64)
    )
    kept = _thinned(days, 6).to_list()
    assert kept == [[0, 4, 8, 12, 16, 20], [], [24, 25, 26]]
    assert _thinned(days, 24).to_list() == days.to_list()
    assert [len(one) for one in _thinned(days, 10).to_list()] == [10, 0, 3]


def test_columns_stand_for_codes_seen_often_enough() -> None:
    layer = decayed_counts(CODES, source([[]] * MEMBERS, np.zeros((MEMBERS, VISITS))))
    assert layer.column_of.shape == (FIRST_CODE + len(CODES), 3)
