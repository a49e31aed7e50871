from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.spec import Task, load_task, parse_task, shipped_tasks

COMPLETE = """\
name: asked
population:
  ages: {min: 2, max: 17}
  sexes: [F, M]
  require:
    - codes: [ICD10CM:J45]
      min_count: 2
index:
  kind: calendar
  every: quarter
outcome:
  codes: [ICD10CM:J4521]
  visit_types: [ED, IP]
window_days: 180
"""


def fault(text: str) -> str:
    with pytest.raises(TaskError) as caught:
        parse_task(text, "my.yaml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert old in COMPLETE
    return fault(COMPLETE.replace(old, new))


@pytest.mark.parametrize("name", shipped_tasks())
def test_shipped_tasks_survive_every_way_of_passing_them_on(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.description
    assert parse_task(task.to_yaml()) == task
    assert Task.model_validate_json(task.model_dump_json()) == task
    assert pickle.loads(pickle.dumps(task)) == task


def test_shipped_tasks_are_those_documented() -> None:
    assert shipped_tasks() == [
        "asthma_exacerbation",
        "high_cost",
        "next_visit_diagnosis",
        "readmission_30d",
        "self_harm",
    ]


def test_the_horizon_is_gap_and_window() -> None:
    task = parse_task(COMPLETE + "gap_days: 14\n")
    assert task.horizon_days == 194


def test_a_task_is_loaded_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("\ufeff" + COMPLETE, encoding="utf-8")
    assert load_task(file) == load_task(str(file)) == parse_task(COMPLETE)


def test_dates_survive(tmp_path: Path) -> None:
    text = COMPLETE.replace(
        "kind: calendar\n  every: quarter", "kind: fixed\n  date: 2023-01-01"
    )
    task = parse_task(text)
    assert parse_task(task.to_yaml()) == task
    assert Task.model_validate_json(task.model_dump_json()) == task


def test_yaml_anchors_and_merges_work() -> None:
    text = COMPLETE + "exclusions:\n  - &one {codes: [CVX:1]}\n  - {<<: *one}\n"
    first, second = parse_task(text).exclusions
    assert first == second


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sexes",
            "sex",
            "my.yaml, line 4, population.sex: unknown field (did you mean 'sexes'?); "
            "allowed here: ages, sexes, institutions, enrolled_days, require",
        ),
        (
            "every: quarter",
            "every: quater",
            "my.yaml, line 10, index.every: 'quater' is not one of month, quarter, "
            "half_year, year; did you mean quarter?",
        ),
        (
            "kind: calendar",
            "kind: calender",
            "my.yaml, line 9, index.kind: 'calender' is not one of calendar, fixed, "
            "each_visit, first_diagnosis, birthday, table; did you mean calendar?",
        ),
        (
            "kind: calendar\n  ",
            "",
            "my.yaml, line 8, index.kind: missing, and required; one of calendar, "
            "fixed, each_visit, first_diagnosis, birthday",
        ),
        (
            "  every: quarter\n",
            "",
            "my.yaml, line 8, index.every: missing, and required",
        ),
        (
            "  every: quarter",
            "  every: month\n  since: 2023-01-01\n  until: 2022-01-01",
            "my.yaml, line 8, index: since 2023-01-01 is after until 2022-01-01",
        ),
        (
            "window_days: 180",
            "window_days: 180.5",
            "my.yaml, line 14, window_days: should be a whole number; got 180.5",
        ),
        (
            "window_days: 180",
            "window_days: 0",
            "my.yaml, line 14, window_days: should be greater than or equal to 1; "
            "got 0",
        ),
        ("window_days: 180\n", "", "my.yaml, line 1, window_days: missing, and req"),
        (
            "min_count: 2",
            "min_count: yes",
            "my.yaml, line 7, population.require[1].min_count: should be a whole "
            "number; got True",
        ),
        (
            "[ED, IP]",
            "[ED, ER]",
            "my.yaml, line 13, outcome.visit_types[2]: 'ER' is not one of IP, ED, OP, "
            "RX, OTHER",
        ),
        (
            "[ED, IP]",
            "[]",
            "my.yaml, line 13, outcome.visit_types: names nothing; leave the field "
            "out for no limit",
        ),
        (
            "[ED, IP]",
            "IP",
            "my.yaml, line 13, outcome.visit_types: should be a list, such as [a, b]; "
            "got 'IP'",
        ),
        (
            "  codes: [ICD10CM:J4521]\n  visit_types: [ED, IP]",
            "  min_count: 2",
            "my.yaml, line 11, outcome: needs codes, categories, visit_types or "
            "min_cost",
        ),
        (
            "visit_types: [ED, IP]",
            "min_count: 2\n  min_cost: 5",
            "my.yaml, line 11, outcome: takes min_cost or min_count, not both",
        ),
        (
            "[ICD10CM:J45]",
            "[J45]",
            "my.yaml, line 6, population.require[1].codes[1]: 'J45' is not "
            "SYSTEM:CODE; write for example ICD10CM:J45",
        ),
        (
            "[ICD10CM:J45]",
            "[ICD-10:J45]",
            "line 6, population.require[1].codes[1]: 'ICD-10:J45': unknown code "
            "system 'ICD-10'; did you mean ICD10CM?",
        ),
        (
            "codes: [ICD10CM:J45]\n      ",
            "",
            "my.yaml, line 6, population.require[1]: needs codes, categories or "
            "visit_types",
        ),
        (
            "min_count: 2",
            "min_days_apart: 2",
            "population.require[1]: min_days_apart needs a min_count of 2 or more",
        ),
        (
            "min_count: 2",
            "min_count: 2\n      min_days_apart: 30\n      within_days: 30",
            "population.require[1]: min_days_apart does not fit into within_days",
        ),
        (
            "{min: 2, max: 17}",
            "{min: 17, max: 2}",
            "my.yaml, line 3, population.ages: min 17 is above max 2",
        ),
        (
            "{min: 2, max: 17}",
            "2-17",
            "my.yaml, line 3, population.ages: should be a block with the fields min, "
            "max",
        ),
        ("name: asked", "name: Asked!", "my.yaml, line 1, name: 'Asked!' does not ma"),
        (
            "kind: calendar\n  every: quarter",
            "kind: fixed\n  date: 20230101",
            "my.yaml, line 10, index.date: should be a date such as 2023-01-31; got "
            "20230101",
        ),
        (
            "kind: calendar\n  every: quarter",
            "kind: fixed\n  date: 2023-02-30",
            "my.yaml, line 10: 2023-02-30: day is out of range for month",
        ),
        (
            "  sexes: [F, M]",
            "  sexes: [F, M]\n  sexes: [F]",
            "my.yaml, line 5, sexes: given twice, first on line 4",
        ),
        (
            "codes: [ICD10CM:J4521]",
            "categories: [CCSR:RSP099]",
            "my.yaml, line 12, outcome.categories[1]: 'CCSR:RSP099': no category of "
            "CCSR is called so; nearest is CCSR:RSP009",
        ),
        (
            "codes: [ICD10CM:J4521]",
            "kind: next_visit\n  min_count: 2",
            "line 11, outcome: kind next_visit takes neither min_cost nor min_count",
        ),
        (
            "window_days: 180",
            "window_days: 180\ncensoring: {drop_if_in_gap: true}",
            "my.yaml, line 15, censoring: drop_if_in_gap needs gap_days of 1 or more",
        ),
        (
            "kind: calendar\n  every: quarter",
            "kind: first_diagnosis\n  visit: {visit_types: [ED]}",
            "my.yaml, line 10, index.visit: needs codes or categories",
        ),
        (
            "kind: calendar\n  every: quarter",
            "kind: table",
            "my.yaml, line 8, index: kind table goes with labels",
        ),
        (
            "name: asked",
            "name: asked\nproxy: {outcome: {visit_types: [ED]}, window_days: 5}",
            "my.yaml, line 2, proxy: goes with labels; the task has an outcome of its",
        ),
        ("[F, M]", "[F, M", "my.yaml, line 5: not YAML: "),
        ("[F, M]", "[F, \x07]", "my.yaml, line 4: not YAML: a character that text"),
        ("window_days", "washout_days: -1\nwindow_days", "line 14, washout_days: "),
        (
            "window_days",
            "censoring: {require_enrolled_to_end: 1}\nwindow_days",
            "line 14, censoring.require_enrolled_to_end: should be true or false; got",
        ),
    ],
)
def test_a_fault_names_file_line_field_and_what_is_allowed(
    old: str, new: str, message: str
) -> None:
    assert message in changed(old, new)


WITH_TABLE = """\
name: charts
labels:
  file: charts.csv
proxy:
  outcome: {codes: [ICD10CM:J4521]}
  window_days: 30
"""


def test_a_task_with_a_table_needs_no_more() -> None:
    task = parse_task(WITH_TABLE)
    assert (task.index.kind, task.outcome, task.window_days) == ("table", None, None)
    assert task.label_kind is None
    assert task.definition is not None and task.definition.window_days == 30
    assert parse_task(task.to_yaml()) == task
    assert Task.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "outcome: {visit_types: [ED]}",
            "line 7, outcome: comes from the table of lab",
        ),
        ("window_days: 30", "line 7, window_days: comes from the table of labels"),
        ("gap_days: 3", "line 7, gap_days: goes with an outcome; here the table"),
        ("index: {kind: birthday}", "line 7, index: comes from the table of labels"),
    ],
)
def test_what_the_table_says_is_not_said_again(added: str, message: str) -> None:
    assert message in fault(WITH_TABLE + added + "\n")


def test_classes_of_a_table_are_two_or_more() -> None:
    text = "name: charts\nlabels: {classes: [a, a]}\n"
    assert "line 2, labels: classes should be two or more, each named" in fault(text)
    text = "name: charts\nlabels: {classes: [a, b], kind: binary}\n"
    assert "line 2, labels: classes go with kind multi_class, not" in fault(text)


def test_all_faults_are_told_at_once_in_the_order_of_lines() -> None:
    text = COMPLETE.replace("[F, M]", "[F, X]").replace("180", "none")
    assert fault(text) == (
        "my.yaml has 2 faults:\n"
        "  line 4, population.sexes[2]: 'X' is not one of F, M, U\n"
        "  line 14, window_days: should be a whole number; got 'none'"
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "words"])
def test_a_file_without_fields_is_refused(text: str) -> None:
    assert "my.yaml, line 1: such a file is a block of fields" in fault(text)


@pytest.mark.parametrize("text", ["a: &x [*x]", "{[1]: 2}", "? {a: 1}\n: 2", "!!a b"])
def test_odd_yaml_ends_in_a_task_error(text: str) -> None:
    assert "my.yaml" in fault(text)


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(TaskError) as caught:
        load_task("asthma_exacerbations")
    assert str(caught.value) == (
        "no task 'asthma_exacerbations'; did you mean 'asthma_exacerbation'? Shipped: "
        "asthma_exacerbation, high_cost, next_visit_diagnosis, readmission_30d, "
        "self_harm. Or give the path of a YAML file."
    )
    with pytest.raises(TaskError, match="no task 'qqq'; shipped: asthma"):
        load_task("qqq")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="missing.yaml: cannot be read .No such file"):
        load_task(tmp_path / "missing.yaml")
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(TaskError, match="folder.yaml: cannot be read"):
        load_task(folder)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("description: Größe".encode("latin-1"))
    with pytest.raises(TaskError, match="not UTF-8 text .byte 15."):
        load_task(latin)
