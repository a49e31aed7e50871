"""How risks by several days are judged, some rows censored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.baselines import LIGHTGBM
from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.drawing import Line, Plot
from claimpt_tf.evaluation.endpoint_baselines import (
    boosted_risks,
    counted_rows,
    cox_risks,
)
from claimpt_tf.evaluation.endpoint_calibration import observed_risk, risk_calibration
from claimpt_tf.evaluation.endpoint_figures import event_figures, risks_of
from claimpt_tf.evaluation.endpoints.judged import (
    Judged,
    Learned,
    Way,
    refuse_no_probabilities,
    too_few,
)
from claimpt_tf.evaluation.evaluate import BASELINE_NAMES
from claimpt_tf.evaluation.examples import Told
from claimpt_tf.evaluation.rivals import COUNTS
from claimpt_tf.evaluation.survival_plots import fifths_plot, horizon_plot
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL

CURVE, COX = "Kaplan-Meier, alike for all", "Cox model on counts"
TREES = BASELINE_NAMES[LIGHTGBM]
_RISK = "risk_"


class TimeToEvent(Judged):
    """A risk by each horizon."""

    kind = "time_to_event"
    rivals = {
        CURVE: "the training rows' curve",
        COX: f"proportional hazards, L2; {COUNTS}; its strength by cross-validation",
        TREES: f"boosted trees, proportional hazards; {COUNTS}; their size and number "
        "by cross-validation",
    }
    outcomes = True

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        nothing = pl.DataFrame(schema=dict.fromkeys(columns, pl.Float64))
        self.horizons = list(risks_of(nothing))
        days = [f"{day:.0f}" for day in self.horizons]
        areas = {f"auroc_{day}d": f"AUROC by day {day}" for day in days}
        gaps = {f"calibration_{day}d": f"Risk less observed, day {day}" for day in days}
        self.titles = {"concordance": "Concordance", **areas, **gaps}
        last = [f"auroc_{days[-1]}d", f"calibration_{days[-1]}d"]
        self.tables = {
            "Who comes before whom": ["concordance", *areas],
            "Mean predicted risk less the observed one": list(gaps),
        }
        self.differences = ["concordance", *list(areas)[-2:]]
        self.within = ["concordance", *last]
        self.reading = (
            f"Best: concordance (Harrell's, of the risk by day {days[-1]}) and AUROC "
            "high, predicted less observed near 0. Observed risks are Kaplan and "
            "Meier's; the AUROC by a day sets members with the event by then against "
            "those free of it that long.",
            "better",
        )
        nobody = "nobody was followed that long"
        self.undefined = dict.fromkeys([*areas, *gaps], nobody)

    @classmethod
    def is_prediction(cls, column: str) -> bool:
        """See `Judged.is_prediction`."""
        return column.startswith(_RISK)

    def truth(self, rows: pl.DataFrame) -> pl.DataFrame:
        """See `Judged.truth`."""
        return rows.select(
            label=pl.col("label").cast(pl.Int8),
            label_days=pl.col("label_value").cast(pl.Float64),
        )

    def refuse(self, truth: pl.DataFrame) -> None:
        """See `Judged.refuse`."""
        if not (truth["label"] == 1).any():
            raise TaskError(
                f"no event was seen in {truth.height} test rows: no model can be "
                "judged on them; follow members for longer, or label more of them"
            )

    def reasons(self, truth: pl.DataFrame, fewest: int) -> dict[str, str]:
        """See `Judged.reasons`."""
        seen, days = truth["label"] == 1, truth["label_days"]
        if reason := too_few(int(seen.sum()), "rows with the event", fewest):
            return dict.fromkeys(self.titles, reason)
        found: dict[str, str] = {}
        for day in self.horizons:
            by_then = int((seen & (days <= day)).sum())
            free = int(((days > day) | ((days == day) & ~seen)).sum())
            reason = too_few(by_then, "rows with the event by then", fewest)
            reason = reason or too_few(free, "rows free of it that long", fewest)
            if reason:
                found[f"auroc_{day:.0f}d"] = reason
        return found

    def ready(self, rows: pl.DataFrame) -> Way:
        """See `Judged.ready`."""

        def figures(weights: Floats) -> dict[str, Floats]:
            gaps = risk_calibration(rows, weights)
            return {
                **event_figures(rows, weights),
                **{f"calibration_{day}": gap for day, gap in gaps.items()},
            }

        return figures

    def check(self, given: pl.DataFrame, who: str) -> None:
        """See `Judged.check`."""
        super().check(given, who)
        refuse_no_probabilities(given, who, self.columns)

    def told(self, given: pl.DataFrame) -> Told:
        """See `Judged.told`: the risk by the last horizon."""
        day = f"{self.horizons[-1]:.0f}"
        column = f"{_RISK}{day}d"
        words = {column: f"risk by day {day}"}
        return Told(given[column].to_numpy(), [column] * given.height, words)

    def baselines(self, learned: Learned) -> dict[str, pl.DataFrame]:
        """Kaplan and Meier's curve, a Cox model and LightGBM's rates on counts."""
        truth = self.truth(learned.known)
        seen, days = truth["label"].to_numpy(), truth["label_days"].to_numpy()
        counted = counted_rows(
            learned.known, learned.test, seen.astype(np.int64), seen, learned.seed,
            learned.task.category_of,
        )  # fmt: skip
        ones = np.ones((1, len(days)))
        reached = np.minimum(self.horizons, days.max())  # then it stays level
        curve = observed_risk(seen, days, reached, ones)
        found = {
            CURVE: np.repeat(curve, learned.test.height, 0),
            COX: cox_risks(counted, days, self.horizons),
            TREES: boosted_risks(counted, days, self.horizons, learned.seed),
        }
        columns = [f"{_RISK}{day:.0f}d" for day in self.horizons]
        return {name: pl.DataFrame(one, schema=columns) for name, one in found.items()}

    def plots(
        self,
        models: Mapping[str, pl.DataFrame],
        comparison: Comparison,
        lines: Sequence[Line],
    ) -> list[Plot]:
        """Observed against predicted by day in fifths, and AUROC by day."""
        return [
            *fifths_plot(models[comparison.reference], comparison.reference),
            *horizon_plot(comparison, self.horizons, lines),
        ]

    def said(self, truth: pl.DataFrame) -> dict[str, str]:
        """See `Judged.said`."""
        if truth.height < SMALLEST_CELL:
            return {}
        middle = np.median(truth["label_days"].to_numpy())
        return {"Followed for": f"median {middle:,.0f} days"}
