"""Some consecutive rows of a file, as the file gives them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class TableBatch:
    """Consecutive rows of one file.

    Attributes:
      frame: The columns asked for, of whatever type the file has.
      rows: Int64, the 1-based data row of each row of `frame`.
      malformed: Numbers of the rows between them that do not fit the header.
    """

    frame: pl.DataFrame
    rows: pl.Series
    malformed: tuple[int, ...] = ()

    @property
    def lines(self) -> int:
        """Rows of the file, the malformed ones included."""
        return len(self.frame) + len(self.malformed)
