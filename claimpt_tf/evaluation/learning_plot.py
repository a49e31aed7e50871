"""Learning curves as a plot: how good each model is with how many labels."""

from __future__ import annotations

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
    """A plot a kind of draw (as members come, balanced); no study, no plot.

    Args:
        summary: what `learning_curve` gives.
        metric: a name of `CURVE_METRICS`.
        title: of the figure.
    """
    if summary is None:
        return []
    rows = summary.filter(pl.col("metric") == metric, pl.col("value").is_not_null())
    return [
        _plot(rows.filter(pl.col("balanced") == balanced), learning_lines(summary),
              metric, title, balanced)
        for balanced in rows["balanced"].unique(maintain_order=True)
    ]  # fmt: skip


def _plot(
    rows: pl.DataFrame, lines: list[Line], metric: str, title: str, balanced: bool
) -> Plot:
    points = rows.select("members", "events").unique().sort("members")
    members = points["members"].to_numpy()
    told = []
    with plot_style():
        figure, axes = blank("Labelled members, and rows with the outcome", title)
        span = np.log(members[-1] / members[0]) if len(members) > 1 else 1.0
        for place, line in enumerate(lines):
            own = rows.filter(pl.col("model") == line.model).sort("members")
            if not own.height:
                continue
            x = own["members"].to_numpy() * np.exp(_ASIDE * span * place)
            axes.vlines(x, own["low"], own["high"], color=line.colour, linewidth=0.9)
            draw(axes, line, x, own["value"].to_numpy())
            axes.plot(x, own["value"], "o", color=line.colour, markersize=3.5)
            told.append(
                f"{line.model}: "
                + ", ".join(
                    f"{value:.3f} with {count:,.0f}"
                    for value, count in own.select("value", "members").iter_rows()
                )
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(members.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(
            members,
            [f"{count:,.0f}\n{_shown(events)}" for count, events in points.iter_rows()],
        )
    kind = "as many with as without the outcome" if balanced else "as members come"
    return finished(
        figure,
        f"learning-{metric}-{'balanced' if balanced else 'as-come'}",
        f"{title} by number of labels",
        f"Labelled members were drawn {kind}; every model saw the same ones. Points "
        "are means over replicates, whiskers 95% intervals over test members and "
        "draws. Below each number of members, how many of their rows had the outcome.",
        f"{title} by labelled members. {'; '.join(told)}.",
    )


def _shown(events: float) -> str:
    return f"<{SMALLEST_CELL}" if 0 < events < SMALLEST_CELL else f"{events:,.0f}"
