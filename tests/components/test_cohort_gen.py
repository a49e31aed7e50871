"""CohortGen: records and a task in, examples and attrition out; with a table too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.errors import InputError, TaskError
from claimpt_tf.tasks.spec import Task, label_task, load_task
from claimpt_tf.tasks.unlabelled import UNLABELLED
from claimpt_tf.visits.records import decode, encode, read_records, write_records
from claimpt_tf.visits.splits import SPLITS, split_of
from components.cohort_gen.component import CohortAttrition, CohortGen
from components.cohort_gen.executor import Executor
from tests.tasks.members import member, span, task, timelines, visit

LOCAL_BEAM = ["--runner=FnApiRunner", "--sdk_container_image=none"]
IDS = pl.Series([f"M{number}" for number in range(120)])


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    hashed = hash_members(IDS, load_key()).to_list()
    frame = timelines(
        *(
            member(
                visit("2021-11-01", "OP", "ICD10CM:J4520"),
                *[visit("2022-02-01", "IP", "ICD10CM:J4521")] * (number % 3 == 0),
                visit("2023-12-01"),
                id=one,
                enrolled=(span("2021-01-01", "2023-12-31"),),
            )
            for number, one in enumerate(hashed)
        )
    )
    splits = split_of(frame["patient_id"])
    for name in SPLITS:
        path = folder / f"Split-{name}" / "data_tfrecord-00000.gz"
        write_records(encode(frame.filter(splits == name)), path)
    return folder


def execute(records: Path, folder: Path, asked: Task, key_file: str = "") -> Path:
    examples = standard_artifacts.Examples()
    examples.uri = str(records)
    examples.split_names = json.dumps(list(SPLITS))
    cohort, attrition = standard_artifacts.Examples(), CohortAttrition()
    cohort.uri, attrition.uri = str(folder / "cohort"), str(folder / "attrition")
    outputs: dict[str, list[Any]] = {"cohort": [cohort], "attrition": [attrition]}
    Executor(Executor.Context(beam_pipeline_args=LOCAL_BEAM)).Do(
        {"examples": [examples]},
        outputs,
        {"task": asked.model_dump_json(), "key_file": key_file},
    )
    assert set(json.loads(cohort.split_names)) == {*SPLITS, UNLABELLED}
    return folder


def rows(folder: Path) -> pl.DataFrame:
    files = sorted((folder / "cohort").glob("Split-*/*.gz"))
    return decode(list(read_records(files)))


def charts(folder: Path) -> Path:
    lines = [
        f"{one},2022-01-01,{number % 2},{('train', 'eval', 'test')[number % 3]}"
        for number, one in enumerate(IDS)
    ]
    path = folder / "charts.csv"
    path.write_text("member_id,index_date,label,split\n" + "\n".join(lines))
    return path


def test_a_task_with_an_outcome(records: Path, tmp_path: Path) -> None:
    execute(records, tmp_path, task())
    assert rows(tmp_path)["label"].sum() == 40
    exported = json.loads((tmp_path / "attrition" / "attrition.json").read_text())
    assert exported["total"]["rows"] == 120
    assert "with the outcome" in (tmp_path / "attrition" / "attrition.txt").read_text()
    assert load_task(tmp_path / "cohort" / "task.yaml") == task()


def test_a_task_with_a_table_obeys_its_splits_and_keeps_its_rows(
    records: Path, tmp_path: Path
) -> None:
    execute(records, tmp_path, label_task(str(charts(tmp_path))))
    found = rows(tmp_path).sort("label_row")
    assert found["label_row"].to_list() == list(range(1, 121))
    assert found["label"].to_list() == [number % 2 for number in range(120)]
    files = sorted((tmp_path / "cohort" / "Split-eval").glob("*.gz"))
    held_out = decode(list(read_records(files)))
    assert {(row - 1) % 3 for row in held_out["label_row"]} == {1}
    exported = json.loads((tmp_path / "attrition" / "attrition.json").read_text())
    assert any("pre-training has seen" in one for one in exported["warnings"])
    assert load_task(tmp_path / "cohort" / "task.yaml").label_kind == "binary"


def test_the_wrong_key_and_too_few_members_are_refused(
    records: Path, tmp_path: Path
) -> None:
    key = tmp_path / "other.key"
    key.write_text("another key, as long as it must be")
    table = label_task(str(charts(tmp_path)))
    with pytest.raises(InputError, match="none of its members is in the records"):
        execute(records, tmp_path / "one", table, key_file=str(key))
    nobody = task(population={"sexes": ["M"]})
    with pytest.raises(TaskError, match="matches nobody"):
        execute(records, tmp_path / "two", nobody)


def test_a_changed_table_makes_a_new_execution_and_tasks_fan_out(
    tmp_path: Path,
) -> None:
    examples = Channel(type=standard_artifacts.Examples)
    path = charts(tmp_path)

    def parameters() -> dict[str, Any]:
        made = CohortGen(examples, label_task(str(path)), key_file="k")
        return dict(made.exec_properties)

    before = parameters()
    assert before == parameters()
    path.write_text(path.read_text().replace("2022-01-01,0", "2022-01-01,1", 1))
    assert parameters()["table_digest"] != before["table_digest"]
    both = [
        CohortGen(examples, load_task(name)).with_id(f"CohortGen.{name}")
        for name in ("asthma_exacerbation", "self_harm")
    ]
    assert [one.id for one in both] == [
        "CohortGen.asthma_exacerbation",
        "CohortGen.self_harm",
    ]
    assert both[0].exec_properties["task"] != both[1].exec_properties["task"]
