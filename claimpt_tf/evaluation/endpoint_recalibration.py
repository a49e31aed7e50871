"""Recalibration of predictions that are no yes-or-no probabilities.

A slope and an intercept each, as Platt's line for yes or no: on the log probabilities
of classes, on numbers, on the log of the cumulative hazard. They are fitted on a
validation split by maximum likelihood, or least squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import linregress

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.endpoint_figures import chances_of, risks_of
from claimpt_tf.evaluation.weighted import LOGIT_CLIP, Floats

FEWEST: Final = 20  # rows; of events for times
_RIDGE = 1e-5  # holds a class without validation rows where it is
_LEAST_RATE = 1e-12


class Recalibrated(Protocol):
    """What turns a model's predictions into recalibrated ones."""

    def __call__(self, given: pl.DataFrame) -> pl.DataFrame:
        """Recalibrated predictions, the same columns and rows."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""


@dataclass(frozen=True)
class Classes:
    """Probabilities of classes: temperature scaling with a shift a class (Guo 2017).

    Attributes:
        slope: of the log probabilities, one over the temperature.
        shifts: class -> added to it; they sum to 0.
    """

    slope: float
    shifts: dict[str, float]

    def __call__(self, given: pl.DataFrame) -> pl.DataFrame:
        """See `Recalibrated`."""
        names, chances = chances_of(given)
        added = np.array([self.shifts[name] for name in names])
        found = softmax(self.slope * _logs(chances) + added, axis=1)
        return pl.DataFrame(found, schema=given.columns)

    def to_dict(self) -> dict[str, Any]:
        """See `Recalibrated`."""
        return asdict(self)


@dataclass(frozen=True)
class Numbers:
    """Numbers: the line of observed on predicted."""

    slope: float
    intercept: float

    def __call__(self, given: pl.DataFrame) -> pl.DataFrame:
        """See `Recalibrated`."""
        return given.select(pl.all() * self.slope + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        """See `Recalibrated`."""
        return asdict(self)


@dataclass(frozen=True)
class Risks:
    """Risks by several days: log H becomes intercept + slope * log H, H = -log(1 - p).

    Weak recalibration of a Cox model (Van Houwelingen 2000, section 4): the order of
    rows, and so every C and AUROC, stays.
    """

    slope: float
    intercept: float

    def __call__(self, given: pl.DataFrame) -> pl.DataFrame:
        """See `Recalibrated`."""
        return given.select(
            pl.col(name).map_batches(self._one, return_dtype=pl.Float64)
            for name in given.columns
        )

    def _one(self, risk: pl.Series) -> pl.Series:
        hazard = _hazards(risk.to_numpy())
        return pl.Series(-np.expm1(-np.exp(self.intercept) * hazard**self.slope))

    def to_dict(self) -> dict[str, Any]:
        """See `Recalibrated`."""
        return asdict(self)


def recalibrate_classes(given: pl.DataFrame, truth: pl.DataFrame) -> Classes:
    """Fits slope and shifts by maximum likelihood.

    Args:
        given: a probability a class, rows that the model was not trained on.
        truth: `label`, the class that came.

    Raises:
        TaskError: fewer than 20 rows, or one class only.
    """
    _refuse_few(truth.height, "rows")
    names, chances = chances_of(given)
    place = {name: n for n, name in enumerate(names)}
    came = np.eye(len(names))[[place[name] for name in truth["label"]]]
    if (came.any(axis=0)).sum() < 2:
        raise TaskError("all validation rows are of one class")
    logs = _logs(chances)

    def loss(at: Floats) -> tuple[float, Floats]:
        told = log_softmax(at[0] * logs + at[1:], axis=1)
        off = np.exp(told) - came
        slope = (off * logs).sum(axis=1).mean()
        shifts = off.mean(axis=0) + 2 * _RIDGE * at[1:]
        value = -(told * came).sum(axis=1).mean() + _RIDGE * (at[1:] ** 2).sum()
        return float(value), np.concatenate([[slope], shifts])

    found = minimize(loss, np.r_[1.0, np.zeros(len(names))], jac=True).x
    shifts = found[1:] - found[1:].mean()
    return Classes(float(found[0]), dict(zip(names, map(float, shifts), strict=True)))


def recalibrate_numbers(given: pl.DataFrame, truth: pl.DataFrame) -> Numbers:
    """Fits the line of `label` on the prediction.

    Raises:
        TaskError: fewer than 20 rows, or predictions that are all the same.
    """
    _refuse_few(truth.height, "rows")
    (told,) = given.get_columns()
    if told.n_unique() < 2:
        raise TaskError("all validation rows have one prediction")
    line = linregress(told.to_numpy(), truth["label"].to_numpy())
    return Numbers(float(line.slope), float(line.intercept))


def recalibrate_risks(given: pl.DataFrame, truth: pl.DataFrame) -> Risks:
    """Fits slope and intercept by the likelihood of piecewise constant hazards.

    Follow-up after the last of the horizons plays no part.

    Args:
        given: risks by several days.
        truth: `label` and `label_days`.

    Raises:
        TaskError: fewer than 20 events by the last horizon.
    """
    risks = risks_of(given)
    ends = np.array(list(risks))
    days = truth["label_days"].to_numpy()
    seen = (truth["label"].to_numpy() == 1) & (days <= ends[-1])
    _refuse_few(int(seen.sum()), "events")
    hazards = np.stack([_hazards(one) for one in risks.values()], axis=1)
    logs = np.log(hazards)
    starts = np.r_[0.0, ends[:-1]]
    piece = np.minimum(np.searchsorted(ends, days, side="left"), len(ends) - 1)
    rows = np.arange(len(days))
    width = ends[piece] - starts[piece]
    lived = np.clip(days - starts[piece], 0, width) / width

    def loss(at: Floats) -> float:
        new = np.exp(at[0] + at[1] * logs)
        before = np.where(piece > 0, new[rows, piece - 1], 0.0)
        step = np.maximum(new[rows, piece] - before, _LEAST_RATE)
        total = before + lived * step
        return float((total - seen * np.log(step)).mean())

    found = minimize(loss, np.array([0.0, 1.0]), method="Nelder-Mead").x
    return Risks(slope=float(found[1]), intercept=float(found[0]))


FITS: Final[dict[str, Callable[[pl.DataFrame, pl.DataFrame], Recalibrated]]] = {
    "multi_class": recalibrate_classes,
    "regression": recalibrate_numbers,
    "time_to_event": recalibrate_risks,
}


def _refuse_few(rows: int, what: str) -> None:
    if rows < FEWEST:
        raise TaskError(f"fewer than {FEWEST} validation {what}")


def _logs(chances: Floats) -> Floats:
    return np.log(np.clip(chances, LOGIT_CLIP, 1.0))


def _hazards(risk: Floats) -> Floats:
    return -np.log1p(-np.clip(risk, LOGIT_CLIP, 1 - LOGIT_CLIP))
