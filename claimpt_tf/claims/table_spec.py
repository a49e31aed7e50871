"""What one table of an input standard looks like: its columns and its file names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "member", "date", "end", "birth", "amount"]


@dataclass(frozen=True)
class Column:
    """A column a reader uses.

    Attributes:
      name: As the standard spells it; files are matched without regard to case.
      kind: What its cells hold; the preflight checks dates and members by it. A
        `date` is one on which something began, an `end` may lie in the future.
      required: Whether every file of the table must have it.
      aliases: Other names under which files are known to carry it.
    """

    name: str
    kind: Kind = "text"
    required: bool = True
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSpec:
    """A table of an input standard.

    Attributes:
      name: The table, and the folder its part files may lie in.
      columns: All that is read; other columns of a file are never parsed.
      required: Whether the input must have it.
      pattern: Regular expression searched in a file's or folder's name, suffix apart,
        in lower case; the table's own name between word ends where it is empty.
      example: A file name to show to a person who has none that fits.
      role: `claims` tables name members that an `eligibility` table must know; a
        `lookup` holds no members: it is not read line by line, but whole where other
        tables are read.
    """

    name: str
    columns: tuple[Column, ...]
    required: bool = True
    pattern: str = ""
    example: str = ""
    role: Literal["claims", "eligibility", "other", "lookup"] = "claims"
    _compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the pattern once."""
        pattern = self.pattern or rf"(?:^|[^a-z]){re.escape(self.name)}s?(?:[^a-z]|$)"
        object.__setattr__(self, "_compiled", re.compile(pattern))

    def fits(self, stem: str) -> bool:
        """Whether a file or folder of this name, suffix apart, holds the table.

        Example:
          >>> table = TableSpec("medical_claim", columns=())
          >>> [table.fits(stem) for stem in ("medical_claim_seed", "stg_medical_claim")]
          [True, True]
          >>> table.fits("medical_claimant")
          False
        """
        return self._compiled.search(stem.lower()) is not None

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)
