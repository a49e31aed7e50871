"""The Beam transforms from claims tables to serialized patient records.

Beam carries pieces of frames, never rows: files are read in chunks, cut by member
into buckets, met by a GroupByKey, and each bucket runs through the columnar kernel.
Any runner gives the same records from any number of workers.
"""

from __future__ import annotations

import io
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import polars as pl
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PCollection, TaggedOutput

from claimpt_tf.claims.events import MEMBER_SCHEMA, QUARANTINE_SCHEMA
from claimpt_tf.claims.privacy import load_key, shift_dates
from claimpt_tf.claims.reader import Chunk, Reader, Unit
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.visits import pieces
from claimpt_tf.visits.assemble import assemble_lines
from claimpt_tf.visits.claim_lines import ClaimLines
from claimpt_tf.visits.records import encode, write_framed
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.spill import Store, Stored, taken
from claimpt_tf.visits.splits import SHARES, SPLITS, check_shares, split_of
from claimpt_tf.visits.summary import DATES_SHIFTED, merge_counts

BATCH_ROWS = 50_000  # rows a reader turns into events at once
PIECE_LINES = 250_000  # lines held before they are cut into buckets
QUARANTINE_ROWS = 2_000_000  # quarantined rows sorted at once
SHARD_NAME = "data_tfrecord"

_QUARANTINE, _COUNTS = "quarantine", "counts"
_OLDEST = pl.CompatLevel.oldest()

# Kind (lines or members), table, and the frame or where it is stored.
Piece = tuple[str, str, bytes | Stored]
Listener = Callable[[str, int], None]

# Told of finished work when the pipeline runs inside this process; see `ingest`.
listeners: list[Listener] = []
_telling = threading.Lock()


@dataclass(frozen=True)
class Block:
    """The records of one bucket.

    Attributes:
      bucket: Its number.
      records: Serialized records by split, sorted by patient id; every split is there.
    """

    bucket: int
    records: dict[str, list[bytes]]


class ClaimsToBlocks(beam.PTransform):
    """Reads claims tables and assembles records, a bucket of members at a time.

    Applied to a pipeline, gives a dict of PCollections: `blocks` of Block, one a
    bucket; `quarantine` of bytes (`pieces.from_bytes` gives QUARANTINE_SCHEMA);
    `counts` of dicts for `summary.merge_counts`.

    Args:
      source: Name of a reader, or a reader that can be pickled.
      input_path: What the reader reads; several are taken together, the names of
        their files then begin with the folder's.
      rules: How lines become visits.
      key_file: Path of the key for member ids, as `privacy.load_key` takes it; each
        worker reads it, the key itself is never part of the pipeline.
      buckets: How many pieces the members are cut into; each must fit in memory.
      shares: Percentages for train, eval and test.
      shift_dates: Whether each member's dates are moved, as `privacy.shift_dates` does.
      spill: A folder on a disk of this machine for what meets in a bucket, if the
        runner keeps what it groups in memory, as Beam's local one does; only where
        all workers are on this machine. The caller removes it.
    """

    def __init__(
        self,
        source: str | Reader,
        input_path: str | Sequence[str],
        rules: VisitRules | None = None,
        key_file: str | None = None,
        buckets: int = 1,
        shares: Sequence[int] = SHARES,
        shift_dates: bool = False,
        spill: str | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        check_shares(shares)
        self._source = source
        self._input_path = input_path
        self._rules = rules or VisitRules()
        self._key_file = key_file
        self._buckets = buckets
        self._shares = tuple(shares)
        self._shift = shift_dates
        self._spill = spill

    def expand(self, pipeline: beam.Pipeline) -> dict[str, PCollection]:
        """See the class."""
        units = units_of(_reader(self._source), self._input_path)
        read = (
            pipeline
            | "Units" >> beam.Create(units, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Read"
            >> beam.ParDo(
                _ReadAndCut(
                    self._source,
                    self._key_file,
                    self._buckets,
                    self._shift,
                    self._spill,
                )
            ).with_outputs(_QUARANTINE, _COUNTS, main="pieces")
        )
        # Every bucket gets a piece, so every shard is written even if it is empty.
        every = pipeline | "Buckets" >> beam.Create(
            [(bucket, None) for bucket in range(self._buckets)], reshuffle=False
        )
        made = (
            (read.pieces, every)
            | "Gather" >> beam.Flatten()
            | "Meet" >> beam.GroupByKey()
            | "Assemble"
            >> beam.ParDo(_Assemble(self._rules, self._shares)).with_outputs(
                _QUARANTINE, _COUNTS, main="blocks"
            )
        )
        return {
            "blocks": made.blocks,
            "quarantine": (read.quarantine, made.quarantine)
            | "Quarantined" >> beam.Flatten(),
            "counts": (read.counts, made.counts) | "Counts" >> beam.Flatten(),
        }


class ClaimsToRecords(ClaimsToBlocks):
    """As ClaimsToBlocks, with `records` of (split, serialized record) for `blocks`."""

    def expand(self, pipeline: beam.Pipeline) -> dict[str, PCollection]:
        """See the class."""
        made = super().expand(pipeline)
        blocks = made.pop("blocks")
        return {"records": blocks | "Records" >> beam.FlatMap(_records), **made}


class WriteShards(beam.PTransform):
    """Writes blocks as `FOLDER/Split-NAME/data_tfrecord-NNNNN-of-NNNNN.gz`.

    A bucket makes one shard a split, so there is no second shuffle. The names are
    those of TFX's ExampleGen. Gives the paths written.

    Args:
      folder: Local or of any file system Beam knows.
      buckets: As given to ClaimsToBlocks.
    """

    def __init__(self, folder: str, buckets: int) -> None:
        """See the class."""
        super().__init__()
        self._folder = folder
        self._buckets = buckets

    def expand(self, blocks: PCollection) -> PCollection:
        """See the class."""
        return blocks | "Write" >> beam.FlatMap(
            _write_block, self._folder, self._buckets
        )


class WriteQuarantine(beam.PTransform):
    """Writes quarantined rows as `FOLDER/TABLE.parquet`, sorted by file and row.

    Tables without quarantined rows get no file. Gives the paths written.

    Args:
      folder: Local or of any file system Beam knows.
    """

    def __init__(self, folder: str) -> None:
        """See the class."""
        super().__init__()
        self._folder = folder

    def expand(self, quarantine: PCollection) -> PCollection:
        """See the class."""
        return (
            quarantine
            | "ByTable" >> beam.FlatMap(_by_table)
            | "Together" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write_table, self._folder)
        )


class WriteCounts(beam.PTransform):
    """Writes the sum of all counts as one JSON object, for `summary.finish`.

    Args:
      path: Local or of any file system Beam knows.
    """

    def __init__(self, path: str) -> None:
        """See the class."""
        super().__init__()
        self._path = path

    def expand(self, counts: PCollection) -> PCollection:
        """See the class."""
        return (
            counts
            | "Sum" >> beam.CombineGlobally(merge_counts)
            | "Write" >> beam.Map(_write_counts, self._path)
        )


class _ReadAndCut(beam.DoFn):
    """Units -> (bucket, piece); quarantined rows and counts on the side."""

    def __init__(
        self,
        source: str | Reader,
        key_file: str | None,
        buckets: int,
        shift: bool = False,
        spill: str | None = None,
    ):
        self._source = source
        self._key_file = key_file
        self._buckets = buckets
        self._shift = shift
        self._spill = spill

    def setup(self) -> None:
        self._reader = _reader(self._source)
        self._key = load_key(self._key_file)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_key", "_reader")}

    def process(self, element: tuple[str, Unit]) -> Iterator[Any]:
        below, unit = element
        lines = 0
        with Store(self._spill) as store:
            held = _Held(unit.table, self._buckets, store)
            for chunk in self._reader.read(unit, self._key, BATCH_ROWS):
                chunk = _named_below(chunk, below)
                lines += chunk.lines
                yield TaggedOutput(_COUNTS, _chunk_counts(chunk))
                if not chunk.quarantined.is_empty():
                    quarantined = pieces.to_bytes(chunk.quarantined)
                    yield TaggedOutput(_QUARANTINE, quarantined)
                if chunk.events is not None:
                    held.lines.append(ClaimLines.of(self._moved(chunk.events)))
                if chunk.members is not None:
                    held.members.append(self._moved(chunk.members))
                if held.height >= PIECE_LINES:
                    yield from held.cut()
            yield from held.cut()
        if self._shift:
            yield TaggedOutput(_COUNTS, {DATES_SHIFTED: 1})
        _tell("lines", lines)

    def _moved(self, frame: pl.DataFrame) -> pl.DataFrame:
        return shift_dates(frame, self._key) if self._shift else frame


class _Held:
    """Frames of a unit that wait to be cut into buckets."""

    def __init__(self, table: str, buckets: int, store: Store):
        self.lines: list[ClaimLines] = []
        self.members: list[pl.DataFrame] = []
        self._table = table
        self._buckets = buckets
        self._store = store

    @property
    def height(self) -> int:
        return sum(held.lines.height for held in self.lines) + sum(
            held.height for held in self.members
        )

    def cut(self) -> Iterator[tuple[int, Piece]]:
        if self.lines:
            lines = pl.concat([held.lines for held in self.lines])
            codes = pl.concat([held.codes for held in self.lines])
            self.lines.clear()
            for bucket, data in pieces.lines_by_bucket(
                ClaimLines(lines, codes), self._buckets
            ):
                yield bucket, ("lines", self._table, self._store.put(data))
        if self.members:
            members = pl.concat(self.members)
            self.members.clear()
            for bucket, data in pieces.by_bucket(members, self._buckets):
                yield bucket, ("members", self._table, self._store.put(data))


class _Assemble(beam.DoFn):
    """(bucket, pieces) -> Block; quarantined rows and counts on the side."""

    def __init__(self, rules: VisitRules, shares: tuple[int, ...]):
        self._rules = rules.model_dump_json()
        self._shares = shares

    def process(self, element: tuple[int, Iterable[Piece | None]]) -> Iterator[Any]:
        bucket, parts = element
        lines: list[tuple[str, bytes]] = []
        members = [MEMBER_SCHEMA.to_frame().with_columns(table=pl.lit(None, pl.String))]
        for part in parts:
            if part is not None:
                kind, table, stored = part
                data = taken(stored)
                if kind == "lines":
                    lines.append((table, data))
                else:
                    frame = pieces.from_bytes(data)
                    members.append(frame.with_columns(table=pl.lit(table)))
        claims = pieces.joined_lines(lines)
        lines.clear()
        made = assemble_lines(
            claims, pl.concat(members), VisitRules.model_validate_json(self._rules)
        )
        del claims
        yield TaggedOutput(_COUNTS, made.counts)
        if not made.quarantined.is_empty():
            yield TaggedOutput(_QUARANTINE, pieces.to_bytes(made.quarantined))
        split = split_of(made.timelines["patient_id"], self._shares)
        yield Block(
            bucket,
            {name: encode(made.timelines.filter(split == name)) for name in SPLITS},
        )
        _tell("buckets", 1)


def units_of(reader: Reader, input_path: str | Sequence[str]) -> list[tuple[str, Unit]]:
    """The units of one or more inputs, each with what goes before its files' names."""
    if isinstance(input_path, str):
        return [("", unit) for unit in reader.units(input_path)]
    return [
        (f"{os.path.basename(folder)}/", unit)
        for folder in input_path
        for unit in reader.units(folder)
    ]


def _named_below(chunk: Chunk, folder: str) -> Chunk:
    if not folder:
        return chunk
    source = pl.concat_str(pl.lit(folder), "source")
    frames = {
        name: frame.with_columns(source=source)
        for name in ("events", "members", "quarantined")
        if (frame := getattr(chunk, name)) is not None
    }
    return replace(chunk, **frames)


def _reader(source: str | Reader) -> Reader:
    return reader_for(source) if isinstance(source, str) else source


def _chunk_counts(chunk: Chunk) -> dict[str, int]:
    """Rows read, and those the reader itself put aside, by reason.

    A row that the reader put aside and also used (with a cell of it left empty) is
    noted; its fate is the kernel's to decide.
    """
    counts = {f"rows/{chunk.table}/read": chunk.lines}
    if chunk.quarantined.is_empty():
        return counts
    used = [
        frame.select("source", "row")
        for frame in (chunk.events, chunk.members)
        if frame is not None
    ]
    aside = chunk.quarantined.join(
        pl.concat([QUARANTINE_SCHEMA.to_frame().select("source", "row"), *used])
        .unique()
        .with_columns(used=True),
        on=["source", "row"],
        how="left",
    ).with_columns(pl.col("used").fill_null(False))
    once = aside.sort("reason").unique(["source", "row", "used"], keep="first")
    for fate, rows in (
        ("noted", aside.filter("used")),
        ("quarantined", once.filter(~pl.col("used"))),
    ):
        for reason, count in rows.group_by("reason").len().rows():
            counts[f"rows/{chunk.table}/{fate}/{reason}"] = count
    return counts


def _records(block: Block) -> Iterator[tuple[str, bytes]]:
    for split, records in block.records.items():
        for record in records:
            yield split, record


def _write_block(block: Block, folder: str, buckets: int) -> Iterator[str]:
    for split, records in block.records.items():
        shard = f"{SHARD_NAME}-{block.bucket:05d}-of-{buckets:05d}.gz"
        content = io.BytesIO()
        write_framed(records, content, compress=True)
        yield _write(os.path.join(folder, f"Split-{split}", shard), content)


def _by_table(data: bytes) -> Iterator[tuple[str, bytes]]:
    for (table,), rows in pieces.from_bytes(data).group_by("table"):
        yield str(table), pieces.to_bytes(rows)


def _write_table(element: tuple[str, Iterable[bytes]], folder: str) -> str:
    table, parts = element
    content = io.BytesIO()
    schema = QUARANTINE_SCHEMA.to_frame().to_arrow(compat_level=_OLDEST).schema
    with pq.ParquetWriter(content, schema, compression="zstd") as writer:
        for rows in _in_order(list(parts)):
            writer.write_table(rows.to_arrow(compat_level=_OLDEST).cast(schema))
    return _write(os.path.join(folder, f"{table}.parquet"), content)


def _in_order(parts: Sequence[bytes]) -> Iterator[pl.DataFrame]:
    """Rows by file and row; so many at a time that memory does not depend on all."""
    block = (pl.col("row") // QUARANTINE_ROWS).alias("block")
    sizes = (
        pl.concat(
            pieces.from_bytes(part).group_by("source", block).len() for part in parts
        )
        .group_by("source", "block")
        .agg(pl.col("len").sum())
        .sort("source", "block")
        .with_columns(turn=pl.col("len").cum_sum() // QUARANTINE_ROWS)
    )
    for _, turn in sizes.group_by("turn", maintain_order=True):
        wanted = turn.select("source", "block")
        rows = pl.concat(
            pieces.from_bytes(part)
            .with_columns(block)
            .join(wanted, on=["source", "block"], how="semi", nulls_equal=True)
            for part in parts
        )
        yield rows.drop("block").sort("source", "row", "reason", "column")


def _write_counts(counts: dict[str, int], path: str) -> str:
    return _write(path, io.BytesIO(json.dumps(counts).encode()))


def _write(path: str, content: io.BytesIO) -> str:
    """Writes a file so that it appears complete or not at all."""
    draft = os.path.join(
        os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex}"
    )
    with FileSystems.create(
        draft, compression_type=CompressionTypes.UNCOMPRESSED
    ) as file:
        file.write(content.getbuffer())
    FileSystems.rename([draft], [path])
    return path


def _tell(what: str, amount: int) -> None:
    with _telling:
        for listener in listeners:
            listener(what, amount)
