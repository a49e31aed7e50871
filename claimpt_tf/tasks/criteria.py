"""Whom a task concerns: visits that match, criteria on the past, the population."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from claimpt_tf.tasks.match import normalise_category, normalise_pattern
from claimpt_tf.yaml_lines import Block

Days = Annotated[int, Field(strict=True, ge=0, le=36_525)]
SomeDays = Annotated[int, Field(strict=True, ge=1, le=36_525)]
Count = Annotated[int, Field(strict=True, ge=1)]
Cost = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Years = Annotated[int, Field(strict=True, ge=0, le=130)]
CodePattern = Annotated[str, AfterValidator(normalise_pattern)]
Category = Annotated[str, AfterValidator(normalise_category)]
VisitType = Literal["IP", "ED", "OP", "RX", "OTHER"]
Sex = Literal["F", "M", "U"]
Line = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\n]*$")]


def _not_empty(given: tuple[Any, ...]) -> tuple[Any, ...]:
    if not given:
        raise ValueError("names nothing; leave the field out for no limit")
    return given


def _no_number(given: Any) -> Any:
    """Pydantic takes 20230131 for seconds since 1970; nobody means that."""
    if isinstance(given, (str, datetime.date)):
        return given
    raise PydanticCustomError("date_type", "not a date")


NotEmpty = AfterValidator(_not_empty)
Date = Annotated[datetime.date, BeforeValidator(_no_number)]


class VisitMatch(Block):
    """Visits of the given types (any, if none is given) with any of the codes.

    A code counts when it is among `codes` or in one of `categories`.
    """

    codes: Annotated[tuple[CodePattern, ...], NotEmpty] | None = Field(
        default=None,
        description="starts of codes, with wildcards; a visit needs one of them",
    )
    categories: Annotated[tuple[Category, ...], NotEmpty] | None = Field(
        default=None,
        description="groups of codes such as CCSR:RSP009; a visit needs a code of one",
    )
    visit_types: Annotated[tuple[VisitType, ...], NotEmpty] | None = Field(
        default=None,
        description="kinds of visit: IP, ED, OP, RX, OTHER; any if left out",
    )

    @property
    def names_codes(self) -> bool:
        """Whether a visit needs a code of some kind."""
        return self.codes is not None or self.categories is not None

    def describe_visit(self) -> str:
        """The visit in words.

        >>> VisitMatch(visit_types=["IP"], categories=["CCSR:RSP009"]).describe_visit()
        'IP visit with CCSR:RSP009'
        """
        what = "/".join(self.visit_types or ("any",)) + " visit"
        wanted = (*(self.codes or ()), *(self.categories or ()))
        if wanted:
            what += f" with {', '.join(wanted[:2])}" + (", ..." if wanted[2:] else "")
        return what


class Criterion(VisitMatch):
    """Something in a member's past, judged on what is known on the index date."""

    name: Line | None = Field(
        default=None, description="how the attrition table calls this step"
    )
    min_count: Count = Field(
        default=1, description="on how many different days such a visit must have begun"
    )
    within_days: SomeDays | None = Field(
        default=None,
        description="lookback: the visit began in the last N days, the index date "
        "included; any time before if left out",
    )
    min_days_apart: Days = Field(
        default=0,
        description="days between the first and the last of these visits, at least",
    )

    @model_validator(mode="after")
    def _is_a_demand(self) -> Criterion:
        if not self.names_codes and self.visit_types is None:
            raise ValueError("needs codes, categories or visit_types")
        if self.min_days_apart and self.min_count < 2:
            raise ValueError("min_days_apart needs a min_count of 2 or more")
        if self.within_days is not None and self.min_days_apart >= self.within_days:
            raise ValueError("min_days_apart does not fit into within_days")
        return self

    def describe(self) -> str:
        """The name, or what is asked for in words.

        >>> Criterion(visit_types=["IP"], within_days=365).describe()
        'IP visit in the last 365 days'
        """
        if self.name is not None:
            return self.name
        what = self.describe_visit()
        if self.min_count > 1:
            what += f" on {self.min_count} days"
        if self.min_days_apart:
            what += f" {self.min_days_apart} days apart"
        if self.within_days is None:
            return what + " before"
        return what + f" in the last {self.within_days} days"


class Ages(Block):
    """Completed years on the index date, both ends included."""

    min: Years = Field(
        default=0, description="youngest age on the index date, in years"
    )
    max: Years = Field(
        default=130, description="oldest age on the index date, in years"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Ages:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Population(Block):
    """Whom the question concerns, on the index date."""

    ages: Ages | None = Field(
        default=None,
        description="completed years on the index date, both ends included",
    )
    sexes: Annotated[tuple[Sex, ...], NotEmpty] | None = Field(
        default=None, description="F, M, U (unknown); all if left out"
    )
    institutions: Annotated[tuple[str, ...], NotEmpty] | None = Field(
        default=None, description="as the records spell them; all if left out"
    )
    enrolled_days: Days = Field(
        default=0,
        description="enrolled without a gap for the N days before the index date and "
        "on it",
    )
    require: tuple[Criterion, ...] = Field(
        default=(), description="criteria that must all be met before the index date"
    )
