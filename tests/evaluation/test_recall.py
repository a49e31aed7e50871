from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.recall import SIZES, plain_rankings, recall_at

NAMES = [f"C{number:02d}" for number in range(40)]


def plainly(scores: np.ndarray, came: list[list[str]], size: int) -> list[float]:
    """The definition, a row at a time."""
    found = []
    for row, names in zip(scores, came, strict=True):
        ranked = sorted(range(len(NAMES)), key=lambda place: (-row[place], place))
        listed = {NAMES[place] for place in ranked[:size]}
        found.append(len(listed & set(names)) / len(set(names)))
    return found


def test_recall_is_what_its_definition_says() -> None:
    random = np.random.default_rng(5)
    scores = random.integers(0, 9, (60, 40)).astype(float)  # with ties
    pool = [*NAMES, "unknown"]
    came = [
        list(random.choice(pool, random.integers(1, 9), replace=False))
        for _ in range(60)
    ]
    found = recall_at(scores, NAMES, pl.Series(came))
    assert found.columns == ["recall_at_5", "recall_at_10", "recall_at_30"]
    for size in SIZES:
        column = found[f"recall_at_{size}"].to_list()
        assert column == pytest.approx(plainly(scores, came, size))


def test_a_list_of_all_categories_misses_only_unknown_ones() -> None:
    came = pl.Series([["C00", "C07"], ["C01", "other"]])
    found = recall_at(np.zeros((2, 40)), NAMES, came, sizes=[1000])
    assert found["recall_at_1000"].to_list() == [1.0, 0.5]


def test_plain_rankings_know_what_is_frequent_and_what_repeats() -> None:
    train = pl.Series([["C02"], ["C02", "C01"], ["C05"], ["C05"], ["C05"]])
    past = pl.Series([["C01", "C01", "C09"], []], dtype=pl.List(pl.String))
    scores = plain_rankings(past, train, NAMES)
    order = np.argsort(-scores["repeated"], axis=1, kind="stable")
    assert [NAMES[place] for place in order[0, :4]] == ["C01", "C09", "C05", "C02"]
    assert [NAMES[place] for place in order[1, :3]] == ["C05", "C02", "C01"]
    frequent = np.argsort(-scores["frequent"], axis=1, kind="stable")
    assert [NAMES[place] for place in frequent[0, :3]] == ["C05", "C02", "C01"]


@pytest.mark.parametrize(
    ("scores", "names", "came", "message"),
    [
        (np.zeros((2, 3)), ["a", "b"], [["a"], ["b"]], "scores of shape"),
        (np.zeros((1, 2)), ["a", "a"], [["a"]], "stands twice"),
        (np.zeros((1, 2)), ["a", "b"], [[]], "row 0 has no category that came"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    scores: np.ndarray, names: list[str], came: list[list[str]], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message):
        recall_at(scores, names, pl.Series(came, dtype=pl.List(pl.String)))
