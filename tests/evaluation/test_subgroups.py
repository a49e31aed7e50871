"""Small cells are hidden, and cannot be had by subtraction."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.evaluation.subgroups import groups_of, hidden_levels
from claimpt_tf.tasks.attrition import SMALLEST_CELL


def frame(groups: dict[str | None, tuple[int, int]]) -> pl.DataFrame:
    """Group -> (positives, negatives), one row a patient."""
    rows = [
        (f"{group}-{label}-{one}", group, label)
        for group, counts in groups.items()
        for label, count in zip((1, 0), counts, strict=True)
        for one in range(count)
    ]
    return pl.DataFrame(rows, ["patient_id", "sex", "label"], orient="row")


def shown(groups: dict[str | None, tuple[int, int]]) -> list[str]:
    return [g.level for g in groups_of(frame(groups), "sex") if not g.suppressed]


def test_large_groups_are_shown_in_order() -> None:
    assert shown({"M": (20, 30), "U": (15, 15), "F": (11, 11)}) == ["F", "M", "U"]


def test_few_members_positives_or_negatives_hide_a_group() -> None:
    assert shown({"F": (40, 90), "M": (10, 90)}) == []  # the rest gives M away
    assert shown({"F": (40, 90), "M": (90, 10)}) == []
    assert shown({"F": (40, 90), "M": (40, 80), "U": (2, 3)}) == ["F"]


def test_hidden_groups_together_are_large_enough() -> None:
    assert shown({"F": (60, 90), "M": (50, 50), "U": (4, 5), "X": (3, 5)}) == ["F"]


def test_patients_count_once_however_many_rows() -> None:
    many = pl.concat([frame({"F": (20, 20), "M": (5, 40)})] * 4)
    groups = groups_of(many, "sex")
    assert [(g.patients, g.positives, g.negatives) for g in groups] == [
        (40, 20, 20),
        (45, 5, 40),
    ]
    assert len(groups[0].rows) == 160


def test_missing_levels_are_unknown() -> None:
    assert shown({"F": (20, 20), None: (20, 20)}) == ["F", "unknown"]


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.integers(0, 40), st.integers(0, 40)).filter(any),
        min_size=1,
    )
)
def test_what_is_hidden_cannot_be_told(groups: dict[str, tuple[int, int]]) -> None:
    cells = {level: (sum(pair), *pair) for level, pair in groups.items()}
    hidden = hidden_levels(cells)
    for level, counts in cells.items():
        assert level in hidden or min(counts) >= SMALLEST_CELL
    if hidden and len(hidden) < len(cells):
        assert len(hidden) > 1
        for column in range(3):
            assert sum(cells[level][column] for level in hidden) >= SMALLEST_CELL
