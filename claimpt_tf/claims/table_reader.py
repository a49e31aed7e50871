"""What readers of tables in files share: finding, checking, slicing, quarantine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import polars as pl

from claimpt_tf.claims import header
from claimpt_tf.claims.input_folder import find_files, source_of
from claimpt_tf.claims.preflight import InputReport, inspect_tables
from claimpt_tf.claims.quarantine import quarantine_rows
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.table_batch import TableBatch
from claimpt_tf.claims.table_file import TableFile, open_table
from claimpt_tf.claims.table_spec import TableSpec


class TableReader(ABC):
    """A Reader of CSV and Parquet tables that lie in one folder.

    A subclass says what its tables look like and how some rows of one become a Chunk;
    see docs/sources.md for a walk through a new one.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[TableSpec, ...]]
    nested: ClassVar[bool] = False  # whether files may lie in folders of any name

    @abstractmethod
    def convert(
        self, unit: Unit, source: str, lines: pl.DataFrame, key: bytes
    ) -> Chunk:
        """Make events or members of some rows.

        Args:
          unit: Where the rows come from; `unit.folder` is the input folder, for
            `whole_table`.
          source: The file's name, for the `source` columns.
          lines: `row` (Int64) and every column of the table's spec that the file has,
            as the file types it: CSV cells are String and null when empty. Optional
            columns the file lacks are null Strings.
          key: To hash member ids with.
        """

    def tables_in(self, input_path: str) -> Sequence[TableSpec]:
        """The tables to read of this input; a subclass may choose among `tables`."""
        return self.tables

    def spec(self, table: str) -> TableSpec:
        """The table of this name."""
        return next(spec for spec in self.tables if spec.name == table)

    def check(self, input_path: str) -> None:
        """Raises InputError for whatever can be seen without reading it all."""
        self.inspect(input_path)

    def inspect(self, input_path: str) -> InputReport:
        """As `check`; tells what was found."""
        return inspect_tables(self.tables_in(input_path), input_path, self.nested)

    def units(self, input_path: str) -> list[Unit]:
        """Whole CSV files and Parquet row groups, by table, file and part."""
        tables = self.tables_in(input_path)
        found = find_files(tables, input_path, self.nested)
        folder = str(Path(input_path).absolute())
        return [
            Unit(table.name, str(file.path.absolute()), part, folder)
            for table in tables
            if table.role != "lookup"
            for file in found[table.name]
            for part in range(file.open().parts)
        ]

    def batches(
        self,
        file: TableFile,
        positions: Mapping[str, int],
        part: int,
        batch_rows: int,
    ) -> Iterator[TableBatch]:
        """The rows of a unit, as many at a time as `convert` is to see."""
        return file.batches(positions, part, batch_rows)

    def read(self, unit: Unit, key: bytes, batch_rows: int) -> Iterator[Chunk]:
        """Chunks of at most `batch_rows` rows; member ids hashed with `key`.

        Rows that do not fit the header are quarantined as `row_malformed`, on top of
        that number.
        """
        spec = self.spec(unit.table)
        source = source_of(spec, unit.path)
        file = open_table(unit.path, source)
        positions = header.match(spec, file.header(), source)
        for batch in self.batches(file, positions, unit.part, batch_rows):
            chunk = self.convert(unit, source, _completed(spec, batch), key)
            yield _with_malformed(chunk, batch, source)


def _completed(spec: TableSpec, batch: TableBatch) -> pl.DataFrame:
    absent = [
        pl.lit(None, dtype=pl.String).alias(column.name)
        for column in spec.columns
        if column.name not in batch.frame.columns
    ]
    return batch.frame.with_columns(batch.rows.alias("row"), *absent)


def _with_malformed(chunk: Chunk, batch: TableBatch, source: str) -> Chunk:
    if not batch.malformed:
        return chunk
    rows = pl.Series("row", batch.malformed, dtype=pl.Int64)
    bad = quarantine_rows(rows, source, chunk.table, "row_malformed")
    return Chunk(
        table=chunk.table,
        lines=batch.lines,
        events=chunk.events,
        members=chunk.members,
        quarantined=pl.concat([bad, chunk.quarantined]),
    )
