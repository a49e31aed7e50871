"""Who the evaluated rows are, in counts that may be shown."""

from __future__ import annotations

import polars as pl

from claimpt_tf.evaluation.ages import DAYS_A_YEAR
from claimpt_tf.tasks.attrition import SMALLEST_CELL


def data_summary(frame: pl.DataFrame) -> dict[str, str]:
    """Heading -> text about labelled examples; nothing of fewer than 11 members.

    Args:
        frame: labelled examples; columns other than patient_id and index_day may be
            missing, and what needs them is then left out.
    """
    months = frame.select(
        first=pl.col("index_day")
        .min()
        .cast(pl.Int32)
        .cast(pl.Date)
        .dt.strftime("%B %Y"),
        last=pl.col("index_day")
        .max()
        .cast(pl.Int32)
        .cast(pl.Date)
        .dt.strftime("%B %Y"),
    ).row(0)
    summary = {"Index dates": " to ".join(dict.fromkeys(months))}
    if frame["patient_id"].n_unique() < SMALLEST_CELL:
        return summary
    if "birth_days" in frame.columns:
        years = (pl.col("index_day") - pl.col("birth_days")) / DAYS_A_YEAR
        summary |= _spread(frame, "Age in years", years, 1)
    if "sex" in frame.columns:
        summary |= _female(frame)
    if "visit_days" in frame.columns:
        visits = pl.col("visit_days").list.len()
        summary |= _spread(frame, "Visits known by then", visits, 0)
    return summary


def _spread(
    frame: pl.DataFrame, name: str, figure: pl.Expr, digits: int
) -> dict[str, str]:
    values = frame.select(figure.cast(pl.Float64)).to_series().drop_nulls()
    if len(values) < SMALLEST_CELL:
        return {}
    q1, median, q3 = (values.quantile(q, "linear") for q in (0.25, 0.5, 0.75))
    half = f"half from {q1:.{digits}f} to {q3:.{digits}f}"
    return {name: f"median {median:.{digits}f}, {half}"}


def _female(frame: pl.DataFrame) -> dict[str, str]:
    known = frame.filter(pl.col("sex").is_in(["F", "M"]))
    counts = [
        known.filter(pl.col("sex") == sex)["patient_id"].n_unique() for sex in "FM"
    ]
    if min(counts) < SMALLEST_CELL:
        return {}
    return {"Female": f"{counts[0] / sum(counts):.0%} of those whose sex is known"}
