"""Historical windows: every label by a plain loop, and nothing after the index date."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.historical import historical_windows
from claimpt_tf.evaluation.history_model import HistoryModel
from claimpt_tf.tasks.spec import Task

TASK = Task.model_validate(
    {
        "name": "t",
        "index": {"kind": "fixed", "date": "2022-01-08"},
        "gap_days": 3,
        "outcome": {"visit_types": ["ED"]},
        "window_days": 90,
    }
)


def with_outcomes(frame: pl.DataFrame) -> pl.DataFrame:
    """ED visits are the outcome."""
    outcome = [[int(kind == "ED") for kind in row] for row in frame["visit_types"]]
    return frame.with_columns(visit_outcome=pl.Series(outcome))


@pytest.mark.parametrize("at_visits", [True, False])
def test_labels_are_those_of_a_plain_loop(make_labelled, at_visits: bool) -> None:
    train = with_outcomes(make_labelled(60, seed=3, rows_each=2))
    found = historical_windows(train, 90, 3, at_visits=at_visits, dates=4)
    rows = {
        (row["patient_id"], row["index_day"]): row
        for row in train.iter_rows(named=True)
    }
    last = {patient: day for patient, day in sorted(rows)}
    assert found["patient_id"].value_counts()["count"].max() <= 4
    assert found.height > 60 and 0 < found["label"].sum() < found.height
    for past in found.iter_rows(named=True):
        row = rows[past["patient_id"], last[past["patient_id"]]]
        day = past["index_day"]
        assert day + 3 + 90 <= row["index_day"]
        visits = list(
            zip(
                row["visit_days"],
                row["visit_length"],
                row["visit_outcome"],
                strict=True,
            )
        )
        expected = any(o and day + 3 < d <= day + 93 for d, _, o in visits)
        assert past["label"] == expected
        if at_visits:
            assert day in [d + length for d, length, _ in visits]
        else:
            assert day >= visits[0][0]


def test_the_future_of_a_member_changes_nothing(make_labelled) -> None:
    train = with_outcomes(make_labelled(80, seed=3))
    plain = historical_windows(train, 90, at_visits=True)
    length = [2] * train.height

    def longer(name, more):
        return pl.Series(
            name, [a + m for a, m in zip(train[name].to_list(), more, strict=True)],
            dtype=train.schema[name],
        )  # fmt: skip

    marked = train.with_columns(
        longer("visit_days", [[19_001 + n for n in range(k)] for k in length]),
        longer("visit_outcome", [[1] * k for k in length]),
        longer("visit_length", [[0] * k for k in length]),
    )
    found = historical_windows(marked, 90, at_visits=True)
    keys = ["patient_id", "index_day", "label"]
    assert found.select(keys).equals(plain.select(keys))


def test_few_rows_a_member_when_there_are_many(make_labelled) -> None:
    train = with_outcomes(make_labelled(50, seed=3))
    found = historical_windows(train, 90, dates=8, most_rows=100)
    assert found["patient_id"].value_counts()["count"].max() == 2


@pytest.fixture(scope="module")
def model(make_labelled, three_characters) -> HistoryModel:
    train = with_outcomes(make_labelled(300, seed=1))
    return HistoryModel(train, make_labelled(300, seed=2), TASK, 0, three_characters)


def test_history_ranks_without_a_label_and_better_with_all(model, make_labelled):
    test = make_labelled(300, seed=2)
    few = np.arange(300) < 10
    assert roc_auc_score(test["label"], model.scores(few)) > 0.6
    assert roc_auc_score(test["label"], model.scores()) > 0.6
    np.testing.assert_array_equal(model.scores(few), model.scores(few))


def test_a_task_without_a_past_says_so(make_labelled) -> None:
    train = make_labelled(60, seed=1)
    with pytest.raises(TaskError, match="past of the training members holds 0 outc"):
        HistoryModel(train, train, TASK)
    unlabelled = Task.model_validate({"name": "t", "labels": {"file": "x.csv"}})
    with pytest.raises(TaskError, match="no outcome by which a past"):
        HistoryModel(train, train, unlabelled)
