"""Models side by side: the figures, their JSON, their table, and bad input."""

from __future__ import annotations

import io
import json

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import bootstrap
from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import Comparison, write_metrics
from claimpt_tf.evaluation.metrics import default_metrics
from claimpt_tf.evaluation.predictions import predictions_frame, write_predictions


@pytest.fixture(scope="module")
def frame(make_labelled) -> pl.DataFrame:
    return make_labelled(500, seed=1, rows_each=2)


@pytest.fixture(scope="module")
def scores(frame) -> dict[str, np.ndarray]:
    risk = frame["risk"].to_numpy()
    noise = np.random.default_rng(0).normal(size=(2, len(risk)))
    logit = np.log(risk / (1 - risk))
    good, poor = (
        1 / (1 + np.exp(-logit - s * n)) for s, n in zip((0.3, 2), noise, strict=True)
    )
    return {
        "good": good,
        "poor": poor,
        "prevalence": np.full(len(risk), 0.2),
        "best possible": risk,
    }


@pytest.fixture(scope="module")
def found(scores, frame) -> Comparison:
    return compare(scores, frame, 200, 3)


def test_figures_are_those_of_each_model_alone(found, scores, frame) -> None:
    labels, patients = frame["label"].to_numpy(), frame["patient_id"].to_numpy()
    for model, given in scores.items():
        alone = bootstrap(labels, given, patients, default_metrics(), 200, 3)
        assert found.models[model] == alone
    assert (found.n, found.patients) == (1000, 500)
    assert found.positives == labels.sum()
    assert found.prevalence == labels.mean()


def test_differences_are_to_the_first_model(found, scores, frame) -> None:
    assert found.reference == "good"
    assert set(found.differences) == {"poor", "prevalence", "best possible"}
    worse = found.differences["poor"]["auroc"]
    labels = frame["label"]
    assert worse.value == pytest.approx(
        roc_auc_score(labels, scores["poor"]) - roc_auc_score(labels, scores["good"])
    )
    assert worse.high < 0 and worse.p < 0.05
    slope = found.differences["prevalence"]["calibration_slope"]
    assert (slope.value, slope.reason) == (None, "every score is the same")


def test_another_reference_turns_the_sign(found, scores, frame) -> None:
    turned = compare(scores, frame, 200, 3, reference="poor")
    here, there = found.differences["poor"], turned.differences["good"]
    assert there["auroc"].value == pytest.approx(-here["auroc"].value)
    assert there["auroc"].low == pytest.approx(-here["auroc"].high)


def test_subgroups_are_their_own_rows(found, scores, frame) -> None:
    for group in found.subgroups:
        if group.by != "sex":
            continue
        rows = (frame["sex"] == group.level).to_numpy()
        labels = frame["label"].to_numpy()[rows]
        assert group.n == rows.sum()
        assert group.positives == labels.sum()
        assert group.models["good"]["auroc"].value == pytest.approx(
            roc_auc_score(labels, scores["good"][rows])
        )
    assert {group.by for group in found.subgroups} == {"sex", "age_band"}


def test_small_groups_leave_no_trace(frame, scores) -> None:
    few = frame.with_columns(
        sex=pl.when(pl.int_range(pl.len()) < 12).then(pl.lit("U")).otherwise("sex")
    )
    found = compare(scores, few, 50)
    hidden = [g for g in json.loads(found.to_json())["subgroups"] if g["suppressed"]]
    assert "U" in {group["level"] for group in hidden}
    assert len([group for group in hidden if group["by"] == "sex"]) > 1
    for group in hidden:
        assert group["models"] == {}
        assert (group["n"], group["patients"], group["positives"]) == (None,) * 3


def test_json_is_read_back_as_it_was(found, tmp_path) -> None:
    write_metrics(found, tmp_path / "run" / "metrics.json")
    text = (tmp_path / "run" / "metrics.json").read_text()
    assert Comparison.from_json(text) == found
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["metrics.json"]


def test_the_same_seed_gives_the_same_json(found, scores, frame) -> None:
    assert compare(scores, frame, 200, 3).to_json() == found.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="metrics"):
        Comparison.from_json(text)


def test_the_table_fits_a_terminal(found) -> None:
    console = Console(file=io.StringIO(), width=88)
    console.print(found.to_table("Test split"))
    text = console.file.getvalue()
    auroc = found.models["good"]["auroc"]
    assert f"{auroc.value:.3f} [{auroc.low:.3f}, {auroc.high:.3f}]" in text
    for word in ("Test split", "best possible", "AUPRC", "Brier", "1,000"):
        assert word in text


def test_one_class_gives_reasons_and_no_figures(frame, scores) -> None:
    found = compare(scores, frame.with_columns(label=pl.lit(0)), 20)
    for figures in found.models.values():
        assert figures["auroc"].value is None
        assert figures["auroc"].reason == "no positives"
        assert figures["brier"].value is not None
    assert all(group.suppressed for group in found.subgroups)
    assert Comparison.from_json(found.to_json()) == found
    found.to_table()


def test_bad_input_is_named(frame, scores) -> None:
    risk = frame["risk"]
    broken = pl.Series([*risk[:3], None, *risk[4:]])
    cases: list[tuple[dict, pl.DataFrame, str]] = [
        ({}, frame, "no model to compare"),
        ({"m": broken}, frame, "m: 1 of 1000 scores is NaN, missing.*first at row 3"),
        ({"m": risk.head(9)}, frame, r"m: \(9,\) scores for \(1000,\) labels"),
        ({"m": 2 * risk + 1}, frame, "outside 0 to 1"),
        ({"m": risk}, frame.drop("sex", "label"), "column label, sex is missing"),
        ({"m": [0.1] * 2000}, pl.concat([frame, frame]), "share a patient and index"),
        (
            {"m": risk},
            frame.with_columns(label=pl.lit(None, pl.Int64)),
            "column label is empty in 1000 rows",
        ),
    ]
    for predictions, rows, message in cases:
        with pytest.raises(ArtifactError, match=message):
            compare(predictions, rows, 10)
    with pytest.raises(ArtifactError, match="reference model 'x' is not among good"):
        compare(scores, frame, 10, reference="x")


def test_errors_do_not_show_who(frame) -> None:
    with pytest.raises(ArtifactError) as caught:
        compare({"m": frame["risk"] + 2}, frame, 10)
    assert not any(one in str(caught.value) for one in frame["patient_id"])


def test_predictions_hold_a_row_each(frame, scores, tmp_path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, scores, frame, "test")
    found = pl.read_parquet(path)
    assert found.columns == [
        "patient_id",
        "index_date",
        "split",
        "probability",
        "label",
        *scores,
    ]
    assert found["index_date"].dtype == pl.Date
    assert found["patient_id"].equals(frame["patient_id"])
    assert found["probability"].to_list() == scores["good"].tolist()
    assert set(found["split"]) == {"test"}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    other = predictions_frame(scores, frame, frame["sex"].alias("split"), "poor")
    assert other["probability"].to_list() == scores["poor"].tolist()
    assert other["split"].to_list() == frame["sex"].to_list()


def test_predictions_of_other_rows_are_refused(frame, scores) -> None:
    with pytest.raises(ArtifactError, match="m: 3 scores for 1000 rows"):
        predictions_frame({"m": [0.1, 0.2, 0.3]}, frame, "test")
    with pytest.raises(ArtifactError, match="cannot be named label"):
        predictions_frame({"label": scores["good"]}, frame, "test")
    with pytest.raises(ArtifactError, match="main model 'x' has no scores"):
        predictions_frame(scores, frame, "test", "x")
