"""What flagging members does: at a probability threshold, or up to a capacity.

All functions take a `Weighted` and return one number a weighting, NaN where it does
not exist. A member is flagged whose score is at or above the threshold, or who is
among the top share of rows (those tied at the last place by their expectation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.errors import ArtifactError
from claimpt_tf.evaluation.weighted import Floats, Weighted, hits_at_capacity


@dataclass(frozen=True)
class Flagged:
    """Weights of the four cells of a two-by-two table, (replicates,) each."""

    hits: Floats
    false_alarms: Floats
    missed: Floats
    left: Floats

    @property
    def total(self) -> Floats:
        """Weight of all rows."""
        return self.hits + self.false_alarms + self.missed + self.left


def at_threshold(rows: Weighted, threshold: float) -> Flagged:
    """Who is flagged at a probability.

    Raises:
        ArtifactError: the threshold is no probability between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ArtifactError(f"threshold {threshold} must lie between 0 and 1")
    ranked = rows.ranked
    groups = int((ranked.scores[ranked.ends] >= threshold).sum())
    none = np.zeros(len(rows.weights))
    hits = rows.cumulative_positives[:, groups - 1] if groups else none
    shown = rows.cumulative[:, groups - 1] if groups else none
    return _flagged(rows, hits, shown)


def at_capacity(rows: Weighted, share: float) -> Flagged:
    """Who is flagged when a team can take up this share of all rows."""
    key = ("capacity", share)
    if key not in rows.kept:
        rows.kept[key] = _flagged(rows, *hits_at_capacity(rows, share))
    return rows.kept[key]


def _flagged(rows: Weighted, hits: Floats, shown: Floats) -> Flagged:
    missed = rows.positives - hits
    return Flagged(hits, shown - hits, missed, rows.total - shown - missed)


def sensitivity(cells: Flagged) -> Floats:
    """Share of the positives that are flagged."""
    return _ratio(cells.hits, cells.hits + cells.missed)


def specificity(cells: Flagged) -> Floats:
    """Share of the negatives that are not flagged."""
    return _ratio(cells.left, cells.left + cells.false_alarms)


def ppv(cells: Flagged) -> Floats:
    """Share of the flagged that are positive."""
    return _ratio(cells.hits, cells.hits + cells.false_alarms)


def npv(cells: Flagged) -> Floats:
    """Share of the others that are negative."""
    return _ratio(cells.left, cells.left + cells.missed)


def lift(cells: Flagged) -> Floats:
    """PPV over prevalence: how many times the positives of as many at random."""
    return _ratio(ppv(cells) * cells.total, cells.hits + cells.missed)


def net_benefit(cells: Flagged, threshold: float) -> Floats:
    """True positives less false ones at the threshold's odds, per row.

    Source: Vickers & Elkin 2006, "Decision curve analysis". Flagging nobody has 0.
    """
    odds = threshold / (1 - threshold)
    return _ratio(cells.hits - odds * cells.false_alarms, cells.total)


def treat_all(labels: Floats, threshold: float) -> float:
    """Net benefit of flagging everybody.

    >>> treat_all(np.array([1.0, 0.0]), 0.5)
    0.0
    """
    rate = float(np.mean(labels))
    return rate - (1 - rate) * threshold / (1 - threshold)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)
