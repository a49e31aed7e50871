"""A regularised linear head on frozen states, for labels of any kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

PENALTIES = (1.0, 0.1, 0.01, 0.001)
FOLDS = 5
_BIAS_PENALTY = 1e-6  # only so that the rate of what never came stays finite

RowLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def fit_linear_head(
    state: np.ndarray,
    target: np.ndarray,
    patient: np.ndarray,
    outputs: int,
    loss: RowLoss,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fits a kernel and a bias by maximum likelihood with an L2 penalty.

    With the loss of an endpoint this is ridge regression, a multinomial logistic, a
    logistic for each category, or a Poisson regression of hazards. The penalty is
    chosen by cross-validation, in which rows of a patient stay in one fold.

    Args:
      state: float [N, width].
      target: float32 [N, T], as `loss` takes it.
      patient: [N].
      outputs: Numbers a row, K.
      loss: Loss of each row [B] from outputs [B, K] and targets [B, T]; convex.

    Returns:
      float64 [width, K], float64 [K], and the penalty on standardised states.
    """
    mean, spread = state.mean(0), state.std(0) + 1e-6
    z = ((state - mean) / spread).astype(np.float64)
    problem = _Problem(outputs, loss)
    chosen, starts = PENALTIES[0], None
    folds = min(FOLDS, len(np.unique(patient)))
    if folds > 1:
        costs = np.zeros(len(PENALTIES))
        for train, test in GroupKFold(folds).split(z, groups=patient):
            starts = None
            for place, penalty in enumerate(PENALTIES):
                starts = problem.solve(z[train], target[train], penalty, starts)
                costs[place] += problem.cost(starts, z[test], target[test])
        chosen = PENALTIES[int(np.argmin(costs))]
    solution = problem.solve(z, target, chosen, None, precision=1e-9)
    kernel, bias = problem.split(solution, z.shape[1])
    kernel = kernel / spread[:, None]
    return kernel, bias - mean @ kernel, chosen


class _Problem:
    """The penalised mean loss and its gradient, traced once."""

    def __init__(self, outputs: int, loss: RowLoss) -> None:
        self._outputs, self._loss = outputs, loss
        self._run = tf.function(self._of, reduce_retracing=True, autograph=False)

    def solve(
        self,
        z: np.ndarray,
        target: np.ndarray,
        penalty: float,
        start: np.ndarray | None,
        precision: float = 1e-6,
    ) -> np.ndarray:
        if start is None:
            start = np.zeros((z.shape[1] + 1) * self._outputs)
        given = tf.constant(z), tf.constant(target, tf.float64)
        weight = tf.constant(penalty, tf.float64)

        def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self._run(tf.constant(flat), *given, weight)
            return float(value), slope.numpy()

        options = {"maxiter": 300, "ftol": precision}
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options=options)
        solution: np.ndarray = found.x
        return solution

    def cost(self, flat: np.ndarray, z: np.ndarray, target: np.ndarray) -> float:
        """Sum of the loss, without the penalty."""
        kernel, bias = self.split(flat, z.shape[1])
        rows = self._loss(
            tf.constant(z @ kernel + bias), tf.constant(target, tf.float64)
        )
        return float(tf.reduce_sum(rows))

    def split(self, flat: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        both = flat.reshape(width + 1, self._outputs)
        return both[:-1], both[-1]

    def _of(
        self, flat: tf.Tensor, z: tf.Tensor, target: tf.Tensor, penalty: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(flat)
            both = tf.reshape(flat, [-1, self._outputs])
            kernel, bias = both[:-1], both[-1]
            loss = tf.reduce_mean(self._loss(z @ kernel + bias, target))
            size = penalty * tf.reduce_sum(kernel**2)
            loss += (size + _BIAS_PENALTY * tf.reduce_sum(bias**2)) / 2
        return loss, tape.gradient(loss, flat)
