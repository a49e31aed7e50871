"""Providers: numbers of an NPI's shape whose check digit is wrong on purpose."""

from __future__ import annotations

import numpy as np
import polars as pl

from claimpt_tf.claims.simulator.condition import INSTITUTIONS
from claimpt_tf.claims.simulator.draws import Ints

CLINICIANS = 400  # at each institution
PHARMACIES = 40


def unreal_npi(number: int) -> str:
    """Ten digits that fail the NPI's Luhn check, so that they are nobody's.

    >>> unreal_npi(12345678)
    '1123456787'
    """
    digits = f"1{number:08d}"
    total = 24  # what the prefix 80840 adds
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    check = (10 - total % 10) % 10
    return f"{digits}{(check + 1) % 10}"


def clinician(institution: Ints, number: Ints) -> pl.Series:
    """NPI of clinician `number` (0 to CLINICIANS - 1) of each row's institution."""
    texts = [
        unreal_npi(30_000_000 + 10_007 * i + 100_000 * place * CLINICIANS)
        for place in range(len(INSTITUTIONS))
        for i in range(CLINICIANS)
    ]
    return pl.Series(texts).gather(institution * CLINICIANS + number)


def facility(institution: Ints) -> pl.Series:
    """NPI of the hospital of each row's institution."""
    texts = [unreal_npi(80_000_000 + place) for place in range(len(INSTITUTIONS))]
    return pl.Series(texts).gather(institution)


def pharmacy(number: Ints) -> pl.Series:
    """NPI of pharmacy `number` (0 to PHARMACIES - 1)."""
    texts = [unreal_npi(90_000_000 + 101 * i) for i in range(PHARMACIES)]
    return pl.Series(texts).gather(np.asarray(number))
