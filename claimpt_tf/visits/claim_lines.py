"""Claim lines and their codes: the form in which events travel and become visits.

The event table repeats the columns of a line for each of its codes. Here they stand
once, which halves what is sorted, moved between workers and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from claimpt_tf.claims.events import EVENT_SCHEMA

_CODE = ("system", "code")

LINE_SCHEMA = pl.Schema(
    {
        **{n: t for n, t in EVENT_SCHEMA.items() if n not in (*_CODE, "amount")},
        "cents": pl.Int64(),
        "codes": pl.UInt32(),
    }
)
CODE_SCHEMA = pl.Schema({name: EVENT_SCHEMA[name] for name in _CODE})


@dataclass(frozen=True)
class ClaimLines:
    """Events without repetition.

    Attributes:
      lines: LINE_SCHEMA, an input row each, perhaps with `table`. `cents` is what was
        paid for it, `codes` how many codes it has.
      codes: `system` and `code`, String or Enum of sorted categories, none null: those
        of the first line, then those of the second, and so on.
    """

    lines: pl.DataFrame
    codes: pl.DataFrame

    @classmethod
    def of(cls, events: pl.DataFrame) -> ClaimLines:
        """The lines of events.

        Args:
          events: EVENT_SCHEMA, perhaps with `table`, in any order.

        Example:
          >>> two = pl.DataFrame(
          ...     {"row": [1, 1], "system": ["CVX"] * 2, "code": ["08", "20"]}
          ... ).match_to_schema(EVENT_SCHEMA, missing_columns="insert")
          >>> claims = ClaimLines.of(two)
          >>> claims.lines["codes"].to_list(), claims.codes["code"].to_list()
          ([2], ['08', '20'])
        """
        where = [name for name in ("table", "source", "row") if name in events.columns]
        if not _in_order(events, where):
            events = events.sort(where, maintain_order=True)
        starts = pl.any_horizontal(
            pl.col(name).ne_missing(pl.col(name).shift()) for name in where
        )
        amount = pl.when(pl.col("amount").is_finite()).then("amount").otherwise(0.0)
        coded = pl.col("system").is_not_null() & pl.col("code").is_not_null()
        facts = events.select(
            starts=starts | (pl.int_range(pl.len()) == 0),
            cents=(amount.fill_null(0.0) * 100).round().cast(pl.Int64),
            coded=coded,
        )
        first = np.flatnonzero(facts["starts"].to_numpy())
        has_code = facts["coded"]
        totals = {"cents": facts["cents"], "codes": has_code.cast(pl.Int64)}
        if len(first):
            totals = {
                name: pl.Series(name, np.add.reduceat(column.to_numpy(), first))
                for name, column in totals.items()
            }
        return cls(
            events.drop(*_CODE, "amount")
            .filter(facts["starts"])
            .with_columns(**totals)
            .with_columns(pl.col("codes").cast(pl.UInt32)),
            events.select(_CODE).filter(has_code),
        )


def _in_order(events: pl.DataFrame, where: Sequence[str]) -> bool:
    """Whether these are the rows of one file in their order, as a reader gives them."""
    files = events.select(
        pl.col(name).eq_missing(pl.col(name).first()).all() for name in where[:-1]
    )
    return all(files.row(0)) and events["row"].is_sorted()
