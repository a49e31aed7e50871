"""Cells of a study: one model trained on one draw of labels, and kept.

Cells are kept as they are done, so that an interrupted study goes on where it stood
and new models or shots are added to an old one. Draws are those of
`claimpt_tf.tasks.shots`: nested in k, in EHRSHOT's balanced way or as members come.
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
from claimpt_tf.tasks.shots import shots as draw_shots

SHOTS: Final = (8, 16, 32, 64, 128, 256)
SEEDS: Final = (0, 1, 2)
Predicted = ArrayLike | pl.DataFrame
# What a learner gave, and its name, to the table that is kept.
Keep = Callable[[Predicted, str], pl.DataFrame]
_STUDY, _CELLS = "study.json", "cells"


class Learner(Protocol):
    """Anything that learns from the labels it is allowed to see.

    A class with these two members is enough; it need not inherit from this one. With
    several processes it is pickled once a process, so it should hold frames, arrays
    or paths, and load networks when it is first asked for scores. A learner that
    prepares something without labels has a method `shared(seed)` too: seeds for which
    it gives the same text go to one process, one after the other.

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

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> Predicted:
        """Probabilities of the study's test rows.

        Of labels that are not yes or no: the columns that `predictions.parquet` has.

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


def train_missing(
    learners: Sequence[Learner],
    draws: Sequence[Draw],
    folder: Path,
    keep: Keep,
    processes: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Trains every learner on every draw that is not kept yet.

    Args:
        learners: the models.
        draws: the labels they may see.
        folder: of the study, opened.
        keep: checks what a learner gives, and makes the table that is kept; it is sent
            to other processes.
        processes: how many cells are trained at once. With more than one, call this
            below `if __name__ == "__main__":`.
        say: called with a line about each cell that is done.

    Raises:
        ArtifactError: scores that are no probabilities.
    """
    missing = [
        (number, draw)
        for draw in draws
        for number, learner in enumerate(learners)
        if not _kept(folder, learner.name, draw)
    ]
    total = len(draws) * len(learners)
    done = total - len(missing)
    say(f"{total} cells, {done} of them already done")
    study = _Study(learners, folder, keep)
    for number, draw in _trained(study, missing, processes):
        done += 1
        say(f"{done}/{total}  {learners[number].name}  {draw.key}")


def kept_cell(folder: Path, name: str, draw: Draw) -> pl.DataFrame | str:
    """What a cell predicts of the test rows, or why it does not."""
    path = _path(folder, name, draw)
    if path.exists():
        return pl.read_parquet(path)
    reason = path.with_suffix(".json")
    if reason.exists():
        return str(json.loads(reason.read_text())["reason"])
    return "not trained yet"


@dataclass(frozen=True)
class _Study:
    """What a process needs to train cells and to keep them."""

    learners: Sequence[Learner]
    folder: Path
    keep: Keep

    def train(self, number: int, draws: Sequence[Draw]) -> None:
        learner = self.learners[number]
        for draw in draws:
            path = _path(self.folder, learner.name, draw)
            try:
                result = learner.scores(draw.chosen, draw.seed)
            except TaskError as error:
                _write(path.with_suffix(".json"), {"reason": str(error)})
                continue
            _write_table(path, self.keep(result, learner.name))

    def jobs(
        self, cells: Sequence[tuple[int, Draw]]
    ) -> Iterator[tuple[int, list[Draw]]]:
        """Cells by learner, those that share their preparation together."""
        found: dict[tuple[int, str], list[Draw]] = {}
        for number, draw in cells:
            shared = getattr(self.learners[number], "shared", None)
            key = shared(draw.seed) if shared else draw.key
            found.setdefault((number, key), []).append(draw)
        yield from ((number, draws) for (number, _), draws in found.items())


def _trained(
    study: _Study, cells: Sequence[tuple[int, Draw]], processes: int
) -> Iterator[tuple[int, Draw]]:
    if processes <= 1 or len(cells) < 2:
        for number, draw in cells:
            study.train(number, [draw])
            yield number, draw
        return
    # A forked TensorFlow hangs; fresh processes do not.
    with ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),
        initializer=_keep,
        initargs=(study,),
    ) as pool:
        waiting = {pool.submit(_train_kept, *job): job for job in study.jobs(cells)}
        for future in as_completed(waiting):
            future.result()
            number, draws = waiting[future]
            yield from ((number, draw) for draw in draws)


_kept_study: list[_Study] = []


def _keep(study: _Study) -> None:
    # Two processes of two threads each wait for each other.
    threadpool_limits(1)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    _kept_study[:] = [study]


def _train_kept(number: int, draws: Sequence[Draw]) -> None:
    _kept_study[0].train(number, draws)


def open_study(folder: Path, train: pl.DataFrame, test: pl.DataFrame) -> None:
    """Makes a study's folder, or refuses one with cells of other rows.

    Raises:
        ArtifactError: it holds cells of other rows.
    """
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


def _write_table(path: Path, table: pl.DataFrame) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    table.write_parquet(part)
    os.replace(part, path)
