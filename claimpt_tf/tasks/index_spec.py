"""When a task asks its question: the kinds of index date."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from claimpt_tf.tasks.criteria import Date, VisitMatch
from claimpt_tf.yaml_lines import Block


class _Index(Block):
    since: Date | None = Field(default=None, description="no index date before this")
    until: Date | None = Field(default=None, description="no index date after this")
    take: Literal["all", "first", "last", "random"] = Field(
        default="all", description="which of a member's index dates are kept"
    )

    @model_validator(mode="after")
    def _in_order(self) -> _Index:
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since {self.since} is after until {self.until}")
        return self


class CalendarIndex(_Index):
    """The first or last day of every calendar period."""

    kind: Literal["calendar"]
    every: Literal["month", "quarter", "half_year", "year"] = Field(
        description="the calendar period"
    )
    at: Literal["first_day", "last_day"] = Field(
        default="first_day", description="of the period"
    )

    def describe(self) -> str:
        """What the attrition table calls it."""
        day = self.at.replace("_", " ")
        return f"{day} of a {self.every.replace('_', ' ')}"


class FixedIndex(_Index):
    """One date for everybody."""

    kind: Literal["fixed"]
    date: Date = Field(description="the index date of every member")

    def describe(self) -> str:
        """What the attrition table calls it."""
        return str(self.date)


class EachVisitIndex(_Index):
    """The last day (discharge) of each visit that matches."""

    kind: Literal["each_visit"]
    visit: VisitMatch = Field(
        description="visits whose last day is an index date: codes, categories, "
        "visit_types"
    )

    def describe(self) -> str:
        """What the attrition table calls it."""
        return f"end of {self.visit.describe_visit()}"


def _names_a_diagnosis(match: VisitMatch) -> VisitMatch:
    if not match.names_codes:
        raise ValueError("needs codes or categories")
    return match


class FirstDiagnosisIndex(_Index):
    """The day on which a member is first known to have one of the codes.

    That is the last day of the visit of theirs that ends first; a member has one such
    day, the first of all their record, whatever `since` and `until` say.
    """

    kind: Literal["first_diagnosis"]
    visit: Annotated[VisitMatch, AfterValidator(_names_a_diagnosis)] = Field(
        description="what is diagnosed: codes, categories, visit_types"
    )

    def describe(self) -> str:
        """What the attrition table calls it."""
        return f"first {self.visit.describe_visit()}"


class BirthdayIndex(_Index):
    """Every birthday (1 March for those born on 29 February, in other years)."""

    kind: Literal["birthday"]

    def describe(self) -> str:
        """What the attrition table calls it."""
        return "birthday"


class TableIndex(_Index):
    """The dates of a table of labels; the only kind where there is one."""

    kind: Literal["table"]

    def describe(self) -> str:
        """What the attrition table calls it."""
        return "row of the label table"


Index = Annotated[
    CalendarIndex
    | FixedIndex
    | EachVisitIndex
    | FirstDiagnosisIndex
    | BirthdayIndex
    | TableIndex,
    Field(discriminator="kind"),
]
