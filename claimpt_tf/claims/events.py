"""The canonical event table that every reader fills and the visit rules consume.

One row a code; a claim line without any code keeps one row with null `system`
and `code`, so that the visit itself is not lost. Days are counted from 1970-01-01.
"""

from __future__ import annotations

import polars as pl

SETTINGS = ("IP", "ED", "OP", "RX", "OTHER")

EVENT_SCHEMA = pl.Schema(
    {
        "member": pl.String,  # keyed hash, never the raw id
        "day": pl.Int32,  # first day of service
        "end_day": pl.Int32,  # last day of service, >= day
        "system": pl.String,  # ICD10CM, ICD9CM, HCPCS, NDC, ... or null
        "code": pl.String,  # normalised, or null
        "setting": pl.String,  # one of SETTINGS
        "claim": pl.String,  # claim id within its source table
        "line": pl.Int32,  # claim line number, 0 where the source has none
        "amount": pl.Float64,  # paid for the line: on its first row, 0.0 on the others
        "denied": pl.Boolean,  # the payer refused the line
        "institution": pl.String,
        "source": pl.String,  # file name, for quarantine
        "row": pl.Int64,  # 1-based data row in that file
    }
)

MEMBER_SCHEMA = pl.Schema(
    {
        "member": pl.String,
        "birth_day": pl.Int32,  # null when unknown
        "sex": pl.String,  # F, M or U
        "race": pl.String,  # as given, lower case; null when unknown
        "institution": pl.String,
        "enrolled_from": pl.Int32,  # one row an enrolment span
        "enrolled_to": pl.Int32,  # last covered day, inclusive
        "source": pl.String,
        "row": pl.Int64,
    }
)

QUARANTINE_SCHEMA = pl.Schema(
    {
        "source": pl.String,
        "row": pl.Int64,
        "table": pl.String,
        "reason": pl.String,  # a short snake_case word, e.g. date_unparsable
        "column": pl.String,  # the column at fault, or null
    }
)
