"""Random draws over whole arrays, each subject with a stream of its own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Streams:
    """One independent random generator per named subject.

    A change in how one subject is drawn leaves all others as they were.

    >>> float(Streams(7)("births").random()) == float(Streams(7)("births").random())
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, subject: str) -> np.random.Generator:
        """The generator of `subject`, always from its beginning."""
        entropy = [self._seed, zlib.crc32(subject.encode())]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def scatter(rng: np.random.Generator, rate: Floats) -> tuple[Ints, Ints]:
    """Points of a Poisson process with `rate` expected points per cell.

    Args:
      rng: where the randomness comes from.
      rate: float64 [members, months], not negative.

    Returns:
      Member and month index of every point, int64, ordered by member then month.
    """
    cumulative = np.cumsum(rate.ravel())
    total = float(cumulative[-1]) if cumulative.size else 0.0
    points = np.sort(rng.random(rng.poisson(total))) * total
    cell = np.searchsorted(cumulative, points, side="right")
    cell = np.minimum(cell, max(cumulative.size - 1, 0))
    return cell // rate.shape[1], cell % rate.shape[1]


def weighted(uniform: Floats, weights: Mapping[str, float]) -> Ints:
    """Index of the chosen key for each uniform number in [0, 1).

    >>> weighted(np.array([0.1, 0.9]), {"a": 3, "b": 1}).tolist()
    [0, 1]
    """
    edges = np.cumsum(list(weights.values()), dtype=np.float64)
    chosen = np.searchsorted(edges, uniform * edges[-1], side="right")
    return np.minimum(chosen, len(edges) - 1)


def logistic(value: Floats) -> Floats:
    """1 / (1 + exp(-value)), without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(value, -30.0, 30.0)))
