"""Plots of predicted numbers: against the observed ones by tenths, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy import stats

from claimpt_tf.evaluation.drawing import Line, Plot, blank, draw, finished
from claimpt_tf.evaluation.svg import MUTED, SERIES, plot_style
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL

PARTS: Final = 10
_BARS: Final = 30


def tenths(label: Floats, given: Floats, parts: int = PARTS) -> Floats:
    """Mean prediction, mean label and its 95% bounds, by tenth of the prediction.

    Bounds take rows for independent (Student's t). There are fewer parts where they
    would hold fewer than 11 rows.

    Returns:
        shape (parts, 4), by rising prediction.
    """
    wanted = max(1, min(parts, len(label) // SMALLEST_CELL))
    inner = np.linspace(0, 1, wanted + 1)[1:-1]
    bins = np.searchsorted(np.quantile(given, inner), given)
    points = []
    for one in np.unique(bins):
        some = label[bins == one]
        if len(some) < SMALLEST_CELL:
            continue
        reach = stats.t.ppf(0.975, len(some) - 1) * stats.sem(some)
        middle = some.mean()
        points.append(
            (given[bins == one].mean(), middle, middle - reach, middle + reach)
        )
    return np.array(points).reshape(-1, 4)


def tenths_plot(
    label: Floats, given: Mapping[str, Floats], model: str, lines: Sequence[Line]
) -> Plot:
    """Mean label against mean prediction by tenth of each model's prediction.

    Args:
        label: numbers that came, shape (rows,).
        given: model -> predictions, shape (rows,).
        model: the one with intervals.
        lines: how models are drawn.
    """
    points = {line.model: tenths(label, given[line.model]) for line in lines}
    with plot_style():
        figure, axes = blank("Mean predicted", "Mean observed")
        every = [some[:, :2] for some in points.values() if len(some)]
        if every:
            ends = np.concatenate(every)
            axes.plot(*[[ends.min(), ends.max()]] * 2, color=MUTED, linewidth=0.9)
        for line in reversed(lines):
            some = points[line.model]
            draw(axes, line, some[:, 0], some[:, 1])
            if line.model == model:
                axes.vlines(
                    some[:, 0], some[:, 2], some[:, 3], line.colour, linewidth=1
                )
                axes.plot(some[:, 0], some[:, 1], "o", color=line.colour, markersize=4)
    told = "; ".join(
        f"{one[0]:.3g} predicted, {one[1]:.3g} seen" for one in points.get(model, ())
    )
    return finished(
        figure,
        "tenths",
        "Predicted and observed",
        "Each point is a tenth of the rows, by their prediction; whiskers are 95% "
        f"intervals of {model}. On the diagonal, what was predicted is what came.",
        f"{model}, by tenths of the rows: {told}.",
    )


def error_plot(label: Floats, given: Mapping[str, Floats], model: str) -> Plot:
    """How predictions less labels spread; bars of fewer than 11 rows are not drawn."""
    error = given[model] - label
    low, high = np.quantile(error, (0.01, 0.99))
    with plot_style():
        figure, axes = blank("Predicted less observed", "Rows")
        counts, edges = np.histogram(np.clip(error, low, high), _BARS, (low, high))
        counts = np.where(counts < SMALLEST_CELL, 0, counts)
        axes.bar(
            edges[:-1], counts, np.diff(edges), align="edge",
            color=SERIES[0], alpha=0.45,
        )  # fmt: skip
        axes.axvline(0, color=MUTED, linewidth=0.9)
    quarter, half, rest = np.quantile(error, (0.25, 0.5, 0.75))
    return finished(
        figure,
        "errors",
        f"Errors of {model}",
        "The outermost hundredths are drawn in the first and the last bar; bars of "
        f"fewer than {SMALLEST_CELL} rows are not drawn.",
        f"Half of the errors are between {quarter:.3g} and {rest:.3g}, their median is "
        f"{half:.3g}.",
    )
