"""What a comparison of models on the same rows has found; its file and its table."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import Difference, Interval
from claimpt_tf.evaluation.subgroups import Group
from claimpt_tf.tasks.attrition import SMALLEST_CELL

SCHEMA_VERSION: Final = 2
BINARY: Final = "binary"
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


def shown(count: int) -> str:
    """A count in words that may be shown.

    >>> shown(1234), shown(3)
    ('1,234', 'fewer than 11')
    """
    return f"{count:,}" if count >= SMALLEST_CELL else f"fewer than {SMALLEST_CELL}"


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


def _figures(content: dict[str, Any]) -> Figures:
    return {
        model: {name: Interval(**one) for name, one in figures.items()}
        for model, figures in content.items()
    }
