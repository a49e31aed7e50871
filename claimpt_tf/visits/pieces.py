"""Frames as compact bytes, and cut by member: what Beam carries between workers."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

_HEX_START, _HEX_DIGITS = 8, 8  # not the digits that decide the split


def to_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as a compressed Arrow IPC stream.

    Strings are written once a frame, by dictionary: claims repeat few of them often,
    and a shuffle of this size fits in memory where plain strings would not.
    """
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    for index, field in enumerate(table.schema):
        if field.type == pa.large_string():
            column = table.column(index).dictionary_encode()
            table = table.set_column(index, field.name, column)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_bytes(data: bytes) -> pl.DataFrame:
    """The frame that `to_bytes` wrote.

    Example:
      >>> frame = pl.DataFrame({"code": ["A", None], "day": [1, 2]})
      >>> from_bytes(to_bytes(frame)).equals(frame)
      True
    """
    table = pa.ipc.open_stream(data).read_all()
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(index).cast(pa.large_string())
            table = table.set_column(index, field.name, column)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def by_bucket(frame: pl.DataFrame, buckets: int) -> Iterator[tuple[int, pl.DataFrame]]:
    """Cuts a frame by `member` into at most `buckets` parts.

    The bucket is a function of the member id alone, so all rows of a member meet in
    one place whatever file they come from.

    Args:
      frame: Has `member`, a hex digest of 32 digits, never null.
      buckets: How many parts there are.

    Yields:
      Bucket number and its rows, in the frame's order, for buckets that have any.
    """
    if frame.is_empty():
        return
    ids = frame["member"].unique()
    bucket = ids.str.slice(_HEX_START, _HEX_DIGITS).str.to_integer(
        base=16, dtype=pl.UInt64
    )
    placed = frame.with_columns(
        bucket=pl.col("member").replace_strict(
            ids, bucket % buckets, return_dtype=pl.UInt32
        )
    ).sort("bucket", maintain_order=True)
    runs = placed["bucket"].rle().struct.unnest()
    start = 0
    for length, number in runs.rows():
        yield number, placed.slice(start, length).drop("bucket")
        start += length
