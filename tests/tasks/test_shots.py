from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.tasks.shots import EHRSHOT_SHOTS, shots


def labelled(members: int, rows: int = 3, every: int = 10) -> pl.DataFrame:
    """Members with a row a quarter; every tenth has the outcome once."""
    return pl.DataFrame(
        [
            {
                "patient_id": f"{member:032x}",
                "index_day": 19_000 + 90 * row,
                "label": int(member % every == 0 and row == 1),
            }
            for member in range(members)
            for row in range(rows)
        ]
    )


ROWS = labelled(400)
SEEDS = range(5)


@pytest.mark.parametrize("choice", [{}, {"balanced": True}, {"one_row": True}])
def test_a_subset_is_part_of_every_larger_one(choice: dict[str, bool]) -> None:
    for seed in SEEDS:
        smaller = pl.Series([False] * ROWS.height)
        for k in (*EHRSHOT_SHOTS, 256, 1000):
            larger = shots(ROWS, k, seed, **choice)
            assert not (smaller & ~larger).any()
            smaller = larger


def test_k_members_are_drawn_with_all_their_rows() -> None:
    for seed in SEEDS:
        kept = ROWS.filter(shots(ROWS, 32, seed))
        assert kept["patient_id"].n_unique() == 32
        assert kept.height == 3 * 32
        assert ROWS.filter(shots(ROWS, 32, seed, one_row=True)).height == 32


def test_balanced_draws_k_members_of_each_class_a_row_each() -> None:
    for seed in SEEDS:
        kept = ROWS.filter(shots(ROWS, 16, seed, balanced=True))
        assert kept["label"].value_counts().sort("label").rows() == [(0, 16), (1, 16)]
        assert kept["patient_id"].n_unique() == 32


def test_each_class_is_there_however_few_the_shots_and_rare_the_outcome() -> None:
    rare = labelled(400, every=200)
    for seed in SEEDS:
        kept = rare.filter(shots(rare, 4, seed, each_class=2))
        assert kept["label"].sum() == 2
    blind = [rare.filter(shots(rare, 4, seed, each_class=0)) for seed in range(20)]
    assert any(kept["label"].sum() == 0 for kept in blind)


def test_unbalanced_shots_have_about_the_prevalence_of_all() -> None:
    members = ROWS.group_by("patient_id").agg(pl.col("label").max())
    shares = []
    for seed in range(20):
        kept = ROWS.filter(shots(ROWS, 128, seed))
        shares.append(kept["label"].sum() / 128)
    assert abs(sum(shares) / 20 - members["label"].mean()) < 0.03


def test_seeds_are_replicates_and_order_does_not_matter() -> None:
    first, second = shots(ROWS, 64, 1), shots(ROWS, 64, 2)
    assert not first.equals(second)
    members = set(ROWS.filter(first)["patient_id"])
    turned = ROWS.reverse()
    assert set(turned.filter(shots(turned, 64, 1))["patient_id"]) == members


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.integers(0, 2)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 3),
)
def test_any_rows_are_drawn_nested_and_by_member(
    given_rows: list[tuple[str, int, int]], k: int, balanced: bool, seed: int
) -> None:
    rows = pl.DataFrame(
        given_rows, schema=["patient_id", "index_day", "label"], orient="row"
    )
    chosen = shots(rows, k, seed, balanced=balanced)
    assert len(chosen) == rows.height
    assert chosen.any()
    assert not (chosen & ~shots(rows, k + 1, seed, balanced=balanced)).any()
    if not balanced:
        inside = set(rows.filter(chosen)["patient_id"])
        assert len(inside) == min(k, rows["patient_id"].n_unique())
        assert inside.isdisjoint(rows.filter(~chosen)["patient_id"])


def test_faults_are_told() -> None:
    with pytest.raises(ValueError, match="0 shots: give at least 1"):
        shots(ROWS, 0, 1)
    with pytest.raises(ValueError, match="lack the column label"):
        shots(ROWS.drop("label"), 8, 1)
