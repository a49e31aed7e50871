"""How probabilities of several classes are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.baselines import LIGHTGBM, LOGISTIC, PREVALENCE
from claimpt_tf.evaluation.class_plots import (
    class_areas_plot,
    class_calibration_plots,
    confusion_plot,
)
from claimpt_tf.evaluation.comparison import Comparison, shown
from claimpt_tf.evaluation.drawing import Line, Plot
from claimpt_tf.evaluation.endpoint_baselines import (
    boosted_classes,
    counted_rows,
    linear_classes,
)
from claimpt_tf.evaluation.endpoint_calibration import class_calibration
from claimpt_tf.evaluation.endpoint_figures import class_areas, class_figures
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
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.training.endpoints.endpoint import PROBABILITY

SHARES, LINEAR, TREES = (
    BASELINE_NAMES[name] for name in (PREVALENCE, LOGISTIC, LIGHTGBM)
)
_SUM = 1e-3  # how far probabilities of a row may be from 1 together


class MultiClass(Judged):
    """A probability a class."""

    kind = "multi_class"
    rivals = {
        SHARES: "the training rows' share of each class, for all",
        LINEAR: f"multinomial, L2; {COUNTS}; its strength by cross-validation",
        TREES: f"boosted trees; {COUNTS}; their size and number by cross-validation",
    }

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(columns)
        self.classes = [name.removeprefix(PROBABILITY) for name in columns]
        self.titles = {
            "accuracy": "Accuracy",
            "log_loss": "Log loss",
            "auroc": "AUROC, mean of classes",
            **{_area(name): f"AUROC of {name}" for name in self.classes},
            **{_gap(name): name for name in self.classes},
        }
        self.tables = {
            "Which class comes": ["auroc", "accuracy", "log_loss"],
            "Each class against the others": [_area(name) for name in self.classes],
            "Mean probability of a class less the share that it came in": [
                _gap(name) for name in self.classes
            ],
        }
        self.differences = ["auroc", "accuracy", "log_loss"]
        self.within = ["auroc", "accuracy", "log_loss"]
        self.reading = (
            "Best: accuracy and AUROC high, log loss low, probability less share near "
            "0. Accuracy takes the likeliest class.",
            "better in AUROC and accuracy, worse in log loss",
        )
        absent = "the class came in no row, or in all"
        self.undefined = {_area(name): absent for name in self.classes}

    @classmethod
    def is_prediction(cls, column: str) -> bool:
        """See `Judged.is_prediction`."""
        return column.startswith(PROBABILITY)

    def truth(self, rows: pl.DataFrame) -> pl.DataFrame:
        """See `Judged.truth`."""
        names = np.asarray(self.classes, object)
        return pl.DataFrame(
            {"label": pl.Series(names[rows["label"].to_numpy()], dtype=pl.String)}
        )

    def refuse(self, truth: pl.DataFrame) -> None:
        """See `Judged.refuse`."""
        if truth["label"].n_unique() < 2:
            raise TaskError(
                f"all {truth.height} test rows are of class {truth['label'][0]}: no "
                "model can be judged on one class; label rows of other classes"
            )

    def reasons(self, truth: pl.DataFrame, fewest: int) -> dict[str, str]:
        """See `Judged.reasons`; the mean needs every class that came."""
        if reason := too_few(truth.height, "rows", fewest):
            return dict.fromkeys(self.titles, reason)
        found: dict[str, str] = {}
        for name in self.classes:
            came = int((truth["label"] == name).sum())
            for rows, what in ((came, "of"), (truth.height - came, "not of")):
                if came and rows < fewest:
                    reason = f"{shown(rows)} rows {what} class {name}"
                    found[_area(name)] = f"{reason}; {fewest} or more are needed"
        if found:
            found["auroc"] = next(iter(found.values()))
        return found

    def ready(self, rows: pl.DataFrame) -> Way:
        """See `Judged.ready`."""

        def figures(weights: Floats) -> dict[str, Floats]:
            areas = class_areas(rows, weights)
            none = np.full(len(weights), np.nan)
            gaps = class_calibration(rows, weights)
            return {
                **class_figures(rows, weights),
                **{_area(name): areas.get(name, none) for name in self.classes},
                **{_gap(name): gaps[name] for name in self.classes},
            }

        return figures

    def check(self, given: pl.DataFrame, who: str) -> None:
        """See `Judged.check`."""
        super().check(given, who)
        refuse_no_probabilities(given, who, self.columns)
        total = given.select(self.columns).to_numpy().sum(axis=1)
        if wrong := int((np.abs(total - 1) > _SUM).sum()):
            raise ArtifactError(
                f"{who}: probabilities of {wrong} of {given.height} rows do not add up "
                "to 1; train and score again"
            )

    def told(self, given: pl.DataFrame) -> Told:
        """See `Judged.told`: how likely the likeliest class is."""
        chances = given.select(self.columns).to_numpy()
        columns = [self.columns[at] for at in chances.argmax(axis=1)]
        words = {
            column: f"probability of {name}"
            for column, name in zip(self.columns, self.classes, strict=True)
        }
        return Told(chances.max(axis=1), columns, words)

    def baselines(self, learned: Learned) -> dict[str, pl.DataFrame]:
        """Class shares, multinomial logistic regression and LightGBM on counts."""
        label = self.truth(learned.known)["label"]
        place = {name: n for n, name in enumerate(self.classes)}
        numbers = label.replace_strict(place, return_dtype=pl.Int64).to_numpy()
        counted = counted_rows(
            learned.known, learned.test, numbers, numbers, learned.seed,
            learned.task.category_of,
        )  # fmt: skip
        shares = np.bincount(numbers, minlength=len(place)) / len(numbers)
        found = {
            SHARES: np.repeat(shares[None], learned.test.height, axis=0),
            LINEAR: linear_classes(counted, len(place)),
            TREES: boosted_classes(counted, len(place), learned.seed),
        }
        return {
            name: pl.DataFrame(chances, schema=self.columns)
            for name, chances in found.items()
        }

    def plots(
        self,
        models: Mapping[str, pl.DataFrame],
        comparison: Comparison,
        lines: Sequence[Line],
    ) -> list[Plot]:
        """Confusion, AUROC by class, and calibration of the commonest classes."""
        main = comparison.reference
        areas = {_area(name): name for name in self.classes}
        return [
            *confusion_plot(models[main], self.classes, main),
            *class_areas_plot(comparison, areas, lines),
            *class_calibration_plots(models[main], self.classes, main),
        ]


def _area(name: str) -> str:
    return f"auroc[{name}]"


def _gap(name: str) -> str:
    return f"calibration[{name}]"
