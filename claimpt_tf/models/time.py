"""Time as numbers: age and season."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

YEAR = 365.25
DAY_FEATURES = 12
DATE_FEATURES = DAY_FEATURES + 1


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


def date_features(asked: Any, birth_day: Any, ago: Any, seen: Any) -> Any:
    """What an asked date says: its day, and how long ago the last known visit was.

    Args:
      asked: int32 [B, Q].
      birth_day: int32 [B].
      ago: float32 [B, Q, V], days from each visit to the date.
      seen: bool [B, Q, V], whether the visit was known by then.

    Returns:
      float32 [B, Q, DATE_FEATURES]; ten years where no visit was.
    """
    last = ops.min(ops.where(seen, ago, 3650.0), axis=-1, keepdims=True)
    return ops.concatenate(
        [day_features(asked, birth_day), ops.log1p(last) / 4.0], axis=-1
    )
