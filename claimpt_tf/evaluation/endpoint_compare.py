"""Several models on the same rows whose labels are not yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import (
    LEVEL,
    REPLICATES,
    Difference,
    Draws,
    Interval,
    difference,
    interval,
    share_out,
)
from claimpt_tf.evaluation.compare import (
    Comparison,
    SubgroupFigures,
    check_frame,
    holm,
)
from claimpt_tf.evaluation.endpoint_figures import Figures
from claimpt_tf.evaluation.endpoints.judged import Judged, Way
from claimpt_tf.evaluation.metrics import Estimate
from claimpt_tf.evaluation.subgroups import SUBGROUPS, groups_of, has_rest, rest_of

UNDEFINED = "the labels do not allow it"
_Figure = TypeVar("_Figure", Interval, Difference)
_Key = tuple[str, int]  # a model; or a group, or all that are not of it


class Replicated:
    """Points of figures, and what each is in every replicate.

    Args:
        ways: cell -> its figures, and positions of its rows.
        draws: replicates.
        judged: the kind of label.
        fewest: see `compare_endpoints`.
        truth: labels of all rows.
    """

    def __init__(
        self,
        ways: Mapping[_Key, tuple[Way, NDArray[np.int64]]],
        draws: Draws,
        judged: Judged,
        truth: pl.DataFrame,
        fewest: int,
    ) -> None:
        self.points: dict[_Key, dict[str, Estimate]] = {}
        self.drawn: dict[_Key, Figures] = {}
        for key, (way, rows) in ways.items():
            reasons = judged.reasons(truth[rows], fewest)
            self.points[key] = {
                name: _estimate(value[0], reasons.get(name), judged.undefined.get(name))
                for name, value in way(np.ones((1, len(rows)))).items()
            }
            self.drawn[key] = {
                name: np.full(draws.n_boot, np.nan) for name in self.points[key]
            }
        columns = {key: draws.patient_of_row[rows] for key, (_, rows) in ways.items()}

        def fill(first: int, weights: NDArray[np.float64]) -> None:
            for key, (way, _) in ways.items():
                with np.errstate(invalid="ignore", divide="ignore"):  # nobody drawn
                    found = way(weights.take(columns[key], axis=1))
                for name, values in found.items():
                    self.drawn[key][name][first : first + len(weights)] = values

        share_out(draws, fill)

    def intervals(self, key: _Key, level: float) -> dict[str, Interval]:
        """Every figure of a cell."""
        return {
            name: interval(point, self.drawn[key][name], level)
            for name, point in self.points[key].items()
        }

    def differences(
        self, key: _Key, other: _Key, level: float
    ) -> dict[str, Difference]:
        """Figures of a cell less those of another."""
        return {
            name: difference(
                point,
                self.points[other][name],
                self.drawn[key][name],
                self.drawn[other][name],
                level,
            )
            for name, point in self.points[key].items()
        }


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
        (model, -1): (
            judged.ready(pl.concat([truth, given], how="horizontal")),
            everyone,
        )
        for model, given in predictions.items()
    }
    own = pl.concat([truth, predictions[main]], how="horizontal")
    for position, group in enumerate(groups):
        if group.suppressed:
            continue
        cells = {"in": group.rows}
        if has_rest(groups, position):
            cells["out"] = rest_of(groups, position)
        for side, rows in cells.items():
            ways[side, position] = judged.ready(own[rows]), rows
    draws = Draws(frame["patient_id"].to_numpy(), n_boot, seed)
    found = Replicated(ways, draws, judged, truth, fewest)
    gaps = {
        position: _only(
            found.differences(("in", position), ("out", position), level), judged.within
        )
        for side, position in ways
        if side == "out"
    }
    adjusted = holm(gaps, judged.within[:1])
    return Comparison(
        n=frame.height,
        patients=draws.n_patients,
        positives=int((truth["label"] == 1).sum()) if judged.outcomes else None,
        models={model: found.intervals((model, -1), level) for model in predictions},
        differences={
            model: found.differences((model, -1), (main, -1), level)
            for model in predictions
            if model != main
        },
        reference=main,
        subgroups=[
            SubgroupFigures.withheld(group)
            if group.suppressed
            else SubgroupFigures.told(
                group,
                int((truth["label"][group.rows] == 1).sum())
                if judged.outcomes
                else None,
                {main: _only(found.intervals(("in", position), level), judged.within)},
                gaps.get(position, {}),
                adjusted.get(position, {}),
            )
            for position, group in enumerate(groups)
        ],
        titles=judged.titles,
        capacity=None,
        n_boot=n_boot,
        seed=seed,
        level=level,
        kind=judged.kind,
    )


def _estimate(value: float, reason: str | None, undefined: str | None) -> Estimate:
    if reason is not None:
        return Estimate(None, reason)
    if not np.isfinite(value):
        return Estimate(None, undefined or UNDEFINED)
    return Estimate(float(value))


def _only(figures: Mapping[str, _Figure], names: Sequence[str]) -> dict[str, _Figure]:
    return {name: figures[name] for name in names}
