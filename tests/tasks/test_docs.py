"""docs/tasks.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from claimpt_tf.tasks.criteria import Criterion
from claimpt_tf.tasks.spec import Task, load_task, parse_task, shipped_tasks

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def documented() -> set[str]:
    fields = page().partition("## Every field")[2].partition("## Labels from")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", fields, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def blocks(annotation: Any) -> list[type[BaseModel]]:
    """The blocks that a field may hold; those of lists have a table of their own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType):
        return [block for part in get_args(annotation) for block in blocks(part)]
    return []


def paths(model: type[BaseModel], above: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        found.add(above + name)
        if above + name != "index.visit":
            for block in blocks(field.annotation):
                found |= paths(block, f"{above}{name}.")
    return found


def test_every_field_is_documented_and_no_other() -> None:
    expected = paths(Task) | paths(Criterion) | set(shipped_tasks())
    assert documented() == expected


def test_every_field_describes_itself() -> None:
    for model in (Task, Criterion):
        for name, field in model.model_fields.items():
            assert field.description, name


def test_the_example_is_the_shipped_task() -> None:
    example = re.search(r"```yaml\n(.*?)```", page(), re.DOTALL)
    assert example is not None
    shown = parse_task(example.group(1), "docs/tasks.md")
    shipped = load_task("asthma_exacerbation")
    differing = {"description": shown.description, "truth": None}
    assert shown == shipped.model_copy(update=differing)
