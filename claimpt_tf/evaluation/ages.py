"""Age bands at the index date, as features and as subgroups."""

from __future__ import annotations

from typing import Final

import polars as pl

DAYS_A_YEAR: Final = 365.25
UNKNOWN: Final = "unknown"
AGE_BANDS: Final = (
    "under 1",
    "1-4",
    "5-11",
    "12-17",
    "18-44",
    "45-64",
    "65 and over",
    UNKNOWN,
)
_FROM_YEARS: Final = (1, 5, 12, 18, 45, 65)


def age_band() -> pl.Expr:
    """The band of a row's age in completed years, of `AGE_BANDS`; String.

    Needs the columns birth_days and index_day; `unknown` where either is null.

    >>> frame = pl.DataFrame({"birth_days": [0, 0, None], "index_day": [365, 366, 9]})
    >>> frame.select(age_band()).to_series().to_list()
    ['under 1', '1-4', 'unknown']
    """
    days = pl.col("index_day") - pl.col("birth_days")
    place = pl.sum_horizontal(days >= years * DAYS_A_YEAR for years in _FROM_YEARS)
    return (
        pl.when(days.is_null())
        .then(len(_FROM_YEARS) + 1)
        .otherwise(place)
        .replace_strict(dict(enumerate(AGE_BANDS)), return_dtype=pl.String)
        .alias("age_band")
    )
