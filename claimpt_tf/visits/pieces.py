"""Frames as compact bytes, and cut by member: what Beam carries between workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from claimpt_tf.visits.claim_lines import CODE_SCHEMA, LINE_SCHEMA, ClaimLines

_HEX_START, _HEX_DIGITS = 8, 8  # not the digits that decide the split
_WRITE = pa.ipc.IpcWriteOptions(compression="zstd")
_ENUMS = ("member", "system", "code")  # stay numbers after the journey


def to_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as a compressed Arrow IPC stream, repeated strings written once."""
    return _written(_encoded(frame))


def from_bytes(data: bytes) -> pl.DataFrame:
    """The frame that `to_bytes` wrote.

    Example:
      >>> frame = pl.DataFrame({"code": ["A", None], "day": [1, 2]})
      >>> from_bytes(to_bytes(frame)).equals(frame)
      True
    """
    return _frame(pa.ipc.open_stream(data).read_all(), ())


def by_bucket(frame: pl.DataFrame, buckets: int) -> Iterator[tuple[int, bytes]]:
    """Cuts a frame by `member` into at most `buckets` parts, as `to_bytes` writes them.

    The bucket is a function of the member id alone, so all rows of a member meet in
    one place whatever file they come from.

    Args:
      frame: Has `member`, a hex digest of 32 digits, never null.
      buckets: How many parts there are.

    Yields:
      Bucket number and its rows, in the frame's order, for buckets that have any.
    """
    cut = _Cut.of(frame["member"], buckets)
    table = _encoded(frame[cut.order])
    for bucket, start, stop in cut.parts():
        yield bucket, _written(_own_words(table.slice(start, stop - start)))


def lines_by_bucket(claims: ClaimLines, buckets: int) -> Iterator[tuple[int, bytes]]:
    """As `by_bucket`, of lines and their codes; `joined_lines` reads them.

    Args:
      claims: String columns only.
      buckets: How many parts there are.
    """
    cut = _Cut.of(claims.lines["member"], buckets)
    count = claims.lines["codes"].to_numpy().astype(np.int64)
    first = np.cumsum(count) - count
    moved = count[cut.order]
    ends = np.cumsum(moved)
    # The codes of the lines in their new order.
    code = np.repeat(first[cut.order] - (ends - moved), moved) + np.arange(moved.sum())
    lines = _encoded(claims.lines[cut.order])
    codes = _encoded(claims.codes).take(pa.array(code)).combine_chunks()
    for bucket, start, stop in cut.parts():
        begin, end = ends[start] - moved[start], ends[stop - 1]
        yield (
            bucket,
            _written(
                _own_words(lines.slice(start, stop - start)),
                _own_words(codes.slice(begin, end - begin)),
            ),
        )


def joined_lines(parts: Sequence[tuple[str, bytes]]) -> ClaimLines:
    """The lines that `lines_by_bucket` wrote, put together.

    Args:
      parts: Name of the input table and bytes.

    Returns:
      Lines with `table`; `member`, `system` and `code` are Enums.
    """
    lines, codes = [], []
    for name, data in parts:
        source = pa.BufferReader(data)
        line = pa.ipc.open_stream(source).read_all()
        table = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(line.num_rows, np.int32)),
            pa.array([name], pa.large_string()),
        )
        lines.append(line.append_column("table", table))
        codes.append(pa.ipc.open_stream(source).read_all())
    if not parts:
        table = pl.Series("table", [], dtype=pl.String)
        return ClaimLines(
            LINE_SCHEMA.to_frame().with_columns(table), CODE_SCHEMA.to_frame()
        )
    return ClaimLines(
        *(_frame(pa.concat_tables(tables), _ENUMS) for tables in (lines, codes))
    )


@dataclass(frozen=True)
class _Cut:
    """Rows ordered by bucket: `order` of the old rows, `bounds` of each bucket."""

    order: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, member: pl.Series, buckets: int) -> _Cut:
        ids = member.unique()
        home = ids.str.slice(_HEX_START, _HEX_DIGITS).str.to_integer(
            base=16, dtype=pl.UInt64
        )
        bucket = member.replace_strict(ids, home % buckets, return_dtype=pl.UInt32)
        small = np.uint16 if buckets <= 1 << 16 else np.uint32  # numpy counts 16 bits
        numbers = bucket.to_numpy().astype(small)
        order = np.argsort(numbers, kind="stable")
        return cls(order, np.searchsorted(numbers[order], np.arange(buckets + 1)))

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Bucket, first row and the row after the last, where there are any."""
        for bucket in range(len(self.bounds) - 1):
            start, stop = int(self.bounds[bucket]), int(self.bounds[bucket + 1])
            if start < stop:
                yield bucket, start, stop


def _encoded(frame: pl.DataFrame) -> pa.Table:
    """The frame with its strings by dictionary, in one chunk."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = [
        column.combine_chunks().dictionary_encode()
        if pa.types.is_large_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names).combine_chunks()


def _own_words(table: pa.Table) -> pa.Table:
    """Leaves out of the dictionaries what a slice does not use."""
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type) and column.num_chunks:
            (chunk,) = column.chunks
            numbers = chunk.indices.fill_null(0).to_numpy()
            used = np.zeros(len(chunk.dictionary) + 1, dtype=bool)
            used[numbers] = True
            place = np.cumsum(used, dtype=np.int32) - 1
            column = pa.DictionaryArray.from_arrays(
                pa.array(place[numbers], mask=chunk.is_null().to_numpy(False)),
                chunk.dictionary.filter(pa.array(used[:-1])),
            )
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _written(*tables: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _frame(table: pa.Table, enums: Sequence[str]) -> pl.DataFrame:
    table = table.unify_dictionaries().combine_chunks()
    return pl.DataFrame(
        [
            _decoded(column, name in enums).alias(name)
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
    )


def _decoded(column: pa.ChunkedArray, as_enum: bool) -> pl.Series:
    if not pa.types.is_dictionary(column.type):
        return pl.Series(values=column)
    if not column.num_chunks:
        return pl.Series([], dtype=pl.Enum([]) if as_enum else pl.String)
    (chunk,) = column.chunks
    words = pl.Series(values=chunk.dictionary, dtype=pl.String)
    numbers = pl.Series(values=chunk.indices, dtype=pl.UInt32)
    if not as_enum:
        return words.gather(numbers)
    order = words.arg_sort()
    place = order.arg_sort().cast(pl.UInt32)
    return place.gather(numbers).cat.to(pl.Enum(words.gather(order)))
