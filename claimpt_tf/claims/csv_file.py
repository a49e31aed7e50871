"""A delimited text file, plain or gzip, read in bounded memory.

All cells stay text, only the columns asked for are converted, and rows with the wrong
number of fields are reported by number instead of ending the run.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from claimpt_tf.claims.table_batch import TableBatch
from claimpt_tf.claims.utf8_stream import REPLACEMENT, Utf8Stream
from claimpt_tf.errors import InputError

_HEAD_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 22
_GZIP_MAGIC = b"\x1f\x8b"
_WHOLE_GZIP_BYTES = 1 << 25
_UTF8_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class _Head:
    """What stands before the data.

    Attributes:
      names: Column names, in order.
      lines: Lines up to and including the header's.
      alone: Nothing follows.
    """

    names: list[str]
    lines: int
    alone: bool


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
        malformed: list[int] = []
        pending: list[pl.DataFrame] = []
        pending_rows = 0
        rows_before = 0
        for block in _read_ahead(self._blocks(positions, malformed)):
            pending.append(block)
            pending_rows += len(block)
            if pending_rows < batch_rows:
                continue
            frame = pl.concat(pending)
            whole = pending_rows - pending_rows % batch_rows
            for start in range(0, whole, batch_rows):
                batch = _numbered(
                    frame.slice(start, batch_rows), rows_before, malformed
                )
                rows_before += batch.lines
                yield batch
            pending_rows -= whole
            pending = [frame.slice(whole)] if pending_rows else []
        if pending or malformed:
            frame = pl.concat(pending) if pending else _nothing(positions)
            yield _numbered(frame, rows_before, malformed, last=True)

    def _blocks(
        self, positions: Mapping[str, int], malformed: list[int]
    ) -> Iterator[pl.DataFrame]:
        head = self._head()
        if head.alone:
            return
        names = [f"column {position}" for position in range(len(head.names))]
        wanted = [names[position] for position in positions.values()]

        def note(row: pc.InvalidRow) -> str:
            malformed.append(row.number - head.lines)
            return "skip"

        try:
            with Utf8Stream(self._open_bytes()) as stream:
                reader = pc.open_csv(
                    pa.PythonFile(stream, mode="r"),
                    read_options=pc.ReadOptions(
                        # One thread parses, so that bad rows can be numbered; the
                        # caller's own work runs beside it (_read_ahead).
                        use_threads=False,
                        block_size=_BLOCK_BYTES,
                        column_names=names,
                        skip_rows=head.lines,
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
                for block in reader:
                    frame = pl.DataFrame(
                        {
                            name: pl.from_arrow(block.column(inner))
                            for name, inner in zip(positions, wanted, strict=True)
                        }
                    )
                    if stream.repaired:
                        self._refuse_repaired(frame)
                    yield frame
        except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
            raise self._explained(error) from error

    def _refuse_repaired(self, frame: pl.DataFrame) -> None:
        """Bytes that are no text may stand in columns nobody reads, not in these."""
        for name in frame.columns:
            if frame[name].str.contains(REPLACEMENT, literal=True).any():
                raise self._not_utf8(f"a cell of column '{name}' is not")

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
        content = content.removeprefix(_UTF8_BOM)
        lines = re.split(rb"\r\n|\n|\r", content)
        blank = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
        if blank == len(lines):
            raise InputError(f"{self.source}: the file has no header line.")
        try:
            header = lines[blank].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._not_utf8("its header line is not") from error
        alone = len(content) < _HEAD_BYTES and not any(
            line.strip() for line in lines[blank + 1 :]
        )
        return _Head(self._names(header), blank + 1, alone)

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

    def _explained(self, error: BaseException) -> InputError:
        message = str(error).lower()
        if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
            return self._broken_gzip()
        if "straddling" in message:
            return InputError(
                f"{self.source}: a row is longer than {_BLOCK_BYTES >> 20} MiB, most "
                'likely because a quote (") is opened and never closed.'
            )
        return InputError(f"{self.source}: the file cannot be read to its end.")


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))


def _read_ahead(blocks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Parse the next block on another core while the caller works on this one."""
    with ThreadPoolExecutor(1) as parser:
        following = parser.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = parser.submit(next, blocks, None)
            yield block


def _nothing(names: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def _numbered(
    frame: pl.DataFrame, rows_before: int, malformed: list[int], last: bool = False
) -> TableBatch:
    """Give each good row its number in the file, counting the bad ones between."""
    number = rows_before
    bad: list[int] = []
    while malformed and (last or malformed[0] <= rows_before + len(frame) + len(bad)):
        bad.append(malformed.pop(0))
    rows = pl.int_range(
        number + 1, number + 1 + len(frame) + len(bad), dtype=pl.Int64, eager=True
    )
    if bad:
        rows = rows.filter(~rows.is_in(pl.Series(bad, dtype=pl.Int64).implode()))
    return TableBatch(frame, rows.alias("row"), tuple(bad))
