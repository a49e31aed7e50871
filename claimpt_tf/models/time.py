"""Time as numbers: age and season."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

YEAR = 365.25
DAY_FEATURES = 12


def day_features(day: Any, birth_day: Any) -> Any:
    """Smooth features of a calendar day in a person's life.

    Args:
      day: int32 [B, T], days since 1970-01-01.
      birth_day: int32 [B].

    Returns:
      float32 [B, T, DAY_FEATURES]: age in years, its logarithm, sines and cosines of
      age over four periods (Delphi's age encoding, Shmatko et al. 2025), and of the
      season.
    """
    age = ops.cast(day - birth_day[:, None], "float32") / YEAR
    age = ops.maximum(age, 0.0)
    season = ops.cast(day, "float32") * (2 * math.pi / YEAR)
    features = [age / 20.0, ops.log1p(age)]
    for period in (4.0, 12.0, 40.0, 120.0):
        angle = age * (2 * math.pi / period)
        features += [ops.sin(angle), ops.cos(angle)]
    features += [ops.sin(season), ops.cos(season)]
    return ops.stack(features, axis=-1)
