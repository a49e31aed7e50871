"""Pages about classes, categories, numbers and times: figures, words and refusals."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lifelines import KaplanMeierFitter
from rich.console import Console
from scipy.stats import linregress

from claimpt_tf.errors import ArtifactError, InputError, TaskError
from claimpt_tf.evaluation.class_plots import OTHER, confusion
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.endpoint_calibration import (
    class_calibration,
    number_calibration,
    observed_risk,
    risk_calibration,
)
from claimpt_tf.evaluation.endpoint_compare import compare_endpoints
from claimpt_tf.evaluation.endpoint_figures import auroc_by
from claimpt_tf.evaluation.endpoint_study import RivalLearner, Rivals
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned
from claimpt_tf.evaluation.endpoints.registry import JUDGED
from claimpt_tf.evaluation.evaluate import Choices
from claimpt_tf.evaluation.evaluate_endpoint import (
    _refuse_other_labels,
    refuse_options,
    write_endpoint_evaluation,
)
from claimpt_tf.evaluation.learning_curve import learning_curve
from claimpt_tf.evaluation.learning_plot import learning_plots
from claimpt_tf.evaluation.number_plots import tenths
from claimpt_tf.evaluation.recall_plots import found_by_category
from claimpt_tf.evaluation.runs import compare_runs
from claimpt_tf.evaluation.scales import OtherLabels
from claimpt_tf.evaluation.story import Story
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.training.endpoints.registry import endpoint_names

CLASSES = ("mild", "moderate", "severe")
NAMES = ["CCSR:RSP009", *(f"OWN:{n:02d}" for n in range(39))]
ROWS = 240


def task(kind: str) -> Task:
    if kind == "multi_label":
        return load_task("next_visit_diagnosis")
    labels = {"kind": kind, "classes": CLASSES if kind == "multi_class" else None}
    return Task.model_validate({"name": "charts", "labels": labels})


@pytest.fixture(scope="module")
def frame(make_labelled) -> pl.DataFrame:
    """Labelled examples with the labels of every kind, planted along the risk."""
    rows = make_labelled(2 * ROWS, seed=3)
    draw = np.random.default_rng(0)
    risk = rows["risk"].to_numpy()
    level = np.clip((3 * risk).astype(int) + draw.integers(0, 3, len(risk)), 0, 2)
    sets = [
        [*NAMES[n : n + 4], *NAMES[-1 - n :]] for n in draw.integers(0, 9, len(risk))
    ]
    days = np.ceil(draw.exponential(300 / (1 + 6 * risk)))
    return rows.with_columns(
        severity=pl.Series(level),
        seen=pl.Series((days < 365).astype(int)),
        days=pl.Series(np.minimum(days, 365)),
        label_categories=pl.Series(sets),
        label_row=pl.int_range(pl.len()),
    )


def labelled(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The labels in the columns that cohorts have them in."""
    if kind == "multi_class":
        return frame.with_columns(label=pl.col("severity"))
    if kind == "regression":
        value = 100 + 40 * pl.col("severity")
        return frame.with_columns(label=pl.lit(0), label_value=value.cast(pl.Float32))
    if kind == "time_to_event":
        return frame.with_columns(label=pl.col("seen"), label_value=pl.col("days"))
    return frame.with_columns(label=pl.lit(0))


def scored(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Predictions that follow the risk."""
    risk = frame["risk"].to_numpy()
    if kind == "multi_class":
        chances = np.stack([(1 - risk) ** 2, 2 * risk * (1 - risk), risk**2], 1)
        return pl.DataFrame(chances, schema=[f"probability_{one}" for one in CLASSES])
    if kind == "regression":
        return pl.DataFrame({"prediction": 90 + 60 * risk})
    if kind == "time_to_event":
        return pl.DataFrame({"risk_90d": risk / 2, "risk_180d": risk})
    scores = np.abs(np.linspace(0, 1, len(NAMES))[None] - risk[:, None])
    return pl.DataFrame(scores, schema=[f"probability_{one}" for one in NAMES])


def asked(frame: pl.DataFrame, kind: str) -> tuple[Judged, pl.DataFrame, pl.DataFrame]:
    """The kind, its labelled examples, and predictions of the last of them."""
    rows = labelled(frame, kind)
    given = scored(rows, kind)
    return JUDGED[kind](given.columns), rows, given.tail(ROWS)


def test_every_kind_that_can_be_learned_can_be_judged() -> None:
    assert sorted(JUDGED) == endpoint_names()


@pytest.mark.parametrize("kind", sorted(JUDGED))
def test_a_page_is_written_of_each_kind(frame, kind: str, tmp_path: Path) -> None:
    judged, rows, given = asked(frame, kind)
    test = rows.tail(ROWS)
    truth = judged.truth(test)
    baselines = judged.baselines(Learned(rows.head(ROWS), test, task(kind)))
    assert set(baselines) == set(judged.rivals)
    found = write_endpoint_evaluation(
        tmp_path,
        judged,
        {"net": given, **{name: one[given.columns] for name, one in baselines.items()}},
        truth,
        test,
        Story(task(kind), source="tuva", simulated=True, facts={"Recipe": "head"}),
        Choices(replicates=40),
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        "report.html", "metrics.json", "predictions.parquet", "model_card.md",
    }  # fmt: skip
    text = (tmp_path / "metrics.json").read_text()
    assert Comparison.from_json(text) == found and json.loads(text)["kind"] == kind
    assert (found.positives is None) == (kind != "time_to_event")
    main = judged.within[0]
    figure = found.models["net"][main]
    assert figure.low < figure.value < figure.high
    assert all(set(one) == set(judged.titles) for one in found.models.values())
    sexes = [group for group in found.subgroups if group.by == "sex"]
    gaps = [group.differences[main].value for group in sexes]
    assert gaps[0] == pytest.approx(-gaps[1])
    parts = [group.models["net"][main].value for group in sexes]
    assert gaps[0] == pytest.approx(parts[0] - parts[1])
    card = (tmp_path / "model_card.md").read_text()
    page = (tmp_path / "report.html").read_text()
    for told in ("Synthetic data", f"{figure.value:.3f}", "head", judged.titles[main]):
        assert told in card and told in page, told
    assert page.count('role="img"') >= 2 and page.count("<desc") >= 2
    assert not any(one in page + card for one in test["patient_id"])
    table = pl.read_parquet(tmp_path / "predictions.parquet")
    assert table.height == 4 * ROWS and set(table["model"]) == {"net", *baselines}
    own = table.filter(pl.col("model") == "net")
    assert own.select(given.columns).equals(given)
    _compare_with_a_rival(tmp_path, found, next(iter(baselines)), judged)


def _compare_with_a_rival(
    folder: Path, found: Comparison, rival: str, judged: Judged
) -> None:
    """`claimpt compare` says of another run what the evaluation said of a rival."""
    other, half = folder / "other", folder / "half"
    table = pl.read_parquet(folder / "predictions.parquet")
    swapped = pl.col("model").replace({"net": rival, rival: "net"})
    for place, rows in ((other, table.with_columns(swapped)), (half, table[::2])):
        place.mkdir()
        (place / "metrics.json").write_text((folder / "metrics.json").read_text())
        rows.write_parquet(place / "predictions.parquet")
    both = compare_runs([str(folder), str(other)], replicates=40)
    first, main = both.found.reference, list(judged.titles)[0]
    for name, wanted in found.differences[rival].items():
        assert asdict(both.found.differences["other"][name]) == pytest.approx(
            asdict(wanted), abs=1e-9
        )
    value = both.found.models[first][main].value
    assert value == pytest.approx(found.models["net"][main].value)
    page = both.to_html("claimpt compare")
    assert f"{value:.3f}" in page and judged.titles[main] in page
    assert "<figure>" in page and not any(one in page for one in table["patient_id"])
    shown = Console(record=True, width=200)
    shown.print(both.to_table())
    assert f"{value:.3f}" in shown.export_text()
    apart = compare_runs([str(folder), str(half)], replicates=40)
    assert not apart.paired and "<figure>" not in apart.to_html("claimpt compare")
    assert apart.found.models["half"] == found.models["net"]


@pytest.mark.parametrize("kind", sorted(JUDGED))
def test_few_rows_give_no_figure(frame, kind: str) -> None:
    judged, rows, given = asked(frame, kind)
    few = rows.tail(ROWS).head(15)
    if kind == "time_to_event":  # with five events of a hundred rows
        few = rows.tail(ROWS).head(100).with_columns(
            label=(pl.int_range(pl.len()) < 5).cast(pl.Int64)
        )  # fmt: skip
    truth = judged.truth(few)
    found = compare_endpoints(
        judged, {"net": given.head(few.height)}, truth, few, 20, subgroups=(), fewest=20
    )
    for one in found.models["net"].values():
        assert one.value is None and "20 or more are needed" in one.reason
    reasons = {one.reason for one in found.models["net"].values()}
    start = "fewer than 11" if kind == "time_to_event" else "15 rows"
    assert all(reason.startswith(start) for reason in reasons)


def test_a_rare_class_has_no_figure_and_neither_has_the_mean(frame) -> None:
    judged, rows, given = asked(frame, "multi_class")
    test = rows.tail(ROWS)
    place = pl.int_range(pl.len())
    test = test.with_columns(label=pl.when(place < 12).then(2).otherwise(place % 2))
    found = compare_endpoints(
        judged, {"net": given}, judged.truth(test), test, 20, subgroups=(), fewest=20
    ).models["net"]
    reason = "12 rows of class severe; 20 or more are needed"
    assert found["auroc[severe]"].reason == found["auroc"].reason == reason
    assert found["auroc[mild]"].value is not None
    assert found["log_loss"].value is not None


def test_labels_that_are_all_alike_are_refused(frame) -> None:
    said = {
        "multi_class": (pl.lit("mild"), "are of class mild"),
        "regression": (pl.lit(1.0), "are the same number"),
        "time_to_event": (pl.lit(0), "no event was seen in 240 test rows"),
    }
    for kind, (same, message) in said.items():
        judged, rows, _ = asked(frame, kind)
        truth = judged.truth(rows.tail(ROWS)).with_columns(label=same)
        with pytest.raises(TaskError, match=message):
            judged.refuse(truth)


def test_predictions_that_are_none_are_refused(frame) -> None:
    for kind in JUDGED:
        judged, _, given = asked(frame, kind)
        first = pl.int_range(pl.len()) == 0
        name = given.columns[0]
        for value, message in ((float("nan"), "are NaN"), (None, "missing")):
            broken = given.with_columns(
                pl.when(first).then(pl.lit(value)).otherwise(name).alias(name)
            )
            with pytest.raises(ArtifactError, match=f"1 of 240 rows .*{message}"):
                judged.check(broken, "net")
    for kind, message in (
        ("multi_class", "240 rows have probabilities outside"),
        ("time_to_event", "240 of 240 rows have probabilities outside"),
    ):
        judged, _, given = asked(frame, kind)
        with pytest.raises(ArtifactError, match=message):
            judged.check(given.select(pl.all() + 1.5), "net")
    judged, _, given = asked(frame, "multi_class")
    with pytest.raises(ArtifactError, match="240 of 240 rows do not add up"):
        judged.check(given.select(pl.all() / 2), "net")


def test_labels_other_than_the_cohorts_are_refused() -> None:
    truth = pl.DataFrame({"label": [["a", "b"], ["c"]]})
    _refuse_other_labels(pl.DataFrame({"label": [["b", "a"], ["c"]]}), truth, "p")
    with pytest.raises(ArtifactError, match="1 labels of the split test differ"):
        _refuse_other_labels(pl.DataFrame({"label": [["a"], ["c"]]}), truth, "p")


def test_options_of_yes_and_no_are_refused_by_name() -> None:
    refuse_options("regression", ["run", "seed", "networks"])
    with pytest.raises(InputError) as told:
        refuse_options("regression", ["run", "threshold", "true_risk"])
    assert str(told.value).startswith("labels are regression; leave out --threshold (")
    assert "--true-risk (" in str(told.value)


@pytest.mark.parametrize("kind", sorted(JUDGED))
def test_baselines_learn_from_few_labels_on(frame, kind: str, tmp_path: Path) -> None:
    """With all labels a curve ends where the evaluation stands."""
    judged, rows, given = asked(frame, kind)
    train, test = rows.head(ROWS), rows.tail(ROWS)
    rivals = Rivals(judged, train, test, task(kind))
    truth = judged.truth(test)
    summary = learning_curve(
        [RivalLearner(name, rivals) for name in judged.rivals], train, test, tmp_path,
        shots=(40,), seeds=(0,), n_boot=20, scale=OtherLabels(judged, truth, 2),
    )  # fmt: skip
    assert set(summary["metric"]) == set(judged.titles)
    learned = Learned(train, test, task(kind), seed=0)
    models = {
        name: one.select(judged.columns)
        for name, one in judged.baselines(learned).items()
    }
    found = compare_endpoints(judged, models, truth, test, 20, 0, fewest=2)
    every = summary.filter(pl.col("shots").is_null())
    assert every.height == len(models) * len(judged.titles)
    for row in every.iter_rows(named=True):
        whole = found.models[row["model"]][row["metric"]]
        assert row["value"] == pytest.approx(whole.value)
        assert row["reason"] == whole.reason
    few = summary.filter(pl.col("shots") == 40)
    assert set(few["members"]) == {40.0}
    assert (few["events"].null_count() == 0) == judged.outcomes
    plots = learning_plots(summary, judged.within[0], "Title")
    assert ("rows with the outcome" in plots[0].svg) == judged.outcomes


def test_what_few_labels_do_not_hold_is_never_foreseen(frame) -> None:
    judged, rows, given = asked(frame, "multi_label")
    scale = OtherLabels(judged, judged.truth(rows.tail(ROWS)), 2)
    kept = scale.keep(given.drop(judged.columns[0]), "net")
    assert kept.columns == judged.columns and kept[judged.columns[0]].max() == 0
    with pytest.raises(TypeError, match="net gives no table"):
        scale.keep(np.zeros(ROWS), "net")


def test_calibration_is_that_of_other_libraries() -> None:
    draw = np.random.default_rng(8)
    label, given = draw.normal(50, 10, 90), draw.normal(1e6, 5, 90)
    weights = draw.integers(0, 4, (2, 90)).astype(float)
    rows = pl.DataFrame({"label": label, "prediction": given})
    found = number_calibration(rows, weights)
    seen, days = draw.integers(0, 2, 90), draw.integers(1, 60, 90) * 10.0
    risk = draw.random(90)
    events = {"label": seen, "label_days": days, "risk_95d": risk / 3}
    events = pl.DataFrame(events | {"risk_200d": risk})
    gaps = risk_calibration(events, weights)
    classes = {"label": ["a" if one else "b" for one in seen], "probability_a": risk}
    classes = pl.DataFrame(classes | {"probability_b": 1 - risk})
    shares = class_calibration(classes, weights)
    for n, drawn in enumerate(weights):
        pick = np.repeat(np.arange(90), drawn.astype(int))
        theirs = linregress(given[pick], label[pick])
        assert found["calibration_slope"][n] == pytest.approx(theirs.slope, rel=1e-5)
        error = (given - label)[pick].mean()
        assert found["mean_error"][n] == pytest.approx(error)
        curve = KaplanMeierFitter().fit(days[pick], seen[pick])
        for day, given_risk in ((95, risk / 3), (200, risk)):
            expected = given_risk[pick].mean() - (1 - curve.predict(day))
            assert gaps[f"{day}d"][n] == pytest.approx(expected, abs=1e-9)
        expected = risk[pick].mean() - seen[pick].mean()
        assert shares["a"][n] == pytest.approx(expected)
    assert np.isnan(observed_risk(seen, days, [1e4], weights)).all()


def test_who_was_followed_to_the_day_is_free_of_the_event() -> None:
    """Follow-up that ends on the last horizon, as that of a year's table does."""
    seen, days, risk = [1, 0, 0], [10, 365, 365], [0.9, 0.5, 0.95]
    found = auroc_by(seen, days, risk, 365, np.ones((1, 3)))
    assert found[0] == pytest.approx(0.5)


def test_small_cells_of_a_confusion_are_one_column() -> None:
    label = ["a"] * 30 + ["b"] * 20 + ["c"] * 5
    chances = np.zeros((55, 3))
    chances[np.arange(55), np.r_[[0] * 25, [2] * 5, [1] * 20, [0] * 5]] = 1
    columns = [f"probability_{name}" for name in "abc"]
    rows = pl.DataFrame(chances, schema=columns).insert_column(
        0, pl.Series("label", label)
    )
    came, taken, counts = confusion(rows, list("abc"))
    assert (came, taken) == (["a", "b"], ["a", "b", OTHER])
    assert counts.tolist() == [[25, 0, 5], [0, 20, 0]]


def test_tenths_and_categories_are_of_eleven_rows_or_more() -> None:
    given = np.arange(50.0)
    points = tenths(2 * given, given)
    assert len(points) == 4 and points[0, 0] == pytest.approx(6.0)
    assert (points[:, 2] < points[:, 1]).all()
    rows = pl.DataFrame(
        {"label": [["a", "b"]] * 10 + [["a"]] * 5, "probability_a": np.ones(15)}
    ).with_columns(probability_b=pl.lit(0.5))
    assert found_by_category(rows) == {"a": 1.0}
