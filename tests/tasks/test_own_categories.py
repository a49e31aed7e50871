"""A task that brings categories of its own."""

from __future__ import annotations

from pathlib import Path

from claimpt_tf.tasks.cohort import label
from claimpt_tf.tasks.spec import load_task
from tests.tasks.members import day, member, timelines, visit

END = day("2023-12-31")


def test_categories_of_the_tasks_own_stand_before_the_published(tmp_path: Path) -> None:
    """In outcomes and in the next visit's labels, beside the task file."""
    (tmp_path / "own.csv").write_text("code,category\nICD10CM:J45*,OURS:LUNG\n")
    ill = member(
        visit("2021-01-01", "OP", "ICD10CM:Z00129"),
        visit("2021-02-01", "ED", "ICD10CM:J4521", "ICD10CM:E119"),
    )
    found = {}
    for outcome in ("kind: event, categories: ['OURS:LUNG']", "kind: next_visit"):
        file = tmp_path / "task.yaml"
        file.write_text(
            "name: own\ncategory_files: [own.csv]\nwindow_days: 60\n"
            f"index: {{kind: fixed, date: 2021-01-15}}\noutcome: {{{outcome}}}\n"
        )
        kind = outcome.split(",")[0].removeprefix("kind: ")
        found[kind] = label(load_task(file), timelines(ill), data_end=END).examples
    assert found["event"]["label"].to_list() == [1]
    assert found["next_visit"]["label_categories"].to_list() == [
        ["CCSR:END002", "OURS:LUNG"]
    ]
