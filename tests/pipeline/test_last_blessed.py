"""Which model a candidate is held against."""

from __future__ import annotations

from pathlib import Path

import pytest
from tfx.types import Artifact
from tfx.types.standard_artifacts import Model, ModelBlessing

from pipeline.last_blessed import LastBlessed


def model(number: int, folder: Path) -> Artifact:
    made = Model()
    made.id, made.uri = number, str(folder)
    return made


def blessing(number: int, of: int, task: str, blessed: bool = True) -> Artifact:
    made = ModelBlessing()
    made.id = number
    made.set_int_custom_property("current_model_id", of)
    made.set_int_custom_property("blessed", int(blessed))
    if task:
        made.set_string_custom_property("task", task)
    return made


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [(4, [3]), (3, [1]), (9, [3])],
    ids=["a new model", "a rerun of the last", "an unknown one"],
)
def test_the_last_blessed_model_of_the_task_but_not_the_candidate(
    candidate: int, expected: list[int], tmp_path: Path
) -> None:
    models = [model(number, tmp_path) for number in range(1, 8)]
    models.append(model(8, tmp_path / "removed by hand"))
    blessings = [
        blessing(11, 1, "self_harm"),
        blessing(13, 3, "self_harm"),
        blessing(14, 2, "self_harm", blessed=False),
        blessing(15, 5, "asthma_exacerbation"),
        blessing(16, 6, ""),  # the Evaluator's own, of any task
        blessing(17, 8, "self_harm"),
    ]
    given = {
        "candidate": [model(candidate, tmp_path)],
        "model": models,
        "blessing": blessings,
    }
    found = LastBlessed("self_harm").resolve_artifacts(None, given)
    assert [one.id for one in found["model"]] == expected
    assert [one.get_int_custom_property("current_model_id") for one in found[
        "blessing"
    ]] == expected  # fmt: skip


def test_nothing_before_the_first_blessing(tmp_path: Path) -> None:
    given = {"candidate": [model(1, tmp_path)], "model": [], "blessing": []}
    found = LastBlessed("self_harm").resolve_artifacts(None, given)
    assert (found["model"], found["blessing"]) == ([], [])
