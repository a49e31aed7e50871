"""Which rows the page explains, and what it may tell of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from claimpt_tf.codes.describe import describe
from claimpt_tf.evaluation.ages import age_band
from claimpt_tf.evaluation.examples import NO_CODE, NO_VISIT, Example, Told
from claimpt_tf.evaluation.finetuned_model import CodeShares, FinetunedModel
from claimpt_tf.tasks.attrition import SMALLEST_CELL

# Where in the ranking the rows stand, from the top, and how a heading puts it.
PLACES: Final = (
    (0.02, "Among the highest 5%"),
    (0.15, "In the highest fifth"),
    (0.5, "In the middle"),
)
_MOST_CODES: Final = 6
_VISITS: Final = {
    "IP": "inpatient stays besides their codes",
    "ED": "emergency visits besides their codes",
    "OP": "outpatient visits besides their codes",
    "RX": "pharmacy claims besides their codes",
    "OTHER": "other visits besides their codes",
}
_SEXES: Final = {"F": "female", "M": "male"}


def explained_examples(
    model: FinetunedModel,
    cohort: Path,
    rows: pl.DataFrame,
    told: Told,
    among: np.ndarray | None = None,
    at_visits: bool = False,
) -> list[Example]:
    """Explains a row at each of `PLACES`.

    Args:
        model: gave the predictions.
        cohort: folder of the labelled examples.
        rows: its test split.
        told: the number of each row that is explained.
        among: bool (rows,), which of them may be taken; all by default.
        at_visits: index dates are ends of visits: nobody is without one, and the
            start is the same visits without their codes.
    """
    order = np.argsort(-told.values, kind="stable")
    if among is not None:
        order = order[among[order]]
    picked = [int(order[int(share * len(order))]) for share, _ in PLACES]
    at: dict[int, CodeShares] = {}
    for column in {told.columns[row] for row in picked}:
        chosen = np.zeros(rows.height, bool)
        chosen[[row for row in picked if told.columns[row] == column]] = True
        shares = model.code_shares(cohort, "test", chosen, column)
        at |= dict(zip(np.flatnonzero(chosen).tolist(), shares, strict=True))
    common, persons = common_codes(rows), persons_of(rows)
    return [
        example_of(
            f"{place}{persons[row]}", at[row], common, at_visits,
            told.words[told.columns[row]], told.share,
        )
        for row, (_, place) in zip(picked, PLACES, strict=True)
    ]  # fmt: skip


def example_of(
    title: str,
    shares: CodeShares,
    common: set[str],
    at_visits: bool = False,
    what: str = "probability",
    share: bool = True,
) -> Example:
    """An example with what moved it most, rare codes left unnamed.

    Args:
        title: where the row stands.
        shares: of its codes and visits.
        common: codes that may be named.
        at_visits: see `explained_examples`.
        what: what is predicted, in words.
        share: it is a probability.
    """
    told = {one.code: one.share for one in shares.codes if one.code in common}
    first = sorted(told, key=lambda code: (-abs(told[code]), code))[:_MOST_CODES]
    moved = {_words(code): told[code] for code in first}
    start = shares.reference + sum(shares.visits.values())
    begun, reference = NO_CODE, start
    if not at_visits or (share and not 0 <= start <= 1):
        begun, reference = NO_VISIT, shares.reference
        moved |= {_VISITS[name]: added for name, added in shares.visits.items()}
    order = sorted(moved.items(), key=lambda item: -abs(item[1]))
    return Example(title, shares.value, reference, order, begun, what, share)


def common_codes(rows: pl.DataFrame) -> set[str]:
    """Codes that at least 11 members have."""
    counts = (
        rows.select("patient_id", "codes")
        .explode("codes")
        .explode("codes")
        .group_by("codes")
        .agg(pl.col("patient_id").n_unique())
        .filter(pl.col("patient_id") >= SMALLEST_CELL)
    )
    return set(counts["codes"].drop_nulls())


def persons_of(rows: pl.DataFrame) -> list[str]:
    """Sex and age of each row, for a heading; empty where fewer than 11 are alike."""
    table = rows.select("patient_id", "sex", band=age_band())
    groups = table.group_by("sex", "band").agg(pl.col("patient_id").n_unique())
    members = {(sex, band): count for sex, band, count in groups.iter_rows()}
    return [
        f": {_SEXES[sex]}, aged {band}"
        if sex in _SEXES and members[sex, band] >= SMALLEST_CELL
        else ""
        for _, sex, band in table.iter_rows()
    ]


def _words(code: str) -> str:
    title = describe(code)
    return code if title is None else f"{title} ({code})"
