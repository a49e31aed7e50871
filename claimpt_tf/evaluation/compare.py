"""Several models on the same rows whose labels are yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import LEVEL, REPLICATES, Cell, Draws, replicate
from claimpt_tf.evaluation.comparison import Comparison, shown
from claimpt_tf.evaluation.metrics import (
    CAPACITY,
    MIN_EACH_CLASS,
    Estimate,
    checked,
    default_metrics,
)
from claimpt_tf.evaluation.replicated import Replicated, Where
from claimpt_tf.evaluation.subgroups import (
    NEEDS,
    SUBGROUPS,
    groups_of,
    has_rest,
    rest_of,
)
from claimpt_tf.evaluation.weighted import Floats, Ranked

SUBGROUP_METRICS: Final = ("auroc", "auprc", "brier", "calibration_in_the_large")
ANY_CLASS: Final = ("brier", "log_loss", "ece")  # figures that exist without events
_COLUMNS: Final = ("patient_id", "index_day", "label")


def compare(
    predictions: Mapping[str, ArrayLike],
    frame: pl.DataFrame,
    n_boot: int = REPLICATES,
    seed: int = 0,
    *,
    reference: str | None = None,
    capacity: float = CAPACITY,
    subgroups: Sequence[str] = SUBGROUPS,
    level: float = LEVEL,
    threshold: float | None = None,
    fewest: int = MIN_EACH_CLASS,
) -> Comparison:
    """Judges models on the same labelled rows, with a patient-level bootstrap.

    Args:
        predictions: model -> probabilities in the frame's order, shape (rows,).
        frame: labelled examples: patient_id, index_day, label, and what `subgroups`
            needs (sex; birth_days for age_band).
        n_boot: bootstrap replicates.
        seed: of the bootstrap; the same seed gives the same figures.
        reference: the model that others are compared with; by default the first.
        capacity: share of rows a care team can take up.
        subgroups: names of `subgroups.TITLES` or of columns.
        level: of the intervals.
        threshold: the probability from which on members are flagged.
        fewest: with fewer rows of a class than this, figures that need both classes
            are not estimable.

    Raises:
        ArtifactError: no model, a model without a score for every row, scores that
            are NaN or no probabilities, a row twice, or a missing column.
    """
    check_frame(predictions, frame, subgroups)
    reference = reference if reference is not None else next(iter(predictions))
    if reference not in predictions:
        raise ArtifactError(
            f"reference model '{reference}' is not among {', '.join(predictions)}"
        )
    labels = frame["label"].to_numpy()
    scores = {
        model: np.asarray(_floats(given), dtype=np.float64)
        for model, given in predictions.items()
    }
    metrics = default_metrics(capacity, threshold)
    few = {name: metrics[name] for name in SUBGROUP_METRICS}
    everyone = np.arange(frame.height)
    groups = [group for by in subgroups for group in groups_of(frame, by)]

    whole = {
        Where(model): Cell(checked(labels, given, model), everyone)
        for model, given in scores.items()
    }
    parts: dict[Where, Cell] = {}
    for position, group in enumerate(groups):
        if group.suppressed:
            continue
        for model, given in scores.items():
            ranked = checked(labels[group.rows], given[group.rows], model)
            parts[Where(model, position)] = Cell(ranked, group.rows)
        if has_rest(groups, position):
            rows = rest_of(groups, position)
            ranked = Ranked(labels[rows], scores[reference][rows])
            parts[Where(reference, position, rest=True)] = Cell(ranked, rows)
    draws = Draws(frame["patient_id"].to_numpy(), n_boot, seed)
    few_rows = _few(labels, fewest)
    found = Replicated(
        {
            where: {
                name: Estimate(None, few_rows)
                if few_rows is not None and where in whole and name not in ANY_CLASS
                else metric.point(cell.ranked.labels, cell.ranked.scores)
                for name, metric in (metrics if where in whole else few).items()
            }
            for where, cell in {**whole, **parts}.items()
        },
        {**replicate(whole, metrics, draws), **replicate(parts, few, draws)},
        level,
    )
    return Comparison(
        n=frame.height,
        patients=draws.n_patients,
        positives=int(labels.sum()),
        models=found.of_models(list(metrics)),
        differences=found.against(reference, list(metrics)),
        reference=reference,
        subgroups=found.within(
            groups,
            SUBGROUP_METRICS,
            lambda rows: int(labels[rows].sum()),
            corrected=SUBGROUP_METRICS,
        ),
        titles={name: metric.title for name, metric in metrics.items()},
        capacity=capacity,
        n_boot=n_boot,
        seed=seed,
        level=level,
        threshold=threshold,
    )


def _few(labels: Floats, fewest: int) -> str | None:
    """Why figures that need both classes are withheld, or None."""
    events = int(labels.sum())
    for count, what in ((events, "with"), (len(labels) - events, "without")):
        if 0 < count < fewest:
            return (
                f"{shown(count)} rows {what} the outcome; {fewest} or more are needed"
            )
    return None


def check_frame(
    predictions: Mapping[str, Any], frame: pl.DataFrame, subgroups: Sequence[str]
) -> None:
    """Refuses rows to compare on that are no labelled examples, each once.

    Raises:
        ArtifactError: no model, a column is missing or has gaps, a row stands twice.
    """
    if not predictions:
        raise ArtifactError("no model to compare; give one set of scores or more")
    needed = list(_COLUMNS)
    for by in subgroups:
        needed += NEEDS.get(by, (by,))
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ArtifactError(
            f"column {', '.join(missing)} is missing from the rows to compare on; "
            "give labelled examples"
        )
    for name in _COLUMNS:
        if nulls := frame[name].null_count():
            raise ArtifactError(f"column {name} is empty in {nulls} rows to compare on")
    repeated = frame.select("patient_id", "index_day").is_duplicated().sum()
    if repeated:
        raise ArtifactError(
            f"{repeated} rows share a patient and index date; one row each is allowed"
        )


def _floats(scores: Any) -> Any:
    """Nulls of a Polars series as NaN, so that they are refused by position."""
    if isinstance(scores, pl.Series):
        return scores.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return scores
