"""Plots of rankings of categories: recall by length of the list, and by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from claimpt_tf.codes.describe import describe
from claimpt_tf.evaluation.drawing import (
    SIZE,
    Line,
    Plot,
    blank,
    draw,
    finished,
    percent,
)
from claimpt_tf.evaluation.endpoint_figures import chances_of
from claimpt_tf.evaluation.recall import recall_at
from claimpt_tf.evaluation.svg import SERIES, plot_style
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL

LENGTHS: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30)
LISTED: Final = 10
COMMONEST: Final = 12
_ROW, _REST = 0.22, 0.6  # inches
_LONGEST: Final = 30  # letters of a category


def recall_plot(models: Mapping[str, pl.DataFrame], lines: Sequence[Line]) -> Plot:
    """Recall of every model by how long the list is.

    Args:
        models: model -> labels and scores.
        lines: how models are drawn.
    """
    curves = {}
    for model, rows in models.items():
        names, scores = chances_of(rows)
        found = recall_at(scores, names, rows["label"], LENGTHS)
        curves[model] = found.to_numpy().mean(axis=0)
    with plot_style():
        figure, axes = blank("Categories on the list", "Recall")
        for line in reversed(lines):
            draw(axes, line, np.asarray(LENGTHS, float), curves[line.model])
        axes.set(xlim=(0, LENGTHS[-1]), ylim=(0, 1.005))
    at = LENGTHS.index(LISTED)
    told = "; ".join(f"{model} {curve[at]:.3f}" for model, curve in curves.items())
    return finished(
        figure,
        "recall",
        "Recall by length of the list",
        "Of what came, the share that is among the likeliest, averaged over rows.",
        f"Recall at {LISTED}: {told}.",
    )


def category_plot(rows: pl.DataFrame, model: str) -> list[Plot]:
    """Of the commonest categories, how often each is on the list when it came.

    Args:
        rows: labels and scores of one model.
        model: its name.

    Returns:
        No plot where no category came in 11 rows.
    """
    found = found_by_category(rows)
    if not found:
        return []
    names = list(found)
    with plot_style():
        size = (SIZE[0], _ROW * len(names) + _REST)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.barh(
            np.arange(len(names)), list(found.values()), 0.7,
            color=SERIES[0], alpha=0.55,
        )  # fmt: skip
        axes.set_yticks(np.arange(len(names)), [_title(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xlabel="Foreseen")
        axes.set_xticks([0, 0.5, 1])
        axes.xaxis.set_major_formatter(percent())
    told = "; ".join(f"{_words(name)} {share:.0%}" for name, share in found.items())
    return [
        finished(
            figure,
            "categories",
            f"The commonest categories, by {model}",
            f"In which share of the rows that a category came in it is on the list of "
            f"{LISTED}; the commonest first, none of fewer than {SMALLEST_CELL} rows.",
            f"{told}.",
        )
    ]


def found_by_category(rows: pl.DataFrame) -> dict[str, float]:
    """Category -> share of the rows that it came in on whose list of 10 it is.

    Of the 12 commonest, those with 11 rows or more.
    """
    names, scores = chances_of(rows)
    listed = _listed(scores)
    place = {name: n for n, name in enumerate(names)}
    came = (
        rows.select(pl.col("label").list.unique(), row=pl.int_range(pl.len()))
        .explode("label")
        .filter(pl.col("label").is_in(names))
    )
    often = (
        came["label"].value_counts().sort(["count", "label"], descending=[True, False])
    )
    found = {}
    for name, count in often.head(COMMONEST).iter_rows():
        if count >= SMALLEST_CELL:
            its = came.filter(pl.col("label") == name)["row"].to_numpy()
            found[name] = float(listed[its, place[name]].mean())
    return found


def _listed(scores: Floats) -> np.ndarray:
    """Which categories are among the likeliest of each row, as `recall_at` ranks."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :LISTED]
    listed = np.zeros(scores.shape, bool)
    np.put_along_axis(listed, order, True, axis=1)
    return listed


def _words(name: str) -> str:
    return describe(name) or name


def _title(name: str) -> str:
    words = _words(name)
    if len(words) <= _LONGEST:
        return words
    return f"{words[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
