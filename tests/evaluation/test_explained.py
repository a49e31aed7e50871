"""What an explained prediction tells, and where it starts."""

from __future__ import annotations

import pytest

from claimpt_tf.evaluation.examples import NO_CODE, NO_VISIT
from claimpt_tf.evaluation.explained import example_of
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
