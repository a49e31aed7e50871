"""What an evaluation must know of a kind of label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.comparison import Comparison, shown
from claimpt_tf.evaluation.drawing import Line, Plot, lines_of
from claimpt_tf.evaluation.endpoint_figures import FIGURES, Figures
from claimpt_tf.evaluation.examples import Told
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.spec import Task

Way = Callable[[Floats], Figures]  # weightings [R, N] -> figure -> [R]


@dataclass(frozen=True)
class Learned:
    """What baselines may learn from, and what they are to predict.

    Attributes:
        known: labelled examples whose labels may be used.
        test: labelled examples to predict.
        task: the question.
        seed: of folds and sampling.
        say: called with what is left out, and why.
    """

    known: pl.DataFrame
    test: pl.DataFrame
    task: Task
    seed: int = 0
    say: Callable[[str], None] = lambda line: None


class Judged(ABC):
    """One kind of label; a subclass a kind.

    Args:
        columns: of predictions in `predictions.parquet`.

    Attributes:
        kind: as in a task.
        outcomes: whether label 1 means that something happened.
        titles: figure -> heading, the most important ones first.
        tables: caption -> figures of a table.
        differences: figures whose paired differences are tabled.
        within: figures within groups; the first is compared between them.
        reading: how figures and differences are read.
        undefined: figure -> why there may be none.
        rivals: baseline -> what it is, in a sentence.
    """

    kind: ClassVar[str]
    outcomes: ClassVar[bool] = False
    titles: dict[str, str]
    tables: dict[str, list[str]]
    differences: list[str]
    within: list[str]
    reading: tuple[str, str]
    undefined: Mapping[str, str]
    rivals: ClassVar[Mapping[str, str]]

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.undefined = {}

    @classmethod
    @abstractmethod
    def is_prediction(cls, column: str) -> bool:
        """Whether a column of `predictions.parquet` is a prediction."""

    @classmethod
    def predicted(cls, columns: Iterable[str]) -> list[str]:
        """Those columns of `predictions.parquet` that are predictions."""
        return [name for name in columns if cls.is_prediction(name)]

    @abstractmethod
    def truth(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What came: `label` and what belongs to it, as `predictions.parquet` has it.

        Args:
            rows: labelled examples.
        """

    @abstractmethod
    def refuse(self, truth: pl.DataFrame) -> None:
        """Refuses labels on which no model can be judged.

        Raises:
            TaskError: all are the same.
        """

    @abstractmethod
    def reasons(self, truth: pl.DataFrame, fewest: int) -> dict[str, str]:
        """Figure -> why labels are too few for it.

        Args:
            truth: labels.
            fewest: rows of each sort that a figure needs.
        """

    @abstractmethod
    def baselines(self, learned: Learned) -> dict[str, pl.DataFrame]:
        """Model of `rivals` -> its predictions of the test rows, in `columns`."""

    @abstractmethod
    def plots(
        self,
        models: Mapping[str, pl.DataFrame],
        comparison: Comparison,
        lines: Sequence[Line],
    ) -> list[Plot]:
        """What the page draws.

        Args:
            models: model -> labels and predictions.
            comparison: their figures.
            lines: how models are drawn.
        """

    def lines(self, models: Mapping[str, pl.DataFrame]) -> list[Line]:
        """How each model is drawn that does not say the same of all rows."""
        return lines_of(
            {
                model: np.array([0.0, _spread(rows.select(self.columns))])
                for model, rows in models.items()
            }
        )

    def said(self, truth: pl.DataFrame) -> dict[str, str]:
        """Heading -> text about what came; nothing of fewer than 11 rows."""
        del truth
        return {}

    def told(self, given: pl.DataFrame) -> Told | None:
        """The number of each row that examples explain; None where there is no one.

        Args:
            given: predictions.
        """
        del given
        return None

    def ready(self, rows: pl.DataFrame) -> Way:
        """Figures of labels and predictions, to be asked for many weightings."""
        return partial(FIGURES[self.kind], rows)

    def check(self, given: pl.DataFrame, who: str) -> None:
        """Refuses predictions that are none.

        Raises:
            ArtifactError: NaN, missing, infinite, or no probabilities where they
                should be.
        """
        values = given.select(pl.col(self.columns).cast(pl.Float64)).fill_null(np.nan)
        broken = int((~np.isfinite(values.to_numpy())).any(axis=1).sum())
        if broken:
            raise ArtifactError(
                f"{who}: predictions of {broken} of {given.height} rows are NaN, "
                "missing or infinite; train and score again"
            )


def _spread(given: pl.DataFrame) -> float:
    """How much predictions of rows differ at most."""
    return float(np.ptp(given.to_numpy(), axis=0).max())


def refuse_no_probabilities(given: pl.DataFrame, who: str, columns: list[str]) -> None:
    """Refuses numbers outside [0, 1].

    Raises:
        ArtifactError: "net: 3 of 90 rows have probabilities outside 0 to 1: ...".
    """
    values = given.select(columns).to_numpy()
    outside = int(((values < 0) | (values > 1)).any(axis=1).sum())
    if outside:
        raise ArtifactError(
            f"{who}: {outside} of {given.height} rows have probabilities outside 0 to "
            "1; train and score again"
        )


def too_few(rows: int, what: str, fewest: int) -> str | None:
    """Why so many rows are too few, or None.

    >>> too_few(15, "rows with the event", 20)
    '15 rows with the event; 20 or more are needed'
    """
    if rows >= fewest:
        return None
    return f"{shown(rows)} {what}; {fewest} or more are needed"
