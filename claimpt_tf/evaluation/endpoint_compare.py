"""Several models on the same rows whose labels are not yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import LEVEL, REPLICATES, Draws, share_out
from claimpt_tf.evaluation.compare import check_frame
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.endpoint_figures import Figures
from claimpt_tf.evaluation.endpoints.judged import Judged, Way
from claimpt_tf.evaluation.metrics import Estimate
from claimpt_tf.evaluation.replicated import Replicated, Where
from claimpt_tf.evaluation.subgroups import SUBGROUPS, groups_of, has_rest, rest_of

UNDEFINED = "the labels do not allow it"


def compare_endpoints(
    judged: Judged,
    predictions: Mapping[str, pl.DataFrame],
    truth: pl.DataFrame,
    frame: pl.DataFrame,
    n_boot: int = REPLICATES,
    seed: int = 0,
    *,
    subgroups: Sequence[str] = SUBGROUPS,
    level: float = LEVEL,
    fewest: int = 2,
) -> Comparison:
    """Judges models on the same labelled rows, with a patient-level bootstrap.

    Args:
        judged: the kind of label.
        predictions: model -> its predictions, rows in the frame's order; the first
            is the reference.
        truth: labels, in the frame's order.
        frame: labelled examples: patient_id, index_day, label, and what `subgroups`
            needs.
        n_boot: bootstrap replicates.
        seed: of the bootstrap; the same seed gives the same figures.
        subgroups: names of `subgroups.TITLES` or of columns; the reference is judged
            within them.
        level: of the intervals.
        fewest: with fewer rows of a sort, figures that need it are not estimable.

    Returns:
        As `compare` gives it, with this kind's figures; no capacity, no threshold.

    Raises:
        ArtifactError: no model, a model without a prediction for every row,
            predictions that are none, a row twice, or a missing column.
    """
    check_frame(predictions, frame, subgroups)
    for model, given in predictions.items():
        if given.height != frame.height:
            raise ArtifactError(
                f"{model}: {given.height} predictions for {frame.height} rows; "
                "score all"
            )
        judged.check(given, model)
    main = next(iter(predictions))
    groups = [g for by in subgroups for g in groups_of(frame, by, judged.outcomes)]
    everyone = np.arange(frame.height)
    ways = {
        Where(model): (
            judged.ready(pl.concat([truth, given], how="horizontal")),
            everyone,
        )
        for model, given in predictions.items()
    }
    own = pl.concat([truth, predictions[main]], how="horizontal")
    for position, group in enumerate(groups):
        if group.suppressed:
            continue
        cells = {Where(main, position): group.rows}
        if has_rest(groups, position):
            cells[Where(main, position, rest=True)] = rest_of(groups, position)
        for where, rows in cells.items():
            ways[where] = judged.ready(own[rows]), rows
    draws = Draws(frame["patient_id"].to_numpy(), n_boot, seed)
    points: dict[Where, dict[str, Estimate]] = {}
    for where, (way, rows) in ways.items():
        points[where] = estimated(judged, way, truth[rows], fewest)
    found = Replicated(points, _drawn(ways, list(judged.titles), draws), level)

    def positives(rows: NDArray[np.int64]) -> int | None:
        return int((truth["label"][rows] == 1).sum()) if judged.outcomes else None

    return Comparison(
        n=frame.height,
        patients=draws.n_patients,
        positives=positives(everyone),
        models=found.of_models(list(judged.titles)),
        differences=found.against(main, list(judged.titles)),
        reference=main,
        subgroups=found.within(
            groups,
            judged.within,
            positives,
            corrected=judged.within[:1],
        ),
        titles=judged.titles,
        capacity=None,
        n_boot=n_boot,
        seed=seed,
        level=level,
        kind=judged.kind,
    )


def estimated(
    judged: Judged, way: Way, truth: pl.DataFrame, fewest: int
) -> dict[str, Estimate]:
    """Figures of rows, or why there are none.

    Args:
        judged: the kind of label.
        way: what gives figures.
        truth: labels of the rows.
        fewest: rows of each sort that a figure needs.
    """
    reasons = judged.reasons(truth, fewest)
    return {
        name: _estimate(value[0], reasons.get(name), judged.undefined.get(name))
        for name, value in way(np.ones((1, truth.height))).items()
    }


def _drawn(
    ways: Mapping[Where, tuple[Way, NDArray[np.int64]]],
    figures: Sequence[str],
    draws: Draws,
) -> dict[Where, Figures]:
    """Every figure everywhere in every replicate."""
    drawn = {
        where: {name: np.full(draws.n_boot, np.nan) for name in figures}
        for where in ways
    }
    columns = {where: draws.patient_of_row[rows] for where, (_, rows) in ways.items()}

    def fill(first: int, weights: NDArray[np.float64]) -> None:
        for where, (way, _) in ways.items():
            with np.errstate(invalid="ignore", divide="ignore"):  # nobody drawn
                found = way(weights.take(columns[where], axis=1))
            for name, values in found.items():
                drawn[where][name][first : first + len(weights)] = values

    share_out(draws, fill)
    return drawn


def _estimate(value: float, reason: str | None, undefined: str | None) -> Estimate:
    if reason is not None:
        return Estimate(None, reason)
    if not np.isfinite(value):
        return Estimate(None, undefined or UNDEFINED)
    return Estimate(float(value))
