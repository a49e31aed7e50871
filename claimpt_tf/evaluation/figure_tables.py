"""Tables of figures for pages: a figure and, below it, its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from claimpt_tf.evaluation.bootstrap import Difference, Interval
from claimpt_tf.evaluation.comparison import Comparison

DISCRIMINATION: Final = (
    "auroc",
    "auprc",
)
CALIBRATION: Final = (
    "brier",
    "scaled_brier",
    "log_loss",
    "calibration_in_the_large",
    "calibration_slope",
    "ece",
    "ici",
)
DIFFERENCES: Final = ("auroc", "auprc", "brier")


@dataclass(frozen=True)
class FigureCell:
    """A figure and, in smaller print below it, its interval."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class FigureTable:
    """A table of figures: heading cells, then a label and cells a row."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[FigureCell]]]


def models_table(
    comparison: Comparison, figures: Sequence[str], caption: str
) -> FigureTable:
    """Figures of every model."""
    return FigureTable(
        caption,
        [comparison.titles[name] for name in figures],
        [
            (model, [figure_cell(found[name]) for name in figures])
            for model, found in comparison.models.items()
        ],
    )


def differences_table(
    comparison: Comparison, figures: Sequence[str] = DIFFERENCES
) -> FigureTable | None:
    """Differences to the reference; None where there is nothing beside it."""
    if not comparison.differences:
        return None
    headings = []
    for name in figures:
        headings += [comparison.titles[name], "p"]
    rows = []
    for model, found in comparison.differences.items():
        cells = []
        for name in figures:
            one = found[name]
            p = FigureCell(p_value(one, comparison.n_boot))
            cells += [figure_cell(one, sign="+"), p]
        rows.append((model, cells))
    return FigureTable(f"Difference to {comparison.reference}", headings, rows)


def figure_cell(figure: Interval | Difference, sign: str = "") -> FigureCell:
    """A figure with its interval; `sign` is "+" for differences."""
    if figure.value is None:
        return FigureCell("n/e")
    text = _digits(figure.value, sign)
    if figure.low is None or figure.high is None:
        return FigureCell(text, "n/e")
    return FigureCell(
        text, f"{_digits(figure.low, sign)} to {_digits(figure.high, sign)}"
    )


def _digits(value: float, sign: str) -> str:
    text = f"{value:{sign}.3f}"
    text = text.lstrip("+-") if float(text) == 0 else text
    return text.replace("-", "\N{MINUS SIGN}")


def reasons_of(comparison: Comparison) -> list[str]:
    """Why figures are not estimable, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for model, figures in comparison.models.items():
        for name, figure in figures.items():
            if figure.reason is not None:
                key = (comparison.titles[name], figure.reason)
                found.setdefault(key, []).append(model)
    return [
        f"{title} of {', '.join(models)}: {reason}."
        for (title, reason), models in found.items()
    ]


def p_value(difference: Difference, n_boot: int) -> str:
    """A p-value as tables print it, never below what the bootstrap can tell.

    >>> p_value(Difference(0.1, 0.0, 0.2, 0.0342), 1000)
    '0.034'
    >>> p_value(Difference(0.1, 0.1, 0.2, 2 / 1001), 1000)
    '< 0.002'
    """
    if difference.p is None:
        return ""
    if difference.p <= 2 / (n_boot + 1):
        least = np.ceil(1000 * 2 / (n_boot + 1)) / 1000
        return f"< {least:.3f}"
    return f"{difference.p:.3f}"
