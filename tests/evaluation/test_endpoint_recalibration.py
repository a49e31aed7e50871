"""Recalibration of classes, numbers and times: what was planted is found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import softmax
from scipy.stats import linregress

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.endpoint_calibration import class_calibration
from claimpt_tf.evaluation.endpoint_figures import event_figures
from claimpt_tf.evaluation.endpoint_recalibration import (
    FITS,
    Risks,
    recalibrate_classes,
    recalibrate_numbers,
    recalibrate_risks,
)
from claimpt_tf.evaluation.recalibration import recalibrate

DRAW = np.random.default_rng(4)


def two_classes(rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    yes = DRAW.beta(1, 3, rows)
    came = DRAW.random(rows) < yes**2
    given = pl.DataFrame({"probability_no": 1 - yes, "probability_yes": yes})
    return given, pl.DataFrame({"label": np.where(came, "yes", "no")})


def test_two_classes_are_recalibrated_as_yes_or_no() -> None:
    given, truth = two_classes(2_000)
    found = recalibrate_classes(given, truth)
    line = recalibrate((truth["label"] == "yes").cast(int), given["probability_yes"])
    assert found.slope == pytest.approx(line.slope, rel=0.02)
    mine = found(given)
    theirs = line.platt(given["probability_yes"])
    np.testing.assert_allclose(mine["probability_yes"], theirs, atol=0.005)
    assert mine.columns == given.columns
    np.testing.assert_allclose(mine.sum_horizontal(), 1.0)


def test_shares_of_classes_are_met() -> None:
    names = [f"probability_{one}" for one in "abc"]
    logits = DRAW.normal(0, 1.5, (3_000, 3))
    came = np.array(
        [DRAW.choice(3, p=one) for one in softmax(logits / 2 + [0, 1, -1], axis=1)]
    )
    given = pl.DataFrame(softmax(logits, axis=1), schema=names)
    truth = pl.DataFrame({"label": np.array(list("abc"))[came]})
    found = recalibrate_classes(given, truth)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert sum(found.shifts.values()) == pytest.approx(0)
    assert found.shifts["b"] - found.shifts["c"] == pytest.approx(2, abs=0.25)
    rows = pl.concat([truth, found(given)], how="horizontal")
    gaps = class_calibration(rows, np.ones((1, 3_000)))
    assert all(abs(gap[0]) < 0.002 for gap in gaps.values())


def test_numbers_follow_the_line() -> None:
    told = DRAW.normal(10, 2, 60)
    label = 3 * told - 5 + DRAW.normal(0, 1, 60)
    found = recalibrate_numbers(
        pl.DataFrame({"prediction": told}), pl.DataFrame({"label": label})
    )
    theirs = linregress(told, label)
    assert (found.slope, found.intercept) == (theirs.slope, theirs.intercept)
    given = found(pl.DataFrame({"prediction": [0.0, 1.0]}))["prediction"].to_list()
    assert given == pytest.approx([theirs.intercept, theirs.slope + theirs.intercept])


def test_hazards_are_stretched_and_their_order_stays() -> None:
    rows, ends = 6_000, np.array([30.0, 90.0, 180.0, 365.0])
    rate = np.exp(DRAW.normal(-7, 1, rows))
    given = pl.DataFrame({f"risk_{end:.0f}d": -np.expm1(-rate * end) for end in ends})
    # The truth is H ** 0.7 * e: drawn by turning round its survival.
    hazard = DRAW.exponential(1, rows)
    days = np.ceil((hazard / np.e) ** (1 / 0.7) / rate)
    followed = DRAW.integers(20, 600, rows)
    seen = (days <= followed).astype(np.int8)
    truth = pl.DataFrame(
        {"label": seen, "label_days": np.minimum(days, followed).astype(float)}
    )
    found = recalibrate_risks(given, truth)
    assert found.slope == pytest.approx(0.7, abs=0.03)
    assert found.intercept == pytest.approx(1.0, abs=0.1)
    told = [pl.concat([truth, one], how="horizontal") for one in (given, found(given))]
    before, after = (event_figures(one, np.ones((1, rows))) for one in told)
    assert before["concordance"] == pytest.approx(after["concordance"])
    same = Risks(slope=1.0, intercept=0.0)(given)
    np.testing.assert_allclose(same["risk_90d"], given["risk_90d"], rtol=1e-6)


def test_too_little_is_refused() -> None:
    given, truth = two_classes(19)
    with pytest.raises(TaskError, match="fewer than 20 validation rows"):
        FITS["multi_class"](given, truth)
    given, truth = two_classes(30)
    with pytest.raises(TaskError, match="rows are of one class"):
        recalibrate_classes(given, truth.with_columns(label=pl.lit("no")))
    flat = pl.DataFrame({"prediction": np.ones(30)})
    with pytest.raises(TaskError, match="rows have one prediction"):
        recalibrate_numbers(flat, pl.DataFrame({"label": np.arange(30.0)}))
    risks = pl.DataFrame({"risk_30d": np.full(30, 0.1)})
    late = pl.DataFrame({"label": [1] * 30, "label_days": [31.0] * 30})
    with pytest.raises(TaskError, match="fewer than 20 validation events"):
        recalibrate_risks(risks, late)
