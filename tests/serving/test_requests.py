from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from claimpt_tf.claims.events import SETTINGS
from claimpt_tf.codes.systems import SYSTEMS
from claimpt_tf.errors import InputError
from claimpt_tf.serving import requests
from claimpt_tf.visits import records

MEMBER = {
    "sex": "F",
    "birth_date": "2012-04-03",
    "index_date": "2023-06-30",
    "visits": [
        {
            "date": "2023-03-01",
            "type": "IP",
            "codes": ["ICD10CM:J45.901", "CPT:99213-25", "ICD10CM:J45901"],
            "length": 3,
            "cost": 4120.5,
        },
        {"date": "2023-01-05", "type": "RX", "codes": ["ndc:0173-0682-20"]},
    ],
}


def test_a_record_and_the_dense_inputs_say_the_same(
    members: list[dict[str, Any]],
) -> None:
    given = [MEMBER, *members]
    dense = requests.to_predict_inputs(given)
    through = requests.examples_to_predict_inputs(requests.to_examples(given))

    assert tuple(dense) == requests.PREDICT_INPUTS
    for name, array in dense.items():
        assert array.dtype == through[name].dtype
        np.testing.assert_array_equal(array, through[name])
    assert dense["codes"].shape == (9, 60, 3)
    assert dense["visit_types"][0, :3].tolist() == ["RX", "IP", ""]
    assert dense["codes"][0, 1].tolist() == ["ICD10CM:J45901", "HCPCS:99213", ""]
    assert dense["codes"][0, 0].tolist() == ["NDC:00173068220", "", ""]
    assert dense["visit_length"][0, :3].tolist() == [0, 3, 0]
    assert dense["cost"].dtype == np.float32
    assert dense["index_day"][0] == (np.datetime64("2023-06-30").astype(int))


def test_the_record_follows_the_contract() -> None:
    frame = records.decode(requests.to_examples([MEMBER]))
    row = frame.row(0, named=True)
    assert row["visit_types"] == ["RX", "IP"]
    assert row["codes"] == [["NDC:00173068220"], ["ICD10CM:J45901", "HCPCS:99213"]]
    assert row["enrolled_from"] == [] and row["patient_id"] == ""


def test_no_visits_at_all() -> None:
    bare = {k: v for k, v in MEMBER.items() if k != "visits"}
    (instance,) = requests.to_instances([bare])
    assert instance["codes"] == [[""]]
    assert instance["visit_types"] == [""]
    assert requests.to_predict_inputs([])["codes"].shape == (0, 1, 1)
    json.dumps(instance)


def test_records_without_an_index_day() -> None:
    frame = records.decode(requests.to_examples([MEMBER])).drop("index_day")
    dense = requests.examples_to_predict_inputs(records.encode(frame))
    assert dense["index_day"].tolist() == [requests.UNKNOWN_INDEX_DAY]


def test_every_system_a_task_may_name_can_be_sent() -> None:
    for system in SYSTEMS:
        member = copy.deepcopy(MEMBER)
        member["visits"][0]["codes"] = [f"{system}:12345"]
        (parsed,) = requests.parse_members([member])
        assert parsed.visits[1].codes[0].endswith("12345")


def _change(path: str, value: Any) -> dict[str, Any]:
    member: Any = copy.deepcopy(MEMBER)
    *parents, last = path.split(".")
    target = member
    for step in parents:
        target = target[int(step) if step.isdigit() else step]
    target[int(last) if last.isdigit() else last] = value
    return member


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sex", "female", "members[0].sex: must be one of F, M, U"),
        ("sex", None, "members[0].sex: is missing"),
        ("birth_date", "03/04/2012", "members[0].birth_date: is not a date"),
        ("birth_date", "2012-02-30", "members[0].birth_date: is not a date"),
        ("birth_date", "20120403", "members[0].birth_date: is not a date"),
        ("birth_date", 15_000, "members[0].birth_date: is not a date"),
        ("birth_date", "2023-07-01", "members[0].birth_date: lies after index_date"),
        ("index_date", None, "members[0].index_date: is missing"),
        ("visits", "none", "members[0].visits: must be a list of visits"),
        ("birthdate", "2012-04-03", "did you mean 'birth_date'?"),
        ("visits.0", [], "members[0].visits[0]: must be an object with date"),
        ("visits.0.date", "2023-06-31", "visits[0].date: is not a date"),
        ("visits.0.date", "2023-07-01", "visits[0].date: lies after index_date"),
        ("visits.0.length", 400, "makes the visit end after index_date"),
        ("visits.0.length", -1, "visits[0].length: must be a whole number of days"),
        ("visits.0.length", 1.5, "visits[0].length: must be a whole number of days"),
        ("visits.0.length", 10**30, "visits[0].length: must be a whole number"),
        ("visits.0.type", "INPATIENT", f"must be one of {', '.join(SETTINGS)}"),
        ("visits.0.type", None, "visits[0].type: is missing"),
        ("visits.0.cost", -1, "visits[0].cost: must be a number, 0 or more"),
        ("visits.0.cost", float("nan"), "visits[0].cost: must be a number"),
        ("visits.0.cost", 10**400, "visits[0].cost: must be a number"),
        ("visits.0.cost", "12", "visits[0].cost: must be a number"),
        ("visits.0.codes", "ICD10CM:J45", "visits[0].codes: must be a list of codes"),
        ("visits.0.codes.1", "J45.40", "visits[0].codes[1]: has no system prefix"),
        ("visits.0.codes.1", "ICD10CM:", "has no system prefix"),
        ("visits.0.codes.1", 4540, "has no system prefix"),
        ("visits.0.codes.1", "ICPC:R96", "names an unknown code system; known are"),
    ],
)
def test_messages_name_the_place_and_never_the_value(
    path: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        requests.parse_members([_change(path, value)])
    assert "2012" not in str(caught.value) and "R96" not in str(caught.value)


def test_a_single_object_is_no_list() -> None:
    with pytest.raises(InputError, match="must be a list of objects"):
        requests.parse_members(MEMBER)  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "member.json"
    for content in (MEMBER, [MEMBER], {"members": [MEMBER]}):
        file.write_text(json.dumps(content))
        assert requests.read_members(file) == [MEMBER]
    for text, message in (
        ('{"sex": ', "member.json, line 1, column 9: not valid JSON"),
        ("3", "must hold a member, or a list"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            requests.read_members(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        requests.read_members(file)
    with pytest.raises(InputError, match="none.json: cannot be read"):
        requests.read_members(tmp_path / "none.json")
