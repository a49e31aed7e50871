"""What the cells of a learning curve are judged by: yes or no, or other labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from claimpt_tf.evaluation.cells import Predicted
from claimpt_tf.evaluation.endpoint_compare import estimated
from claimpt_tf.evaluation.endpoints.judged import Judged
from claimpt_tf.evaluation.metrics import Estimate, checked, default_metrics
from claimpt_tf.evaluation.weighted import Floats, Weighted

CURVE_METRICS: Final = ("auroc", "auprc", "brier")
# Figures, and what gives them for weights of the rows: [R, N] -> figure -> [R].
Found = tuple[dict[str, Estimate], Callable[[Floats], dict[str, Floats]]]


class Scale(Protocol):
    """Figures of a study; `keep` is sent to other processes."""

    @property
    def metrics(self) -> Sequence[str]:
        """Names of the figures."""

    def keep(self, given: Predicted, name: str) -> pl.DataFrame:
        """See `claimpt_tf.evaluation.cells.Keep`."""

    def judge(self, kept: pl.DataFrame, name: str) -> Found:
        """Figures of what was kept."""

    def events(self, chosen: pl.DataFrame) -> int | None:
        """Rows with the outcome among the chosen ones; None where there is no such."""


class YesOrNo:
    """Probabilities of an outcome.

    Args:
        labels: 0 or 1, (test rows,).
        metrics: names of `default_metrics`.
    """

    def __init__(
        self, labels: ArrayLike, metrics: Sequence[str] = CURVE_METRICS
    ) -> None:
        self._labels = np.asarray(labels, np.float64)
        self.metrics: Sequence[str] = tuple(metrics)

    def keep(self, given: Predicted, name: str) -> pl.DataFrame:
        """See `Scale.keep`."""
        ranked = checked(self._labels, given, name)
        scores = np.empty(len(ranked))
        scores[ranked.order] = ranked.scores
        return pl.DataFrame({"score": scores})

    def judge(self, kept: pl.DataFrame, name: str) -> Found:
        """See `Scale.judge`."""
        ranked = checked(self._labels, kept["score"].to_numpy(), name)
        figures = {one: default_metrics()[one] for one in self.metrics}

        def drawn(weights: Floats) -> dict[str, Floats]:
            rows = Weighted(ranked, weights[:, ranked.order])
            return {one: figure.resampled(rows) for one, figure in figures.items()}

        points = {
            one: figure.point(ranked.labels, ranked.scores)
            for one, figure in figures.items()
        }
        return points, drawn

    def events(self, chosen: pl.DataFrame) -> int | None:
        """See `Scale.events`."""
        return int(chosen["label"].sum())


class OtherLabels:
    """Predictions of labels that are not yes or no.

    Args:
        judged: the kind of label.
        truth: labels of the test rows.
        fewest: with fewer rows of a sort, figures that need it are not estimable.
    """

    def __init__(self, judged: Judged, truth: pl.DataFrame, fewest: int) -> None:
        self._judged, self._truth, self._fewest = judged, truth, fewest
        self.metrics: Sequence[str] = tuple(judged.titles)

    def keep(self, given: Predicted, name: str) -> pl.DataFrame:
        """See `Scale.keep`; what no label of a draw was has the probability 0."""
        if not isinstance(given, pl.DataFrame):
            raise TypeError(f"{name} gives no table of predictions")
        known = set(given.columns)
        table = given.select(
            pl.col(one) if one in known else pl.lit(0.0).alias(one)
            for one in self._judged.columns
        )
        self._judged.check(table, name)
        return table

    def judge(self, kept: pl.DataFrame, name: str) -> Found:
        """See `Scale.judge`."""
        del name
        way = self._judged.ready(pl.concat([self._truth, kept], how="horizontal"))
        return estimated(self._judged, way, self._truth, self._fewest), way

    def events(self, chosen: pl.DataFrame) -> int | None:
        """See `Scale.events`."""
        if not self._judged.outcomes:
            return None
        return int((self._judged.truth(chosen)["label"] == 1).sum())
