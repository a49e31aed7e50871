"""Labelling as a Beam transform, and a task's cohort from a folder of records."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from claimpt_tf.beam_options import with_runner
from claimpt_tf.claims.quarantine import count_reasons, write_quarantine
from claimpt_tf.errors import InputError
from claimpt_tf.tasks.attrition import Attrition, merge
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.label_table import LabelRows, read_labels
from claimpt_tf.tasks.member_tables import DataEnd
from claimpt_tf.tasks.spec import Task
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.visits.records import decode, encode

FEWEST_IN_BATCH, MOST_IN_BATCH = 1000, 4000
ATTRITION_FILE = "attrition.json"
TASK_FILE = "task.yaml"
QUARANTINE_FOLDER = "quarantine"
_COUNTS_FILE = "true_counts.json"
_SPLIT_PREFIX = "Split-"


class FindDataEnd(beam.PTransform):
    """Records (serialized, bytes) to one `DataEnd`: until when all of them reach."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """One element, also when there is no record."""
        return (
            records
            | "Batch" >> _batches()
            | "EndOfBatch" >> beam.Map(_end_of_batch)
            | "Latest" >> beam.CombineGlobally(_merge_ends)
        )


class LabelRecords(beam.PTransform):
    """Records (serialized, bytes) to a task's labelled examples and its attrition.

    The result is a dict: `examples`, split -> serialized labelled examples, of
    training records also the split `unlabelled` (see `unlabelled_rows`);
    `attrition`, a dict a batch, as `Attrition.to_dict` makes it (true counts; merge
    them with `claimpt_tf.tasks.attrition.merge`); `table_rows`, a list a batch, the
    rows of the table of labels whose member was found. None of it depends on how
    records are batched.

    Args:
        task: the task.
        split: the split that the records are in.
        data_end: one-element PCollection from `FindDataEnd` over the records of *all*
            splits; over these records alone where None.
        table: the labels of a task with a table; where the table gives splits, an
            example is in the split that the table says.
    """

    def __init__(
        self,
        task: Task,
        split: str = "all",
        data_end: beam.PCollection | None = None,
        table: LabelRows | None = None,
    ) -> None:
        super().__init__()
        self._task, self._split, self._data_end = task, split, data_end
        self._table = table

    def expand(self, records: beam.PCollection) -> dict[str, Any]:
        """Labels batches of a few thousand records at a time."""
        end = self._data_end
        if end is None:
            end = records | "DataEnd" >> FindDataEnd()
        table = self._table
        splits = (table.splits if table else ()) or (self._split,)
        if self._split == "train":
            splits = (*splits, UNLABELLED)
        payload = b"" if table is None else _pack(table.rows)
        tags = {f"examples-{split}": split for split in splits}
        outputs = (
            records
            | "Batch" >> _batches()
            | "Label"
            >> beam.ParDo(
                _LabelBatch(self._task, self._split),
                beam.pvalue.AsSingleton(end),
                beam.pvalue.AsSingleton(
                    records.pipeline | "Table" >> beam.Create([payload])
                ),
            ).with_outputs(_LabelBatch.ATTRITION, _LabelBatch.TABLE_ROWS, *tags)
        )
        return {
            "examples": {split: outputs[tag] for tag, split in tags.items()},
            "attrition": outputs[_LabelBatch.ATTRITION],
            "table_rows": outputs[_LabelBatch.TABLE_ROWS],
        }


def label_splits(
    task: Task,
    records: Mapping[str, beam.PCollection],
    table: LabelRows | None = None,
) -> dict[str, Any]:
    """`LabelRecords` for each split, all with the same end of the data.

    Args:
        task: the task.
        records: split -> serialized records; one pipeline.
        table: the labels of a task with a table.

    Returns:
        What `LabelRecords` gives, for all records together.
    """
    end = (
        tuple(records.values())
        | "AllSplits" >> beam.Flatten()
        | "DataEnd" >> FindDataEnd()
    )
    parts = [
        one | f"Label[{split}]" >> LabelRecords(task, split, end, table)
        for split, one in records.items()
    ]
    splits = list(dict.fromkeys(split for part in parts for split in part["examples"]))
    return {
        "examples": {
            split: tuple(
                part["examples"][split] for part in parts if split in part["examples"]
            )
            | f"Examples[{split}]" >> beam.Flatten()
            for split in splits
        },
        **{
            name: tuple(part[name] for part in parts) | f"All {name}" >> beam.Flatten()
            for name in ("attrition", "table_rows")
        },
    }


class _LabelBatch(beam.DoFn):
    ATTRITION, TABLE_ROWS = "attrition", "table_rows"

    def __init__(self, task: Task, split: str) -> None:
        self._task, self._split = task, split

    def process(
        self, batch: Sequence[bytes], end: DataEnd, table: bytes
    ) -> Iterator[Any]:
        """Yields examples, attrition and the table's rows, each under its tag."""
        labelled = label(
            self._task,
            decode(batch),
            split=self._split,
            data_end=end.day,
            table=_unpack(table) if table else None,
        )
        for split, example in zip(
            labelled.splits, encode(labelled.examples), strict=True
        ):
            yield beam.pvalue.TaggedOutput(f"examples-{split}", example)
        for example in encode(labelled.unlabelled):
            yield beam.pvalue.TaggedOutput(f"examples-{UNLABELLED}", example)
        yield beam.pvalue.TaggedOutput(self.ATTRITION, labelled.attrition.to_dict())
        yield beam.pvalue.TaggedOutput(self.TABLE_ROWS, labelled.table_rows)


def _pack(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def _unpack(packed: bytes) -> pl.DataFrame:
    return pl.read_ipc(packed)


def _batches() -> beam.PTransform:
    return beam.BatchElements(FEWEST_IN_BATCH, MOST_IN_BATCH)


def _end_of_batch(batch: Sequence[bytes]) -> DataEnd:
    return DataEnd.of(decode(batch))


def _merge_ends(ends: Iterable[DataEnd]) -> DataEnd:
    merged = DataEnd()
    for end in ends:
        merged = merged.merge(end)
    return merged


def label_files(
    pipeline: beam.Pipeline,
    task: Task,
    patterns: Mapping[str, str],
    output: str,
    table: LabelRows | None = None,
) -> tuple[str, ...]:
    """Adds to a pipeline: files of records to files of labelled examples.

    Args:
        pipeline: the pipeline.
        task: the task.
        patterns: split -> pattern of its TFRecord files.
        output: the folder to write to: `Split-<name>/data_tfrecord-*.gz`, and what
            `take_counts` reads once the pipeline has run.
        table: the labels of a task with a table.

    Returns:
        The splits that are written.
    """
    records = {
        split: pipeline | f"Read[{split}]" >> beam.io.ReadFromTFRecord(pattern)
        for split, pattern in patterns.items()
    }
    labelled = label_splits(task, records, table)
    for split, examples in labelled["examples"].items():
        prefix = FileSystems.join(output, _SPLIT_PREFIX + split, "data_tfrecord")
        _ = examples | f"Write[{split}]" >> beam.io.WriteToTFRecord(
            prefix, file_name_suffix=".gz"
        )
    merged = (
        labelled["attrition"]
        | "ParseAttrition" >> beam.Map(Attrition.from_dict)
        | "MergeAttrition" >> beam.CombineGlobally(merge, task.name)
    )
    rows = labelled["table_rows"] | "MergeRows" >> beam.CombineGlobally(_joined)
    _ = merged | "KeepCounts" >> beam.Map(
        _write_counts,
        beam.pvalue.AsSingleton(rows),
        FileSystems.join(output, _COUNTS_FILE),
    )
    return tuple(labelled["examples"])


def take_counts(output: str, table: LabelRows | None = None) -> Attrition:
    """The true counts that `label_files` left in a folder, where they do not stay.

    With a table of labels, rows of it that could not be used are written to
    `quarantine/` there, and counted by reason.

    Args:
        output: the folder.
        table: what `label_files` was given.

    Raises:
        InputError: no member of the table is in the records.
    """
    path = FileSystems.join(output, _COUNTS_FILE)
    with FileSystems.open(path) as file:
        counts = json.loads(file.read())
    FileSystems.delete([path])
    attrition = Attrition.from_dict(counts["attrition"])
    if table is None:
        return attrition
    found = pl.Series(counts["table_rows"], dtype=pl.Int64)
    quarantined = table.with_unknown(found)
    write_quarantine(quarantined, os.path.join(output, QUARANTINE_FOLDER), "labels")
    reasons = count_reasons([quarantined])
    by_reason = {reason: rows for (_, reason), rows in reasons.items()}
    return replace(attrition, unusable=by_reason)


def _joined(parts: Iterable[list[int]]) -> list[int]:
    return [row for part in parts for row in part]


def _write_counts(attrition: Attrition, table_rows: list[int], path: str) -> None:
    counts = {"attrition": attrition.to_dict(), "table_rows": table_rows}
    with FileSystems.create(path) as file:
        file.write(json.dumps(counts).encode())


@dataclass(frozen=True)
class Summary:
    """What `build_cohort` made.

    Attributes:
        task: the task; with a table of labels, the kind of label told.
        output: the folder written.
        attrition: true counts; `check_enough` judges them, `export` publishes them.
        seconds: wall time.
        warnings: what a person should know of a table of labels.
    """

    task: Task
    output: Path
    attrition: Attrition
    seconds: float
    warnings: tuple[str, ...] = ()


def build_cohort(
    task: Task,
    data_dir: str | Path,
    output: str | Path,
    beam_args: Sequence[str] = (),
    key_file: str | None = None,
) -> Summary:
    """Labels the records of a folder and writes the examples beside their counts.

    Writes `Split-*/data_tfrecord-*.gz` (labelled examples), `attrition.json` (small
    counts suppressed), `task.yaml`, and `quarantine/` with the rows of a table of
    labels that could not be used; the folder appears when all of it is written.
    A small cohort is no error here: call `check_enough(summary.attrition)`.

    Args:
        task: the task.
        data_dir: holds `Split-<name>/` folders of TFRecords, as ingest writes them.
        output: new folder, or an earlier cohort, which is replaced.
        beam_args: Beam options such as `--direct_num_workers=2`; runs in this process
            unless they name a runner.
        key_file: the key that ingest hashed member ids with, for a table of labels.

    Raises:
        InputError: `data_dir` holds no records, `output` holds something else than a
            cohort, or the table of labels cannot be used.
    """
    started = time.monotonic()
    patterns = _record_files(Path(data_dir))
    output = Path(output)
    if output.exists() and not _is_replaceable(output):
        raise InputError(
            f"{output} is there already and is no cohort; name another output folder"
        )
    table = None if task.labels is None else read_labels(task, key_file)
    task = task if table is None else table.task
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with beam.Pipeline(options=_options(beam_args)) as pipeline:
            label_files(pipeline, task, patterns, str(part), table)
        attrition = take_counts(str(part), table)
        (part / TASK_FILE).write_text(task.to_yaml(), encoding="utf-8")
        exported = json.dumps(attrition.export(), indent=2) + "\n"
        (part / ATTRITION_FILE).write_text(exported, encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    warnings = () if table is None else tuple(table.warnings())
    seconds = time.monotonic() - started
    return Summary(task, output, attrition, seconds, warnings)


def _record_files(data_dir: Path) -> dict[str, str]:
    """Split -> pattern of its files."""
    found = {}
    for folder in sorted(data_dir.glob(f"{_SPLIT_PREFIX}*")):
        if any(folder.glob("*tfrecord*")):
            split = folder.name.removeprefix(_SPLIT_PREFIX)
            found[split] = str(folder / "*tfrecord*")
    if not found:
        raise InputError(
            f"{data_dir}: no patient records here ({_SPLIT_PREFIX}train/*tfrecord*); "
            "give the folder that `claimpt ingest` wrote"
        )
    return found


def _is_replaceable(output: Path) -> bool:
    if not output.is_dir():
        return False
    return (output / ATTRITION_FILE).exists() or not any(output.iterdir())


def _options(beam_args: Sequence[str]) -> PipelineOptions:
    return PipelineOptions(with_runner(beam_args))
