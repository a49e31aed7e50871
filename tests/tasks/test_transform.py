from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.testing.util import assert_that

from claimpt_tf.errors import InputError
from claimpt_tf.tasks.attrition import Attrition, check_enough, merge
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.member_tables import DataEnd
from claimpt_tf.tasks.spec import Task, load_task
from claimpt_tf.tasks.transform import LabelRecords, build_cohort
from claimpt_tf.visits.records import decode, encode, read_records, write_records
from claimpt_tf.visits.splits import SPLITS, split_of
from tests.tasks.members import Member, member, span, task, timelines, visit


def monthly() -> Task:
    return task(
        name="monthly",
        index={"kind": "calendar", "every": "month", "take": "random"},
        window_days=30,
    )


def people(count: int) -> pl.DataFrame:
    """Members spread over the splits, every third admitted now and then."""
    made: list[Member] = []
    for number in range(count):
        admitted = [
            visit(f"2022-{month:02d}-11", "IP", "ICD10CM:J4521", length=2, cost=100.0)
            for month in range(1, 13)
            if number % 3 == 0 or month == 1 + number % 12
        ]
        until = "2023-12-31" if number % 5 else "2022-08-31"
        made.append(
            member(
                *admitted,
                id=f"{number * 2**32 // count:08x}" * 4,
                enrolled=(span("2021-10-01", until),),
            )
        )
    return timelines(*made)


def write_folder(frame: pl.DataFrame, folder: Path, files: int) -> None:
    splits = split_of(frame["patient_id"])
    for name in SPLITS:
        part = frame.filter(splits == name)
        for number in range(files):
            path = folder / f"Split-{name}" / f"data_tfrecord-{number:05d}.gz"
            write_records(encode(part[number::files]), path)


def read_folder(folder: Path) -> dict[str, pl.DataFrame]:
    return {
        name: decode(list(read_records(sorted((folder / f"Split-{name}").iterdir()))))
        for name in SPLITS
    }


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(sorted(frame.columns)).sort("patient_id", "index_day")


def test_a_folder_of_records_becomes_a_folder_of_examples(tmp_path: Path) -> None:
    frame = people(150)
    write_folder(frame, tmp_path / "records", files=2)
    summary = build_cohort(monthly(), tmp_path / "records", tmp_path / "cohort")
    written = read_folder(tmp_path / "cohort")
    splits = split_of(frame["patient_id"])
    end = DataEnd.of(frame).day
    for name, examples in written.items():
        alone = label(monthly(), frame.filter(splits == name), split=name, data_end=end)
        assert in_order(examples).equals(in_order(alone.examples))
        assert summary.attrition.splits[name] == alone.attrition.splits[name]
    assert summary.attrition.steps == label(monthly(), frame).attrition.steps
    assert summary.attrition.total.positives > 10
    check_enough(summary.attrition)
    assert load_task(tmp_path / "cohort" / "task.yaml") == monthly()
    exported = json.loads((tmp_path / "cohort" / "attrition.json").read_text())
    assert exported == summary.attrition.export()
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not any("counts" in name or "part" in name for name in names)

    write_folder(frame.reverse(), tmp_path / "again", files=3)
    again = build_cohort(monthly(), tmp_path / "again", tmp_path / "cohort")
    assert again.attrition == summary.attrition
    for name, examples in read_folder(tmp_path / "cohort").items():
        assert in_order(examples).equals(in_order(written[name]))


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no patient records here"):
            build_cohort(monthly(), folder, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_what_is_no_cohort_is_not_replaced(tmp_path: Path) -> None:
    write_folder(people(3), tmp_path / "records", files=1)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already and is no cohort"):
        build_cohort(monthly(), tmp_path / "records", kept)
    assert (kept / "notes.txt").read_text() == "mine"


def test_a_task_that_nobody_meets_writes_its_attrition(tmp_path: Path) -> None:
    write_folder(people(20), tmp_path / "records", files=1)
    nobody = task(name="nobody", population={"ages": {"min": 90}})
    summary = build_cohort(nobody, tmp_path / "records", tmp_path / "cohort")
    assert summary.attrition.total.rows == 0
    assert (tmp_path / "cohort" / "attrition.json").exists()


def test_the_transform_stands_alone() -> None:
    frame = people(40)
    expected = label(monthly(), frame, split="some")

    def same_examples(found: list[bytes]) -> None:
        assert in_order(decode(found)).equals(in_order(expected.examples))

    def same_counts(found: list[dict]) -> None:
        assert merge(map(Attrition.from_dict, found)) == expected.attrition

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        outputs = (
            pipeline | beam.Create(encode(frame)) | LabelRecords(monthly(), "some")
        )
        assert_that(outputs["examples"]["some"], same_examples, label="examples")
        assert_that(outputs["attrition"], same_counts, label="counts")
