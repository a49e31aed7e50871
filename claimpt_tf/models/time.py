"""Time as numbers: age and season features, and rotary angles in days."""

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


def rotary(x: Any, angles: Any) -> Any:
    """Rotates pairs of channels by `angles` (RoFormer, Su et al. 2021).

    Args:
      x: float [B, T, H, D], D even.
      angles: float32 [B, T, D / 2].

    Returns:
      Like x; the dot product of two rotated vectors depends on the time between them.
    """
    cos = ops.cast(ops.cos(angles), x.dtype)[:, :, None, :]
    sin = ops.cast(ops.sin(angles), x.dtype)[:, :, None, :]
    a, b = ops.split(x, 2, axis=-1)
    return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def day_angles(days: Any, channels: int) -> Any:
    """Angles of `channels` clocks whose periods run from 30 days to 40 years.

    Args:
      days: float32 [B, T], days since any reference of that person.
      channels: number of clocks.

    Returns:
      float32 [B, T, channels].
    """
    exponent = ops.arange(channels, dtype="float32") / max(channels - 1, 1)
    period = 30.0 * ops.power(40 * YEAR / 30.0, exponent)
    return days[..., None] * (2 * math.pi / period)
