"""Everything that a reader makes of an input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from claimpt_tf.claims.reader import Chunk, Reader

KEY = b"a key that only the tests use"


@dataclass(frozen=True)
class Everything:
    """All chunks of an input, put together."""

    lines: dict[str, int]
    events: pl.DataFrame
    members: pl.DataFrame
    quarantined: pl.DataFrame

    def reasons(self) -> list[tuple[str, int, str, str | None]]:
        """Table, row, reason and column of each quarantined row."""
        return self.quarantined.select("table", "row", "reason", "column").rows()


def chunks(reader: Reader, folder: object, batch_rows: int = 1000) -> Iterator[Chunk]:
    for unit in reader.units(str(folder)):
        yield from reader.read(unit, KEY, batch_rows)


def read_all(reader: Reader, folder: object, batch_rows: int = 1000) -> Everything:
    got = list(chunks(reader, folder, batch_rows))
    lines: dict[str, int] = {}
    for chunk in got:
        lines[chunk.table] = lines.get(chunk.table, 0) + chunk.lines

    def together(frames: Sequence[pl.DataFrame | None]) -> pl.DataFrame:
        given = [frame for frame in frames if frame is not None]
        return pl.concat(given) if given else pl.DataFrame()

    return Everything(
        lines,
        together([chunk.events for chunk in got]),
        together([chunk.members for chunk in got]),
        together([chunk.quarantined for chunk in got]),
    )
