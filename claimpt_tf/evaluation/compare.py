"""Several models on the same rows: figures, intervals, differences, subgroups."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from rich.table import Table
from statsmodels.stats.multitest import multipletests

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import (
    LEVEL,
    REPLICATES,
    Cell,
    Difference,
    Draws,
    Interval,
    difference,
    interval,
    replicate,
)
from claimpt_tf.evaluation.metrics import (
    CAPACITY,
    MIN_EACH_CLASS,
    Estimate,
    checked,
    default_metrics,
)
from claimpt_tf.evaluation.subgroups import (
    NEEDS,
    SUBGROUPS,
    Group,
    groups_of,
    has_rest,
    rest_of,
)
from claimpt_tf.evaluation.weighted import Floats, Ranked
from claimpt_tf.tasks.attrition import SMALLEST_CELL

SCHEMA_VERSION: Final = 2
BINARY: Final = "binary"
SUBGROUP_METRICS: Final = ("auroc", "auprc", "brier", "calibration_in_the_large")
ANY_CLASS: Final = ("brier", "log_loss", "ece")  # figures that exist without events
_COLUMNS: Final = ("patient_id", "index_day", "label")
_ON_SCREEN: Final = ("auroc", "auprc", "brier")

Figures = dict[str, dict[str, Interval]]  # model -> figure -> value and interval


@dataclass(frozen=True)
class SubgroupFigures:
    """One group's figures; counts and figures are None where suppressed.

    `n` counts rows, `patients` patients, `positives` rows with the outcome.
    `differences` are the reference model's figures here less those of everybody else
    in the grouping, `adjusted` their p-values after Holm's correction over all groups
    of all groupings, figure by figure.
    """

    by: str
    level: str
    suppressed: bool
    n: int | None
    patients: int | None
    positives: int | None
    models: Figures
    differences: dict[str, Difference] = field(default_factory=dict)
    adjusted: dict[str, float | None] = field(default_factory=dict)

    @classmethod
    def withheld(cls, group: Group) -> SubgroupFigures:
        """A group that is too small to tell anything about."""
        return cls(group.by, group.level, True, None, None, None, {})

    @classmethod
    def told(
        cls, group: Group, positives: int | None, *figures: Any
    ) -> SubgroupFigures:
        """A group with its counts; `figures` are `models` and what follows it."""
        size = len(group.rows)
        return cls(
            group.by, group.level, False, size, group.patients, positives, *figures
        )


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        n: rows (patient and index date).
        patients: distinct patients.
        positives: rows with the outcome; None where labels are of a kind that has none.
        models: model -> figure -> value with interval, models in the order given.
        differences: model -> figure -> that model less `reference`; all but it.
        reference: the model that the others are held against.
        subgroups: the figures of `SUBGROUP_METRICS` within groups.
        titles: figure -> heading.
        capacity: share of rows behind the figures "at capacity", if any.
        threshold: probability behind the figures "at threshold", if any.
        task: name of the question, where it was told.
        simulated: the rows describe nobody.
        kind: what the labels are, as in a task.
        n_boot: bootstrap replicates.
        seed: of the bootstrap.
        level: of the intervals.
    """

    n: int
    patients: int
    positives: int | None
    models: Figures
    differences: dict[str, dict[str, Difference]]
    reference: str
    subgroups: list[SubgroupFigures]
    titles: dict[str, str]
    capacity: float | None
    n_boot: int
    seed: int
    level: float
    threshold: float | None = None
    task: str = ""
    simulated: bool = False
    kind: str = BINARY

    @property
    def prevalence(self) -> float | None:
        """Share of rows with the outcome, where labels have one."""
        return None if self.positives is None else self.positives / self.n

    def points(self, model: str | None = None) -> dict[str, float]:
        """Figure -> value of a model, by default the reference; estimable ones only."""
        figures = self.models[model or self.reference]
        return {
            name: one.value for name, one in figures.items() if one.value is not None
        }

    def to_json(self) -> str:
        """The text of `metrics.json`; suppressed cells hold nulls."""
        content = {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "prevalence": self.prevalence,
        }
        if self.kind == BINARY:  # what readers of older files take for granted
            del content["kind"]
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Reads what `to_json` wrote.

        Raises:
            ArtifactError: the text is of another kind or version.
        """
        try:
            content = json.loads(text)
            version = content.pop("schema_version")
            if version != SCHEMA_VERSION:
                raise ArtifactError(
                    f"metrics of version {version}; this release reads "
                    f"{SCHEMA_VERSION}: evaluate the run again"
                )
            content.pop("prevalence")
            content["models"] = _figures(content["models"])
            content["differences"] = {
                model: {name: Difference(**one) for name, one in figures.items()}
                for model, figures in content["differences"].items()
            }
            content["subgroups"] = [
                SubgroupFigures(
                    **{
                        **group,
                        "models": _figures(group["models"]),
                        "differences": {
                            name: Difference(**one)
                            for name, one in group["differences"].items()
                        },
                    }
                )
                for group in content["subgroups"]
            ]
            return cls(**content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ArtifactError(
                f"not the metrics of a comparison ({type(error).__name__}: {error}); "
                "give a metrics.json that `claimpt evaluate` wrote"
            ) from error

    def to_table(self, title: str | None = None) -> Table:
        """A short table for the terminal; draw it with `rich`."""
        caption = f"{self.n:,} rows"
        if self.positives is not None:
            caption += f", {shown(self.positives)} with the outcome"
        table = Table(
            title=title, title_justify="left", title_style="bold", caption=caption
        )
        main, *others = _ON_SCREEN if self.kind == BINARY else list(self.titles)[:3]
        headings = [f"{self.titles[main]} [{self.level:.0%} CI]"]
        headings += [self.titles[name] for name in others]
        table.add_column("model", overflow="fold", min_width=11)
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
        for model, figures in self.models.items():
            table.add_row(
                model,
                with_interval(figures[main]),
                *(number(figures[name].value) for name in others),
            )
        return table


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
        model: Cell(checked(labels, given, model), everyone)
        for model, given in scores.items()
    }
    parts = {
        (position, model): Cell(
            checked(labels[group.rows], given[group.rows], model), group.rows
        )
        for position, group in enumerate(groups)
        if not group.suppressed
        for model, given in scores.items()
    }
    rest = {
        (position, None): _everybody_else(labels, scores[reference], groups, position)
        for position, group in enumerate(groups)
        if not group.suppressed and has_rest(groups, position)
    }
    draws = Draws(frame["patient_id"].to_numpy(), n_boot, seed)
    drawn = replicate(whole, metrics, draws)
    drawn_parts = replicate({**parts, **rest}, few, draws)

    points = {
        model: {
            name: metric.point(cell.ranked.labels, cell.ranked.scores)
            for name, metric in metrics.items()
        }
        for model, cell in whole.items()
    }
    few_rows = _few(labels, fewest)
    if few_rows is not None:
        points = {
            model: {
                name: point if name in ANY_CLASS else Estimate(None, few_rows)
                for name, point in found.items()
            }
            for model, found in points.items()
        }
    differences = {
        position: {
            name: difference(
                few[name].point(
                    parts[position, reference].ranked.labels,
                    parts[position, reference].ranked.scores,
                ),
                few[name].point(cell.ranked.labels, cell.ranked.scores),
                drawn_parts[position, reference][name],
                drawn_parts[position, None][name],
                level,
            )
            for name in few
        }
        for (position, _), cell in rest.items()
    }
    adjusted = holm(differences, SUBGROUP_METRICS)
    return Comparison(
        n=frame.height,
        patients=draws.n_patients,
        positives=int(labels.sum()),
        models={
            model: {
                name: interval(points[model][name], drawn[model][name], level)
                for name in metrics
            }
            for model in scores
        },
        differences={
            model: {
                name: difference(
                    points[model][name],
                    points[reference][name],
                    drawn[model][name],
                    drawn[reference][name],
                    level,
                )
                for name in metrics
            }
            for model in scores
            if model != reference
        },
        reference=reference,
        subgroups=[
            SubgroupFigures.withheld(group)
            if group.suppressed
            else SubgroupFigures.told(
                group,
                int(labels[group.rows].sum()),
                {
                    model: {
                        name: interval(
                            metric.point(
                                labels[group.rows].astype(np.float64),
                                scores[model][group.rows],
                            ),
                            drawn_parts[position, model][name],
                            level,
                        )
                        for name, metric in few.items()
                    }
                    for model in scores
                },
                differences.get(position, {}),
                adjusted.get(position, {}),
            )
            for position, group in enumerate(groups)
        ],
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


def shown(count: int) -> str:
    """A count in words that may be shown.

    >>> shown(1234), shown(3)
    ('1,234', 'fewer than 11')
    """
    return f"{count:,}" if count >= SMALLEST_CELL else f"fewer than {SMALLEST_CELL}"


def _everybody_else(
    labels: Floats, scores: Floats, groups: Sequence[Group], position: int
) -> Cell:
    rows = rest_of(groups, position)
    return Cell(Ranked(labels[rows], scores[rows]), rows)


def holm(
    differences: Mapping[int, Mapping[str, Difference]], figures: Sequence[str]
) -> dict[int, dict[str, float | None]]:
    """Holm's p-values of each figure over all groups."""
    found: dict[int, dict[str, float | None]] = {at: {} for at in differences}
    for name in figures:
        tested = {
            at: one[name].p
            for at, one in differences.items()
            if one[name].p is not None
        }
        if tested:
            corrected = multipletests(list(tested.values()), method="holm")[1]
            for at, p in zip(tested, corrected, strict=True):
                found[at][name] = float(p)
    return found


def number(value: float | None, digits: int = 3) -> str:
    """A figure as tables print it.

    >>> number(0.81249), number(None), number(-0.0001)
    ('0.812', 'n/e', '0.000')
    """
    if value is None:
        return "n/e"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def with_interval(figure: Interval, digits: int = 3) -> str:
    """A figure and its interval as tables print them.

    >>> with_interval(Interval(0.81, 0.78, 0.84))
    '0.810 [0.780, 0.840]'
    >>> with_interval(Interval(None, reason="no positives"))
    'n/e'
    """
    if figure.value is None or figure.low is None or figure.high is None:
        return number(figure.value, digits)
    bounds = f"{number(figure.low, digits)}, {number(figure.high, digits)}"
    return f"{number(figure.value, digits)} [{bounds}]"


def write_metrics(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Writes `metrics.json`, complete or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(comparison.to_json(), encoding="utf-8")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


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


def _figures(content: dict[str, Any]) -> Figures:
    return {
        model: {name: Interval(**one) for name, one in figures.items()}
        for model, figures in content.items()
    }
