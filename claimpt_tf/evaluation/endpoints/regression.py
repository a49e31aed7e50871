"""How predicted numbers are judged: errors, and if they are too high or too low."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.baselines import LIGHTGBM
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.drawing import Line, Plot
from claimpt_tf.evaluation.endpoint_baselines import (
    boosted_numbers,
    counted_rows,
    linear_numbers,
)
from claimpt_tf.evaluation.endpoint_calibration import number_calibration
from claimpt_tf.evaluation.endpoint_figures import number_figures
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned, Way, too_few
from claimpt_tf.evaluation.evaluate import BASELINE_NAMES
from claimpt_tf.evaluation.examples import Told
from claimpt_tf.evaluation.number_plots import error_plot, tenths_plot
from claimpt_tf.evaluation.rivals import COUNTS
from claimpt_tf.tasks.attrition import SMALLEST_CELL

PREDICTION = "prediction"
MEAN, RIDGE = "mean of training", "ridge regression on counts"
TREES = BASELINE_NAMES[LIGHTGBM]


class Regression(Judged):
    """One number a row."""

    kind = "regression"
    rivals = {
        MEAN: "the training rows' mean, for all",
        RIDGE: f"{COUNTS}; its strength by cross-validation",
        TREES: f"boosted trees; {COUNTS}; their size and number by cross-validation",
    }

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self.titles = {
            "mean_absolute_error": "Mean absolute error",
            "root_mean_squared_error": "Root mean squared error",
            "r2": "R2",
            "mean_error": "Mean of predicted less observed",
            "calibration_slope": "Slope of observed on predicted",
        }
        names = list(self.titles)
        self.tables = {
            "How far off predictions are": names[:3],
            "Whether predictions can be taken at their word": names[3:],
        }
        self.differences, self.within = names[:3], names[:4]
        self.reading = (
            "Best: errors low, R2 high (1 is perfect, 0 is the mean of these rows), "
            "predicted less observed near 0 and slope near 1. All but R2 and the slope "
            "are in the label's own units.",
            "better in R2, worse in errors",
        )
        self.undefined = {"calibration_slope": "its predictions are all the same"}

    @classmethod
    def is_prediction(cls, column: str) -> bool:
        """See `Judged.is_prediction`."""
        return column == PREDICTION

    def truth(self, rows: pl.DataFrame) -> pl.DataFrame:
        """See `Judged.truth`."""
        return rows.select(label=pl.col("label_value").cast(pl.Float64))

    def refuse(self, truth: pl.DataFrame) -> None:
        """See `Judged.refuse`."""
        if truth["label"].n_unique() < 2:
            raise TaskError(
                f"all {truth.height} test labels are the same number: no model can be "
                "judged on them; label rows that differ"
            )

    def reasons(self, truth: pl.DataFrame, fewest: int) -> dict[str, str]:
        """See `Judged.reasons`."""
        reason = too_few(truth.height, "rows", fewest)
        return dict.fromkeys(self.titles, reason) if reason else {}

    def ready(self, rows: pl.DataFrame) -> Way:
        """See `Judged.ready`."""
        return lambda weights: {
            **number_figures(rows, weights),
            **number_calibration(rows, weights),
        }

    def told(self, given: pl.DataFrame) -> Told:
        """See `Judged.told`."""
        values = given[PREDICTION].to_numpy()
        columns = [PREDICTION] * len(values)
        return Told(values, columns, {PREDICTION: PREDICTION}, share=False)

    def baselines(self, learned: Learned) -> dict[str, pl.DataFrame]:
        """The training mean, ridge regression and LightGBM on counts."""
        label = self.truth(learned.known)["label"].to_numpy()
        counted = counted_rows(
            learned.known, learned.test, label, np.zeros(len(label)), learned.seed,
            learned.task.category_of,
        )  # fmt: skip
        found = {
            MEAN: np.full(learned.test.height, label.mean()),
            RIDGE: linear_numbers(counted),
            TREES: boosted_numbers(counted, learned.seed),
        }
        return {name: pl.DataFrame({PREDICTION: one}) for name, one in found.items()}

    def plots(
        self,
        models: Mapping[str, pl.DataFrame],
        comparison: Comparison,
        lines: Sequence[Line],
    ) -> list[Plot]:
        """Predicted against observed by tenths, and the spread of errors."""
        label = models[comparison.reference]["label"].to_numpy()
        given = {name: rows[PREDICTION].to_numpy() for name, rows in models.items()}
        main = comparison.reference
        return [tenths_plot(label, given, main, lines), error_plot(label, given, main)]

    def said(self, truth: pl.DataFrame) -> dict[str, str]:
        """See `Judged.said`."""
        if truth.height < SMALLEST_CELL:
            return {}
        low, middle, high = np.quantile(truth["label"].to_numpy(), (0.25, 0.5, 0.75))
        text = f"median {middle:.4g}, half from {low:.4g} to {high:.4g}"
        return {"What came": text}
