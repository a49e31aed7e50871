"""A delimited text file, plain or gzip, read in bounded memory.

All cells stay text, only the columns asked for are converted, and rows with the wrong
number of fields are reported by number instead of ending the run.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from claimpt_tf.claims.csv_blocks import UnclosedQuoteError, record_blocks
from claimpt_tf.claims.table_batch import TableBatch
from claimpt_tf.errors import InputError

_HEAD_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 23
_SMALL_BLOCK_BYTES = 1 << 16
_LONGEST_RECORD = 1 << 25
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r|$)")
_GZIP_MAGIC = b"\x1f\x8b"
_WHOLE_GZIP_BYTES = 1 << 25
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UTF8_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class _Head:
    """What stands before the data.

    Attributes:
      names: Column names, in order.
      size: Bytes up to and including the header's line end.
    """

    names: list[str]
    size: int


class CsvFile:
    """One CSV file (`.csv` or `.csv.gz`; compression is told by content, not name).

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
        """A CSV is read as one piece."""
        return 1

    @property
    def rows(self) -> int | None:
        """Unknown without reading it all."""
        return None

    def header(self) -> list[str]:
        """Column names, in order.

        Raises:
          InputError: The file is empty, no readable gzip, not UTF-8, or separated by
            something else than commas.
        """
        return self._head().names

    def check_types(self, positions: Mapping[str, int]) -> None:
        """Nothing to check: every cell is text."""

    def check_whole(self) -> None:
        """Decompress a gzip file of up to 32 MiB to see that it is whole.

        A larger one shows a cut end only when it is read.

        Raises:
          InputError: It ends too early or is corrupt.
        """
        size = self.path.stat().st_size
        if size > _WHOLE_GZIP_BYTES or not self._is_gzip():
            return
        try:
            with gzip.open(self.path, "rb") as file:
                while file.read(_HEAD_BYTES):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            raise self._broken_gzip() from error

    def batches(
        self, positions: Mapping[str, int], part: int, batch_rows: int
    ) -> Iterator[TableBatch]:
        """The rows, in order, `batch_rows` at most at a time.

        Args:
          positions: Column positions in the file by the names they get.
          part: Always 0.
          batch_rows: Upper bound of rows in a batch.

        Yields:
          All-text frames with their row numbers; null where a cell is empty.

        Raises:
          InputError: The file breaks off or is not UTF-8 in a column that is used.
        """
        block_bytes = min(_BLOCK_BYTES, max(_SMALL_BLOCK_BYTES, batch_rows << 10))
        for block in _read_ahead(self._blocks(positions, block_bytes)):
            yield from _cut(block, batch_rows)

    def _blocks(
        self, positions: Mapping[str, int], block_bytes: int
    ) -> Iterator[TableBatch]:
        head = self._head()
        rows_before = 0
        try:
            with self._open_blocks() as stream:
                stream.read(head.size)
                for text in record_blocks(stream, block_bytes, _LONGEST_RECORD):
                    if not text.isspace():
                        block = self._parsed(text, positions, head, rows_before)
                        rows_before += block.lines
                        yield block
        except UnclosedQuoteError as error:
            raise InputError(
                f'{self.source}: in row {rows_before + 1:,} a quote (") is opened and '
                "never closed. Close it, or write quotes inside a field twice."
            ) from error
        except (pa.ArrowException, OSError) as error:
            if self._is_gzip():
                raise self._broken_gzip() from error
            raise InputError(
                f"{self.source}: the file cannot be read to its end."
            ) from error

    def _parsed(
        self, text: bytes, positions: Mapping[str, int], head: _Head, rows_before: int
    ) -> TableBatch:
        """A block of whole records, the first of them row `rows_before` + 1."""
        malformed: list[int] = []

        def note(row: pc.InvalidRow) -> str:
            malformed.append(rows_before + row.number)
            return "skip"

        repaired = text
        if not text.isascii():
            repaired = text.decode(errors="replace").encode()
        names = [f"column {position}" for position in range(len(head.names))]
        wanted = [names[position] for position in positions.values()]
        table = pc.read_csv(
            pa.BufferReader(repaired),
            read_options=pc.ReadOptions(
                # One thread parses, so that bad rows can be numbered; the caller's
                # own work runs beside it (_read_ahead).
                use_threads=False,
                block_size=len(repaired) + 1,
                column_names=names,
            ),
            parse_options=pc.ParseOptions(
                newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pc.ConvertOptions(
                include_columns=list(dict.fromkeys(wanted)),
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        frame = pl.DataFrame(
            {
                name: pl.from_arrow(table.column(inner))
                for name, inner in zip(positions, wanted, strict=True)
            }
        )
        if repaired != text:
            self._refuse_repaired(frame)
        rows = pl.int_range(
            rows_before + 1,
            rows_before + 1 + len(frame) + len(malformed),
            dtype=pl.Int64,
            eager=True,
        )
        if malformed:
            bad = pl.Series(malformed, dtype=pl.Int64)
            rows = rows.filter(~rows.is_in(bad.implode()))
        return TableBatch(frame, rows, tuple(malformed))

    def _refuse_repaired(self, frame: pl.DataFrame) -> None:
        """Bytes that are no text may stand in columns nobody reads, not in these."""
        for name in frame.columns:
            if frame[name].str.contains(_REPLACEMENT, literal=True).any():
                raise self._not_utf8(f"a cell of column '{name}' is not")

    def _open_blocks(self) -> BinaryIO:
        """Arrow unpacks gzip several times faster than the standard library."""
        compression = "gzip" if self._is_gzip() else None
        stream = pa.input_stream(str(self.path), compression=compression)
        return cast(BinaryIO, stream)

    def _open_bytes(self) -> BinaryIO:
        if self._is_gzip():
            return cast(BinaryIO, gzip.open(self.path, "rb"))
        return self.path.open("rb")

    def _is_gzip(self) -> bool:
        with self.path.open("rb") as file:
            return file.read(2) == _GZIP_MAGIC

    def _head_bytes(self) -> bytes:
        try:
            if not self.path.stat().st_size:
                raise InputError(f"{self.source}: the file is empty (0 bytes).")
            if self.path.suffix == ".gz" and not self._is_gzip():
                raise self._broken_gzip()
            with self._open_bytes() as file:
                return file.read(_HEAD_BYTES)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self._broken_gzip() from error
        except OSError as error:
            raise InputError(
                f"{self.source}: the file cannot be read ({error.strerror})."
            ) from error

    def _head(self) -> _Head:
        content = self._head_bytes()
        if content.startswith(_WIDE_BOMS):
            raise self._not_utf8("it is UTF-16")
        mark = len(_UTF8_BOM) if content.startswith(_UTF8_BOM) else 0
        line = next(
            (line for line in _LINE.finditer(content, mark) if line.group(1).strip()),
            None,
        )
        if line is None:
            raise InputError(f"{self.source}: the file has no header line.")
        try:
            header = line.group(1).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._not_utf8("its header line is not") from error
        return _Head(self._names(header), line.end())

    def _names(self, line: str) -> list[str]:
        if "\0" in line:
            raise InputError(
                f"{self.source}: this is no text file. Give CSV, gzip CSV or Parquet."
            )
        names = _split(line, ",")
        for delimiter, spoken in _OTHER_DELIMITERS.items():
            if len(_split(line, delimiter)) > len(names):
                raise InputError(
                    f"{self.source}: the columns are separated by {spoken}; commas are "
                    "expected. Write the file again with commas between its columns."
                )
        return names

    def _broken_gzip(self) -> InputError:
        return InputError(
            f"{self.source}: the file is no readable gzip: it is cut short or damaged. "
            "Copy it again; `gzip -t` must accept it."
        )

    def _not_utf8(self, how: str) -> InputError:
        return InputError(
            f"{self.source}: the text is not UTF-8 ({how}). Convert it, for example "
            "with `iconv -f WINDOWS-1252 -t UTF-8`."
        )


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))


def _read_ahead(blocks: Iterator[TableBatch]) -> Iterator[TableBatch]:
    """Parse the next block on another core while the caller works on this one."""
    with ThreadPoolExecutor(1) as parser:
        following = parser.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = parser.submit(next, blocks, None)
            yield block


def _cut(block: TableBatch, batch_rows: int) -> Iterator[TableBatch]:
    """A block in batches; a malformed row goes with the good row before it."""
    malformed = list(block.malformed)
    for start in range(0, max(1, len(block.frame)), batch_rows):
        stop = start + batch_rows
        last = stop >= len(block.frame)
        here = [bad for bad in malformed if last or bad < block.rows[stop]]
        malformed = malformed[len(here) :]
        yield TableBatch(
            block.frame.slice(start, batch_rows),
            block.rows.slice(start, batch_rows),
            tuple(here),
        )
