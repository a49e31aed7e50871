"""Learning curves: how good a model is with k labels, over many models at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.bootstrap import REPLICATES, Draws, difference, interval
from claimpt_tf.evaluation.cells import (
    SEEDS,
    SHOTS,
    Draw,
    Learner,
    draws_of,
    kept_cell,
    open_study,
    train_missing,
)
from claimpt_tf.evaluation.metrics import Estimate
from claimpt_tf.evaluation.scales import Scale, YesOrNo
from claimpt_tf.evaluation.weighted import Floats

_Averaged = tuple[float, Floats]


def learning_curve(
    learners: Sequence[Learner],
    train: pl.DataFrame,
    test: pl.DataFrame,
    folder: str | os.PathLike[str],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    balanced: Sequence[bool] = (False,),
    everything: bool = True,
    processes: int = 1,
    n_boot: int = REPLICATES,
    say: Callable[[str], None] = lambda line: None,
    scale: Scale | None = None,
) -> pl.DataFrame:
    """Trains every learner on every draw, keeps the scores, and sums them up.

    Args:
        learners: the models, the one that others are held against first.
        train: labelled rows to draw from: patient_id, index_day, label.
        test: labelled rows that every learner scores.
        folder: where cells are kept; a study that is there goes on.
        shots: numbers of labelled members.
        seeds: replicates.
        balanced: which kinds of draws.
        everything: also train on all labelled rows.
        processes: how many cells are trained at once. With more than one, call this
            below `if __name__ == "__main__":`.
        n_boot: bootstrap replicates of the summary.
        say: called with a line about each cell that is done.
        scale: what they are judged by; yes or no by default.

    Returns:
        What `summarise` gives.

    Raises:
        ArtifactError: two learners with one name, scores that are no probabilities,
            or a folder that holds a study of other rows.
    """
    names = [learner.name for learner in learners]
    if not names or len(set(names)) < len(names):
        raise ArtifactError(f"learners need names of their own, not {', '.join(names)}")
    place = Path(folder)
    open_study(place, train, test)
    draws = [
        draw
        for kind in balanced
        for draw in draws_of(train, shots, seeds, kind, everything)
    ]
    judged = scale or YesOrNo(test["label"])
    train_missing(learners, draws, place, judged.keep, processes, say)
    return summarise(names, train, test, place, draws, n_boot, judged)


def summarise(
    names: Sequence[str],
    train: pl.DataFrame,
    test: pl.DataFrame,
    folder: str | os.PathLike[str],
    draws: Sequence[Draw],
    n_boot: int = REPLICATES,
    scale: Scale | None = None,
) -> pl.DataFrame:
    """Figures of the cells that are done, averaged over seeds.

    An interval covers test members and draws: both are drawn anew in each bootstrap
    replicate, paired over models. With a handful of seeds the share of the draws is
    underestimated; `spread` is the standard deviation between seeds.

    Returns:
        A row a model, kind of draw, k and figure: model, balanced, shots (null for
        all), members, rows and events (means over seeds; events null where there is
        no outcome), replicates, metric, value, low, high, spread, difference to the
        first model with its low, high and p, and reason where there is no value.
    """
    place = Path(folder)
    judged = scale or YesOrNo(test["label"])
    patients = Draws(test["patient_id"].to_numpy(), n_boot)
    generator = np.random.default_rng(0)
    rows = []
    groups: dict[tuple[bool, int | None], list[Draw]] = {}
    for draw in draws:
        groups.setdefault((draw.balanced, draw.shots), []).append(draw)
    for (balanced, k), some in groups.items():
        picks = generator.integers(0, len(some), (n_boot, len(some)))
        counts = _counts(train, some, judged)
        first: dict[str, _Averaged] | None = None
        for name in names:
            about = {"model": name, "balanced": balanced, "shots": k, **counts}
            found = _figures_of(place, name, some, judged, patients)
            summary: dict[str, _Averaged] = {}
            for metric, figures in found.items():
                if isinstance(figures, str):
                    rows.append({**about, "metric": metric, "reason": figures})
                    continue
                points, replicates = figures
                summary[metric] = _averaged(points, replicates, picks)
                value, drawn = summary[metric]
                about_it = interval(Estimate(value), drawn)
                rows.append(
                    {
                        **about,
                        "metric": metric,
                        "replicates": len(points),
                        "value": value,
                        "low": about_it.low,
                        "high": about_it.high,
                        "spread": _spread(points),
                        **(
                            _paired(summary[metric], first[metric])
                            if first and metric in first
                            else {}
                        ),
                    }
                )
            first = first or (summary if name == names[0] else None)
    return pl.DataFrame(rows, schema=_SUMMARY, orient="row")


def compared(
    one: tuple[str, Sequence[Draw]],
    other: tuple[str, Sequence[Draw]],
    test: pl.DataFrame,
    folder: str | os.PathLike[str],
    metric: str = "auroc",
    n_boot: int = REPLICATES,
) -> dict[str, float | None]:
    """Holds a model with some labels against another with more of them.

    Args:
        one: a model and its draws; their scores are averaged over the draws.
        other: what it is held against; its replicates are drawn of their own.
        test: labelled rows that both scored.
        folder: where the cells of `learning_curve` are.
        metric: a name of `scales.CURVE_METRICS`.
        n_boot: bootstrap replicates, of the same test members for both.

    Returns:
        difference, difference_low, difference_high and p.

    Raises:
        ArtifactError: one of the two has no figure.
    """
    patients = Draws(test["patient_id"].to_numpy(), n_boot)
    scale, generator = YesOrNo(test["label"], [metric]), np.random.default_rng(0)
    sides = []
    for name, draws in (one, other):
        found = _figures_of(Path(folder), name, draws, scale, patients)
        figures = found[metric]
        if isinstance(figures, str):
            raise ArtifactError(f"{name}: {figures}")
        picks = generator.integers(0, len(draws), (n_boot, len(draws)))
        sides.append(_averaged(*figures, picks))
    return _paired(*sides)


_SUMMARY: Final = {
    "model": pl.String,
    "balanced": pl.Boolean,
    "shots": pl.Int64,
    "members": pl.Float64,
    "rows": pl.Float64,
    "events": pl.Float64,
    "replicates": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "spread": pl.Float64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "p": pl.Float64,
    "reason": pl.String,
}


def _figures_of(
    folder: Path, name: str, draws: Sequence[Draw], scale: Scale, patients: Draws
) -> dict[str, tuple[Floats, Floats] | str]:
    """Metric -> (seeds,) and (replicates, seeds); or why there are none."""
    values: dict[str, list[float]] = {metric: [] for metric in scale.metrics}
    drawn: dict[str, list[Floats]] = {metric: [] for metric in scale.metrics}
    lacking: dict[str, str] = {}
    for draw in draws:
        kept = kept_cell(folder, name, draw)
        if isinstance(kept, str):
            return dict.fromkeys(scale.metrics, kept)
        points, way = scale.judge(kept, name)
        parts: dict[str, list[Floats]] = {metric: [] for metric in scale.metrics}
        for weights in patients:
            figures = way(weights[:, patients.patient_of_row])
            for metric in scale.metrics:
                parts[metric].append(figures[metric])
        for metric in scale.metrics:
            value = points[metric].value
            if value is None:
                lacking.setdefault(metric, str(points[metric].reason))
                continue
            values[metric].append(value)
            drawn[metric].append(np.concatenate(parts[metric]))
    return {
        metric: lacking.get(metric)
        or (np.array(values[metric]), np.stack(drawn[metric], axis=1))
        for metric in scale.metrics
    }


def _spread(points: Floats) -> float | None:
    return float(points.std(ddof=1)) if len(points) > 1 else None


def _averaged(
    points: Floats, replicates: Floats, picks: NDArray[np.int64]
) -> _Averaged:
    """Mean over draws, and its bootstrap replicates of drawn draws."""
    drawn = np.take_along_axis(replicates, picks, axis=1).mean(axis=1)
    return float(points.mean()), drawn


def _paired(own: _Averaged, other: _Averaged) -> dict[str, float | None]:
    found = difference(Estimate(own[0]), Estimate(other[0]), own[1], other[1])
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p": found.p,
    }


def _counts(
    train: pl.DataFrame, draws: Sequence[Draw], scale: Scale
) -> dict[str, float | None]:
    chosen = [train.filter(pl.Series(draw.chosen)) for draw in draws]
    events = [count for one in chosen if (count := scale.events(one)) is not None]
    return {
        "members": float(np.mean([one["patient_id"].n_unique() for one in chosen])),
        "rows": float(np.mean([one.height for one in chosen])),
        "events": float(np.mean(events)) if events else None,
    }
