from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.attrition import (
    Attrition,
    SplitCounts,
    Step,
    check_enough,
    merge,
)


def counted(*splits: tuple[str, int, int], ages: Any = None) -> Attrition:
    """Splits as (name, rows, positives), one row a member."""
    rows = sum(count for _, count, _ in splits)
    return Attrition(
        "asked",
        (Step("members read", 4132, 0), Step("aged 2 to 17", rows, rows)),
        {name: SplitCounts(n, n, positives) for name, n, positives in splits},
        ages or {},
    )


def on_screen(attrition: Attrition) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(attrition.table())
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_shards_add_up() -> None:
    left = counted(("train", 5, 2), ages={3: 4, 7: 1})
    right = counted(("train", 7, 0), ("test", 1, 1), ages={7: 8})
    both = merge([left, right])
    assert both == merge([right, left])
    assert both.steps == (Step("members read", 8264, 0), Step("aged 2 to 17", 13, 13))
    assert both.splits == {
        "train": SplitCounts(12, 12, 2),
        "test": SplitCounts(1, 1, 1),
    }
    assert both.ages == {3: 4, 7: 9}
    assert both.total == SplitCounts(13, 13, 3)


def test_nothing_merges_into_nothing_and_one_into_itself() -> None:
    assert merge([], "asked") == Attrition("asked")
    one = counted(("train", 5, 2))
    assert merge([one]) == one


def test_another_task_is_not_added() -> None:
    other = Attrition("other", (Step("members read", 1, 0),))
    with pytest.raises(ValueError, match="'asked' and 'other' cannot be added"):
        merge([counted(("train", 5, 2)), other])


def test_it_survives_json() -> None:
    one = counted(("train", 5, 2), ages={3: 5})
    assert Attrition.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_prevalence_and_ages() -> None:
    one = counted(("train", 80, 20), ("test", 20, 5), ages={2: 25, 4: 50, 10: 25})
    assert one.prevalence == 0.25
    assert one.age_summary() == {"mean": 5.0, "q1": 2, "median": 4, "q3": 4}
    assert Attrition("asked").prevalence is None
    assert Attrition("asked").age_summary() is None


def test_an_export_tells_counts() -> None:
    one = counted(("test", 300, 60), ("train", 700, 140), ages={4: 1000})
    exported = one.export()
    assert json.loads(json.dumps(exported)) == exported
    assert exported["steps"] == [
        {"name": "members read", "members": 4132, "rows": None},
        {"name": "aged 2 to 17", "members": 1000, "rows": 1000},
    ]
    assert exported["total"] == {"members": 1000, "rows": 1000, "positives": 200}
    assert exported["prevalence"] == 0.2
    assert list(exported["splits"]) == ["train", "test"]
    assert exported["splits"]["train"]["positives"] == 140


def test_an_export_tells_no_count_from_one_to_ten() -> None:
    one = counted(("train", 70, 10), ("eval", 10, 0), ("test", 20, 0), ages={4: 100})
    exported = one.export()
    assert exported["splits"]["train"] == {
        "members": 70,
        "rows": 70,
        "positives": "<11",
    }
    assert exported["splits"]["eval"] == {
        "members": "<11",
        "rows": "<11",
        "positives": "hidden",
    }
    assert exported["splits"]["test"] == {
        "members": "hidden",  # 100 in all, less 70, would be the ten of eval
        "rows": "hidden",
        "positives": 0,
    }
    assert exported["total"]["positives"] == "<11"
    assert exported["prevalence"] is None


def test_a_lone_small_split_is_not_had_by_subtraction() -> None:
    one = counted(("train", 700, 140), ("eval", 100, 9), ("test", 200, 40))
    exported = one.export()["splits"]
    assert exported["eval"]["positives"] == "<11"
    assert exported["test"]["positives"] == "hidden"
    assert exported["train"]["positives"] == 140


def test_a_few_without_the_outcome_are_not_told_either() -> None:
    one = counted(("train", 700, 695), ("test", 300, 150))
    exported = one.export()
    assert exported["splits"]["train"]["positives"] == "hidden"
    assert exported["splits"]["test"]["positives"] == "hidden"
    assert exported["total"]["positives"] == 845
    tiny = counted(("train", 8, 3), ages={4: 8}).export()
    assert tiny["ages"] is None
    assert tiny["total"] == {"members": "<11", "rows": "<11", "positives": "<11"}


def test_the_screen_shows_steps_splits_and_summary() -> None:
    shown = on_screen(
        counted(("train", 700, 140), ("test", 300, 60), ages={4: 900, 6: 100})
    )
    for expected in (
        "Cohort of task asked",
        r"members read +│ +4,132 │ +│",
        r"aged 2 to 17 +│ +1,000 │ +1,000 │",
        r"train: 140 with the outcome +│ +700 │ +700 │",
        r"prevalence 20.00%; age 4.2 on average, half are 4 to 4",
    ):
        assert re.search(expected, shown), expected
    assert "<11" in on_screen(counted(("train", 70, 7)))


def test_enough_is_enough() -> None:
    assert check_enough(counted(("train", 700, 50), ("test", 300, 0))) == []


def test_few_positives_are_warned_of() -> None:
    (warning,) = check_enough(counted(("train", 700, 49)))
    assert "only 49 rows in the train split have the outcome; under 50" in warning
    (warning,) = check_enough(counted(("train", 700, 10)))
    assert "only <11 rows" in warning


@pytest.mark.parametrize("positives", [0, 9])
def test_fewer_than_ten_positives_in_training_are_refused(positives: int) -> None:
    one = counted(("train", 700, positives), ("test", 300, 200))
    with pytest.raises(
        TaskError, match="fewer than 10 rows in the train split"
    ) as told:
        check_enough(one)
    assert str(positives) not in re.findall(r"\b\d+\b", str(told.value))[1:]


def test_one_class_only_is_refused() -> None:
    with pytest.raises(TaskError, match="every row in the train split has the outcome"):
        check_enough(counted(("train", 70, 70), ("test", 30, 3)))


def test_without_a_training_split_the_whole_is_judged() -> None:
    assert check_enough(counted(("all", 700, 50))) == []
    with pytest.raises(TaskError, match="fewer than 10 rows in the data have"):
        check_enough(counted(("all", 700, 5)))


def test_a_task_that_matches_nobody_says_at_which_step() -> None:
    steps = (
        Step("members read", 5000, 0),
        Step("aged 2 to 17", 4132, 8000),
        Step("asthma in the last 365 days", 0, 0),
        Step("data reach the end of the window", 0, 0),
    )
    with pytest.raises(TaskError) as told:
        check_enough(Attrition("asked", steps))
    assert str(told.value) == (
        "task asked matches nobody: all 4,132 left at step 'asthma in the last 365 "
        "days'."
    )
    with pytest.raises(TaskError, match="matches nobody: no member was read"):
        check_enough(Attrition("asked"))
