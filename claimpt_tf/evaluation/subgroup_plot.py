"""The forest plot: one figure of the judged model in every group that may be shown."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from claimpt_tf.evaluation.bootstrap import Interval
from claimpt_tf.evaluation.comparison import Comparison, with_interval
from claimpt_tf.evaluation.drawing import SIZE, Plot, finished
from claimpt_tf.evaluation.subgroups import TITLES
from claimpt_tf.evaluation.svg import GRID, INK, MUTED, SERIES, plot_style

_ROW, _REST = 0.2, 0.55  # inches
_LONGEST = 22  # letters of a group's name


def forest_plot(comparison: Comparison, figure: str = "auroc") -> Plot | None:
    """A figure of the reference model with its interval, a line a group.

    Args:
        comparison: suppressed groups are left out.
        figure: a name of `SUBGROUP_METRICS`.

    Returns:
        None where fewer than two groups can be shown.
    """
    title, main = comparison.titles[figure], comparison.reference
    rows: list[tuple[str, Interval | None]] = []
    told = []
    shown = [group for group in comparison.subgroups if not group.suppressed]
    for by in dict.fromkeys(group.by for group in shown):
        rows.append((TITLES.get(by, by).split(",")[0], None))
        for group in shown:
            found = group.models[main][figure] if group.by == by else None
            if found is None or found.value is None:
                continue
            rows.append((group.level, found))
            told.append(f"{TITLES.get(by, by)} {group.level} {with_interval(found)}")
    if len(told) < 2:
        return None
    whole = comparison.models[main][figure]
    with plot_style():
        drawing = Figure(
            figsize=(SIZE[0], _ROW * len(rows) + _REST), layout="constrained"
        )
        axes = drawing.subplots()
        if whole.low is not None and whole.high is not None:
            axes.axvspan(whole.low, whole.high, color=GRID, linewidth=0)
        if whole.value is not None:
            axes.axvline(whole.value, color=MUTED, linewidth=0.9)
        for place, (_, found) in enumerate(rows):
            if found is None or found.value is None:
                continue
            if found.low is not None and found.high is not None:
                axes.hlines(place, found.low, found.high, SERIES[0], linewidth=1.2)
            axes.plot(found.value, place, "s", color=SERIES[0], markersize=4)
        names = [name if found is None else f"{_cut(name)}  " for name, found in rows]
        axes.set_yticks(np.arange(len(rows)), names)
        for label, (_, found) in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_color(INK if found is None else MUTED)
            label.set_fontweight("bold" if found is None else "normal")
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set(ylim=(len(rows) - 0.4, -0.8), xlabel=title)
    return finished(
        drawing,
        "forest",
        f"{title} by group",
        f"Squares: {title} of {main} in the group, with its interval. The upright line "
        "is that of all rows, the band its interval.",
        f"All {with_interval(whole)}. {'; '.join(told)}.",
    )


def _cut(name: str) -> str:
    return (
        name
        if len(name) <= _LONGEST
        else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
