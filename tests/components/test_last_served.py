"""Which model a candidate is held against."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types import Artifact
from tfx.types.standard_artifacts import Model

from components.last_served.driver import VERSION, Driver
from components.last_served.executor import FOUND_FILE, Executor, last_served

SERVED = {
    "100": ("first", "self_harm"),
    "200": ("second", "self_harm"),
    "1000": ("other", "asthma_exacerbation"),
    "1001": ("unknown", None),
}


def export(folder: Path, fingerprint: str, task: str | None) -> Path:
    """What last_served looks at of a SavedModel."""
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "fingerprint.pb").write_text(fingerprint)
    if task:
        facts = json.dumps({"task": task})
        (folder / "assets.extra" / "claimpt.json").write_text(facts)
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Path:
    place = tmp_path / "served"
    for version, (fingerprint, task) in SERVED.items():
        export(place / version, fingerprint, task)
    (place / "models.config").write_text("")
    return place


def candidate(folder: Path, fingerprint: str) -> Artifact:
    made = Model()
    made.uri = str(folder / f"candidate {fingerprint}")
    export(Path(made.uri) / "Format-Serving", fingerprint, "self_harm")
    return made


@pytest.mark.parametrize(
    ("fingerprint", "task", "expected"),
    [
        ("new", "self_harm", "200"),
        ("second", "self_harm", "100"),  # a rerun: it is served already
        ("new", "asthma_exacerbation", "1000"),
        ("new", "high_cost", None),
    ],
)
def test_the_newest_of_the_task_but_not_the_candidate(
    served: Path, tmp_path: Path, fingerprint: str, task: str, expected: str | None
) -> None:
    model = candidate(tmp_path, fingerprint)
    found = last_served(str(served), task, f"{model.uri}/Format-Serving")
    assert found == expected
    assert last_served(str(tmp_path / "nowhere"), task, model.uri) is None


def test_driver_and_executor_find_the_same(served: Path, tmp_path: Path) -> None:
    properties = {"served_at": str(served), "task": "self_harm"}
    given = {"candidate": [candidate(tmp_path, "new")]}
    info = ExecutionInfo(exec_properties=properties, input_dict=given)
    told = Driver(None).run(info).exec_properties
    assert {name: value.string_value for name, value in told.items()} == {
        **properties, VERSION: "200"
    }  # fmt: skip
    made = Model()
    made.uri = str(tmp_path / "last")
    Executor().Do(given, {"model": [made]}, properties)
    assert (tmp_path / "last/Format-Serving/fingerprint.pb").read_text() == "second"
    assert json.loads((tmp_path / "last" / FOUND_FILE).read_text()) == {
        "version": "200"
    }


def test_before_the_first_there_is_no_model(tmp_path: Path) -> None:
    made = Model()
    made.uri = str(tmp_path / "last")
    properties = {"served_at": str(tmp_path / "nowhere"), "task": "self_harm"}
    given = {"candidate": [candidate(tmp_path, "new")]}
    Executor().Do(given, {"model": [made]}, properties)
    assert [file.name for file in (tmp_path / "last").iterdir()] == [FOUND_FILE]
