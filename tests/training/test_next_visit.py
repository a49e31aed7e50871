"""Recall of the next visit: what it counts, and that the network is not told."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from claimpt_tf.models.presets import backbone
from claimpt_tf.training.choices import Limits
from claimpt_tf.training.next_visit import NextVisitRecall, next_visit_recall
from claimpt_tf.training.pretrainer import Pretrainer
from claimpt_tf.training.targets import choose_targets

# One code of each of four categories: ids 3, 4, 5, 6.
CODES = ["ICD10CM:J45901", "ICD10CM:F329", "ICD10CM:E109", "ICD10CM:I10"]
DAYS = [17000, 17030, 17060]


def habitual(last: list[list[int]]) -> dict:
    """Members with visits of codes 3; 4 and 5; then what `last` says."""
    each = [[3], [4, 5]]
    flat = [code for member in last for visit in (*each, member) for code in visit]
    lengths = [len(visit) for member in last for visit in (*each, member)]
    rows = np.full(len(last), len(DAYS), np.int64)
    codes = tf.RaggedTensor.from_row_lengths(
        tf.RaggedTensor.from_row_lengths(tf.constant(flat, tf.int64), lengths), rows
    )
    day = tf.RaggedTensor.from_row_lengths(
        tf.constant(DAYS * len(last), tf.int64), rows
    )
    return {
        "visit_day": day,
        "visit_length": tf.zeros_like(day),
        "visit_type": tf.ones_like(day) * 3,
        "log_cost": tf.cast(tf.zeros_like(day), tf.float32),
        "code_ids": codes,
        "stem_ids": codes,
        "enrolled_to": day[:, -1:],
        "sex": tf.ones(len(last), tf.int64),
        "birth_day": tf.fill([len(last)], tf.constant(14000, tf.int64)),
    }


def judge(last: list[list[int]]) -> NextVisitRecall:
    source = tf.data.Dataset.from_tensors(habitual(last))
    codes = [{"code_ids": np.repeat([3, 4, 5, 6], 40), "visit_type": np.full(160, 3)}]
    targets = choose_targets(CODES, codes, acute=False)
    model = Pretrainer(backbone("tiny", 7, 7), targets, {"next_visit": 1.0}, seed=1)
    head = model.objectives[0].head
    head.vectors.assign(np.zeros(head.vectors.shape))
    head.bias.assign([1.0, 0.0, 0.0, 9.0])  # targets stand in the order of the codes
    return next_visit_recall(model, source, source, CODES, Limits(8, 4))


@pytest.fixture
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claimpt_tf.training.next_visit.SIZES", (1, 2))


@pytest.mark.usefixtures("small_lists")
def test_counts_by_hand() -> None:
    """Twenty members: half repeat codes 4 and 5, half come with code 6 alone."""
    found = judge([[4, 5]] * 10 + [[6]] * 10)
    assert (found.members, found.categories) == (20, 4)
    # Codes 4 and 5 stand in 30 visits each, 3 in 20 and 6 in 10.
    assert found.recall["frequency"] == {1: 0.25, 2: 0.5}
    assert found.recall["last visit repeated"] == {1: 0.25, 2: 0.5}
    assert found.recall["own history"] == {1: 0.25, 2: 0.5}
    assert found.recall["network"] == {1: 0.5, 2: 0.5}


@pytest.mark.usefixtures("small_lists")
def test_few_members_give_no_figures() -> None:
    found = judge([[6]] * 10)
    assert found.recall == {} and found.members == 0
    assert "fewer than 11" in str(found.to_table().caption)
