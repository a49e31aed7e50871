"""From the code columns of claim lines to one row a code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class CodeColumns:
    """Columns of claim lines whose cells are codes of one kind.

    Attributes:
      columns: Names, in the order in which their codes are to stand.
      normalise: From codes as they are (String) to canonical ones, null for what is
        no code.
      system: The code system of all of them; or a function that tells it from the
        canonical codes.
      system_column: A String column that gives it line by line, instead of `system`.
    """

    columns: Sequence[str]
    normalise: Callable[[pl.Series], pl.Series]
    system: str | Callable[[pl.Series], pl.Series] = ""
    system_column: str = ""


def code_rows(lines: pl.DataFrame, kinds: Sequence[CodeColumns]) -> pl.DataFrame:
    """One row a code, in the order of lines, kinds and columns.

    Lines without any code get one row with null `system` and `code`.

    Args:
      lines: Claim lines with the columns that `kinds` name; absent ones are skipped.
      kinds: The code columns.

    Returns:
      `index` UInt32 (position of the line in `lines`), `system` and `code` String.

    Example:
      >>> lines = pl.DataFrame({"dx1": ["a1", None], "dx2": ["B2", None]})
      >>> upper = lambda codes: codes.str.to_uppercase()
      >>> code_rows(lines, [CodeColumns(["dx1", "dx2"], upper, "ICD10CM")]).rows()
      [(0, 'ICD10CM', 'A1'), (0, 'ICD10CM', 'B2'), (1, None, None)]
    """
    parts = [_rows_of(lines, kind) for kind in kinds]
    coded = pl.concat([_EMPTY, *parts])
    has_code = np.zeros(len(lines), dtype=bool)
    has_code[coded["index"].to_numpy()] = True
    bare = pl.DataFrame({"index": np.flatnonzero(~has_code)}).select(
        pl.col("index").cast(pl.UInt32),
        system=pl.lit(None, dtype=pl.String),
        code=pl.lit(None, dtype=pl.String),
    )
    rows = pl.concat([coded, bare], rechunk=True)
    # A few runs that are each in order, which is what this sort is fast at.
    return rows[np.argsort(rows["index"].to_numpy(), kind="stable")]


_EMPTY = pl.DataFrame(
    schema={"index": pl.UInt32, "system": pl.String, "code": pl.String}
)


def _rows_of(lines: pl.DataFrame, kind: CodeColumns) -> pl.DataFrame:
    indices: list[pl.Series] = []
    codes: list[pl.Series] = []
    for name in kind.columns:
        if name not in lines.columns:
            continue
        column = lines[name]
        if column.null_count() == len(column):
            continue
        index = column.is_not_null().arg_true()
        indices.append(index)
        codes.append(column.gather(index).cast(pl.String))
    if not indices:
        return _EMPTY
    index = pl.concat(indices).cast(pl.UInt32)
    code = _normalised(pl.concat(codes), kind.normalise)
    rows = pl.DataFrame({"index": index, "code": code})
    rows = rows.filter(pl.col("code").is_not_null())
    if kind.system_column:
        system = lines[kind.system_column].gather(rows["index"])
    elif callable(kind.system):
        system = kind.system(rows["code"])
    else:
        system = pl.repeat(kind.system, len(rows), dtype=pl.String, eager=True)
    return rows.select("index", system.alias("system"), "code")


def _normalised(
    codes: pl.Series, normalise: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """`normalise(codes)`, worked out once for each distinct code: they repeat a lot."""
    named = codes.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    encoded = named.dictionary_encode()
    distinct = pl.Series("code", encoded.dictionary, dtype=pl.String)
    place = pl.Series(values=encoded.indices)
    return normalise(distinct).gather(place)
