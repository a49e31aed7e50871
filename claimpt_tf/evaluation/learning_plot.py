"""Learning curves as a plot: how good each model is with how many labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.ticker import FixedLocator, NullLocator

from claimpt_tf.evaluation.drawing import Line, Plot, blank, draw, finished, lines_of
from claimpt_tf.evaluation.svg import plot_style
from claimpt_tf.tasks.attrition import SMALLEST_CELL

_ASIDE = 0.012  # of the axis' logarithm, so that whiskers stand beside each other


def learning_lines(summary: pl.DataFrame | None) -> list[Line]:
    """How each model of a study is drawn; no study, no line."""
    if summary is None:
        return []
    varied = np.array([0.0, 1.0])
    return lines_of(dict.fromkeys(summary["model"].unique(maintain_order=True), varied))


def learning_plots(summary: pl.DataFrame | None, metric: str, title: str) -> list[Plot]:
    """Plots a kind of draw (as members come, balanced): by members, and by outcomes.

    Args:
        summary: what `learning_curve` gives; no study, no plot.
        metric: a name of the study's figures.
        title: of the figure.
    """
    if summary is None:
        return []
    rows = summary.filter(pl.col("metric") == metric, pl.col("value").is_not_null())
    lines, found = learning_lines(summary), []
    for balanced in rows["balanced"].unique(maintain_order=True):
        some = rows.filter(pl.col("balanced") == balanced)
        kind = "as many with as without the outcome" if balanced else "as members come"
        short = "balanced" if balanced else "as-come"
        outcomes = some["events"].null_count() == 0
        below = "Below each number of members, how many of their rows had the outcome."
        by_members = _Axis(
            "members",
            f"learning-{metric}-{short}",
            f"{title} by number of labels",
            "Labelled members" + (", and rows with the outcome" if outcomes else ""),
            f"Labelled members were drawn {kind}; every model saw the same ones. "
            "Points are means over replicates, whiskers 95% intervals over test "
            f"members and draws. {below if outcomes else ''}",
            lambda members, events: f"{members:,.0f}\n{_shown(events)}",
        )
        found.append(_plot(some, lines, title, by_members))
        enough = some.filter(pl.col("events") >= SMALLEST_CELL)
        if balanced or enough["events"].n_unique() < 2:
            continue
        by_events = _Axis(
            "events",
            f"events-{metric}-{short}",
            f"{title} by number of outcomes",
            "Rows with the outcome",
            "The same by rows with the outcome, which is what there is to learn from; "
            f"draws with fewer than {SMALLEST_CELL} of them are left out.",
            lambda members, events: f"{events:,.0f}",
        )
        found.append(_plot(enough, lines, title, by_events))
    return found


@dataclass(frozen=True)
class _Axis:
    """What a curve is drawn over: a column of the summary, and how it is told."""

    column: str
    name: str
    title: str
    label: str
    note: str
    tick: Callable[[float, float | None], str]  # of members and events


def _plot(rows: pl.DataFrame, lines: list[Line], title: str, axis: _Axis) -> Plot:
    points = rows.select("members", "events").unique().sort(axis.column)
    places = points[axis.column].to_numpy()
    told = []
    with plot_style():
        figure, axes = blank(axis.label, title)
        span = np.log(places[-1] / places[0]) if len(places) > 1 else 1.0
        for place, line in enumerate(lines):
            own = rows.filter(pl.col("model") == line.model).sort(axis.column)
            if not own.height:
                continue
            x = own[axis.column].to_numpy() * np.exp(_ASIDE * span * place)
            axes.vlines(x, own["low"], own["high"], color=line.colour, linewidth=0.9)
            draw(axes, line, x, own["value"].to_numpy())
            axes.plot(x, own["value"], "o", color=line.colour, markersize=3.5)
            told.append(
                f"{line.model}: "
                + ", ".join(
                    f"{value:.3f} with {count:,.0f}"
                    for value, count in own.select("value", axis.column).iter_rows()
                )
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(places.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(places, [axis.tick(*point) for point in points.iter_rows()])
    return finished(
        figure,
        axis.name,
        axis.title,
        axis.note,
        f"{title} by {axis.label.lower()}. {'; '.join(told)}.",
    )


def _shown(events: float | None) -> str:
    if events is None:
        return ""
    return f"<{SMALLEST_CELL}" if 0 < events < SMALLEST_CELL else f"{events:,.0f}"
