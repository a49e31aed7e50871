"""Groups in which a model is judged on its own, and which of them may be shown.

A group is hidden when fewer than 11 of its members, of its members with the outcome,
or of those without, stand behind a figure: the rule that CMS sets for cells of
published tables. When the rest could still be worked out from the total, the next
smallest groups are hidden too (complementary suppression).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.evaluation.ages import AGE_BANDS, age_band
from claimpt_tf.tasks.attrition import SMALLEST_CELL

SUBGROUPS: Final = ("sex", "age_band")
# Where the rows have what they need; race is in no standard's members by default.
MORE_SUBGROUPS: Final = ("race", "institution", "utilisation", "index_year")
TITLES: Final = {
    "sex": "Sex",
    "age_band": "Age",
    "race": "Race",
    "institution": "Institution",
    "utilisation": "Visits in the year before, by quarter of the rows",
    "index_year": "Year of the index date",
}
NEEDS: Final = {
    "age_band": ("birth_days",),
    "utilisation": ("visit_days", "visit_length"),
    "index_year": (),
}
_MOST_LEVELS: Final = 12
_YEAR: Final = 365
_ORDER: Final = {"age_band": AGE_BANDS, "sex": ("F", "M", "U")}


@dataclass(frozen=True)
class Group:
    """The rows of one level of one grouping.

    Attributes:
        by: the grouping, such as `sex`.
        level: such as `F`.
        rows: positions in the frame.
        patients: distinct patients.
        positives: distinct patients with a row of label 1.
        negatives: distinct patients with a row of label 0.
        suppressed: whether its counts and figures must not be shown.
    """

    by: str
    level: str
    rows: NDArray[np.int64]
    patients: int
    positives: int
    negatives: int
    suppressed: bool


def groupings_of(frame: pl.DataFrame) -> tuple[str, ...]:
    """All groupings that the columns of labelled examples allow.

    >>> frame = pl.DataFrame({"sex": ["F"], "birth_days": [0], "index_day": [9]})
    >>> groupings_of(frame)
    ('sex', 'age_band', 'index_year')
    """
    return tuple(
        by
        for by in (*SUBGROUPS, *MORE_SUBGROUPS)
        if all(name in frame.columns for name in NEEDS.get(by, (by,)))
    )


def levels_of(frame: pl.DataFrame, by: str) -> pl.Series:
    """The level of each row, String, `unknown` where there is none.

    Of a column with more than 12 levels the commonest stay and the rest is `other`.
    """
    if by == "age_band":
        level = frame.select(age_band()).to_series()
    elif by == "utilisation":
        level = _utilisation(frame)
    elif by == "index_year":
        days = pl.col("index_day").cast(pl.Int32).cast(pl.Date)
        level = frame.select(days.dt.year().cast(pl.String)).to_series()
    else:
        level = frame[by].cast(pl.String)
    level = level.fill_null("unknown").alias("level")
    if level.n_unique() <= _MOST_LEVELS:
        return level
    often = level.value_counts().sort(["count", "level"], descending=[True, False])
    kept = often["level"].head(_MOST_LEVELS - 1)
    return (
        level.to_frame()
        .select(pl.when(pl.col("level").is_in(kept.implode())).then("level"))
        .to_series()
        .fill_null("other")
    )


def _utilisation(frame: pl.DataFrame) -> pl.Series:
    """Quarter of each row by its visits in the year up to the index date."""
    row = pl.int_range(pl.len(), dtype=pl.Int64).alias("row")
    day, end = pl.col("visit_days"), pl.col("visit_days") + pl.col("visit_length")
    visits = frame.select(row, "index_day", "visit_days", "visit_length")
    recent = visits.explode("visit_days", "visit_length").filter(
        (end <= pl.col("index_day")) & (day > pl.col("index_day") - _YEAR)
    )
    counts = np.bincount(recent["row"].to_numpy(), minlength=frame.height)
    edges = np.unique(np.quantile(counts, (0.25, 0.5, 0.75), method="lower"))
    bounds = [0, *(edges.astype(int) + 1)]
    names = [
        _span(low, high) for low, high in zip(bounds, [*bounds[1:], None], strict=True)
    ]
    return pl.Series([names[at] for at in np.searchsorted(edges, counts)])


def _span(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high - 1 else f"{low}-{high - 1}"


def groups_of(frame: pl.DataFrame, by: str, outcomes: bool = True) -> list[Group]:
    """The groups of labelled examples by a name of `TITLES` or any other column.

    Args:
        frame: labelled examples.
        by: the grouping.
        outcomes: whether label 1 means that something happened; where it does not,
            members alone are counted, as positives and negatives too.

    Returns:
        Groups in their natural order (age) or by name; none is empty.
    """
    table = frame.select(
        "patient_id",
        "label",
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        level=levels_of(frame, by),
    )
    patients = pl.col("patient_id")
    counted = {
        name: (rows, n, positives, negatives)
        for name, rows, n, positives, negatives in table.group_by("level")
        .agg(
            pl.col("row"),
            patients.n_unique().alias("n"),
            *(
                patients.filter(pl.col("label") == value if outcomes else pl.lit(True))
                .n_unique()
                .alias(name)
                for name, value in (("positives", 1), ("negatives", 0))
            ),
        )
        .iter_rows()
    }
    hidden = hidden_levels({name: counts[1:] for name, counts in counted.items()})
    order = {name: place for place, name in enumerate(_ORDER.get(by, ()))}
    return [
        Group(
            by,
            name,
            np.asarray(counted[name][0], dtype=np.int64),
            *counted[name][1:],
            suppressed=name in hidden,
        )
        for name in sorted(counted, key=lambda one: (order.get(one, 99), *_number(one)))
    ]


def has_rest(groups: Sequence[Group], position: int) -> bool:
    """Whether the other groups of the grouping may be shown together."""
    by = groups[position].by
    others = [g for at, g in enumerate(groups) if g.by == by and at != position]
    counts = [(g.patients, g.positives, g.negatives) for g in others]
    return bool(counts) and min(map(sum, zip(*counts, strict=True))) >= SMALLEST_CELL


def rest_of(groups: Sequence[Group], position: int) -> NDArray[np.int64]:
    """Rows of the other groups of a group's grouping, sorted."""
    by = groups[position].by
    return np.sort(
        np.concatenate(
            [g.rows for at, g in enumerate(groups) if g.by == by and at != position]
        )
    )


def _number(level: str) -> tuple[int, str]:
    """Sorts levels that begin with a number by it."""
    digits = level.split("-")[0].split(" ")[0]
    return (int(digits) if digits.isdigit() else 10**9, level)


def hidden_levels(cells: Mapping[str, tuple[int, ...]]) -> set[str]:
    """Which levels of one grouping must be hidden.

    Args:
        cells: level -> its counts (patients, positives, negatives).

    >>> sorted(hidden_levels({"F": (90, 40, 50), "M": (80, 30, 50), "U": (5, 1, 4)}))
    ['M', 'U']
    >>> hidden_levels({"F": (90, 40, 50), "M": (80, 30, 50)})
    set()
    """
    hidden = {level for level, counts in cells.items() if min(counts) < SMALLEST_CELL}
    while hidden and len(hidden) < len(cells):
        together = [sum(cells[level][i] for level in hidden) for i in range(3)]
        if len(hidden) > 1 and min(together) >= SMALLEST_CELL:
            break
        shown = [level for level in cells if level not in hidden]
        hidden.add(min(shown, key=lambda level: (cells[level][0], level)))
    return hidden
