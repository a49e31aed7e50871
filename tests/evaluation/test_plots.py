"""What the plots draw: decisions, groups, learning curves; and what they hide."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.learning_plot import learning_plots
from claimpt_tf.evaluation.operating_points import treat_all
from claimpt_tf.evaluation.plots import calibration_plot, decision_plot, net_benefits
from claimpt_tf.evaluation.subgroup_plot import forest_plot


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    risk = generator.beta(1, 6, 800)
    return (generator.random(800) < risk).astype(float), risk


def test_net_benefit_is_its_definition(scored) -> None:
    labels, risk = scored
    thresholds = np.array([0.05, 0.2, 0.4])
    expected = []
    for threshold in thresholds:
        flagged = risk >= threshold
        odds = threshold / (1 - threshold)
        expected.append(np.mean(flagged * (labels - odds * (1 - labels))))
    np.testing.assert_allclose(net_benefits(labels, risk, thresholds), expected)
    few = np.sort(risk)[-10]
    assert np.isnan(net_benefits(labels, risk, np.array([few]))).all()


def test_a_useful_model_lies_above_both_defaults(scored) -> None:
    plot = decision_plot(*scored[:1], {"net": scored[1]}, threshold=0.1)
    told = plot.svg.split("<desc")[1].split("</desc")[0]
    net = float(told.split("net ")[1].split(";")[0])
    middle = float(told.split("threshold of ")[1].split("%")[0]) / 100
    assert net > max(treat_all(scored[0], middle), 0)


def test_the_smoothed_curve_stands_beside_the_tenths(scored) -> None:
    labels, risk = scored
    plot = calibration_plot(labels, {"net": risk}, "net")
    assert "smoothed (lowess)" in plot.caption
    assert "By tenths of the rows" in plot.svg


def test_hidden_groups_are_not_in_the_forest(make_labelled) -> None:
    frame = make_labelled(300, seed=2).with_columns(
        sex=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("U")).otherwise("sex")
    )
    found = compare({"net": frame["risk"]}, frame, 30, subgroups=("sex", "institution"))
    hidden = {group.level for group in found.subgroups if group.suppressed}
    assert "U" in hidden
    plot = forest_plot(found)
    assert plot is not None and "Institution A" in plot.svg
    for level in hidden:
        assert f"Sex {level} " not in plot.svg
    alone = compare({"net": frame["risk"]}, frame, 10, subgroups=())
    assert forest_plot(alone) is None


def test_learning_curves_withhold_few_events() -> None:
    summary = pl.DataFrame(
        {
            "model": ["net", "net", "net", "other"],
            "balanced": [False] * 4,
            "members": [16.0, 256.0, 900.0, 16.0],
            "events": [3.0, 40.0, 150.0, 3.0],
            "metric": ["auroc"] * 4,
            "value": [0.6, 0.8, 0.9, None],
            "low": [0.5, 0.7, 0.8, None],
            "high": [0.7, 0.9, 0.95, None],
        }
    )
    plot, by_events = learning_plots(summary, "auroc", "AUROC")
    assert "net: 0.600 with 16, 0.800 with 256, 0.900 with 900" in plot.svg
    assert "&lt;11" in plot.svg and ">40<" in plot.svg.replace("\n", "")
    assert "net: 0.800 with 40, 0.900 with 150" in by_events.svg
    assert "0.600" not in by_events.svg and plot.name != by_events.name
    (only,) = learning_plots(summary[:1], "auroc", "AUROC")
    assert only.name == plot.name
    assert learning_plots(None, "auroc", "AUROC") == []
