"""Enrolment spans against a day-by-day calendar."""

from __future__ import annotations

import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from claimpt_tf.visits.members import member_table
from tests.visits.tables import CHILD, OTHER_CHILD, member, members

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(-2, 15)), max_size=8)


def by_calendar(spans: list[tuple[int, int]], tolerance: int) -> list[tuple[int, int]]:
    """Runs of covered days, over gaps of at most `tolerance` uncovered ones."""
    covered = sorted({day for a, b in spans for day in range(a, b + 1)})
    runs: list[tuple[int, int]] = []
    for day in covered:
        if runs and day - runs[-1][1] <= tolerance + 1:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


@settings(max_examples=60)
@given(SPANS, SPANS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_spans_are_the_covered_days_of_each_member(
    own: list[tuple[int, int]],
    other: list[tuple[int, int]],
    tolerance: int,
    chance: random.Random,
) -> None:
    spans = {
        who: [(start, start + length) for start, length in drawn]
        for who, drawn in ((CHILD, own), (OTHER_CHILD, other))
    }
    rows = [
        member(who, enrolled=span) for who, given in spans.items() for span in given
    ]
    chance.shuffle(rows)
    people = pl.Series(sorted(spans))
    table = member_table(
        members(*rows) if rows else members().clear(), people, tolerance
    )
    assert table["member"].to_list() == people.to_list()
    for who, start, end, enrolled in table.select(
        "member", "enrolled_from", "enrolled_to", "enrolled"
    ).rows():
        expected = by_calendar(spans[who], tolerance)
        assert list(zip(start, end, strict=True)) == expected
        assert enrolled is bool(expected)
