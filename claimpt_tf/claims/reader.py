"""What a reader of one input standard is, and how one is found by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

WHOLE_FILE = -1  # the part of a unit that is all row groups of a file


@dataclass(frozen=True)
class Unit:
    """A piece of one input file that one worker reads alone; picklable."""

    table: str
    path: str
    part: int = 0  # Parquet row group or WHOLE_FILE, or 0 for a whole CSV
    folder: str = ""  # the input folder, for readers that look things up in it


@dataclass(frozen=True)
class Chunk:
    """What a reader makes of some consecutive rows of a table.

    `events` follows EVENT_SCHEMA and `members` MEMBER_SCHEMA (either may be None);
    `quarantined` follows QUARANTINE_SCHEMA; `lines` counts the rows read.
    """

    table: str
    lines: int
    events: pl.DataFrame | None
    members: pl.DataFrame | None
    quarantined: pl.DataFrame


class Reader(Protocol):
    """One input standard. Stateless: every worker makes its own."""

    name: str

    def check(self, input_path: str) -> None:
        """Raises InputError for whatever can be seen without reading it all."""

    def units(self, input_path: str) -> list[Unit]:
        """The pieces to read, in a stable order."""

    def read(self, unit: Unit, key: bytes, batch_rows: int) -> Iterator[Chunk]:
        """Chunks of at most `batch_rows` rows; member ids hashed with `key`."""
