"""Columns as they come from files, made into text, days and amounts.

Every function takes a column of any type (CSV columns are all text, Parquet ones may
be typed) and is vectorised; a cell that cannot be understood becomes null, and
`filled` tells it from one that was empty to begin with.
"""

from __future__ import annotations

import datetime
import os

import polars as pl

from claimpt_tf.errors import InputError

EPOCH = datetime.date(1970, 1, 1)
FIRST_DAY = (datetime.date(1850, 1, 1) - EPOCH).days
FAR_FUTURE_DAY = (datetime.date(2200, 1, 1) - EPOCH).days

DATE_EXAMPLES = "2019-03-07, 20190307 or 03/07/2019"

_TODAY_VARIABLE = "CLAIMPT_TODAY"
_OTHER_DATE_FORMATS = (
    (r"^\d{8}$", "%Y%m%d"),
    (r"^\d{1,2}/\d{1,2}/\d{4}$", "%m/%d/%Y"),
)


def today() -> int:
    """Today as days since 1970-01-01, or the date in `CLAIMPT_TODAY` (yyyy-mm-dd).

    Raises:
      InputError: `CLAIMPT_TODAY` is no date.
    """
    text = os.environ.get(_TODAY_VARIABLE)
    if not text:
        return (datetime.date.today() - EPOCH).days
    try:
        return (datetime.date.fromisoformat(text) - EPOCH).days
    except ValueError as error:
        raise InputError(
            f"The environment variable {_TODAY_VARIABLE} is not a date like 2024-06-30."
        ) from error


def text(column: pl.Series) -> pl.Series:
    """Trimmed text; empty cells are null, and whole numbers lose a trailing ".0".

    Args:
      column: Any type.

    Returns:
      String, same length and name.

    Example:
      >>> text(pl.Series([" a ", "", None])).to_list()
      ['a', None, None]
      >>> text(pl.Series([7.0, None])).to_list()
      ['7', None]
    """
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).all():
            column = whole
    trimmed = column.cast(pl.String).str.strip_chars()
    return trimmed.set(trimmed == "", None)


def filled(column: pl.Series) -> pl.Series:
    """Boolean: where a cell holds anything but white space.

    Example:
      >>> filled(pl.Series(["x", " ", None])).to_list()
      [True, False, False]
    """
    if column.dtype == pl.String:
        return column.str.contains(r"\S").fill_null(False)
    return column.is_not_null()


def days(column: pl.Series) -> pl.Series:
    """Days since 1970-01-01 from dates in any of the usual spellings.

    Understood are yyyy-mm-dd, yyyymmdd and mm/dd/yyyy, each with or without a time of
    day after it, and typed dates and timestamps. Anything before 1850 is no date.

    Args:
      column: Text, integers spelt yyyymmdd, dates or timestamps.

    Returns:
      Int32, same length and name; null where empty or not a date.

    Example:
      >>> days(pl.Series(["1970-01-03", "19700103", "1/3/1970", "soon"])).to_list()
      [2, 2, 2, None]
    """
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return _in_range(column.cast(pl.Date).cast(pl.Int32))
    spelt = text(column)
    if (spelt.str.len_bytes() > 10).any():  # a time of day follows
        spelt = spelt.str.extract(
            r"^([0-9/-]+)(?:[T ][0-9:.,]+\s*(?:Z|[AaPp][Mm]|"
            r"[+-][0-9:]+|UTC)?)?$"
        )
    parsed = spelt.str.to_date("%Y-%m-%d", strict=False)
    for pattern, date_format in _OTHER_DATE_FORMATS:
        if parsed.null_count() == spelt.null_count():
            break
        left = spelt.set(parsed.is_not_null() | ~spelt.str.contains(pattern), None)
        parsed = parsed.zip_with(
            parsed.is_not_null(), left.str.to_date(date_format, strict=False)
        )
    return _in_range(parsed.cast(pl.Int32))


def amounts(column: pl.Series) -> pl.Series:
    """Numbers from amounts: `1234.5`, `$1,234.50`, `(12.00)` for a negative one.

    Args:
      column: Text or any numeric type, decimals included.

    Returns:
      Float64, same length and name; null where empty, not a number or not finite.

    Example:
      >>> amounts(pl.Series(["12.5", "$1,200.00", "(3.00)", "n/a"])).to_list()
      [12.5, 1200.0, -3.0, None]
    """
    number = column.cast(pl.Float64, strict=False)
    if column.dtype == pl.String and number.null_count() > column.null_count():
        plain = column.str.replace_all(r"[$,\s]", "")
        plain = plain.str.replace(r"^\((.*)\)$", "-$1")
        number = plain.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite(), None)


def _in_range(day: pl.Series) -> pl.Series:
    return day.set(day < FIRST_DAY, None)
