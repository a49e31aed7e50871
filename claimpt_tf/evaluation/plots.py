"""Plots of scores: ROC, precision and recall, decisions, calibration, spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from statsmodels.stats.proportion import proportion_confint

from claimpt_tf.evaluation.drawing import (
    SIZE,
    Plot,
    blank,
    draw,
    finished,
    lines_of,
    percent,
)
from claimpt_tf.evaluation.operating_points import at_threshold, net_benefit, treat_all
from claimpt_tf.evaluation.smooth_calibration import smoothed
from claimpt_tf.evaluation.svg import INK, MUTED, SERIES, plot_style
from claimpt_tf.evaluation.weighted import CALIBRATION_BINS, Floats, Ranked
from claimpt_tf.tasks.attrition import SMALLEST_CELL

_BARS: Final = 20
_POINTS: Final = 600
_THRESHOLDS: Final = 100


def roc_plot(labels: Floats, scores: Mapping[str, Floats], alt: str) -> Plot:
    """True against false positive rates of every model.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: model -> probabilities, shape (rows,).
        alt: what the plot shows, in words and figures.
    """
    with plot_style():
        figure, axes = blank("1 \N{MINUS SIGN} specificity", "Sensitivity")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9)
        for line in reversed(lines_of(scores)):
            fall_out, recall, _ = roc_curve(labels, scores[line.model])
            draw(axes, line, fall_out, recall)
        _unit_square(axes)
    return finished(
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
        figure, axes = blank("Sensitivity (recall)", "PPV (precision)")
        axes.axhline(float(labels.mean()), color=MUTED, linewidth=0.9)
        for line in reversed(lines_of(scores)):
            recall, precision = recall_and_precision(labels, scores[line.model])
            draw(axes, line, recall, precision)
        _unit_square(axes)
    return finished(
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
    rows = Ranked(labels, scores).alone
    hits, shown = rows.cumulative_positives[0], rows.cumulative[0]
    first = int(np.searchsorted(shown, SMALLEST_CELL))
    first = min(first, len(shown) - 1)
    told = np.unique(np.linspace(first, len(shown) - 1, _POINTS).round().astype(int))
    return hits[told] / hits[-1], hits[told] / shown[told]


def decision_plot(
    labels: Floats, scores: Mapping[str, Floats], threshold: float | None = None
) -> Plot:
    """Net benefit of every model by threshold, beside flagging everybody or nobody.

    Source: Vickers & Elkin 2006, "Decision curve analysis".

    Args:
        labels: 0 or 1, shape (rows,).
        scores: model -> probabilities, shape (rows,).
        threshold: the one that the tables are for.
    """
    rate = float(labels.mean())
    top = float(np.clip(3 * rate, 0.05, 0.9))
    thresholds = np.linspace(0, top, _THRESHOLDS + 1)[1:]
    curves = {
        line.model: net_benefits(labels, scores[line.model], thresholds)
        for line in lines_of(scores)
    }
    everybody = [treat_all(labels, one) for one in thresholds]
    with plot_style():
        figure, axes = blank("Threshold probability", "Net benefit a row")
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.plot(thresholds, everybody, color=MUTED, linewidth=0.9)
        if threshold is not None and threshold < top:
            axes.axvline(threshold, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)))
        for line in reversed(lines_of(scores)):
            draw(axes, line, thresholds, curves[line.model])
        axes.set(xlim=(0, top), ylim=(-0.15 * rate, 1.05 * rate))
        axes.xaxis.set_major_formatter(percent())
    middle = thresholds[_THRESHOLDS // 3]
    told = "; ".join(
        f"{model} {curve[_THRESHOLDS // 3]:.3f}"
        for model, curve in curves.items()
        if np.isfinite(curve[_THRESHOLDS // 3])
    )
    return finished(
        figure,
        "decision",
        "Decision curves",
        "True positives less false ones at the threshold's odds, per row. Grey: "
        "flagging everybody, which falls, and nobody, which stays at 0; the dotted "
        "upright line is the threshold of the table. Where fewer than "
        f"{SMALLEST_CELL} rows are flagged, or are not, nothing is drawn.",
        f"Net benefit at a threshold of {middle:.1%}: {told}; nobody 0.",
    )


def net_benefits(labels: Floats, scores: Floats, thresholds: Floats) -> Floats:
    """Net benefit at each threshold, shape (thresholds,).

    NaN where fewer than 11 rows would be flagged, or would not.

    >>> rows = np.repeat([0.1, 0.6], 20)
    >>> net_benefits((rows > 0.5).astype(float), rows, np.array([0.5, 0.7])).tolist()
    [0.5, nan]
    """
    rows = Ranked(labels, scores).alone
    found = np.full(len(thresholds), np.nan)
    for place, threshold in enumerate(thresholds):
        cells = at_threshold(rows, float(threshold))
        flagged = float((cells.hits + cells.false_alarms)[0])
        if min(flagged, len(labels) - flagged) >= SMALLEST_CELL:
            found[place] = net_benefit(cells, float(threshold))[0]
    return found


def calibration_plot(
    labels: Floats,
    scores: Mapping[str, Floats],
    model: str,
    name: str = "calibration",
    of: str | None = None,
) -> Plot:
    """Observed rate against probability: smoothed, and by tenths; over a histogram.

    Whiskers are 95% Wilson intervals that take rows for independent.

    Args:
        labels: 0 or 1, shape (rows,).
        scores: model -> probabilities, shape (rows,).
        model: the one that is drawn.
        name: of the drawing, once a page.
        of: what the title calls it; by default the model.
    """
    given = scores[model]
    points = calibration_points(labels, given)
    line = {line.model: line for line in lines_of(scores)}.get(model)
    colour = INK if line is None else line.colour
    top = float(np.clip(1.15 * max(points[:, 0].max(), points[:, 3].max()), 0.02, 1))
    with plot_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 1)}
        )
        axes.plot([0, top], [0, top], color=MUTED, linewidth=0.9)
        axes.vlines(points[:, 0], points[:, 2], points[:, 3], color=colour, linewidth=1)
        axes.plot(*_inner(*smoothed(labels, given)), color=colour)
        axes.plot(points[:, 0], points[:, 1], "o", color=colour, markersize=4.5)
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
            one.xaxis.set_major_formatter(percent())
        axes.yaxis.set_major_formatter(percent())
    shown = "; ".join(f"{p:.0%} predicted, {o:.0%} seen" for p, o, _, _ in points)
    return finished(
        figure,
        name,
        f"Calibration of {of or model}",
        "The curve is smoothed (lowess); each point is a tenth of the rows, with a "
        "95% interval. On the diagonal, what was predicted is what came. Below, how "
        f"many rows have which probability (bars of fewer than {SMALLEST_CELL} are "
        "not drawn).",
        f"By tenths of the rows: {shown}.",
    )


def _inner(given: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """Without the outermost ten rows, thinned: the curve's ends are of few persons."""
    told = slice(SMALLEST_CELL - 1, len(given) - SMALLEST_CELL + 1)
    given, seen = given[told], seen[told]
    places = np.linspace(0, len(given) - 1, min(_POINTS, len(given)))
    kept = np.unique(places.round().astype(int))
    return given[kept], seen[kept]


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
        figure, axes = blank("Predicted probability", "Relative frequency")
        for value, colour, fill in ((0.0, MUTED, 0.28), (1.0, SERIES[0], 0.4)):
            counts, edges = wide_bars(given[labels == value], top)
            density = counts / counts.sum() / np.diff(edges)
            axes.stairs(density, edges, color=colour, linewidth=1.4)
            axes.stairs(density, edges, color=colour, alpha=fill, fill=True)
        axes.set_xlim(0, top)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(percent())
        axes.set_yticks([])
    middles = [f"{np.median(given[labels == value]):.1%}" for value in (1.0, 0.0)]
    return finished(
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


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
