"""Task files of ACES: what maps, and that what does not is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.aces import Imported, import_aces
from claimpt_tf.tasks.spec import Task, parse_task

# Long-term incidence of myocardial infarction, as among ACES's samples.
INCIDENCE = """\
predicates:
  discharge:
    code: event_type//DISCHARGE
  mi_9:
    code: diagnosis//ICD9CM_41071
  mi_10:
    code: {any: [ICD10CM//I21.4, ICD10CM//I21.A1]}
  mi:
    expr: or(mi_9, mi_10)
trigger: discharge
windows:
  input:
    start: NULL
    end: trigger
    start_inclusive: True
    end_inclusive: True
    index_timestamp: end
  gap:
    start: trigger
    end: start + 365 days
    start_inclusive: False
    end_inclusive: True
    has:
      mi: (None, 0)
  target:
    start: gap.end
    end: start + 1095 days
    start_inclusive: False
    end_inclusive: True
    label: mi
"""
READMISSION = """\
predicates:
  admission:
    code: event_type//ADMISSION
  discharge:
    code: event_type//DISCHARGE
trigger: admission
windows:
  input:
    start: trigger
    end: start -> discharge
    start_inclusive: False
    end_inclusive: True
  target:
    start: input.end
    end: start + 30 days
    start_inclusive: False
    end_inclusive: True
    label: admission
"""


def imported(tmp_path: Path, text: str, name: str = "task.yaml") -> Imported:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return import_aces(path)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(TaskError) as caught:
        imported(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_incidence_maps(tmp_path: Path) -> None:
    found = imported(tmp_path, INCIDENCE, "long-term-incidence.yaml")
    assert found.notes == ()
    assert found.task == Task.model_validate(
        {
            "name": "long_term_incidence",
            "index": {"kind": "each_visit", "visit": {"visit_types": ["IP"]}},
            "outcome": {"codes": ["ICD9CM:41071$", "ICD10CM:I214$", "ICD10CM:I21A1$"]},
            "gap_days": 365,
            "window_days": 1095,
            "censoring": {"drop_if_in_gap": True},
        }
    )
    assert parse_task(found.task.to_yaml()) == found.task


def test_an_admission_that_is_asked_about_at_its_discharge_maps(tmp_path: Path) -> None:
    task = imported(tmp_path, READMISSION).task
    assert task.index.kind == "each_visit"
    assert task.index.visit.visit_types == ("IP",)
    assert task.outcome is not None and task.outcome.visit_types == ("IP",)
    assert (task.gap_days, task.window_days) == (0, 30)
    older = READMISSION.replace("trigger: admission", "trigger_event: admission")
    assert imported(tmp_path, older).task == task


def test_conditions_on_the_past_become_criteria(tmp_path: Path) -> None:
    text = """\
patient_demographics:
  female: {code: SEX//Female}
predicates:
  asthma: {code: {regex: "^ICD10CM//J45.*"}}
  ed: {code: ED_REGISTRATION}
  attack: {expr: "and(asthma, ed)"}
trigger: asthma
windows:
  input:
    start: end - 2 years
    end: trigger
    start_inclusive: False
    end_inclusive: True
    has:
      attack: (2, None)
      _ANY_EVENT: [5, null]
  before:
    start: end - 4w
    end: trigger
    start_inclusive: False
    end_inclusive: True
    has: {ed: "(None, 1)"}
  target:
    start: trigger
    end: start + 10d
    start_inclusive: False
    end_inclusive: False
    label: attack
"""
    task = imported(tmp_path, text).task
    assert task == Task.model_validate(
        {
            "name": "task",
            "population": {
                "sexes": ["F"],
                "require": [
                    {
                        "codes": ["ICD10CM:J45"],
                        "visit_types": ["ED"],
                        "min_count": 2,
                        "within_days": 730,
                    },
                    {
                        "visit_types": ["IP", "ED", "OP", "RX", "OTHER"],
                        "min_count": 5,
                        "within_days": 730,
                    },
                ],
            },
            "index": {"kind": "each_visit", "visit": {"codes": ["ICD10CM:J45"]}},
            "lookback_days": 730,
            "outcome": {"codes": ["ICD10CM:J45"], "visit_types": ["ED"]},
            "window_days": 9,
            "exclusions": [{"visit_types": ["ED"], "within_days": 28, "min_count": 2}],
        }
    )


def test_predicates_may_stand_apart(tmp_path: Path) -> None:
    predicates, _, rest = READMISSION.partition("trigger:")
    apart = tmp_path / "predicates.yaml"
    apart.write_text(predicates)
    path = tmp_path / "task.yaml"
    path.write_text("trigger:" + rest)
    assert import_aces(path, apart).task == imported(tmp_path, READMISSION).task


def test_an_input_that_begins_at_an_event_is_noted(tmp_path: Path) -> None:
    text = INCIDENCE.replace("    start: NULL\n", "    start: end <- discharge\n")
    found = imported(tmp_path, text)
    assert "inputs are all the past" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        (
            INCIDENCE,
            "ICD9CM_41071",
            "LOCAL_7",
            "line 5, predicates.mi_9.code: 'LOCAL_7",
        ),
        (
            INCIDENCE,
            "    code: diagnosis//ICD9CM_41071",
            "    code: ICD9CM//4107\n    value_min: 3",
            "line 6, predicates.mi_9.value_min: claims hold no values",
        ),
        (INCIDENCE, "or(mi_9, mi_10)", "or(mi_9, death)", "there is no predicate 'dea"),
        (INCIDENCE, "or(mi_9, mi_10)", "and(mi_9, mi_10)", "and() maps for one predic"),
        (
            INCIDENCE,
            "or(mi_9, mi_10)",
            "or(mi_9, discharge)",
            "codes with kinds of vis",
        ),
        (INCIDENCE, "1095 days", "3 months", "windows.target.end: 'months' does not m"),
        (INCIDENCE, "1095 days", "25 hours", "'25 hours' is no whole number of days"),
        (INCIDENCE, "    label: mi\n", "", "0 windows have a label; exactly one is"),
        (INCIDENCE, "start + 1095 days", "start -> mi", "a window up to an event, or"),
        (
            INCIDENCE,
            "      mi: (None, 0)",
            "      mi: (1, None)",
            "looks beyond the ind",
        ),
        (INCIDENCE, "(None, 0)", "never", "windows.gap.has.mi: 'never' is no (least"),
        (
            INCIDENCE,
            "    label: mi\n",
            "    label: mi\n    has:\n      discharge: (1, None)\n",
            "line 32, windows.target.has.discharge: a condition on what is predicted",
        ),
        (
            INCIDENCE,
            "trigger: discharge",
            "trigger: 7",
            "line 10, trigger: the name of",
        ),
        (INCIDENCE, "windows:", "window:", "line 11, window: no field of ACES"),
        (
            READMISSION,
            "end: start -> discharge",
            "end: trigger",
            "line 6, trigger: an index date at admission does not map",
        ),
        (
            READMISSION,
            "end: start + 30 days\n    start_inclusive: False",
            "end: start + 30 days\n    start_inclusive: True",
            "begins on the index date itself, which is all input here",
        ),
        (
            INCIDENCE,
            "{any: [ICD10CM//I21.4, ICD10CM//I21.A1]}",
            '{regex: "ICD10CM//(I21|I22)"}',
            "is more than the start of a code; list the codes under any",
        ),
    ],
)
def test_what_does_not_map_is_told_with_its_line(
    tmp_path: Path, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    assert message in refused(tmp_path, text.replace(old, new))


def test_demographics_but_sex_do_not_map(tmp_path: Path) -> None:
    text = "patient_demographics:\n  eyes: {code: EYES//BROWN}\n" + READMISSION
    assert "line 2, patient_demographics.eyes: of these, only sex" in refused(
        tmp_path, text
    )
