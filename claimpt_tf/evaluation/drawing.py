"""What the report's plots share: a line a model, axes, and the finished drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from claimpt_tf.evaluation.svg import GRID, SERIES, TRUTH, inline_svg
from claimpt_tf.evaluation.truth import BEST
from claimpt_tf.evaluation.weighted import Floats

SIZE: Final = (4.1, 3.5)  # inches at 72 dots: legible at a phone's width
_DASHES: Final = ("solid", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (5, 1.4, 1.2, 1.4)))


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


def blank(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """An empty plot, within `plot_style`."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(True, color=GRID)
    return figure, axes


def draw(axes: Axes, line: Line, x: Floats, y: Floats) -> None:
    """A model's line."""
    axes.plot(x, y, color=line.colour, linestyle=line.dashes)


def percent() -> FuncFormatter:
    """Of an axis of shares, without digits that say nothing.

    >>> percent()(0.125), percent()(0.1)
    ('12.5%', '10%')
    """
    return FuncFormatter(lambda share, _: f"{100 * share:.4g}%")


def finished(figure: Figure, name: str, title: str, caption: str, alt: str) -> Plot:
    """The drawing with its words; `name` is once a page."""
    return Plot(name, title, caption, inline_svg(figure, name, title, alt))
