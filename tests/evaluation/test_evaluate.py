"""One evaluation writes everything, and refuses runs that do not fit together."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from claimpt_tf.errors import ArtifactError, InputError, TaskError
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import Choices, write_evaluation
from claimpt_tf.evaluation.finetuned_run import check_splits, scores_of
from claimpt_tf.evaluation.recalibration import recalibrate
from claimpt_tf.evaluation.story import Story
from claimpt_tf.tasks.spec import load_task

CHOICES = Choices(replicates=40, capacity=20)


@pytest.fixture(scope="module")
def frame(make_labelled) -> pl.DataFrame:
    return make_labelled(400, seed=1)


@pytest.fixture(scope="module")
def predictions(frame) -> pl.DataFrame:
    return frame.select(
        "patient_id",
        pl.col("index_day").cast(pl.Int32).cast(pl.Date).alias("index_date"),
        pl.lit("test").alias("split"),
        pl.col("risk").alias("probability"),
        pl.col("label").cast(pl.Int8),
    )


def test_everything_is_written_and_agrees(frame, tmp_path) -> None:
    risk = frame["risk"].to_numpy()
    too_sure = 1 / (1 + ((1 - risk) / risk) ** 2)
    valid = (frame["label"].to_numpy()[:200], too_sure[:200])
    found = write_evaluation(
        tmp_path,
        {"net": too_sure, "prevalence": np.full(400, 0.2)},
        frame,
        Story(load_task("self_harm"), source="tuva", simulated=True,
              facts={"Recipe": "adapt"}),
        CHOICES,
        valid,
    )  # fmt: skip
    assert {file.name for file in tmp_path.iterdir()} == {
        "report.html", "metrics.json", "predictions.parquet", "model_card.md",
        "recalibration.json",
    }  # fmt: skip
    assert Comparison.from_json((tmp_path / "metrics.json").read_text()) == found
    raw, platt = found.models["net"], found.models["net, recalibrated (Platt)"]
    assert raw["calibration_slope"].value < 0.7 < platt["calibration_slope"].value
    assert raw["auroc"].value == pytest.approx(platt["auroc"].value)
    assert found.capacity == 0.05
    kept = json.loads((tmp_path / "recalibration.json").read_text())["net"]
    assert kept["slope"] < 0.8
    card = (tmp_path / "model_card.md").read_text()
    page = (tmp_path / "report.html").read_text()
    for text in ("Synthetic data", f"{raw['auroc'].value:.3f}", "adapt"):
        assert text in card and text in page, text
    by = {group.by for group in found.subgroups}
    assert {"sex", "age_band", "institution", "utilisation", "index_year"} <= by
    assert not any(one in card for one in frame["patient_id"])


@pytest.mark.parametrize(("events", "told"), [(15, "15"), (7, "fewer than 11")])
def test_few_events_give_no_figure(frame, tmp_path, events, told) -> None:
    rare = frame.with_columns(label=(pl.int_range(pl.len()) < events).cast(pl.Int64))
    found = write_evaluation(
        tmp_path, {"net": frame["risk"]}, rare, Story(load_task("self_harm")), CHOICES
    )
    auroc = found.models["net"]["auroc"]
    assert auroc.value is None
    assert auroc.reason == f"{told} rows with the outcome; 20 or more are needed"
    assert "7 rows with" not in (tmp_path / "metrics.json").read_text()
    assert found.models["net"]["brier"].value is not None


def test_a_harmed_group_is_found(make_labelled) -> None:
    frame = make_labelled(1500, seed=4)
    noise = np.random.default_rng(0).random(1500)
    harmed = (frame["sex"] == "F").to_numpy()
    scores = {"net": np.where(harmed, noise, frame["risk"].to_numpy())}
    found = compare(scores, frame, 200, subgroups=("sex", "institution"))
    groups = {(group.by, group.level): group for group in found.subgroups}
    gap = groups["sex", "F"].differences["auroc"]
    assert gap.high < 0 and groups["sex", "F"].adjusted["auroc"] < 0.05
    assert groups["institution", "A"].adjusted["auroc"] > 0.05
    figures = groups["sex", "F"].models["net"], groups["sex", "M"].models["net"]
    assert gap.value == pytest.approx(
        figures[0]["auroc"].value - figures[1]["auroc"].value
    )


def test_scores_join_their_rows_in_any_order(frame, predictions) -> None:
    shuffled = predictions.sample(fraction=1, shuffle=True, seed=1)
    found = scores_of(frame, shuffled, "p", "test")
    np.testing.assert_array_equal(found, frame["risk"].to_numpy())


def test_predictions_that_do_not_fit_are_refused(frame, predictions) -> None:
    first = pl.int_range(pl.len()) == 0
    cases = [
        (predictions.head(390), "10 of 400 labelled rows .* have no prediction"),
        (predictions.drop("label"), "column label is missing"),
        (
            predictions.with_columns(
                probability=pl.when(~first).then("probability").otherwise(float("nan"))
            ),
            "1 of 400 scores .* are NaN",
        ),
        (
            predictions.with_columns(
                patient_id=pl.when(first).then(pl.lit("x")).otherwise("patient_id")
            ),
            "1 predictions .* are of members or dates that the cohort does not",
        ),
        (pl.concat([predictions, predictions]), "800 predictions share member"),
        (predictions.with_columns(label=1 - pl.col("label")), "400 labels .* differ"),
    ]
    for table, message in cases:
        with pytest.raises(ArtifactError, match=message):
            scores_of(frame, table, "predictions.parquet", "test")


def test_members_in_two_splits_are_refused(frame) -> None:
    with pytest.raises(ArtifactError, match="10 members are in both train and test"):
        check_splits({"train": frame.head(30), "test": frame.tail(380)})


def test_recalibration_needs_rows_of_both_classes(frame) -> None:
    with pytest.raises(TaskError, match="too few to recalibrate"):
        recalibrate(np.zeros(100), np.full(100, 0.1))
    fitted = recalibrate(frame["label"], frame["risk"] / 2)
    for given in (fitted.platt, fitted.isotonic):
        risk = given(frame["risk"] / 2)
        assert risk.mean() == pytest.approx(frame["label"].mean(), abs=0.01)
        assert (np.diff(risk[np.argsort(frame["risk"])]) >= 0).all()


def test_a_capacity_beyond_the_rows_is_refused() -> None:
    assert Choices(capacity=0.1).share(9) == 0.1
    with pytest.raises(InputError, match="up to 9"):
        Choices(capacity=10).share(9)
