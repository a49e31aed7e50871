"""Learning curves: how good a model is with k labels, over many models at once.

A cell is one model trained on one draw of k shots. Cells are kept as they are done,
so that an interrupted study goes on where it stood and new models or shots are added
to an old one. Draws are those of `claimpt_tf.tasks.shots`: nested in k, in EHRSHOT's
balanced way or as members come.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from claimpt_tf.errors import ArtifactError, TaskError
from claimpt_tf.evaluation.bootstrap import LEVEL, REPLICATES, Draws
from claimpt_tf.evaluation.metrics import Metric, checked, default_metrics
from claimpt_tf.evaluation.weighted import Floats, Weighted
from claimpt_tf.tasks.shots import shots as draw_shots

SHOTS: Final = (8, 16, 32, 64, 128, 256)
SEEDS: Final = (0, 1, 2)
CURVE_METRICS: Final = ("auroc", "auprc", "brier")
_STUDY, _CELLS = "study.json", "cells"


class Learner(Protocol):
    """Anything that learns from the labels it is allowed to see.

    A class with these two members is enough; it need not inherit from this one. With
    several processes it is pickled once a process, so it should hold frames, arrays
    or paths, and load networks when it is first asked for scores.

    Attributes:
        name: what tables, plots and the kept cells call it; unique in a study.

    >>> class Prevalence:
    ...     name = "prevalence"
    ...
    ...     def __init__(self, labels, test_rows):
    ...         self.labels, self.test_rows = labels, test_rows
    ...
    ...     def scores(self, chosen, seed):
    ...         return np.full(self.test_rows, self.labels[chosen].mean())
    >>> learner: Learner = Prevalence(np.array([0, 1, 1]), test_rows=2)
    >>> learner.scores(np.array([True, True, False]), seed=0).tolist()
    [0.5, 0.5]
    """

    name: str

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> ArrayLike:
        """Probabilities of the study's test rows.

        Args:
            chosen: which rows of the study's training frame have a label that may be
                used, bool (training rows,). What needs no label, such as the past of
                every training member, may be used of all rows.
            seed: of everything random in this training.

        Returns:
            Probabilities in [0, 1], (test rows,), in the test frame's order.

        Raises:
            TaskError: there is nothing to learn from; the cell is kept as not
                estimable with this reason.
        """


@dataclass(frozen=True)
class Draw:
    """The rows whose labels one cell may use.

    Attributes:
        shots: k; None for all there are.
        balanced: k of each class, one row a member.
        seed: of the draw and of the training.
        chosen: bool (training rows,).
    """

    shots: int | None
    balanced: bool
    seed: int
    chosen: NDArray[np.bool_]

    @property
    def key(self) -> str:
        """Names the draw in files."""
        kind = "balanced" if self.balanced else "as-come"
        return f"{kind}-{self.shots or 'all'}-{self.seed}"


def draws_of(
    train: pl.DataFrame,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    balanced: bool = False,
    everything: bool = True,
) -> list[Draw]:
    """The draws of a study, smallest first.

    Args:
        train: patient_id, index_day and label of the training rows.
        shots: numbers of labelled members (balanced: of each class); those beyond
            what there is are left out.
        seeds: one draw and training each.
        balanced: draw in EHRSHOT's way.
        everything: also train on all rows; balanced studies have no such point.
    """
    label = train["label"]
    rarest = min(
        train.filter(label == one)["patient_id"].n_unique() for one in label.unique()
    )
    most = rarest if balanced else train["patient_id"].n_unique() - 1
    wanted = [k for k in sorted(set(shots)) if k <= most]
    found = [
        Draw(
            k, balanced, seed, draw_shots(train, k, seed, balanced=balanced).to_numpy()
        )
        for k in wanted
        for seed in seeds
    ]
    if everything and not balanced:
        every = np.ones(train.height, bool)
        found += [Draw(None, False, seed, every) for seed in seeds]
    if not found:
        raise TaskError(
            f"no draw of {', '.join(map(str, shots))} shots is possible: the rarest "
            f"class has {rarest} members; give fewer shots"
        )
    return found


def learning_curve(
    learners: Sequence[Learner],
    train: pl.DataFrame,
    test: pl.DataFrame,
    folder: str | os.PathLike[str],
    *,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    balanced: Sequence[bool] = (False,),
    processes: int = 1,
    n_boot: int = REPLICATES,
    say: Callable[[str], None] = lambda line: None,
) -> pl.DataFrame:
    """Trains every learner on every draw, keeps the scores, and sums them up.

    Args:
        learners: the models, the one that others are held against first.
        train: labelled rows to draw from: patient_id, index_day, label.
        test: labelled rows that every learner scores.
        folder: where cells are kept; a study that is there goes on.
        shots: numbers of labelled members, beside all of them.
        seeds: replicates.
        balanced: which kinds of draws.
        processes: how many cells are trained at once. With more than one, call this
            below `if __name__ == "__main__":`.
        n_boot: bootstrap replicates of the summary.
        say: called with a line about each cell that is done.

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
    _open_study(place, train, test)
    draws = [
        draw
        for kind in balanced
        for draw in draws_of(train, shots, seeds, kind, everything=True)
    ]
    missing = [
        (number, draw)
        for draw in draws
        for number, name in enumerate(names)
        if not _kept(place, name, draw)
    ]
    total = len(draws) * len(names)
    done = total - len(missing)
    say(f"{total} cells, {done} of them already done")
    for number, draw, result in _trained(learners, missing, processes):
        name = names[number]
        if isinstance(result, str):
            _write(_path(place, name, draw).with_suffix(".json"), {"reason": result})
        else:
            given = checked(test["label"].to_numpy(), result, name)
            scores = np.empty(len(given))
            scores[given.order] = given.scores
            _write_scores(_path(place, name, draw), scores)
        done += 1
        say(f"{done}/{total}  {name}  {draw.key}")
    return summarise(names, train, test, place, draws, n_boot)


def summarise(
    names: Sequence[str],
    train: pl.DataFrame,
    test: pl.DataFrame,
    folder: str | os.PathLike[str],
    draws: Sequence[Draw],
    n_boot: int = REPLICATES,
) -> pl.DataFrame:
    """Figures of the cells that are done, averaged over seeds.

    An interval covers test members and draws: both are drawn anew in each bootstrap
    replicate, paired over models. With a handful of seeds the share of the draws is
    underestimated; `spread` is the standard deviation between seeds.

    Returns:
        A row a model, kind of draw, k and figure: model, balanced, shots (null for
        all), members, rows and events (means over seeds), replicates, metric, value,
        low, high, spread, difference to the first model with its low, high and p,
        and reason where there is no value.
    """
    place = Path(folder)
    labels = test["label"].to_numpy().astype(np.float64)
    metrics = {name: default_metrics()[name] for name in CURVE_METRICS}
    patients = Draws(test["patient_id"].to_numpy(), n_boot)
    generator = np.random.default_rng(0)
    rows = []
    groups: dict[tuple[bool, int | None], list[Draw]] = {}
    for draw in draws:
        groups.setdefault((draw.balanced, draw.shots), []).append(draw)
    for (balanced, k), some in groups.items():
        picks = generator.integers(0, len(some), (n_boot, len(some)))
        counts = _counts(train, some)
        first: dict[str, tuple[float, Floats]] | None = None
        for name in names:
            about = {"model": name, "balanced": balanced, "shots": k, **counts}
            found = _figures_of(place, name, some, labels, metrics, patients)
            if isinstance(found, str):
                rows += [{**about, "metric": m, "reason": found} for m in metrics]
                continue
            summary = {}
            for metric, (points, replicates) in found.items():
                summary[metric] = _averaged(points, replicates, picks)
                low, high = _bounds(summary[metric][1])
                rows.append(
                    {
                        **about,
                        "metric": metric,
                        "replicates": len(points),
                        "value": summary[metric][0],
                        "low": low,
                        "high": high,
                        "spread": _spread(points),
                        **(_paired(summary[metric], first[metric]) if first else {}),
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
) -> dict[str, float]:
    """Holds a model with some labels against another with more of them.

    Args:
        one: a model and its draws; their scores are averaged over the draws.
        other: what it is held against; its replicates are drawn of their own.
        test: labelled rows that both scored.
        folder: where the cells of `learning_curve` are.
        metric: a name of `CURVE_METRICS`.
        n_boot: bootstrap replicates, of the same test members for both.

    Returns:
        difference, difference_low, difference_high and p.

    Raises:
        ArtifactError: one of the two has no figure.
    """
    labels = test["label"].to_numpy().astype(np.float64)
    patients = Draws(test["patient_id"].to_numpy(), n_boot)
    metrics, generator = {metric: default_metrics()[metric]}, np.random.default_rng(0)
    sides = []
    for name, draws in (one, other):
        found = _figures_of(Path(folder), name, draws, labels, metrics, patients)
        if isinstance(found, str):
            raise ArtifactError(f"{name}: {found}")
        picks = generator.integers(0, len(draws), (n_boot, len(draws)))
        sides.append(_averaged(*found[metric], picks))
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
    folder: Path,
    name: str,
    draws: Sequence[Draw],
    labels: Floats,
    metrics: dict[str, Metric],
    patients: Draws,
) -> dict[str, tuple[Floats, Floats]] | str:
    """Metric -> (seeds,) and (replicates, seeds); or why there are none."""
    found: dict[str, list[tuple[float, Floats]]] = {metric: [] for metric in metrics}
    for draw in draws:
        path = _path(folder, name, draw)
        if not path.exists():
            reason = path.with_suffix(".json")
            if reason.exists():
                return str(json.loads(reason.read_text())["reason"])
            return "not trained yet"
        ranked = checked(labels, pl.read_parquet(path)["score"].to_numpy(), name)
        places = patients.patient_of_row[ranked.order]
        parts: dict[str, list[Floats]] = {metric: [] for metric in metrics}
        for weights in patients:
            rows = Weighted(ranked, weights[:, places])
            for metric, figure in metrics.items():
                parts[metric].append(figure.resampled(rows))
        for metric, figure in metrics.items():
            point = figure.point(ranked.labels, ranked.scores)
            if point.value is None:
                return str(point.reason)
            found[metric].append((point.value, np.concatenate(parts[metric])))
    return {
        metric: (
            np.array([point for point, _ in some]),
            np.stack([replicates for _, replicates in some], axis=1),
        )
        for metric, some in found.items()
    }


def _spread(points: Floats) -> float | None:
    return float(points.std(ddof=1)) if len(points) > 1 else None


def _averaged(
    points: Floats, replicates: Floats, picks: NDArray[np.int64]
) -> tuple[float, Floats]:
    """Mean over draws, and its bootstrap replicates of drawn draws."""
    drawn = np.take_along_axis(replicates, picks, axis=1).mean(axis=1)
    return float(points.mean()), drawn


def _bounds(drawn: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _paired(own: tuple[float, Floats], other: tuple[float, Floats]) -> dict[str, float]:
    gap = own[1] - other[1]
    gap = gap[np.isfinite(gap)]
    low, high = _bounds(gap)
    one_side = min((gap <= 0).sum(), (gap >= 0).sum())
    return {
        "difference": own[0] - other[0],
        "difference_low": low,
        "difference_high": high,
        "p": min(1.0, 2 * (1 + int(one_side)) / (len(gap) + 1)),
    }


def _counts(train: pl.DataFrame, draws: Sequence[Draw]) -> dict[str, float]:
    chosen = [train.filter(pl.Series(draw.chosen)) for draw in draws]
    return {
        "members": float(np.mean([one["patient_id"].n_unique() for one in chosen])),
        "rows": float(np.mean([one.height for one in chosen])),
        "events": float(np.mean([int(one["label"].sum()) for one in chosen])),
    }


_Result = ArrayLike | str


def _trained(
    learners: Sequence[Learner], cells: Sequence[tuple[int, Draw]], processes: int
) -> Iterator[tuple[int, Draw, _Result]]:
    if processes <= 1 or len(cells) < 2:
        for number, draw in cells:
            yield number, draw, _train(learners[number], draw)
        return
    # A forked TensorFlow hangs; fresh processes do not.
    with ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_keep,
        initargs=(list(learners),),
    ) as pool:
        waiting = {
            pool.submit(_train_kept, number, draw): (number, draw)
            for number, draw in cells
        }
        for future in as_completed(waiting):
            yield *waiting[future], future.result()


_learners: list[Learner] = []


def _keep(learners: list[Learner]) -> None:
    threadpool_limits(1)  # two processes of two threads each wait for each other
    _learners[:] = learners


def _train_kept(number: int, draw: Draw) -> _Result:
    return _train(_learners[number], draw)


def _train(learner: Learner, draw: Draw) -> _Result:
    try:
        return np.asarray(learner.scores(draw.chosen, draw.seed), dtype=np.float64)
    except TaskError as error:
        return str(error)


def _open_study(folder: Path, train: pl.DataFrame, test: pl.DataFrame) -> None:
    """Makes the folder, or refuses one with cells of other rows."""
    digest = hashlib.sha256()
    for frame in (train, test):
        table = frame.select(
            pl.col("patient_id").cast(pl.String),
            pl.col("index_day").cast(pl.Int64),
            pl.col("label").cast(pl.Int64),
        )
        digest.update(table.hash_rows(seed=0).to_numpy().tobytes())
        digest.update(b"|")
    identity = {"rows": digest.hexdigest()}
    (folder / _CELLS).mkdir(parents=True, exist_ok=True)
    study = folder / _STUDY
    if not study.exists():
        _write(study, identity)
    elif json.loads(study.read_text()) != identity:
        raise ArtifactError(
            f"{folder} holds a learning curve of other rows; choose another folder or "
            "remove it"
        )


def _path(folder: Path, name: str, draw: Draw) -> Path:
    # The digest keeps apart names that are alike but for signs.
    plain = re.sub(r"\W+", "-", name).strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return folder / _CELLS / f"{plain}-{digest}-{draw.key}.parquet"


def _kept(folder: Path, name: str, draw: Draw) -> bool:
    path = _path(folder, name, draw)
    return path.exists() or path.with_suffix(".json").exists()


def _write(path: Path, content: dict[str, str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    os.replace(part, path)


def _write_scores(path: Path, scores: Floats) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    pl.DataFrame({"score": scores}).write_parquet(part)
    os.replace(part, path)
