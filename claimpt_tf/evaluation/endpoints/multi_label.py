"""How rankings of many categories, such as those of the next visit, are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from claimpt_tf.evaluation.comparison import Comparison
from claimpt_tf.evaluation.drawing import Line, Plot, lines_of
from claimpt_tf.evaluation.endpoint_baselines import counted_rows, linear_numbers
from claimpt_tf.evaluation.endpoint_figures import chances_of
from claimpt_tf.evaluation.endpoints.judged import Judged, Learned, Way, too_few
from claimpt_tf.evaluation.recall import (
    SIZES,
    past_categories,
    plain_rankings,
    recall_at,
)
from claimpt_tf.evaluation.recall_plots import category_plot, recall_plot
from claimpt_tf.evaluation.rivals import COUNTS
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.training.endpoints.endpoint import PROBABILITY

PLAIN = {
    "frequent": "by how often others had it",
    "repeated": "by how often the member had it",
}
LINEAR = "linear regression of each category on counts"


class MultiLabel(Judged):
    """A score a category."""

    kind = "multi_label"
    rivals = {
        PLAIN["frequent"]: "categories ranked by how many training rows they came in",
        PLAIN["repeated"]: "categories ranked by how many of the member's codes were "
        "of them, then as above",
        LINEAR: f"L2; {COUNTS}, codes left out; its strength by cross-validation",
    }

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self.categories = [name.removeprefix(PROBABILITY) for name in columns]
        order = (10, 5, 30)
        assert set(order) == set(SIZES)
        self.titles = {f"recall_at_{size}": f"Recall at {size}" for size in order}
        names = [f"recall_at_{size}" for size in SIZES]
        self.tables = {"How much of what came is among the likeliest": names}
        self.differences, self.within = names, list(self.titles)
        self.reading = (
            "Recall at k: of what came, the share that is among the k likeliest, "
            "averaged over rows; higher is better. A category that came in no training "
            "row cannot be foreseen and counts as missed.",
            "better",
        )

    @classmethod
    def is_prediction(cls, column: str) -> bool:
        """See `Judged.is_prediction`."""
        return column.startswith(PROBABILITY)

    def truth(self, rows: pl.DataFrame) -> pl.DataFrame:
        """See `Judged.truth`."""
        return rows.select(label=pl.col("label_categories").cast(pl.List(pl.String)))

    def refuse(self, truth: pl.DataFrame) -> None:
        """Nothing: sets of categories are never all that there is."""

    def reasons(self, truth: pl.DataFrame, fewest: int) -> dict[str, str]:
        """See `Judged.reasons`."""
        reason = too_few(truth.height, "rows", fewest)
        return dict.fromkeys(self.titles, reason) if reason else {}

    def ready(self, rows: pl.DataFrame) -> Way:
        """See `Judged.ready`; each row is ranked once."""
        names, scores = chances_of(rows)
        found = recall_at(scores, names, rows["label"])

        def figures(weights: Floats) -> dict[str, Floats]:
            means = weights @ found.to_numpy() / weights.sum(axis=1)[:, None]
            return {name: means[:, n] for n, name in enumerate(found.columns)}

        return figures

    def baselines(self, learned: Learned) -> dict[str, pl.DataFrame]:
        """Two rankings without a model, and a linear model of each category."""
        came = self.truth(learned.known)["label"]
        past = past_categories(learned.test, learned.task.category_of)
        plain = plain_rankings(past, came, self.categories)
        found = {PLAIN[name]: scores for name, scores in plain.items()}
        place = {name: n for n, name in enumerate(self.categories)}
        marks = np.zeros((len(came), len(place)))
        for row, names in enumerate(came.to_list()):
            marks[row, [place[name] for name in names if name in place]] = 1
        counted = counted_rows(
            learned.known, learned.test, marks, np.zeros(len(came)), learned.seed,
            learned.task.category_of, lambda name: not name.startswith("code["),
        )  # fmt: skip
        found[LINEAR] = linear_numbers(counted)
        return {
            name: pl.DataFrame(scores, schema=self.columns)
            for name, scores in found.items()
        }

    def plots(
        self,
        models: Mapping[str, pl.DataFrame],
        comparison: Comparison,
        lines: Sequence[Line],
    ) -> list[Plot]:
        """Recall by the length of the list, and of the commonest categories."""
        main = comparison.reference
        return [recall_plot(models, lines), *category_plot(models[main], main)]

    def lines(self, models: Mapping[str, pl.DataFrame]) -> list[Line]:
        """See `Judged.lines`; a ranking that is the same for all finds some."""
        return lines_of(dict.fromkeys(models, np.array([0.0, 1.0])))

    def said(self, truth: pl.DataFrame) -> dict[str, str]:
        """See `Judged.said`."""
        each = truth["label"].list.len().to_numpy().mean()
        return {
            "What came": f"{each:.1f} categories a row on average; the models rank "
            f"{len(self.categories):,}"
        }
