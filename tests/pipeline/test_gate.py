"""The gate on predictions: TFMA's own evaluation, without a network."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from scipy.special import expit
from tensorflow_model_analysis import extractors
from tensorflow_model_analysis.evaluators import MetricsPlotsAndValidationsEvaluator
from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
from tensorflow_model_analysis.extractors.materialized_predictions_extractor import (
    MaterializedPredictionsExtractor,
)
from tfx_bsl.arrow.table_util import CanonicalizeRecordBatch

from claimpt_tf.evaluation.compare import compare
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.evaluate import MODEL
from claimpt_tf.tasks.spec import load_task
from components.release_gate.reasons import (
    COUNTS,
    behind_counts,
    failed_thresholds,
    of_evaluation,
)
from pipeline.configs import RunConfig
from pipeline.gate import eval_config

ROWS = 1200
DEFAULTS = RunConfig(
    source="tuva", input_base="claims", tasks=(load_task("self_harm"),)
)
LOGISTIC, LIGHTGBM, HISTORY = COUNTS


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Labels of a rare outcome with the scores of a model that knows their risk."""
    generator = np.random.default_rng(5)
    logits = generator.normal(-3.4, 1.2, ROWS)
    sex = np.where(np.arange(ROWS) % 2, "F", "M").astype(object)
    sex[:6] = "U"
    label = generator.random(ROWS) < expit(logits)
    label[:6] = False
    return pl.DataFrame(
        {
            "patient_id": [f"m{row}" for row in range(ROWS)],
            "index_day": 19000,
            "sex": sex.astype(str),
            "label": label.astype(np.int64),
            "probability": expit(logits),
        }
    )


def asked_of_tfma(config: RunConfig, has_baseline: bool) -> tfma.EvalConfig:
    """As the Evaluator prepares it."""
    return tfma.utils.update_eval_config_with_defaults(
        eval_config(config), has_baseline=has_baseline, rubber_stamp=True
    )


def judged(
    frame: pl.DataFrame, config: RunConfig, folder: Path, last: str | None = None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What TFMA measures by group ("" for all), and why the gate refuses."""
    asked = asked_of_tfma(config, last is not None)
    for spec in asked.model_specs:
        spec.ClearField("signature_name")
        spec.ClearField("model_type")
        if spec.is_baseline:
            spec.prediction_key = last
    batch = pa.RecordBatch.from_pandas(frame.to_pandas())
    with beam.Pipeline() as pipeline:
        (
            pipeline
            | beam.Create([CanonicalizeRecordBatch(batch)])
            | tfma.BatchedInputsToExtracts()
            # TFMA's own defaults know no baseline without a SavedModel.
            | tfma.ExtractAndEvaluate(
                extractors=[
                    extractors.FeaturesExtractor(asked),
                    extractors.LabelsExtractor(asked),
                    extractors.ExampleWeightsExtractor(asked),
                    MaterializedPredictionsExtractor(asked),
                    extractors.UnbatchExtractor(),
                    extractors.SliceKeyExtractor(eval_config=asked, materialize=False),
                ],
                evaluators=[MetricsPlotsAndValidationsEvaluator(asked)],
            )
            | tfma.WriteResults(tfma.default_writers(str(folder), eval_config=asked))
        )
    measured: dict[str, dict[str, float]] = {}
    for found in tfma.load_metrics(str(folder)):
        group = "".join(
            k.bytes_value.decode() for k in found.slice_key.single_slice_keys
        )
        measured[group] = {
            one.key.name: one.value.double_value.value
            for one in found.metric_keys_and_values
            if one.key.model_name != tfma.BASELINE_KEY and not one.key.is_diff
        }
    return measured, of_evaluation(str(folder))


def page(
    frame: pl.DataFrame,
    scores: dict[str, pl.Series],
    replicates: int = 2,
    subgroups: tuple[str, ...] = (),
) -> Comparison:
    return compare(scores, frame, replicates, 3, subgroups=subgroups, fewest=20)


def test_page_and_gate_agree_to_four_digits(rows: pl.DataFrame, tmp_path: Path) -> None:
    measured, reasons = judged(rows, DEFAULTS, tmp_path)
    assert reasons == []
    shown = page(rows, {MODEL: rows["probability"]}, subgroups=("sex",))
    everybody = shown.models[MODEL]["auroc"].value
    assert measured[""]["auroc"] == pytest.approx(everybody, abs=5e-6)
    for group in shown.subgroups:
        if not group.suppressed:
            value = group.models[MODEL]["auroc"].value
            assert measured[group.level]["auroc"] == pytest.approx(value, abs=5e-6)
    ratio = rows["probability"].sum() / rows["label"].sum()
    assert measured[""]["calibration"] == pytest.approx(ratio, abs=5e-6)
    # Too few in the group whose sex is unknown: not judged, and no reason to refuse.
    assert np.isnan(measured["U"]["auroc"])


def test_a_model_that_harms_one_sex_is_refused_by_default(
    rows: pl.DataFrame, tmp_path: Path
) -> None:
    women = pl.col("sex") == "F"
    harmful = rows.with_columns(
        last=pl.col("probability"),
        probability=pl.when(women)
        .then(0.5 - pl.col("probability").clip(0, 0.5))
        .otherwise(pl.col("probability")),
    )
    measured, reasons = judged(harmful, DEFAULTS, tmp_path, last="last")
    assert measured["M"]["auroc"] > 0.7
    bad = [reason for reason in reasons if "(sex=F)" in reason]
    assert len(bad) == 1
    assert bad[0].startswith(f"AUROC {measured['F']['auroc']:.3f} is below the gate's")
    assert not [reason for reason in reasons if "sex=M" in reason]
    drop = next(reason for reason in reasons if "last served" in reason)
    lost = page(rows, {"a": rows["probability"], "b": harmful["probability"]})
    assert f"is {-lost.differences['b']['auroc'].value:.3f} below" in drop
    assert any("predicted / observed outcomes" in reason for reason in reasons)


def test_a_model_is_refused_where_counts_rank_better_for_sure(
    rows: pl.DataFrame,
) -> None:
    rows = rows.tail(800)
    noise = np.random.default_rng(1).normal(0, 1.0, rows.height)
    good = rows["probability"]
    logits = np.log(good / (1 - good))
    worse = pl.Series(expit(logits + 2 * noise))
    shown = {MODEL: worse, LOGISTIC: good, LIGHTGBM: worse}
    found = page(rows, shown, replicates=60)
    (reason,) = behind_counts(found)
    ahead = found.differences[LOGISTIC]["auroc"]
    assert ahead.low > 0
    assert reason.startswith(f"AUROC is {ahead.value:.3f} [{ahead.low:.3f}, ")
    assert reason.endswith(f"below that of {LOGISTIC} (all test rows)")
    assert behind_counts(found, allowed=ahead.low + 0.001) == []
    # As good but for chance, or better.
    one, other = (pl.Series(expit(logits + sign * noise / 2)) for sign in (1, -1))
    others = {MODEL: one, HISTORY: other, LIGHTGBM: worse}
    assert behind_counts(page(rows, others, replicates=60)) == []


def test_a_model_that_cannot_be_judged_is_refused(rows: pl.DataFrame) -> None:
    key = tfma.metrics.MetricKey(name="auroc", example_weighted=False)
    asked = asked_of_tfma(DEFAULTS, has_baseline=False)
    found = validate_metrics(((), {key: float("nan")}), asked)
    assert any("AUROC is not estimable" in one for one in failed_thresholds(found))
    events = rows.filter(pl.col("label") == 1).head(12)
    few = pl.concat([events, rows.filter(pl.col("label") == 0).head(100)])
    scores = {MODEL: few["probability"], LIGHTGBM: few["probability"]}
    (reason,) = behind_counts(page(few, scores))
    assert "cannot be held against counts: too few test rows" in reason
    assert "12" not in reason
