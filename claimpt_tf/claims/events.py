"""The canonical event table that every reader fills and the visit rules consume.

One row a code; a claim line without any code keeps one row with null `system`
and `code`, so that the visit itself is not lost. Days are counted from 1970-01-01.

The Arrow schemas are the definition; the Polars ones, by which frames are made, are
taken from them.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

SETTINGS = ("IP", "ED", "OP", "RX", "OTHER")

ARROW_EVENTS = pa.schema(
    {
        "member": pa.large_string(),  # keyed hash, never the raw id
        "day": pa.int32(),  # first day of service
        "end_day": pa.int32(),  # last day of service, >= day
        "system": pa.large_string(),  # ICD10CM, ICD9CM, HCPCS, NDC, ... or null
        "code": pa.large_string(),  # normalised, or null
        "setting": pa.large_string(),  # one of SETTINGS, null: that of its encounter
        "encounter": pa.large_string(),  # visit id, for all tables, or null
        "claim": pa.large_string(),  # claim id within its source table
        "line": pa.int32(),  # claim line number, 0 where the source has none
        "amount": pa.float64(),  # paid for the line: on its first row, else 0.0
        "denied": pa.bool_(),  # the payer refused the line
        "institution": pa.large_string(),
        "source": pa.large_string(),  # file name, for quarantine
        "row": pa.int64(),  # 1-based data row in that file
    }
)

ARROW_MEMBERS = pa.schema(
    {
        "member": pa.large_string(),
        "birth_day": pa.int32(),  # null when unknown
        "sex": pa.large_string(),  # F, M or U
        "race": pa.large_string(),  # as given, lower case; null when unknown
        "institution": pa.large_string(),
        "enrolled_from": pa.int32(),  # one row an enrolment span
        "enrolled_to": pa.int32(),  # last covered day, inclusive
        "source": pa.large_string(),
        "row": pa.int64(),
    }
)

ARROW_QUARANTINE = pa.schema(
    {
        "source": pa.large_string(),
        "row": pa.int64(),
        "table": pa.large_string(),
        "reason": pa.large_string(),  # a short snake_case word, e.g. date_unparsable
        "column": pa.large_string(),  # the column at fault, or null
    }
)


def _polars(schema: pa.Schema) -> pl.Schema:
    frame = pl.from_arrow(schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.schema


EVENT_SCHEMA = _polars(ARROW_EVENTS)
MEMBER_SCHEMA = _polars(ARROW_MEMBERS)
QUARANTINE_SCHEMA = _polars(ARROW_QUARANTINE)
