"""What an explained prediction tells, and where it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from claimpt_tf.evaluation.examples import NO_CODE, NO_VISIT, Told
from claimpt_tf.evaluation.explained import example_of, explained_examples
from claimpt_tf.evaluation.finetuned_model import CodeShares
from claimpt_tf.serving.explanations import CodeShare

COMMON, RARE = "ICD10CM:J4521", "ICD10CM:Q999"


def shares(of_visits: float) -> CodeShares:
    codes = (CodeShare(COMMON, 0.05), CodeShare(RARE, 0.02))
    probability = 0.9 + of_visits + 0.07
    return CodeShares(probability, 0.9, codes, {"IP": of_visits})


@pytest.mark.parametrize(
    ("at_visits", "of_visits", "start", "told"),
    [
        (
            False,
            -0.7,
            NO_VISIT,
            ["90.0%", "\N{MINUS SIGN}70.0%", "+5.0%", "+2.0%", "27.0%"],
        ),
        (True, -0.7, NO_CODE, ["20.0%", "+5.0%", "+2.0%", "27.0%"]),
        # What would be no probability is not told as one.
        (
            True,
            -0.95,
            NO_VISIT,
            ["90.0%", "\N{MINUS SIGN}95.0%", "+5.0%", "+2.0%", "2.0%"],
        ),
    ],
)
def test_where_an_example_starts(
    at_visits: bool, of_visits: float, start: str, told: list[str]
) -> None:
    found = example_of("high", shares(of_visits), {COMMON}, at_visits)
    rows = found.rows()
    assert rows[0][0] == start
    assert [share for _, share in rows] == told
    assert not [name for name, _ in rows if RARE in name]


def test_numbers_are_told_in_their_own_units() -> None:
    at = CodeShares(1234.5, 1000.0, (CodeShare(COMMON, -65.5),), {"IP": 300.0})
    found = example_of("high", at, {COMMON}, True, "prediction", share=False)
    assert [share for _, share in found.rows()] == [
        "1,300", "\N{MINUS SIGN}65.5", "+0", "1,234",
    ]  # fmt: skip
    assert found.rows()[-1][0] == "prediction"


def test_only_rows_among_those_asked_for_are_explained(make_labelled) -> None:
    """The last of the rows are allowed only; each is explained by its own column."""
    rows = make_labelled(60, seed=1)
    columns = ["a", "b"] * (rows.height // 2) + ["a"] * (rows.height % 2)
    among = np.arange(rows.height) >= rows.height - 30
    asked = {}

    class Model:
        def code_shares(self, cohort, split, chosen, column):
            assert len(chosen) == rows.height
            found = np.flatnonzero(chosen)
            asked.update(dict.fromkeys(found.tolist(), column))
            return [CodeShares(float(row), 0.0, (), {}) for row in found]

    values = np.linspace(1, 0, rows.height)
    told = Told(values, columns, {"a": "A", "b": "B"}, share=False)
    found = explained_examples(Model(), Path(), rows, told, among)  # type: ignore[arg-type]
    first = rows.height - 30
    picked = [first, first + 4, first + 15]
    assert [one.value for one in found] == picked
    assert asked == {row: columns[row] for row in picked}
    assert [one.what for one in found] == [columns[row].upper() for row in picked]
