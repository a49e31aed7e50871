"""Plots of risks by several days: against Kaplan and Meier's, and AUROC by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from claimpt_tf.evaluation.comparison import Comparison, with_interval
from claimpt_tf.evaluation.drawing import Line, Plot, blank, draw, finished
from claimpt_tf.evaluation.endpoint_calibration import observed_risk
from claimpt_tf.evaluation.endpoint_figures import risks_of
from claimpt_tf.evaluation.svg import SERIES, plot_style
from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.tasks.attrition import SMALLEST_CELL

PARTS: Final = 5
_POINTS: Final = 12  # of a curve: no step of it tells the day of one person
_NAMES: Final = ("lowest", "second", "middle", "fourth", "highest")


def fifths_plot(rows: pl.DataFrame, model: str) -> list[Plot]:
    """Observed risk by day in fifths of the predicted one, and the mean predicted.

    Args:
        rows: labels and risks of one model.
        model: its name.

    Returns:
        No plot where no fifth has 11 rows with the event, or risks are all alike.
    """
    seen, days = rows["label"].to_numpy(), rows["label_days"].to_numpy()
    risks = risks_of(rows)
    last = max(risks)
    if np.ptp(risks[last]) == 0:
        return []
    fifth = fifths(risks[last])
    grid = np.linspace(0, last, _POINTS + 1)
    told, shown = [], 0
    with plot_style():
        figure, axes = blank("Days after the index date", "Risk")
        for part in range(PARTS):
            inside = fifth == part
            if seen[inside].sum() < SMALLEST_CELL:
                continue
            shown += 1
            ones = np.ones((1, int(inside.sum())))
            curve = observed_risk(seen[inside], days[inside], grid, ones)[0]
            strength = 0.35 + 0.65 * part / (PARTS - 1)
            axes.plot(grid, curve, color=SERIES[0], alpha=strength)
            means = {day: float(risk[inside].mean()) for day, risk in risks.items()}
            axes.plot(
                list(means), list(means.values()), "o",
                color=SERIES[0], alpha=strength, markersize=4.5, linewidth=0,
                clip_on=False,
            )  # fmt: skip
            observed = curve[np.isfinite(curve)][-1]
            axes.annotate(
                _NAMES[part], (last, means[last]), (7, 0), va="center", fontsize=8,
                textcoords="offset points", annotation_clip=False,
            )  # fmt: skip
            told.append(
                f"{_NAMES[part]} fifth {means[last]:.0%} predicted, {observed:.0%} seen"
            )
        axes.set(xlim=(0, last), xticks=[0, *risks])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if not shown:
        return []
    return [
        finished(
            figure,
            "fifths",
            f"Observed and predicted by {model}",
            "Lines: who had the event by a day (Kaplan and Meier), in fifths of the "
            f"risk by day {last:.0f}; dots: the mean predicted risk. Fifths with fewer "
            f"than {SMALLEST_CELL} events are not drawn.",
            f"By day {last:.0f}: {'; '.join(told)}.",
        )
    ]


def fifths(risk: Floats) -> np.ndarray:
    """Fifth of each row by its risk, 0 the lowest, [N]; equal risks stay together."""
    inner = np.linspace(0, 1, PARTS + 1)[1:-1]
    return np.searchsorted(np.quantile(risk, inner), risk)


def horizon_plot(
    comparison: Comparison, horizons: Sequence[float], lines: Sequence[Line]
) -> list[Plot]:
    """AUROC by each day of every model, with intervals of the judged one.

    Args:
        comparison: figures.
        horizons: days.
        lines: how models are drawn.
    """
    names = [f"auroc_{day:.0f}d" for day in horizons]
    main = comparison.models[comparison.reference]
    shown = [n for n, name in enumerate(names) if main[name].value is not None]
    if len(shown) < 2:
        return []
    at = np.asarray(horizons)[shown]
    curves = {
        model: np.array([_value(figures[names[n]].value) for n in shown])
        for model, figures in comparison.models.items()
    }
    with plot_style():
        figure, axes = blank("Days after the index date", "AUROC")
        for line in reversed(lines):
            draw(axes, line, at, curves[line.model])
            if line.model == comparison.reference:
                for day, n in zip(at, shown, strict=True):
                    one = main[names[n]]
                    if one.low is not None and one.high is not None:
                        axes.vlines(day, one.low, one.high, line.colour, linewidth=1.2)
                axes.plot(at, curves[line.model], "s", color=line.colour, markersize=4)
        axes.set(xlim=(0, 1.03 * at[-1]), xticks=[0, *at])
    told = "; ".join(
        f"day {horizons[n]:.0f} {with_interval(main[names[n]])}" for n in shown
    )
    return [
        finished(
            figure,
            "horizons",
            "AUROC by day",
            "Who had the event by a day, against who was free of it that long; "
            f"intervals are those of {comparison.reference}.",
            f"{comparison.reference}: {told}.",
        )
    ]


def _value(value: float | None) -> float:
    return float("nan") if value is None else value
