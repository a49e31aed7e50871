"""A Parquet file, read one row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from claimpt_tf.claims.table_batch import TableBatch
from claimpt_tf.errors import InputError

_DAMAGE = (pa.ArrowException, OSError, ValueError)


class ParquetFile:
    """One Parquet file; each of its row groups is a part a worker can read alone.

    Args:
      path: The file.
      source: What messages and quarantine call it.
    """

    def __init__(self, path: str | Path, source: str) -> None:
        """Open nothing yet."""
        self.path = Path(path)
        self.source = source

    @property
    def parts(self) -> int:
        """Row groups."""
        return int(self._file.metadata.num_row_groups)

    @property
    def rows(self) -> int | None:
        """Rows, from the footer."""
        return int(self._file.metadata.num_rows)

    def header(self) -> list[str]:
        """Top-level column names, in order.

        Raises:
          InputError: The file is empty or no readable Parquet.
        """
        return list(self._file.schema_arrow.names)

    def check_types(self, positions: Mapping[str, int]) -> None:
        """Columns that are used must hold one plain value a cell.

        Args:
          positions: Column positions in the file by the names they get.

        Raises:
          InputError: Some hold lists, structures or raw bytes; all are named.
        """
        schema = self._file.schema_arrow
        odd = [
            f"{self.source}: column '{name}' has the type {schema.field(place).type}; "
            "text, a number or a date in each cell is expected."
            for name, place in positions.items()
            if _not_plain(schema.field(place).type)
        ]
        if odd:
            raise InputError("\n".join(odd))

    def check_whole(self) -> None:
        """A readable footer, which stands at the end, shows that the file is whole.

        Raises:
          InputError: There is none.
        """
        self.header()

    def batches(
        self, positions: Mapping[str, int], part: int, batch_rows: int
    ) -> Iterator[TableBatch]:
        """The rows of row group `part`, in order, `batch_rows` at most at a time.

        Args:
          positions: Column positions in the file by the names they get.
          part: The row group.
          batch_rows: Upper bound of rows in a batch.

        Yields:
          Frames of the file's own types with their row numbers in the whole file.

        Raises:
          InputError: A page is damaged.
        """
        if not self.parts:
            return
        metadata = self._file.metadata
        row = 1 + sum(metadata.row_group(group).num_rows for group in range(part))
        names = self.header()
        wanted = [names[position] for position in positions.values()]
        try:
            for block in self._file.iter_batches(
                batch_size=batch_rows,
                row_groups=[part],
                columns=list(dict.fromkeys(wanted)),
            ):
                # Polars trusts what Arrow hands over; a damaged page may hold anything.
                block.validate(full=True)
                frame = pl.DataFrame(
                    {
                        name: pl.from_arrow(block.column(block.schema.names.index(own)))
                        for name, own in zip(positions, wanted, strict=True)
                    }
                )
                rows = pl.int_range(
                    row, row + len(frame), dtype=pl.Int64, eager=True
                ).alias("row")
                row += len(frame)
                yield TableBatch(frame, rows)
        except _DAMAGE as error:
            raise self._unreadable("one of its pages is damaged") from error

    @cached_property
    def _file(self) -> pq.ParquetFile:
        try:
            if not self.path.stat().st_size:
                raise InputError(f"{self.source}: the file is empty (0 bytes).")
            return pq.ParquetFile(self.path)
        except _DAMAGE as error:
            raise self._unreadable("it is cut short or of another kind") from error

    def _unreadable(self, how: str) -> InputError:
        return InputError(
            f"{self.source}: the file is no readable Parquet: {how}. Write it again."
        )


def _not_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_nested(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
