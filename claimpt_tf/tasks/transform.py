"""Labelling as a Beam transform, and a task's cohort from a folder of records."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from claimpt_tf.errors import InputError
from claimpt_tf.tasks.attrition import Attrition, merge
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.member_tables import DataEnd
from claimpt_tf.tasks.spec import Task
from claimpt_tf.visits.records import decode, encode

FEWEST_IN_BATCH, MOST_IN_BATCH = 1000, 4000
ATTRITION_FILE = "attrition.json"
TASK_FILE = "task.yaml"
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

    The result is a dict: `examples`, serialized labelled examples; `attrition`, a dict
    a batch, as `Attrition.to_dict` makes it (true counts; merge them with
    `claimpt_tf.tasks.attrition.merge`). Neither depends on how records are batched.

    Args:
        task: the task.
        split: the split that the records are in, for the counts.
        data_end: one-element PCollection from `FindDataEnd` over the records of *all*
            splits; over these records alone where None.
    """

    def __init__(
        self,
        task: Task,
        split: str = "all",
        data_end: beam.PCollection | None = None,
    ) -> None:
        super().__init__()
        self._task, self._split, self._data_end = task, split, data_end

    def expand(self, records: beam.PCollection) -> dict[str, beam.PCollection]:
        """Labels batches of a few thousand records at a time."""
        end = self._data_end
        if end is None:
            end = records | "DataEnd" >> FindDataEnd()
        outputs = (
            records
            | "Batch" >> _batches()
            | "Label"
            >> beam.ParDo(
                _LabelBatch(self._task, self._split), beam.pvalue.AsSingleton(end)
            ).with_outputs(_LabelBatch.ATTRITION, main="examples")
        )
        return {"examples": outputs.examples, "attrition": outputs.attrition}


def label_splits(
    task: Task, records: Mapping[str, beam.PCollection]
) -> dict[str, dict[str, beam.PCollection]]:
    """`LabelRecords` for each split, all with the same end of the data.

    Args:
        task: the task.
        records: split -> serialized records; one pipeline.

    Returns:
        split -> what `LabelRecords` gives.
    """
    end = (
        tuple(records.values())
        | "AllSplits" >> beam.Flatten()
        | "DataEnd" >> FindDataEnd()
    )
    return {
        split: one | f"Label[{split}]" >> LabelRecords(task, split, end)
        for split, one in records.items()
    }


class _LabelBatch(beam.DoFn):
    ATTRITION = "attrition"

    def __init__(self, task: Task, split: str) -> None:
        self._task, self._split = task, split

    def process(self, batch: Sequence[bytes], end: DataEnd) -> Iterator[Any]:
        """Yields examples, then the batch's attrition under its tag."""
        labelled = label(self._task, decode(batch), split=self._split, data_end=end.day)
        yield from encode(labelled.examples)
        yield beam.pvalue.TaggedOutput(self.ATTRITION, labelled.attrition.to_dict())


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
    pipeline: beam.Pipeline, task: Task, patterns: Mapping[str, str], output: str
) -> None:
    """Adds to a pipeline what labels record files and writes the examples.

    Writes `Split-<name>/data_tfrecord-*.gz` and a file of true counts, which
    `take_counts` reads and removes once the pipeline has run.

    Args:
        pipeline: where to add it.
        task: the task.
        patterns: split -> glob of its TFRecord files.
        output: folder (any file system that Beam knows).
    """
    records = {
        split: pipeline | f"Read[{split}]" >> beam.io.ReadFromTFRecord(pattern)
        for split, pattern in patterns.items()
    }
    labelled = label_splits(task, records)
    for split, outputs in labelled.items():
        prefix = FileSystems.join(output, _SPLIT_PREFIX + split, "data_tfrecord")
        _ = outputs["examples"] | f"Write[{split}]" >> beam.io.WriteToTFRecord(
            prefix, file_name_suffix=".gz"
        )
    _ = (
        tuple(outputs["attrition"] for outputs in labelled.values())
        | "AllAttrition" >> beam.Flatten()
        | "ParseAttrition" >> beam.Map(Attrition.from_dict)
        | "MergeAttrition" >> beam.CombineGlobally(merge, task.name)
        | "KeepAttrition"
        >> beam.Map(_write_counts, FileSystems.join(output, _COUNTS_FILE))
    )


def take_counts(output: str) -> Attrition:
    """The true counts that `label_files` left in a folder, where they do not stay."""
    path = FileSystems.join(output, _COUNTS_FILE)
    with FileSystems.open(path) as file:
        attrition = Attrition.from_dict(json.loads(file.read()))
    FileSystems.delete([path])
    return attrition


def _write_counts(attrition: Attrition, path: str) -> None:
    with FileSystems.create(path) as file:
        file.write(json.dumps(attrition.to_dict()).encode())


@dataclass(frozen=True)
class Summary:
    """What `build_cohort` made.

    Attributes:
        task: the task.
        output: the folder written.
        attrition: true counts; `check_enough` judges them, `export` publishes them.
        seconds: wall time.
    """

    task: Task
    output: Path
    attrition: Attrition
    seconds: float


def build_cohort(
    task: Task,
    data_dir: str | Path,
    output: str | Path,
    beam_args: Sequence[str] = (),
) -> Summary:
    """Labels the records of a folder and writes the examples beside their counts.

    Writes `Split-*/data_tfrecord-*.gz` (labelled examples), `attrition.json` (small
    counts suppressed) and `task.yaml`; the folder appears when all of it is written.
    A small cohort is no error here: call `check_enough(summary.attrition)`.

    Args:
        task: the task.
        data_dir: holds `Split-<name>/` folders of TFRecords, as ingest writes them.
        output: new folder, or an earlier cohort, which is replaced.
        beam_args: Beam options such as `--direct_num_workers=2`; runs in this process
            unless they name a runner.

    Raises:
        InputError: `data_dir` holds no records, or `output` holds something else than
            a cohort.
    """
    started = time.monotonic()
    patterns = _record_files(Path(data_dir))
    output = Path(output)
    if output.exists() and not _is_replaceable(output):
        raise InputError(
            f"{output} is there already and is no cohort; name another output folder"
        )
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with beam.Pipeline(options=_options(beam_args)) as pipeline:
            label_files(pipeline, task, patterns, str(part))
        attrition = take_counts(str(part))
        (part / TASK_FILE).write_text(task.to_yaml(), encoding="utf-8")
        exported = json.dumps(attrition.export(), indent=2) + "\n"
        (part / ATTRITION_FILE).write_text(exported, encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Summary(task, output, attrition, time.monotonic() - started)


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
    arguments = list(beam_args)
    if not any(argument.startswith("--runner") for argument in arguments):
        arguments.append("--runner=FnApiRunner")
    return PipelineOptions(arguments)
