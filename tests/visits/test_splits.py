"""Splits follow from the patient id alone."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from claimpt_tf.errors import InputError
from claimpt_tf.visits.splits import SPLITS, split_of

IDS = pl.Series(
    [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(20_000)]
)


def test_shares_are_kept() -> None:
    counts = dict(split_of(IDS).value_counts().rows())
    assert {split: round(counts[split] / 200) for split in SPLITS} == {
        "train": 70,
        "eval": 10,
        "test": 20,
    }


def test_is_a_function_of_the_first_digits() -> None:
    bins = [int(patient[:8], 16) * 100 >> 32 for patient in IDS]
    expected = ["train" if b < 70 else "eval" if b < 80 else "test" for b in bins]
    assert split_of(IDS).to_list() == expected


def test_other_shares() -> None:
    assert set(split_of(IDS, (0, 0, 100))) == {"test"}
    assert set(split_of(IDS, (90, 10, 0))) == {"train", "eval"}


def test_no_patients() -> None:
    assert split_of(pl.Series([], dtype=pl.String)).to_list() == []


@pytest.mark.parametrize("shares", [(70, 30), (80, 30, -10), (50, 10, 20)])
def test_shares_that_do_not_add_up(shares: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="add up to 100"):
        split_of(IDS, shares)
