"""The task's own question, asked earlier in the past of its training members.

Adaptation trains the network on these windows. A model on counts that gets them too
is its honest rival: what the network adds is then not more labels.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from claimpt_tf.errors import ArtifactError

DATES = 8
MOST_ROWS = 40_000
_NEEDED = (
    "patient_id", "index_day", "visit_days", "visit_length", "visit_outcome",
)  # fmt: skip


def historical_windows(
    train: pl.DataFrame,
    window_days: int,
    gap_days: int = 0,
    *,
    at_visits: bool = False,
    when_asked: bool = False,
    dates: int = DATES,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> pl.DataFrame:
    """Earlier index dates of training members, with what came in their windows.

    Each member's latest row stands for them, because its past holds that of all
    earlier ones. Every window ends on or before that row's index date, so that no day
    is used which the row's own features do not cover.

    Args:
        train: labelled examples of the training split, with `visit_outcome`.
        window_days: length of the outcome window.
        gap_days: days between a date and its window.
        at_visits: dates are ends of visits; else days drawn evenly between a member's
            first visit and the last day whose window is over.
        when_asked: dates are `past_days` of the rows, on which the task would have
            asked about the member.
        dates: at most so many a member.
        most_rows: at most about so many in all; members keep fewer dates each.
        seed: of the draw.

    Returns:
        As `train`: a row a date with its index_day and label, the visits unchanged
        (count features leave out those that were not over by then). Rows by member
        and date; none where no past is long enough.

    Raises:
        ArtifactError: a column is missing.

    >>> rows = pl.DataFrame(
    ...     {
    ...         "patient_id": ["a"],
    ...         "index_day": [100],
    ...         "label": [0],
    ...         "visit_days": [[10, 40, 95]],
    ...         "visit_length": [[0, 0, 0]],
    ...         "visit_outcome": [[0, 1, 0]],
    ...     }
    ... )
    >>> found = historical_windows(rows, 30, at_visits=True)
    >>> found.select("index_day", "label").rows()
    [(10, 1), (40, 0)]
    """
    if missing := [name for name in _NEEDED if name not in train.columns]:
        raise ArtifactError(
            f"column {', '.join(missing)} is missing from the training rows; "
            "give labelled examples"
        )
    members = (
        train.sort("patient_id", "index_day")
        .unique("patient_id", keep="last", maintain_order=True)
        .with_row_index("member")
    )
    visits = (
        members.select(
            "member", "visit_days", "visit_length", "visit_outcome", until="index_day"
        )
        .explode("visit_days", "visit_length", "visit_outcome")
        .drop_nulls("visit_days")
    )
    latest = pl.col("until") - gap_days - window_days
    generator = np.random.default_rng(seed)
    if when_asked or at_visits:
        if when_asked:
            given = members.select("member", date="past_days", until="index_day")
            given = given.explode("date").drop_nulls("date")
        else:
            ends = pl.col("visit_days") + pl.col("visit_length")
            given = visits.select("member", "until", date=ends.cast(pl.Int64))
        possible = given.filter(pl.col("date") <= latest).unique(["member", "date"])
        possible = possible.sort("member", "date")
        each = _each(dates, most_rows, possible["member"].n_unique())
        drawn = (
            possible.with_columns(rank=pl.Series(generator.random(possible.height)))
            .sort("member", "rank")
            .group_by("member", maintain_order=True)
            .head(each)
        )
    else:
        span = (
            visits.group_by("member")
            .agg(first=pl.col("visit_days").min(), last=latest.first())
            .filter(pl.col("first") <= pl.col("last"))
            .sort("member")
        )
        each = _each(dates, most_rows, members.height)
        share = generator.random((span.height, each))
        first, last = span["first"].to_numpy(), span["last"].to_numpy()
        days = first[:, None] + np.floor(share * (last - first + 1)[:, None])
        drawn = pl.DataFrame(
            {
                "member": np.repeat(span["member"].to_numpy(), each),
                "date": days.astype(np.int64).ravel(),
            }
        ).unique(["member", "date"])
    came = visits.filter(pl.col("visit_outcome") == 1).select(
        "member", came=pl.col("visit_days").cast(pl.Int64)
    )
    labelled = (
        drawn.select("member", "date", after=pl.col("date") + gap_days + 1)
        .sort("after")
        .join_asof(
            came.sort("came"),
            left_on="after",
            right_on="came",
            by="member",
            strategy="forward",
            check_sortedness=False,
        )
        .with_columns(
            new=(pl.col("came") < pl.col("after") + window_days).fill_null(False)
        )
        .select("member", "date", "new")
    )
    found = members.drop("label").join(labelled, on="member").sort("member", "date")
    return found.with_columns(
        index_day=pl.col("date").cast(train.schema["index_day"]),
        label=pl.col("new").cast(train.schema["label"]),
    ).select(train.columns)


def _each(dates: int, most_rows: int, members: int) -> int:
    return max(1, min(dates, most_rows // max(members, 1)))
