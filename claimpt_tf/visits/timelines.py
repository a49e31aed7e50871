"""Visits and their codes -> one nested row a member."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.visits.records import TIMELINE_SCHEMA

DIAGNOSES = ("ICD10CM", "ICD9CM", "SNOMED")
DRUGS = ("NDC", "RXNORM")

_DAYS, _LINES = 2**16, 2**16  # longest stay and highest line that order codes


def visit_codes(events: pl.DataFrame, visits: pl.DataFrame) -> pl.DataFrame:
    """The distinct codes of each visit in their lasting order.

    Diagnoses come first, then procedures, then drugs; among these by the day and
    then the line number on which the code first appears in the visit, then by name.
    So the order does not depend on the order of the input.

    Args:
      events: `visit`, `day`, `line`, `system`, `code`, none of them null; the last two
        String, or Enum of sorted categories.
      visits: From `group_lines`.

    Returns:
      `visit` (Int64), `system` and `code` ("SYSTEM:CODE"), sorted by visit and by
      that order.
    """
    system, systems = _numbered(events["system"])
    code, spellings = _numbered(events["code"])
    named = systems.len() * spellings.len()
    kind = pl.Series([_kind(name) for name in systems], dtype=pl.Int64).gather(system)
    distinct = (
        events.select(
            key=pl.col("visit").cast(pl.Int64) * named
            + system * spellings.len()
            + code,
            order=(
                kind * _DAYS
                + (pl.col("day") - visits["day"].gather(events["visit"])).clip(
                    0, _DAYS - 1
                )
            )
            * _LINES
            + pl.col("line").clip(0, _LINES - 1),
        )
        .group_by("key")
        .agg(pl.col("order").min())
        .select(
            visit=pl.col("key") // named,
            place=pl.col("order") * named + pl.col("key") % named,
        )
    )
    order = np.lexsort((distinct["place"].to_numpy(), distinct["visit"].to_numpy()))
    distinct = distinct[order]
    whole = pl.DataFrame({"name": (distinct["place"] % max(named, 1)).unique()})
    number = pl.col("name") // max(spellings.len(), 1)
    whole = whole.select(
        "name",
        system=systems.gather(whole.select(number).to_series()),
        code=spellings.gather(whole["name"] % max(spellings.len(), 1)),
    ).with_columns(code=pl.concat_str("system", "code", separator=":"))
    return (
        distinct.select("visit", name=pl.col("place") % max(named, 1))
        .join(whole, on="name", how="left", maintain_order="left")
        .drop("name")
    )


def timelines(
    people: pl.DataFrame, visits: pl.DataFrame, codes: pl.DataFrame
) -> pl.DataFrame:
    """Nests visits and codes into one row a member.

    Args:
      people: `who` and the facts of `member_table`, one row a member wanted,
        sorted by `who`; no birth day is null.
      visits: From `group_lines`; only of these people.
      codes: From `visit_codes`.

    Returns:
      Follows TIMELINE_SCHEMA, a row for each of `people`.
    """
    codes_per_visit = np.bincount(codes["visit"].to_numpy(), minlength=visits.height)
    position = people["who"].search_sorted(visits["who"])
    visits_per_person = np.bincount(position.to_numpy(), minlength=people.height)
    by_person = visits.select(
        visit_days=pl.col("day").cast(pl.Int64),
        visit_types=pl.col("setting").replace_strict(
            range(len(SETTINGS)), SETTINGS, return_dtype=pl.String
        ),
        visit_length=(pl.col("end_day") - pl.col("day")).cast(pl.Int64),
        codes=_nested(codes["code"], codes_per_visit),
        cost=(pl.col("cents").clip(0) / 100).cast(pl.Float32),
    )
    return (
        people.select(
            patient_id="member",
            sex="sex",
            birth_days=pl.col("birth_day").cast(pl.Int64),
            institution="institution",
            enrolled_from="enrolled_from",
            enrolled_to="enrolled_to",
        )
        .with_columns(
            _nested(column, visits_per_person) for column in by_person.iter_columns()
        )
        .select(pl.col(name).cast(dtype) for name, dtype in TIMELINE_SCHEMA.items())
    )


def _numbered(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Each value's place (Int64) among distinct, sorted values; and these (String)."""
    named = column.dtype
    if not isinstance(named, pl.Enum):
        named = pl.Enum(column.unique().sort())
    return column.cast(named).to_physical().cast(pl.Int64), named.categories


def _kind(system: str) -> int:
    """0 for diagnoses, 1 for procedures and the like, 2 for drugs."""
    return 0 if system in DIAGNOSES else 2 if system in DRUGS else 1


def _nested(values: pl.Series, lengths: np.ndarray) -> pl.Series:
    """Cuts `values` into consecutive lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    nested = pa.LargeListArray.from_arrays(pa.array(offsets), flat)
    return pl.Series(values.name, pl.from_arrow(nested), dtype=pl.List(values.dtype))
