"""Recalibration on a validation split: Platt's line and isotonic steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from claimpt_tf.errors import TaskError
from claimpt_tf.evaluation.metrics import checked
from claimpt_tf.evaluation.weighted import LOGIT_CLIP, Floats

FEWEST: Final = 20  # rows of each class; two numbers need no more


@dataclass(frozen=True)
class Recalibration:
    """What turns a model's probabilities into recalibrated ones.

    Attributes:
        slope: Platt's, on the log odds.
        intercept: Platt's.
        steps: isotonic regression's rising probabilities.
        rates: the rate at each step; straight lines between them.
    """

    slope: float
    intercept: float
    steps: tuple[float, ...]
    rates: tuple[float, ...]

    def platt(self, scores: ArrayLike) -> Floats:
        """Recalibrated by Platt's line, (rows,)."""
        given = np.clip(np.asarray(scores, np.float64), LOGIT_CLIP, 1 - LOGIT_CLIP)
        logits = np.log(given) - np.log1p(-given)
        return np.asarray(expit(self.intercept + self.slope * logits))

    def isotonic(self, scores: ArrayLike) -> Floats:
        """Recalibrated by isotonic steps, (rows,)."""
        return np.interp(np.asarray(scores, np.float64), self.steps, self.rates)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def recalibrate(labels: ArrayLike, scores: ArrayLike) -> Recalibration:
    """Fits both on rows that the model was not trained on.

    Args:
        labels: 0 or 1, (rows,).
        scores: probabilities, (rows,).

    Raises:
        TaskError: fewer than 20 rows of a class.
        ArtifactError: scores that are no probabilities.
    """
    ranked = checked(labels, scores, "the validation split")
    fewest = min(ranked.positive.sum(), (~ranked.positive).sum())
    if fewest < FEWEST:
        raise TaskError(
            f"fewer than {FEWEST} validation rows of a class: too few to recalibrate"
        )
    line = LogisticRegression(C=1e6, max_iter=1000)
    line.fit(ranked.logits[:, None], ranked.labels)
    curve = IsotonicRegression(out_of_bounds="clip").fit(ranked.scores, ranked.labels)
    return Recalibration(
        float(line.coef_[0, 0]),
        float(line.intercept_[0]),
        tuple(curve.X_thresholds_.tolist()),
        tuple(curve.y_thresholds_.tolist()),
    )
