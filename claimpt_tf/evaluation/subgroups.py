"""Groups in which a model is judged on its own, and which of them may be shown.

A group is hidden when fewer than 11 of its members, of its members with the outcome,
or of those without, stand behind a figure: the rule that CMS sets for cells of
published tables. When the rest could still be worked out from the total, the next
smallest groups are hidden too (complementary suppression).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.evaluation.ages import AGE_BANDS, age_band
from claimpt_tf.tasks.attrition import SMALLEST_CELL

SUBGROUPS: Final = ("sex", "age_band")
TITLES: Final = {"sex": "Sex", "age_band": "Age"}
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


def groups_of(frame: pl.DataFrame, by: str) -> list[Group]:
    """The groups of labelled examples by `sex`, `age_band` or any other column.

    Returns:
        Groups in their natural order (age) or by name; none is empty.
    """
    level = age_band() if by == "age_band" else pl.col(by).cast(pl.String)
    table = frame.select(
        "patient_id",
        "label",
        row=pl.int_range(pl.len(), dtype=pl.Int64),
        level=level.fill_null("unknown"),
    )
    patients = pl.col("patient_id")
    counted = {
        name: (rows, n, positives, negatives)
        for name, rows, n, positives, negatives in table.group_by("level")
        .agg(
            pl.col("row"),
            patients.n_unique().alias("n"),
            patients.filter(pl.col("label") == 1).n_unique().alias("positives"),
            patients.filter(pl.col("label") == 0).n_unique().alias("negatives"),
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
        for name in sorted(counted, key=lambda name: (order.get(name, 99), name))
    ]


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
