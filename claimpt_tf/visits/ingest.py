"""Claims tables -> a folder of patient records, by Beam on this machine or any runner.

The folder has the layout of a TFX Examples artifact, so a pipeline can import it:
`Split-train/`, `Split-eval/`, `Split-test/` with gzipped TFRecords, and beside them
`schema.pbtxt`, `summary.json` and `quarantine/`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from claimpt_tf.beam_options import is_local, with_runner
from claimpt_tf.claims.privacy import check_key_place, load_key
from claimpt_tf.claims.reader import WHOLE_FILE, Reader, Unit
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.claims.spans import has_spans, span_folders
from claimpt_tf.errors import ClaimPTError, InputError
from claimpt_tf.visits import claims_to_records
from claimpt_tf.visits.claims_to_records import (
    ClaimsToBlocks,
    ClaimsToRecords,
    WriteCounts,
    WriteQuarantine,
    WriteShards,
    units_of,
)
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.schema import load_schema, schema_text
from claimpt_tf.visits.splits import SHARES
from claimpt_tf.visits.summary import (
    MAX_QUARANTINED,
    Summary,
    check_quarantined,
    summarise,
)

__all__ = [
    "ClaimsToBlocks",
    "ClaimsToRecords",
    "WriteCounts",
    "WriteQuarantine",
    "WriteShards",
    "choose_buckets",
    "ingest",
]

# A few hundred MB in the kernel, 1 to 3 MB a shard. The number of pieces grows with the
# square of the input, so large inputs get larger buckets.
LINES_PER_BUCKET, MOST_PER_BUCKET = 250_000, 500_000
_LARGE_INPUT = 8_000_000

_SAMPLE_BYTES = 1 << 20

Progress = Callable[[str, int, int], None]


def ingest(
    source: str | Reader,
    input_path: str,
    output: str,
    rules: VisitRules | None = None,
    key_file: str | None = None,
    shards: int | None = None,
    beam_args: Sequence[str] = (),
    shares: Sequence[int] = SHARES,
    max_quarantined: float = MAX_QUARANTINED,
    progress: Progress | None = None,
    shift_dates: bool = False,
) -> Summary:
    """Reads claims tables and writes patient records.

    Args:
      source: Name of a reader (`tuva`, `synpuf`, ...), or a reader.
      input_path: The folder with the tables, or several as `month-{SPAN}`; see
        `claims.spans.span_folders`.
      output: The folder to make; it must not exist, or be empty.
      rules: How lines become visits; the defaults when None.
      key_file: Path of the key for member ids; see `privacy.load_key`.
      shards: Files a split, which is also the number of pieces the members are
        worked on in; None chooses by the size of the input.
      beam_args: Beam's command-line options; without `--runner` it runs here, in as
        many threads as there are cores.
      shares: Percentages for train, eval and test.
      max_quarantined: Largest share of a table's rows that may be at fault.
      progress: Called with "lines" or "buckets", how much of it is done, and of how
        many (an estimate for lines), as work in this process proceeds.
      shift_dates: Whether each member's dates are moved; see `privacy.shift_dates`.

    Returns:
      What was read and written, as `summary.json` has it.

    Raises:
      InputError: The input cannot be read, the output exists, the key lies in it, or
        too many rows are at fault; then `output` holds only `quarantine/` and
        `summary.json`.
      ArtifactError: Rows read and rows accounted for differ.
    """
    begun = time.monotonic()
    reader = reader_for(source) if isinstance(source, str) else source
    target = _vacant(output)
    check_key_place(target, key_file)
    folders = span_folders(input_path)
    for folder in folders:
        reader.check(folder)
    load_key(key_file)
    inputs = folders if has_spans(input_path) else input_path
    lines = sum(estimated_lines(unit) for _, unit in units_of(reader, inputs))
    buckets = shards or choose_buckets(lines)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with _listening(progress, lines, buckets):
            _run(
                ClaimsToBlocks(
                    source,
                    inputs,
                    rules,
                    key_file,
                    buckets,
                    shares,
                    shift_dates,
                    str(draft / "spill") if is_local(beam_args) else None,
                ),
                str(draft),
                buckets,
                beam_args,
            )
        shutil.rmtree(draft / "spill", ignore_errors=True)
        counts_file = draft / "counts.json"
        counts = json.loads(counts_file.read_text())
        counts_file.unlink()
        summary = summarise(counts, time.monotonic() - begun)
        (draft / "summary.json").write_text(summary.to_json())
        (draft / "schema.pbtxt").write_text(schema_text(load_schema()))
        try:
            check_quarantined(summary, max_quarantined)
        except InputError:
            _keep_only(draft, ("summary.json", "quarantine"))
            _publish(draft, target)
            raise
        _publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return summary


def choose_buckets(lines: int) -> int:
    """How many pieces the members of an input of `lines` rows are worked on in."""
    large = LINES_PER_BUCKET * math.sqrt(lines / _LARGE_INPUT)
    each = min(max(LINES_PER_BUCKET, large), MOST_PER_BUCKET)
    return max(1, math.ceil(lines / each))


def estimated_lines(unit: Unit) -> int:
    """Rows of a unit: exact for Parquet, by a sample of the first MB for text."""
    try:
        size = os.path.getsize(unit.path)
        with open(unit.path, "rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic == b"PAR1":
                metadata = pq.ParquetFile(raw).metadata
                if unit.part == WHOLE_FILE:
                    return metadata.num_rows
                return metadata.row_group(unit.part).num_rows
            if magic[:2] == b"\x1f\x8b":
                text = gzip.GzipFile(fileobj=raw).read(_SAMPLE_BYTES)
            else:
                text = raw.read(_SAMPLE_BYTES)
            read = min(raw.tell(), size)
    except (OSError, EOFError):
        return 0
    return math.ceil(text.count(b"\n") * size / read) if read else 0


def _vacant(output: str) -> Path:
    target = Path(output).expanduser().resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            f"{output}: already exists; name another output folder or remove it."
        )
    return target


def _run(
    claims: ClaimsToBlocks, folder: str, buckets: int, beam_args: Sequence[str]
) -> None:
    options = PipelineOptions(with_runner(beam_args, "threads"))
    try:
        with beam.Pipeline(options=options) as pipeline:
            made = pipeline | "Claims" >> claims
            _ = made["blocks"] | "Records" >> WriteShards(folder, buckets)
            _ = made["quarantine"] | "Quarantine" >> WriteQuarantine(
                os.path.join(folder, "quarantine")
            )
            _ = made["counts"] | "Counts" >> WriteCounts(
                os.path.join(folder, "counts.json")
            )
    except ClaimPTError as error:
        # Beam adds the step's name to the message; a user has no use for it.
        message = str(error).split(" [while running")[0]
        raise type(error)(message) from error


@contextlib.contextmanager
def _listening(progress: Progress | None, lines: int, buckets: int) -> Iterator[None]:
    """Passes what workers of this process tell on to `progress`."""
    if progress is None:
        yield
        return
    total = {"lines": lines, "buckets": buckets}
    done = dict.fromkeys(total, 0)

    def listen(what: str, amount: int) -> None:
        done[what] += amount
        progress(what, done[what], max(total[what], done[what]))

    claims_to_records.listeners.append(listen)
    try:
        yield
    finally:
        claims_to_records.listeners.remove(listen)


def _keep_only(folder: Path, names: Sequence[str]) -> None:
    for entry in folder.iterdir():
        if entry.name not in names:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _publish(draft: Path, target: Path) -> None:
    if target.exists():
        target.rmdir()  # empty, or this fails
    os.replace(draft, target)
