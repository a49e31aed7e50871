"""Plots of probabilities of several classes: confusion, AUROC and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from claimpt_tf.evaluation.comparison import Comparison, with_interval
from claimpt_tf.evaluation.drawing import SIZE, Line, Plot, finished
from claimpt_tf.evaluation.endpoint_figures import chances_of
from claimpt_tf.evaluation.plots import calibration_plot
from claimpt_tf.evaluation.svg import INK, MUTED, SERIES, plot_style
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL, column_cells

MOST_CLASSES: Final = 10  # in the confusion matrix
CALIBRATED: Final = 4  # classes with a calibration plot of their own
OTHER: Final = "other"
_LONGEST: Final = 16  # letters of a class
_DEPTH: Final = 0.6  # of the colour of a whole row, so that ink stays legible on it
_ROW, _REST = 0.3, 0.7  # inches


def confusion_plot(
    rows: pl.DataFrame, classes: Sequence[str], model: str
) -> list[Plot]:
    """How often each class is taken for each, as shares of who was of it.

    Args:
        rows: labels and probabilities of one model.
        classes: in the order of the probabilities.
        model: its name.

    Returns:
        No plot where fewer than two classes have 11 rows.
    """
    came, taken, counts = confusion(rows, classes)
    if len(came) < 2:
        return []
    told = []
    with plot_style():
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        for row, some in enumerate(counts):
            for column, shown in enumerate(column_cells(some.tolist())):
                if not isinstance(shown, int):
                    continue
                share = shown / some.sum()
                axes.add_patch(
                    Rectangle(
                        (column - 0.5, row - 0.5), 1, 1,
                        facecolor=SERIES[0], alpha=_DEPTH * share, linewidth=0,
                    )
                )  # fmt: skip
                text = f"{share:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=INK)
                told.append(f"{came[row]} taken for {taken[column]} {text}")
        names = [_cut(name) for name in taken]
        tilted = sum(map(len, names)) > 30
        axes.set_xticks(
            np.arange(len(taken)), names,
            rotation=35 if tilted else 0, ha="right" if tilted else "center",
        )  # fmt: skip
        axes.set_yticks(np.arange(len(came)), [_cut(name) for name in came])
        axes.tick_params(length=0)
        axes.grid(False)
        axes.set(xlim=(-0.5, len(taken) - 0.5), ylim=(len(came) - 0.5, -0.5))
        axes.set(xlabel="Likeliest class", ylabel="Class that came")
    return [
        finished(
            figure,
            "confusion",
            f"What {model} takes for likeliest",
            "Each row is all rows of a class that came. Nothing stands where fewer "
            f"than {SMALLEST_CELL} do, or where their number could be worked out.",
            f"{'; '.join(told)}.",
        )
    ]


def confusion(
    rows: pl.DataFrame, classes: Sequence[str]
) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Classes that came, classes that they are taken for, and counts of both.

    Of classes the commonest of 11 rows or more; other likeliest ones are one column.
    """
    _, chances = chances_of(rows)
    label = rows["label"].to_numpy()
    likeliest = np.asarray(classes, object)[chances.argmax(axis=1)]
    often = {name: int((label == name).sum()) for name in classes}
    common = sorted(classes, key=lambda name: -often[name])[:MOST_CLASSES]
    came = [n for n in classes if n in common and often[n] >= SMALLEST_CELL]
    inside = {n: [(label == n) & (likeliest == other) for other in came] for n in came}
    counts = np.array(
        [[*(one.sum() for one in inside[n]), often[n]] for n in came], np.int64
    ).reshape(len(came), -1)
    if not len(came):
        return [], [], counts
    counts[:, -1] -= counts[:, :-1].sum(axis=1)
    if not counts[:, -1].any():
        return came, came, counts[:, :-1]
    return came, [*came, OTHER], counts


def class_areas_plot(
    comparison: Comparison, areas: Mapping[str, str], lines: Sequence[Line]
) -> list[Plot]:
    """AUROC of each class by model, with intervals.

    Args:
        comparison: figures.
        areas: figure -> class.
        lines: how models are drawn.
    """
    main = comparison.models[comparison.reference]
    shown = [name for name in areas if main[name].value is not None]
    if not shown:
        return []
    told = []
    with plot_style():
        size = (SIZE[0], _ROW * len(shown) * max(len(lines) / 2, 1) + _REST)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.axvline(0.5, color=MUTED, linewidth=0.9)
        for row, name in enumerate(shown):
            for place, line in enumerate(lines):
                found = comparison.models[line.model][name]
                if found.value is None or found.low is None or found.high is None:
                    continue
                at = row + 0.7 * ((place + 0.5) / len(lines) - 0.5)
                axes.hlines(at, found.low, found.high, line.colour, linewidth=1.2)
                axes.plot(found.value, at, "s", color=line.colour, markersize=4)
                told.append(f"{areas[name]}, {line.model} {with_interval(found)}")
        axes.set_yticks(np.arange(len(shown)), [_cut(areas[name]) for name in shown])
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="AUROC")
    return [
        finished(
            figure,
            "class-areas",
            "AUROC of each class",
            "Each class against all others, with its interval, in the models' colours "
            "and order. The upright line is what chance reaches.",
            f"{'; '.join(told)}.",
        )
    ]


def class_calibration_plots(
    rows: pl.DataFrame, classes: Sequence[str], model: str
) -> list[Plot]:
    """Calibration of the commonest classes, those with 11 rows in and out of them."""
    label = rows["label"].to_numpy()
    often = {name: int((label == name).sum()) for name in classes}
    common = sorted(classes, key=lambda name: -often[name])[:CALIBRATED]
    _, chances = chances_of(rows)
    return [
        calibration_plot(
            (label == name).astype(np.float64),
            {model: chances[:, place]},
            model,
            f"calibration-{place}",
            f"class {name}",
        )
        for place, name in enumerate(classes)
        if name in common
        and min(often[name], len(label) - often[name]) >= SMALLEST_CELL
        and _varies(chances[:, place])
    ]


def _varies(chances: Floats) -> bool:
    return bool(np.ptp(chances) > 0)


def _cut(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
