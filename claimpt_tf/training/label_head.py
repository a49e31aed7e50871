"""A strongly regularised logistic on [score, state]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from claimpt_tf.models.risk_head import RiskHead

# The state enters shrunken, so that one penalty holds it far tighter than the score.
STATE_SCALES = (0.0, 0.01, 0.03, 0.1, 0.3)
SCORE_SCALE = 10.0
FEWEST_TO_CALIBRATE = 5
SLOPE_SPREAD = 0.15


@dataclass(frozen=True)
class LabelHead:
    """Coefficients on the raw score and the raw state.

    Attributes:
      scale: Of the score.
      shift: Intercept.
      correction: float64 [width], of the state.
      state_scale: What cross-validation chose; 0 leaves the state out.
    """

    scale: float
    shift: float
    correction: np.ndarray
    state_scale: float

    def set_in(self, head: RiskHead) -> None:
        """Makes it what a network's head adds to its score."""
        head.scale.assign(self.scale)
        head.shift.assign(self.shift)
        head.correction.assign(self.correction)


def fit_label_head(
    score: np.ndarray, state: np.ndarray, label: np.ndarray, patient: np.ndarray
) -> LabelHead:
    """Fits on training rows only; the state's share is chosen by cross-validation.

    Args:
      score: float [N], the adapted network's logit.
      state: float [N, width].
      label: 0 or 1 [N], both present.
      patient: [N], rows of a patient stay in one fold.
    """
    mean, spread = state.mean(0), state.std(0) + 1e-6
    centre, width = score.mean(), score.std() + 1e-6
    z_score = (score - centre) / width * SCORE_SCALE
    z_state = (state - mean) / spread

    def features(share: float) -> np.ndarray:
        return np.column_stack([z_score, z_state * share])

    losses = [_cross_entropy(features(s), label, patient) for s in STATE_SCALES]
    share = _share(losses, patient)
    model = LogisticRegression(max_iter=2000).fit(features(share), label)
    scale = model.coef_[0, 0] * SCORE_SCALE / width
    correction = model.coef_[0, 1:] * share / spread
    shift = model.intercept_[0] - scale * centre - correction @ mean
    return LabelHead(float(scale), float(shift), correction, share)


def platt(logit: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Slope and intercept that calibrate logits on held-out rows (Platt, 1999).

    A held-out split has few outcomes, and a slope that is off makes the risks of
    members unlike them absurd. So the slope has a prior, normal about 1 with standard
    deviation SLOPE_SPREAD; a hundred outcomes outweigh it.

    Args:
      logit: float [N], of rows that nothing was fitted on.
      label: 0 or 1 [N].

    Returns:
      Slope, at least 0.05 so that the ranking stays, and intercept; (1, 0) with fewer
      than five rows of a class.

    Example:
      >>> platt(np.array([0.3, 0.1]), np.array([1, 0]))
      (1.0, 0.0)
    """
    if min(label.sum(), (1 - label).sum()) < FEWEST_TO_CALIBRATE:
        return 1.0, 0.0

    def cost(given: np.ndarray) -> float:
        z = given[0] * logit + given[1]
        surprise = np.logaddexp(0, z) - label * z
        return surprise.sum() + ((given[0] - 1) / SLOPE_SPREAD) ** 2 / 2

    slope = max(float(minimize(cost, [1.0, 0.0], method="BFGS").x[0]), 0.05)
    return slope, float(_intercept(slope * logit, label))


def _intercept(logit: np.ndarray, label: np.ndarray) -> float:
    """The shift at which the mean probability is the observed rate."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = np.mean(expit(logit + middle))
        low, high = (middle, high) if mean < label.mean() else (low, middle)
    return low


def _share(losses: list[np.ndarray], patient: np.ndarray) -> float:
    """The smallest share of the state that no other beats by more than chance.

    With few outcomes the lowest loss is a matter of luck: the rule of Breiman et al.
    (1984), on differences to the lowest, keeps the state out until labels speak for
    it. Two standard errors, since the lowest of several is picked; patients are the
    units, since rows of one are alike.
    """
    member = np.unique(patient, return_inverse=True)[1]
    best = int(np.argmin([np.mean(one) for one in losses]))
    for share, one in zip(STATE_SCALES, losses, strict=True):
        worse = np.bincount(member, one - losses[best])
        if worse.sum() <= 2 * np.std(worse) * len(worse) ** 0.5:
            return share
    return STATE_SCALES[best]


def _cross_entropy(x: np.ndarray, label: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Out-of-fold log loss of each row; infinite when a fold lacks a class."""
    folds = min(5, len(np.unique(patient)))
    losses = np.zeros(len(label))
    for train, test in GroupKFold(folds).split(x, label, patient):
        if label[train].min() == label[train].max():
            return np.full(len(label), np.inf if np.any(x[:, 1:]) else 0.0)
        model = LogisticRegression(max_iter=2000).fit(x[train], label[train])
        chance = np.clip(model.predict_proba(x[test])[:, 1], 1e-7, 1 - 1e-7)
        losses[test] = -np.log(np.where(label[test] == 1, chance, 1 - chance))
    return losses
