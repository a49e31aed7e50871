"""What makes a label: the outcome, its window, and rows not seen to its end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, model_validator

from claimpt_tf.tasks.criteria import Cost, Count, Days, SomeDays, VisitMatch
from claimpt_tf.yaml_lines import Block


class Outcome(VisitMatch):
    """What makes the label 1 when it happens in the window; or the next visit's codes.

    With `kind: next_visit` the label is a set: the categories of the codes of the
    first later day with such a visit, of those codes that `codes` and `categories`
    name where they are given.
    """

    kind: Literal["event", "next_visit"] = Field(
        default="event",
        description="event: whether it happens; next_visit: the categories of the "
        "next such visit's codes, many at once",
    )
    min_count: Count = Field(
        default=1, description="on how many different days of the window it must happen"
    )
    min_cost: Cost | None = Field(
        default=None, description="paid for such visits in the window, in all, at least"
    )

    @model_validator(mode="after")
    def _is_an_outcome(self) -> Outcome:
        plain = not self.names_codes and self.visit_types is None
        if self.kind == "next_visit":
            if self.min_cost is not None or self.min_count > 1:
                raise ValueError("kind next_visit takes neither min_cost nor min_count")
        elif plain and self.min_cost is None:
            raise ValueError("needs codes, categories, visit_types or min_cost")
        if self.min_cost is not None and self.min_count > 1:
            raise ValueError("takes min_cost or min_count, not both")
        return self


class Definition(Block):
    """An outcome with its window: what can be searched for in any member's past."""

    outcome: Outcome = Field(description="what is looked for")
    gap_days: Days = Field(default=0, description="days that count neither way")
    window_days: SomeDays = Field(
        description="the outcome must begin in the N days after the gap"
    )

    @property
    def by_visit(self) -> bool:
        """Whether a single visit decides, so that the past can be searched for it."""
        outcome = self.outcome
        return (
            outcome.kind == "event"
            and outcome.min_count == 1
            and outcome.min_cost is None
        )


class Censoring(Block):
    """What becomes of rows whose window is not seen to its end."""

    require_enrolled_to_end: StrictBool = Field(
        default=True,
        description="drop rows whose window passes the end of the data, or during "
        "which the member left; false: what is not seen counts as no outcome",
    )
    keep_if_outcome: StrictBool = Field(
        default=True,
        description="keep a member who left after the outcome had occurred",
    )
    drop_if_in_gap: StrictBool = Field(
        default=False,
        description="drop rows whose outcome began during the gap",
    )
