"""Labels from a table: what is read, what is refused, what becomes an example."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.errors import InputError, TaskError
from claimpt_tf.tasks.attrition import check_enough
from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.label_table import LabelRows, digest, read_labels
from claimpt_tf.tasks.spec import (
    Task,
    label_task,
    load_task,
    parse_task,
    with_label_table,
)
from claimpt_tf.tasks.transform import build_cohort
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.visits.records import (
    LABELLED_SCHEMA,
    decode,
    encode,
    read_records,
    write_records,
)
from claimpt_tf.visits.splits import SPLITS, split_of
from tests.tasks.members import day, member, timelines, visit

IDS = [f"M{number}" for number in range(40)]


def hashed(*members: str) -> list[str]:
    return hash_members(pl.Series(members, dtype=pl.String), load_key()).to_list()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path: Path, text: str, **fields: Any) -> LabelRows:
    file = str(write(tmp_path / "charts.csv", text))
    task = Task.model_validate({"name": "charts", "labels": {"file": file, **fields}})
    return read_labels(task)


def refused(tmp_path: Path, text: str, **fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, **fields)
    return str(caught.value)


GOOD = """\
Member_ID,index_date,label
M0,2022-03-01,1
M1,03/01/2022,no
M2,20220301,0
M0,2022-06-01,yes
"""


def test_a_plain_table_is_read_with_hashed_members_and_row_numbers(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, GOOD)
    assert found.task.label_kind == "binary"
    assert found.rows.select(pl.all().exclude("patient_id")).rows() == [
        (1, day("2022-03-01"), 1, 1.0),
        (2, day("2022-03-01"), 0, 0.0),
        (3, day("2022-03-01"), 0, 0.0),
        (4, day("2022-06-01"), 1, 1.0),
    ]
    assert found.rows["patient_id"].to_list() == hashed("M0", "M1", "M2", "M0")
    assert found.splits == ()
    assert found.quarantined.is_empty()


def test_bad_rows_are_quarantined_by_reason(tmp_path: Path) -> None:
    text = GOOD + (
        ",2022-03-01,1\n"
        "M3,,1\n"
        "M4,soon,1\n"
        "M5,2022-03-01,\n"
        "M6,2022-03-01,maybe\n"
        "M0,2022-03-01,1\n"  # again
        "M7,2022-03-01,1\n"
        "M7,2022-03-01,0\n"  # disagrees
        "M8,2022-03-01\n"  # a field short
    )
    found = read(tmp_path, text, max_unusable=0.8)
    reasons = found.quarantined.select("row", "reason").sort("row").rows()
    assert reasons == [
        (5, "member_missing"),
        (6, "date_missing"),
        (7, "date_unparsable"),
        (8, "label_missing"),
        (9, "label_unparsable"),
        (10, "label_repeated"),
        (11, "labels_disagree"),
        (12, "labels_disagree"),
        (13, "row_malformed"),
    ]
    assert found.rows["label_row"].to_list() == [1, 2, 3, 4]
    assert found.lines == 13


def test_too_many_bad_rows_are_refused_with_rows_and_without_cells(
    tmp_path: Path,
) -> None:
    text = GOOD + "SECRET-1,soon,1\nSECRET-2,later,0\n"
    message = refused(tmp_path, text)
    assert "charts.csv: 2 of 6 rows of labels cannot be used" in message
    assert "2 rows (rows 5, 6): a date in no known spelling" in message
    assert "2019-03-07" in message
    assert "SECRET" not in message and "soon" not in message


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("", {}, "charts.csv: the file is empty"),
        ("member_id,index_date,label\n", {}, "the table of labels has no rows"),
        ("person,index_date,label\nA,2022-01-01,1\n", {}, "column 'member_id' is mis"),
        ("member_id,day,label\nA,2022-01-01,1\n", {}, "column 'index_date' is missing"),
        ("member_id,index_date\nA,2022-01-01\n", {}, "no column of labels: one of lab"),
        (GOOD, {"label": "answer"}, "column 'answer' is missing"),
        (
            "member_id,index_date,label\nA,2022-01-01,7.5\nB,2022-01-01,3\n",
            {},
            "the labels are numbers beyond 0 and 1; say in the task file what they are",
        ),
        (
            "member_id,index_date,label,split\nA,2022-01-01,1,train\nB,2022-01-01,0,"
            "Trane\n",
            {},
            "charts.csv: row 2: the split has an unknown name; known are train, ",
        ),
        (
            "member_id,index_date,label,split\nA,2022-01-01,1,train\nB,2022-01-01,0,"
            "test\nA,2022-06-01,1,test\n",
            {},
            "1 member is in more than one split (rows 1, 3 are of one)",
        ),
        (
            GOOD,
            {"kind": "time_to_event"},
            "labels of kind time_to_event need a column 'days'",
        ),
    ],
)
def test_what_cannot_be_used_is_told(
    tmp_path: Path, text: str, fields: dict[str, Any], message: str
) -> None:
    assert message in refused(tmp_path, text, **fields)


def test_a_missing_or_odd_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.csv: no such table of labels"):
        read_labels(label_task(str(tmp_path / "nowhere.csv")))
    notes = write(tmp_path / "notes.txt", "x")
    with pytest.raises(InputError, match="a table of labels is one of .parquet, .csv"):
        read_labels(label_task(str(notes)))
    with pytest.raises(InputError, match="names no table of labels: give --labels"):
        read_labels(Task.model_validate({"name": "charts", "labels": {}}))


def test_splits_are_obeyed_under_meds_names_too(tmp_path: Path) -> None:
    text = (
        "member_id,index_date,label,split\n"
        "A,2022-01-01,1,train\nB,2022-01-01,0,tuning\nC,2022-01-01,0,held_out\n"
    )
    found = read(tmp_path, text)
    assert found.rows["split"].to_list() == ["train", "eval", "test"]
    assert found.splits == ("eval", "test", "train")


def test_multi_class_labels_are_numbered(tmp_path: Path) -> None:
    text = "member_id,index_date,label\nA,2022-01-01,severe\nB,2022-01-01,mild\n"
    told = read(tmp_path, text)
    assert told.task.labels is not None
    assert (told.task.label_kind, told.task.labels.classes) == (
        "multi_class",
        ("mild", "severe"),
    )
    assert told.rows["label"].to_list() == [1, 0]
    named = read(tmp_path, text, classes=["none", "mild", "severe"])
    assert named.rows["label"].to_list() == [2, 1]
    short = read(tmp_path, text, classes=["none", "mild"], max_unusable=0.5)
    assert short.quarantined["reason"].to_list() == ["label_unparsable"]
    numbers = "member_id,index_date,label\nA,2022-01-01,10\nB,2022-01-01,9\n"
    ordered = read(tmp_path, numbers, kind="multi_class")
    assert ordered.task.labels is not None
    assert ordered.task.labels.classes == ("9", "10")


def test_time_to_event_and_regression_carry_a_number(tmp_path: Path) -> None:
    text = (
        "member_id,index_date,event,days\n"
        "A,2022-01-01,1,12.5\nB,2022-01-01,0,365\nC,2022-01-01,1,-2\n"
    )
    found = read(tmp_path, text, max_unusable=0.5)
    assert found.task.label_kind == "time_to_event"
    assert found.rows.select("label", "label_value").rows() == [(1, 12.5), (0, 365.0)]
    assert found.quarantined["reason"].to_list() == ["days_unparsable"]
    text = "member_id,index_date,label\nA,2022-01-01,7.25\nB,2022-01-01,-3\n"
    found = read(tmp_path, text, kind="regression")
    assert found.rows.select("label", "label_value").rows() == [(0, 7.25), (0, -3.0)]


def test_meds_label_files_are_read_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    for number, rows in enumerate(([11, 12], [13])):
        pl.DataFrame(
            {
                "subject_id": rows,
                "prediction_time": [datetime(2022, 3, 1, 9, 30)] * len(rows),
                "boolean_value": [row % 2 == 1 for row in rows],
                "integer_value": pl.Series([None] * len(rows), dtype=pl.Int64),
                "categorical_value": pl.Series([None] * len(rows), dtype=pl.String),
            }
        ).write_parquet(folder / f"{number}.parquet")
    task = Task.model_validate(
        {"name": "meds", "labels": {"file": str(folder), "same_day": False}}
    )
    found = read_labels(task)
    assert found.task.label_kind == "binary"
    assert found.rows["patient_id"].to_list() == hashed("11", "12", "13")
    assert found.rows["label"].to_list() == [1, 0, 1]
    assert found.rows["label_row"].to_list() == [1, 2, 3]
    assert set(found.rows["index_day"]) == {day("2022-02-28")}


def test_a_digest_follows_the_bytes(tmp_path: Path) -> None:
    file = write(tmp_path / "charts.csv", GOOD)
    before = digest(file)
    assert digest(file) == before
    write(file, GOOD.replace("yes", "no"))
    assert digest(file) != before


def population(ids: list[str]) -> pl.DataFrame:
    return timelines(
        *(
            member(
                visit("2022-02-01", "OP", "ICD10CM:J4520"),
                visit("2022-02-27", "IP", "ICD10CM:J4521", length=4),
                visit("2022-05-01", "ED", "ICD10CM:J4521"),
                visit("2022-07-01", "OP", "ICD10CM:J069"),
                id=one,
            )
            for one in hashed(*ids)
        )
    )


def test_examples_hold_what_was_known_with_the_tables_label(tmp_path: Path) -> None:
    table = read(tmp_path, GOOD)
    result = label(table.task, population(["M0", "M1", "M9"]), table=table.rows)
    assert result.examples.schema == LABELLED_SCHEMA
    by_row = result.examples.sort("label_row")
    assert by_row["label_row"].to_list() == [1, 2, 4]
    assert by_row["label"].to_list() == [1, 0, 1]
    assert by_row["visit_types"].to_list() == [["OP"], ["OP"], ["OP", "IP", "ED"]]
    assert by_row["visit_outcome"].to_list() == [[0], [0], [0, 0, 0]]
    assert sorted(result.table_rows) == [1, 2, 4]
    assert [(step.name, step.rows) for step in result.attrition.steps] == [
        ("members read", 0),
        ("row of the label table", 3),
        ("index date within the data", 3),
    ]


def test_a_proxy_marks_the_past_and_its_window_is_there_to_adapt_to(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "charts.csv", GOOD)
    task = with_label_table(load_task("asthma_exacerbation"), str(file))
    assert task.definition is not None
    assert task.definition.window_days == 180
    table = read_labels(task)
    result = label(table.task, population(["M0"]), table=table.rows)
    marks = result.examples.sort("index_day")["visit_outcome"].to_list()
    assert marks == [[0], [0, 1, 1]]


def test_a_task_file_may_demand_more_and_name_the_table_beside_it(
    tmp_path: Path,
) -> None:
    write(tmp_path / "charts.csv", GOOD)
    text = (
        "name: charts\nlabels: {file: charts.csv}\npopulation:\n  require:\n"
        "    - {visit_types: [IP]}\nindex: {kind: table, take: last}\n"
    )
    task = load_task(write(tmp_path / "charts.yaml", text))
    assert task.labels is not None
    assert task.labels.file == str(tmp_path / "charts.csv")
    table = read_labels(task)
    result = label(table.task, population(["M0", "M1"]), table=table.rows)
    assert result.examples["label_row"].to_list() == [4]
    assert parse_task(task.to_yaml()) == task
    assert parse_task(table.task.to_yaml()) == table.task


def whole_table(splits: bool = False) -> str:
    lines = ["member_id,index_date,label" + ",split" * splits]
    for number, one in enumerate(IDS):
        split = ("train", "train", "eval", "test")[number % 4]
        row = f"{one},2022-03-15,{number // 4 % 2}"
        lines.append(row + f",{split}" * splits)
    lines.append("STRANGER,2022-03-15,1" + ",train" * splits)
    return "\n".join(lines) + "\n"


def records(tmp_path: Path) -> Path:
    frame = population(IDS)
    splits = split_of(frame["patient_id"])
    for name in SPLITS:
        path = tmp_path / "records" / f"Split-{name}" / "data_tfrecord-0.gz"
        write_records(encode(frame.filter(splits == name)), path)
    return tmp_path / "records"


def written(folder: Path) -> dict[str, pl.DataFrame]:
    return {
        split.name.removeprefix("Split-"): decode(
            list(read_records(sorted(split.iterdir())))
        )
        for split in sorted(folder.glob("Split-*"))
        if split.name != f"Split-{UNLABELLED}"
    }


@pytest.mark.parametrize("splits", [False, True])
def test_a_cohort_from_a_table(tmp_path: Path, splits: bool) -> None:
    file = write(tmp_path / "charts.csv", whole_table(splits))
    output = tmp_path / "cohort"
    summary = build_cohort(label_task(str(file)), records(tmp_path), output)
    examples = written(output)
    assert sum(part.height for part in examples.values()) == len(IDS)
    for name, part in examples.items():
        if splits:
            rows = part["label_row"] - 1
            want = [("train", "train", "eval", "test")[row % 4] for row in rows]
            assert set(want) == {name}
        else:
            assert set(split_of(part["patient_id"])) <= {name}
    members = [set(part["patient_id"]) for part in examples.values()]
    assert sum(map(len, members)) == len(set.union(*members)) == len(IDS)
    assert summary.attrition.unusable == {"member_unknown": 1}
    quarantine = pl.read_parquet(output / "quarantine" / "*.parquet")
    assert quarantine.select("row", "reason").rows() == [(41, "member_unknown")]
    exported = json.loads((output / "attrition.json").read_text())
    assert exported["unusable"] == {"member_unknown": "<11"}
    told = load_task(output / "task.yaml")
    assert told.label_kind == "binary"
    assert bool(summary.warnings) is splits
    text = " ".join(path.read_text() for path in output.glob("*.*"))
    assert "STRANGER" not in text and "M17" not in text


def test_members_of_other_records_or_another_key_are_told(tmp_path: Path) -> None:
    file = write(tmp_path / "charts.csv", whole_table())
    key = write(tmp_path / "other.key", "another key, as long as it must be")
    with pytest.raises(InputError, match="none of its members is in the records"):
        build_cohort(
            label_task(str(file)),
            records(tmp_path),
            tmp_path / "cohort",
            key_file=str(key),
        )
    assert not (tmp_path / "cohort").exists()


def test_one_class_only_is_refused_and_a_few_labels_are_enough(tmp_path: Path) -> None:
    frame = population(IDS)

    def judged(labels: list[int]) -> list[str]:
        text = "member_id,index_date,label\n" + "".join(
            f"{one},2022-03-15,{given}\n"
            for one, given in zip(IDS, labels, strict=True)
        )
        table = read(tmp_path, text)
        result = label(table.task, frame, split="train", table=table.rows)
        attrition = result.attrition.__class__.from_dict(
            {**result.attrition.to_dict(), "unusable": {}}
        )
        return check_enough(attrition)

    for one_class in (0, 1):
        with pytest.raises(TaskError, match="rows in the train split have|every row"):
            judged([one_class] * 40)
    assert "only <11 rows" in judged([1] * 3 + [0] * 37)[0]
