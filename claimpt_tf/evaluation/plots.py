"""The report's plots: ROC, precision and recall, calibration, spread of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

from claimpt_tf.evaluation.svg import (
    GRID,
    INK,
    MUTED,
    SERIES,
    TRUTH,
    inline_svg,
    plot_style,
)
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.evaluation.weighted import CALIBRATION_BINS, Floats, Ranked, Weighted
from claimpt_tf.tasks.attrition import SMALLEST_CELL

_DASHES: Final = ("solid", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (5, 1.4, 1.2, 1.4)))
_SIZE: Final = (4.1, 3.5)  # inches at 72 dots: legible at a phone's width
_BARS: Final = 20
_POINTS: Final = 600


@dataclass(frozen=True)
class Line:
    """How one model is drawn, in every plot and in the legend alike.

    Attributes:
        model: its name.
        colour: a placeholder of `svg`.
        variable: the CSS variable that takes its place.
        dashes: matplotlib's line style.
        dash_array: the same for an SVG stroke at twice the width, empty when solid.
    """

    model: str
    colour: str
    variable: str
    dashes: str | tuple[float, tuple[float, ...]]
    dash_array: str


@dataclass(frozen=True)
class Plot:
    """A drawn plot and its words."""

    name: str
    title: str
    caption: str
    svg: str


def lines_of(scores: Mapping[str, Floats]) -> list[Line]:
    """A line a model whose scores differ; the best possible one stands apart."""
    lines = []
    for model, given in scores.items():
        if np.ptp(given) == 0:
            continue
        if model == BEST:
            lines.append(Line(model, TRUTH, "--truth", (0, (2, 2)), "4 4"))
            continue
        place = sum(line.model != BEST for line in lines)
        number = place % len(SERIES)
        dashes = _DASHES[place % len(_DASHES)]
        array = "" if isinstance(dashes, str) else _array(dashes[1])
        lines.append(
            Line(model, SERIES[number], f"--series-{number + 1}", dashes, array)
        )
    return lines


def _array(dashes: tuple[float, ...]) -> str:
    return " ".join(f"{2 * dash:g}" for dash in dashes)


def roc_plot(labels: Floats, scores: Mapping[str, Floats], alt: str) -> Plot:
    """True against false positive rates of every model.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: model -> probabilities, shape (rows,).
        alt: what the plot shows, in words and figures.
    """
    with plot_style():
        figure, axes = _figure("1 \N{MINUS SIGN} specificity", "Sensitivity")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9)
        for line in reversed(lines_of(scores)):
            fall_out, recall, _ = roc_curve(labels, scores[line.model])
            _draw(axes, line, fall_out, recall)
        _unit_square(axes)
    return _plot(
        figure,
        "roc",
        "ROC curves",
        "The diagonal is what chance reaches.",
        alt,
    )


def precision_recall_plot(
    labels: Floats, scores: Mapping[str, Floats], alt: str
) -> Plot:
    """Precision against recall of every model, the prevalence as a line."""
    with plot_style():
        figure, axes = _figure("Sensitivity (recall)", "PPV (precision)")
        axes.axhline(float(labels.mean()), color=MUTED, linewidth=0.9)
        for line in reversed(lines_of(scores)):
            recall, precision = recall_and_precision(labels, scores[line.model])
            _draw(axes, line, recall, precision)
        _unit_square(axes)
    return _plot(
        figure,
        "precision-recall",
        "Precision and recall",
        "The level line is the prevalence, which chance reaches. "
        f"The first {SMALLEST_CELL - 1} rows are left out.",
        alt,
    )


def recall_and_precision(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Both at each distinct score from the 11th row on, thinned to some 600 points.

    Precision over the first few rows swings between 0 and 1 and tells of persons.
    """
    ranked = Ranked(labels, scores)
    rows = Weighted(ranked, np.ones((1, len(ranked))))
    hits, shown = rows.cumulative_positives[0], rows.cumulative[0]
    first = int(np.searchsorted(shown, SMALLEST_CELL))
    first = min(first, len(shown) - 1)
    told = np.unique(np.linspace(first, len(shown) - 1, _POINTS).round().astype(int))
    return hits[told] / hits[-1], hits[told] / shown[told]


def calibration_plot(labels: Floats, scores: Mapping[str, Floats], model: str) -> Plot:
    """Observed rate against mean probability by tenths, over a histogram.

    Whiskers are 95% Wilson intervals that take rows for independent.
    """
    given = scores[model]
    points = calibration_points(labels, given)
    line = {line.model: line for line in lines_of(scores)}.get(model)
    colour = INK if line is None else line.colour
    top = float(np.clip(1.15 * max(points[:, 0].max(), points[:, 3].max()), 0.02, 1))
    with plot_style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1)}
        )
        axes.plot([0, top], [0, top], color=MUTED, linewidth=0.9)
        axes.vlines(points[:, 0], points[:, 2], points[:, 3], color=colour, linewidth=1)
        axes.plot(points[:, 0], points[:, 1], color=colour, marker="o", markersize=4.5)
        axes.set(xlim=(0, top), ylim=(0, top), ylabel="Observed rate")
        counts, edges = np.histogram(given, bins=_BARS, range=(0, top))
        counts = np.where(counts < SMALLEST_CELL, 0, counts)
        below.bar(
            edges[:-1], counts, np.diff(edges), align="edge", color=colour, alpha=0.45
        )
        below.set(xlabel="Predicted probability", ylabel="Rows")
        below.grid(False)
        below.locator_params(axis="y", nbins=2)
        for one in (axes, below):
            one.xaxis.set_major_formatter(_percent(top))
        axes.yaxis.set_major_formatter(_percent(top))
    shown = "; ".join(f"{p:.0%} predicted, {o:.0%} seen" for p, o, _, _ in points)
    return _plot(
        figure,
        "calibration",
        f"Calibration of {model}",
        f"Each point is a tenth of the rows, with a 95% interval; on the diagonal, "
        f"what was predicted is what came. Below, how many rows have which "
        f"probability (bars of fewer than {SMALLEST_CELL} are not drawn).",
        f"By tenths of the rows: {shown}.",
    )


def calibration_points(labels: Floats, scores: Floats) -> Floats:
    """Mean probability, observed rate and its 95% Wilson bounds, by quantile bin.

    The bins are those of the ECE, fewer where they would hold fewer than 11 rows.

    Returns:
        shape (bins, 4), by rising probability.
    """
    wanted = max(1, min(CALIBRATION_BINS, len(labels) // SMALLEST_CELL))
    inner = np.linspace(0, 1, wanted + 1)[1:-1]
    bins = np.searchsorted(np.quantile(scores, inner), scores)
    points = []
    for one in np.unique(bins):
        inside = bins == one
        count, hits = int(inside.sum()), int(labels[inside].sum())
        if count < min(SMALLEST_CELL, len(labels)):
            continue
        low, high = proportion_confint(hits, count, method="wilson")
        points.append((scores[inside].mean(), hits / count, low, high))
    return np.array(points).reshape(-1, 4)


def score_plot(labels: Floats, scores: Mapping[str, Floats], model: str) -> Plot:
    """How probabilities spread among rows with and without the outcome."""
    given = scores[model]
    top = min(1.0, 1.05 * float(np.quantile(given, 0.998)))
    with plot_style():
        figure, axes = _figure("Predicted probability", "Relative frequency")
        for value, colour, fill in ((0.0, MUTED, 0.28), (1.0, SERIES[0], 0.4)):
            counts, edges = wide_bars(given[labels == value], top)
            density = counts / counts.sum() / np.diff(edges)
            axes.stairs(density, edges, color=colour, linewidth=1.4)
            axes.stairs(density, edges, color=colour, alpha=fill, fill=True)
        axes.set_xlim(0, top)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(_percent(top))
        axes.set_yticks([])
    middles = [f"{np.median(given[labels == value]):.1%}" for value in (1.0, 0.0)]
    return _plot(
        figure,
        "scores",
        f"Scores of {model}",
        "Coloured: rows with the outcome; grey: rows without, to equal areas. "
        f"A bar is at least as wide as {SMALLEST_CELL} rows need.",
        f"The median probability is {middles[0]} among rows with the outcome and "
        f"{middles[1]} among those without.",
    )


def wide_bars(values: Floats, top: float) -> tuple[Floats, Floats]:
    """A histogram from 0 to `top` without a bar of fewer than 11 values.

    Small bars are joined with their right neighbours, the last with its left one.
    Values above `top` count as `top`.

    Returns:
        Counts, shape (bars,), and edges, shape (bars + 1,).

    >>> counts, edges = wide_bars(np.repeat([0.12, 0.33, 0.72], [11, 4, 9]), 1.0)
    >>> counts.tolist(), edges.tolist()
    ([11, 13], [0.0, 0.15, 0.75])
    """
    narrow, edges = np.histogram(np.minimum(values, top), _BARS, (0, top))
    counts, kept, waiting = [], [0.0], 0
    for count, edge in zip(narrow, edges[1:], strict=True):
        waiting += int(count)
        if waiting >= SMALLEST_CELL:
            counts.append(waiting)
            kept.append(float(edge))
            waiting = 0
    if not counts:
        return np.array([max(waiting, 1)]), np.array([0.0, top])
    counts[-1] += waiting
    if waiting:
        kept[-1] = top
    return np.array(counts), np.array(kept).round(9)


def _figure(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(True, color=GRID)
    return figure, axes


def _draw(axes: Axes, line: Line, x: Floats, y: Floats) -> None:
    axes.plot(x, y, color=line.colour, linestyle=line.dashes)


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))


def _percent(top: float) -> PercentFormatter:
    return PercentFormatter(1.0, decimals=0 if top > 0.06 else 1)


def _plot(figure: Figure, name: str, title: str, caption: str, alt: str) -> Plot:
    return Plot(name, title, caption, inline_svg(figure, name, title, alt))
