"""Baselines on counts as learners of a learning curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from claimpt_tf.evaluation.baselines import (
    LIGHTGBM,
    LOGISTIC,
    CountMatrices,
    Floats,
    boosted,
    logistic,
)

FITS = {LOGISTIC: lambda counted, seed: logistic(counted), LIGHTGBM: boosted}


class CountLearner:
    """A baseline on counts that sees the labels of the chosen rows only.

    Args:
        kind: a key of `FITS`.
        matrices: features of the study's rows.
        name: what tables and plots call it; by default the kind.
    """

    def __init__(
        self, kind: str, matrices: CountMatrices, name: str | None = None
    ) -> None:
        self.name, self._kind, self._matrices = name or kind, kind, matrices

    def scores(self, chosen: NDArray[np.bool_], seed: int) -> Floats:
        """See `claimpt_tf.evaluation.cells.Learner.scores`."""
        return FITS[self._kind](self._matrices.counted(chosen, seed), seed)
