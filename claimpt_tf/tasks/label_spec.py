"""A task whose labels stand in a table: where it is and what its columns hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from claimpt_tf.tasks.criteria import NotEmpty
from claimpt_tf.yaml_lines import Block

LabelKind = Literal[
    "binary", "multi_label", "multi_class", "regression", "time_to_event"
]
Column = Annotated[str, Field(min_length=1)]


class LabelTable(Block):
    """A table with one label a row: member, index date, label, and maybe a split."""

    file: str | None = Field(
        default=None,
        description="CSV or Parquet, or a folder of Parquet files; beside the task "
        "file unless the path is absolute; the command line's --labels comes first",
    )
    kind: Literal["binary", "multi_class", "regression", "time_to_event"] | None = (
        Field(
            default=None,
            description="what the labels are; told from the table where that is clear",
        )
    )
    member: Column | None = Field(
        default=None, description="column of member ids, as the claims spell them"
    )
    date: Column | None = Field(default=None, description="column of index dates")
    label: Column | None = Field(
        default=None,
        description="column of labels: 0 or 1, a class, a number; in time_to_event "
        "whether the event was seen",
    )
    days: Column | None = Field(
        default=None,
        description="time_to_event: column of days to the event or the last look",
    )
    split: Column | None = Field(
        default=None,
        description="column of splits: train, eval, test (or MEDS's tuning, held_out)",
    )
    classes: Annotated[tuple[str, ...], NotEmpty] | None = Field(
        default=None,
        description="multi_class: the classes, in the order of their numbers; sorted "
        "if left out",
    )
    same_day: StrictBool = Field(
        default=True,
        description="what ended on the date itself may be used; false where the date "
        "is a moment within the day: the index date is then the day before",
    )
    max_unusable: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2, description="share of the table's rows that may be unusable"
    )

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> LabelTable:
        if self.classes is None:
            return self
        if self.kind not in (None, "multi_class"):
            raise ValueError(f"classes go with kind multi_class, not {self.kind}")
        if len(set(self.classes)) < max(len(self.classes), 2):
            raise ValueError("classes should be two or more, each named once")
        return self
