"""Figures of each kind of label against libraries that others wrote."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sklearn.metrics import log_loss, r2_score, roc_auc_score, root_mean_squared_error

from claimpt_tf.evaluation.endpoint_figures import FIGURES, auroc_by, concordance
from claimpt_tf.evaluation.endpoint_metrics import figures_table, judge_run

ROWS = 80


def followed(seed: int, step: int = 1) -> pl.DataFrame:
    """Members followed to an event or to the end, days in steps, risks tied."""
    draw = np.random.default_rng(seed)
    risk = draw.normal(size=ROWS).round(1)
    event, end = draw.exponential(300 * np.exp(-risk)), draw.exponential(300, ROWS)
    days = np.ceil(np.minimum(event, end) / step) * step
    chance = 1 / (1 + np.exp(-risk))
    return pl.DataFrame(
        {
            "label": (event <= end).astype(int),
            "label_days": days,
            "risk_90d": chance / 2,
            "risk_365d": chance,
        }
    )


def drawn(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Two bootstrap weightings, and the rows that they stand for."""
    draw = np.random.default_rng(seed)
    weights = draw.integers(0, 4, (2, ROWS)).astype(float)
    return weights, [np.repeat(np.arange(ROWS), w.astype(int)) for w in weights]


@pytest.mark.parametrize("step", [1, 60])
def test_concordance_is_that_of_lifelines(step: int) -> None:
    rows = followed(step, step)
    weights, picks = drawn(step)
    seen, days, risk = (
        rows[n].to_numpy() for n in ("label", "label_days", "risk_365d")
    )
    found = concordance(seen, days, risk, weights)
    for value, pick in zip(found, picks, strict=True):
        # A row drawn twice is no pair with itself.
        expected = _pairs(seen, days, risk, pick)
        assert value == pytest.approx(expected, abs=1e-12)
    whole = concordance(seen, days, risk, np.ones((1, ROWS)))[0]
    assert whole == pytest.approx(concordance_index(days, -risk, seen), abs=1e-12)


def _pairs(seen, days, risk, pick) -> float:
    better = pairs = 0.0
    for i in pick:
        for j in pick:
            if seen[i] and (days[i], 1 - seen[i]) < (days[j], 1 - seen[j]):
                pairs += 1
                better += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return better / pairs


@pytest.mark.parametrize("horizon", [90.0, 180.0, 365.0])
def test_auroc_by_a_day_weighs_events_by_who_was_followed(horizon: float) -> None:
    rows = followed(7)
    seen, days, risk = (
        rows[n].to_numpy() for n in ("label", "label_days", "risk_365d")
    )
    # Days are told apart a little, so that every convention for ties agrees.
    days = days + np.arange(ROWS) / 1000
    censoring = KaplanMeierFitter().fit(days, 1 - seen)
    better = pairs = 0.0
    for i in np.flatnonzero((seen == 1) & (days <= horizon)):
        weight = 1 / censoring.predict(days[i])
        for j in np.flatnonzero(days > horizon):
            pairs += weight
            better += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    found = auroc_by(seen, days, risk, horizon, np.ones((1, ROWS)))
    assert found[0] == pytest.approx(better / pairs, abs=1e-9)
    nobody = auroc_by(seen, days, risk, 1e6, np.ones((2, ROWS)))
    assert np.isnan(nobody).all()


def test_figures_of_drawn_rows_are_those_of_repeated_rows() -> None:
    draw = np.random.default_rng(3)
    weights, picks = drawn(3)
    label = draw.integers(0, 2, ROWS)
    chance = draw.random(ROWS)
    number = draw.normal(size=ROWS)
    names = np.array(["a", "b", "c"])
    kinds, chances = draw.integers(0, 3, ROWS), draw.dirichlet([1, 1, 1], ROWS)
    tables = {
        "binary": pl.DataFrame({"label": label, "probability": chance}),
        "regression": pl.DataFrame({"label": number, "prediction": chance}),
        "multi_class": pl.DataFrame(
            {"label": names[kinds]}
            | {f"probability_{name}": chances[:, n] for n, name in enumerate(names)}
        ),
    }
    found = {kind: FIGURES[kind](table, weights) for kind, table in tables.items()}
    for n, pick in enumerate(picks):
        pair = label[pick], chance[pick]
        assert found["binary"]["auroc"][n] == pytest.approx(roc_auc_score(*pair))
        assert found["binary"]["log_loss"][n] == pytest.approx(log_loss(*pair))
        pair = number[pick], chance[pick]
        errors = found["regression"]
        assert errors["r2"][n] == pytest.approx(r2_score(*pair))
        assert errors["root_mean_squared_error"][n] == pytest.approx(
            root_mean_squared_error(*pair)
        )
        classes = found["multi_class"]
        assert classes["auroc"][n] == pytest.approx(
            roc_auc_score(kinds[pick], chances[pick], multi_class="ovr")
        )
        assert classes["log_loss"][n] == pytest.approx(
            log_loss(kinds[pick], chances[pick])
        )
        hits = chances[pick].argmax(axis=1) == kinds[pick]
        assert classes["accuracy"][n] == pytest.approx(hits.mean())


def test_a_run_is_judged_with_intervals_over_its_members(tmp_path) -> None:
    rows = followed(11)
    (tmp_path / "config.json").write_text('{"labels": {"kind": "time_to_event"}}')
    few = pl.Series("split", ["test"] * (ROWS - 5) + ["eval"] * 5)
    members = pl.Series("patient_id", [f"m{n // 2}" for n in range(ROWS)])
    rows.with_columns(few, members).write_parquet(tmp_path / "predictions.parquet")
    found = judge_run(tmp_path, replicates=200)
    assert list(found) == ["test"]
    test = found["test"]["network"]
    assert list(test) == ["concordance", "auroc_90d", "auroc_365d"]
    for one in test.values():
        assert one.low < one.value < one.high
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert told["test"]["network"]["concordance"]["value"] == test["concordance"].value
    assert figures_table(found).row_count == 1
