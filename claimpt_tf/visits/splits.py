"""Which split a patient belongs to: a function of the patient id alone.

The id is itself a keyed hash, so its first digits are uniform. Nothing is drawn and
nothing is stored: the same member is in the same split in every run, span and task.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from claimpt_tf.errors import InputError

SPLITS = ("train", "eval", "test")
SHARES = (70, 10, 20)  # percent of patients, in the order of SPLITS


def split_of(patient_ids: pl.Series, shares: Sequence[int] = SHARES) -> pl.Series:
    """Names each patient's split.

    The first eight hex digits of the id, as a fraction of 2**32, fall into one of
    a hundred equal bins; `shares` says how many bins each split has.

    Args:
      patient_ids: String series of hex digests, at least 8 digits each.
      shares: Percentages for train, eval and test, adding up to 100.

    Returns:
      String series of the same length with values of SPLITS.

    Raises:
      InputError: `shares` are not three percentages that add up to 100.

    Example:
      >>> ids = pl.Series(["00" * 16, "b4" * 16, "ff" * 16])
      >>> split_of(ids).to_list()
      ['train', 'eval', 'test']
    """
    check_shares(shares)
    bins = (
        patient_ids.cast(pl.String)
        .str.slice(0, 8)
        .str.to_integer(base=16, dtype=pl.UInt64)
        * 100
        // 2**32
    )
    train, evaluation, _ = shares
    return (
        pl.select(
            pl.when(bins < train)
            .then(pl.lit(SPLITS[0]))
            .when(bins < train + evaluation)
            .then(pl.lit(SPLITS[1]))
            .otherwise(pl.lit(SPLITS[2]))
        )
        .to_series()
        .alias("split")
    )


def check_shares(shares: Sequence[int]) -> None:
    """Raises InputError unless `shares` are three percentages adding up to 100."""
    if len(shares) != len(SPLITS) or min(shares) < 0 or sum(shares) != 100:
        raise InputError(
            f"split shares {tuple(shares)}: give {len(SPLITS)} whole percentages "
            f"({', '.join(SPLITS)}) that add up to 100, for example 70, 10, 20."
        )
