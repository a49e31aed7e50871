"""Patient records: timelines frame <-> serialized tf.train.Example <-> TFRecord files.

Needs no TensorFlow: tfx_bsl's C++ coders do the protobuf work, and TFRecord framing
is a length, two checksums and the bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
import polars as pl
import pyarrow as pa
from tfx_bsl.coders import example_coder

from claimpt_tf.errors import ArtifactError

_TIMELINE: dict[str, pl.DataType] = {
    "patient_id": pl.String(),
    "sex": pl.String(),
    "birth_days": pl.Int64(),
    "institution": pl.String(),
    "enrolled_from": pl.List(pl.Int64()),
    "enrolled_to": pl.List(pl.Int64()),
    "visit_days": pl.List(pl.Int64()),
    "visit_types": pl.List(pl.String()),
    "visit_length": pl.List(pl.Int64()),
    "codes": pl.List(pl.List(pl.String())),
    "cost": pl.List(pl.Float32()),
}
_LABELS: dict[str, pl.DataType] = {
    "index_day": pl.Int64(),
    "label": pl.Int64(),
    "label_value": pl.Float32(),
    "label_categories": pl.List(pl.String()),
    "label_row": pl.Int64(),
    "visit_outcome": pl.List(pl.Int64()),
    "past_days": pl.List(pl.Int64()),
}
TIMELINE_SCHEMA = pl.Schema(_TIMELINE)
LABELLED_SCHEMA = pl.Schema({**_TIMELINE, **_LABELS})
ROW_LENGTHS = "__row_lengths"  # suffix of the feature that partitions a nested list
COMPRESSION_LEVEL = 3  # half of level 6's time for a twentieth more bytes

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_CRC_MASK = 0xA282EAD8
_READ_BYTES = 1 << 20


def encode(frame: pl.DataFrame) -> list[bytes]:
    """Serialises a timelines frame (or labelled examples), one record a row.

    Strings, whole numbers, floats and lists of them become features of the same
    name; a list of lists becomes the flat feature and `<name>__row_lengths`. A null
    scalar or list is written as a present, empty feature.

    Args:
      frame: Columns of TIMELINE_SCHEMA, LABELLED_SCHEMA, or others of those types.

    Returns:
      Serialized `tf.train.Example`, in the frame's order; the same row gives the
      same bytes in every process.

    Raises:
      ArtifactError: A column has a type that a record cannot hold.

    Example:
      >>> frame = pl.DataFrame({"patient_id": ["ab"], "codes": [[["X:1"], []]]})
      >>> decode(encode(frame)).select("patient_id", "codes").row(0)
      ('ab', [['X:1'], []])
    """
    if frame.height == 0:
        return []
    columns: dict[str, pa.Array] = {}
    for series in frame.iter_columns():
        columns.update(_features(series))
    # The coder writes a record's features in random order. Serialized messages merge
    # by concatenation, so one feature at a time gives the same bytes every time.
    coder = example_coder.RecordBatchToExamplesEncoder()
    parts = (
        coder.encode(pa.RecordBatch.from_arrays([columns[name]], [name]))
        for name in sorted(columns)
    )
    return list(map(b"".join, zip(*parts, strict=True)))


def decode(serialized: Sequence[bytes]) -> pl.DataFrame:
    """Reads serialized records back into a frame.

    The columns of TIMELINE_SCHEMA are always there; those of LABELLED_SCHEMA, and
    any other feature, where a record has them. A feature in neither schema is a
    scalar when every record has exactly one value of it, else a list.

    Args:
      serialized: Serialized `tf.train.Example`.

    Returns:
      One row a record, in the same order; TIMELINE_SCHEMA's columns first.

    Raises:
      ArtifactError: The bytes are no records, or `codes` and its row lengths
        disagree.
    """
    if not serialized:
        return TIMELINE_SCHEMA.to_frame()
    try:
        batch = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(
            list(serialized)
        )
    except Exception as error:  # the C++ coder raises bare RuntimeError
        raise ArtifactError(
            f"these are not patient records: {error}. Give the TFRecord files that "
            "`claimpt ingest` or a ClaimsExampleGen wrote."
        ) from error
    flat = dict(zip(batch.schema.names, batch.columns, strict=True))
    nested = {name for name in flat if name + ROW_LENGTHS in flat} | {
        name for name, dtype in TIMELINE_SCHEMA.items() if _is_nested(dtype)
    }
    columns = []
    for name in [*TIMELINE_SCHEMA, *sorted(set(flat) - set(TIMELINE_SCHEMA))]:
        if name.endswith(ROW_LENGTHS) and name.removesuffix(ROW_LENGTHS) in nested:
            continue
        if name in nested:
            columns.append(_nested_series(name, flat, len(serialized)))
        else:
            columns.append(
                _series(name, flat.get(name), LABELLED_SCHEMA.get(name), batch.num_rows)
            )
    return pl.DataFrame(columns)


def read_records(files: Iterable[str | os.PathLike[str]]) -> Iterator[bytes]:
    """Reads the records of TFRecord files, one after the other.

    Args:
      files: Paths of TFRecord files, gzipped or plain; a path with a scheme (gs://)
        is opened through TensorFlow's file systems.

    Yields:
      Serialized records in the order of the files.

    Raises:
      ArtifactError: A file is missing, cut short, or not a TFRecord file.
    """
    for file in files:
        path = os.fspath(file)
        try:
            with _open(path) as raw:
                magic = raw.read(2)
                raw.seek(0)
                stream: BinaryIO = raw
                if magic == b"\x1f\x8b":
                    stream = gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[assignment]
                yield from _unframe(stream, path)
        except (OSError, EOFError, zlib.error) as error:
            raise ArtifactError(f"{path}: cannot be read: {error}.") from error


def write_records(records: Iterable[bytes], path: str | os.PathLike[str]) -> int:
    """Writes records to one TFRecord file, gzipped when the name ends in `.gz`.

    The file appears under its name only when it is complete, and the same records
    give the same bytes.

    Args:
      records: Serialized records.
      path: The file to write; its folder is made.

    Returns:
      The number of records written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as raw:
            count = write_framed(records, raw, compress=target.suffix == ".gz")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return count


def write_framed(records: Iterable[bytes], raw: BinaryIO, compress: bool) -> int:
    """Writes records in TFRecord framing to an open binary file.

    Args:
      records: Serialized records.
      raw: Where to write.
      compress: Whether to gzip.

    Returns:
      The number of records written.
    """
    count = 0
    with contextlib.ExitStack() as stack:
        stream = raw
        if compress:
            stream = stack.enter_context(
                gzip.GzipFile(  # type: ignore[assignment]
                    filename="",
                    mode="wb",
                    compresslevel=COMPRESSION_LEVEL,
                    fileobj=raw,
                    mtime=0,
                )
            )
        for record in records:
            length = struct.pack("<Q", len(record))
            stream.write(
                length
                + _FOOTER.pack(_masked_crc(length))
                + record
                + _FOOTER.pack(_masked_crc(record))
            )
            count += 1
    return count


def _features(series: pl.Series) -> dict[str, pa.Array]:
    """The record's features for one column, each an Arrow large_list."""
    name, dtype = series.name, series.dtype
    if _is_nested(dtype):
        assert isinstance(dtype, pl.List)
        outer = _arrow(series.fill_null([]), pl.List(pl.List(_wire(dtype, name))))
        inner = outer.values
        inner_offsets = inner.offsets.to_numpy()
        lengths = np.diff(inner_offsets)
        return {
            name: pa.LargeListArray.from_arrays(
                pa.array(inner_offsets[outer.offsets.to_numpy()]), inner.values
            ),
            name + ROW_LENGTHS: pa.LargeListArray.from_arrays(
                outer.offsets, pa.array(lengths, pa.int64())
            ),
        }
    if isinstance(dtype, pl.List):
        return {name: _arrow(series.fill_null([]), pl.List(_wire(dtype, name)))}
    valid = series.is_not_null().cast(pl.Int64).cum_sum()
    offsets = np.concatenate([[0], valid.to_numpy()])
    values = _arrow(series.drop_nulls(), _wire(dtype, name))
    return {name: pa.LargeListArray.from_arrays(pa.array(offsets), values)}


def _is_nested(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.List)


def _wire(dtype: pl.DataType, name: str) -> pl.DataType:
    """The type in which a record holds values of `dtype` (innermost, if a list)."""
    while isinstance(dtype, pl.List):
        dtype = dtype.inner  # type: ignore[assignment]
    if dtype.is_integer() or dtype == pl.Boolean:
        return pl.Int64()
    if dtype.is_float():
        return pl.Float32()
    if dtype in (pl.String, pl.Binary, pl.Categorical, pl.Enum):
        return pl.Binary()
    raise ArtifactError(
        f"column {name} has type {dtype}, which a record cannot hold: use strings, "
        "whole numbers, floats, or lists of them."
    )


def _arrow(series: pl.Series, dtype: pl.DataType) -> pa.Array:
    """A series as one Arrow array without offset."""
    if _innermost(series.dtype) in (pl.Categorical, pl.Enum):
        series = series.cast(_with_innermost(dtype, pl.String()))
    return series.cast(dtype).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())


def _innermost(dtype: pl.DataType) -> pl.DataType:
    while isinstance(dtype, pl.List):
        dtype = dtype.inner  # type: ignore[assignment]
    return dtype


def _with_innermost(dtype: pl.DataType, inner: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.List):
        return pl.List(_with_innermost(dtype.inner, inner))  # type: ignore[arg-type]
    return inner


def _series(
    name: str, column: pa.Array | None, dtype: pl.DataType | None, rows: int
) -> pl.Series:
    """One decoded feature (Arrow list, or absent) as a column."""
    if column is None or pa.types.is_null(column.type):
        dtype = dtype or pl.List(pl.Int64())
        nothing: list[int] | None = [] if isinstance(dtype, pl.List) else None
        return pl.Series(name, [nothing] * rows, dtype=dtype)
    series = pl.Series(name, pl.from_arrow(column)).fill_null([])
    if _innermost(series.dtype) == pl.Null:
        series = series.cast(pl.List(pl.Int64()))
    if _innermost(series.dtype) == pl.Binary:
        series = series.cast(pl.List(pl.String()))
    if dtype is None:
        scalar = (series.list.len() == 1).all()
        return series.list.first() if scalar else series
    if isinstance(dtype, pl.List):
        return series.cast(dtype)
    if (series.list.len() > 1).any():
        raise ArtifactError(
            f"feature {name} has more than one value in a record; these are not "
            "patient records of this project."
        )
    return series.list.first().cast(dtype)


def _nested_series(name: str, flat: dict[str, pa.Array], rows: int) -> pl.Series:
    """A list of lists from its flat values and row lengths."""
    inner = _innermost(LABELLED_SCHEMA.get(name, pl.List(pl.List(pl.String()))))
    values = _series(name, flat.get(name), pl.List(inner), rows)
    lengths = _series(name, flat.get(name + ROW_LENGTHS), pl.List(pl.Int64()), rows)
    if not (values.list.len() == lengths.list.sum()).all():
        raise ArtifactError(
            f"features {name} and {name}{ROW_LENGTHS} disagree on how many values a "
            "record has; the records were cut or written by something else."
        )
    outer = lengths.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    inner_offsets = np.concatenate(
        [[0], np.cumsum(outer.flatten().to_numpy(zero_copy_only=False))]
    )
    outer_offsets = outer.offsets.to_numpy() - outer.offsets[0].as_py()
    array = pa.LargeListArray.from_arrays(
        pa.array(outer_offsets, pa.int64()),
        pa.LargeListArray.from_arrays(
            pa.array(inner_offsets, pa.int64()),
            values.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).flatten(),
        ),
    )
    return pl.Series(name, pl.from_arrow(array))


def _open(path: str) -> BinaryIO:
    if "://" not in path:
        return open(path, "rb")
    import tensorflow as tf  # only remote files need it, and it is slow to import

    return tf.io.gfile.GFile(path, "rb")


def _unframe(stream: BinaryIO, path: str) -> Iterator[bytes]:
    def take(size: int) -> bytes:
        data = stream.read(size)
        if len(data) != size:
            raise ArtifactError(f"{path}: cut short; write it again.")
        return data

    while head := stream.read(_HEADER.size):
        if len(head) != _HEADER.size:
            raise ArtifactError(f"{path}: cut short; write it again.")
        length, checksum = _HEADER.unpack(head)
        if _masked_crc(head[:8]) != checksum:
            raise ArtifactError(f"{path}: not a TFRecord file, or damaged.")
        record = take(length)
        if _masked_crc(record) != _FOOTER.unpack(take(_FOOTER.size))[0]:
            raise ArtifactError(f"{path}: a record is damaged; write the file again.")
        yield record


def _masked_crc(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C, rotated and shifted by a constant."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK) & 0xFFFFFFFF
