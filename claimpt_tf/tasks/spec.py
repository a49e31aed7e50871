"""A task as data: the YAML's fields, checked, with errors that name the line."""

from __future__ import annotations

import datetime
import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.match import normalise_pattern
from claimpt_tf.yaml_lines import Block, describe_faults, load_yaml

Days = Annotated[int, Field(strict=True, ge=0, le=36_525)]
SomeDays = Annotated[int, Field(strict=True, ge=1, le=36_525)]
Count = Annotated[int, Field(strict=True, ge=1)]
Cost = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Years = Annotated[int, Field(strict=True, ge=0, le=130)]
CodePattern = Annotated[str, AfterValidator(normalise_pattern)]
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
    """Visits of the given types (any, if none is given) with any of the codes."""

    codes: Annotated[tuple[CodePattern, ...], NotEmpty] | None = Field(
        default=None,
        description="starts of codes, with wildcards; a visit needs one of them",
    )
    visit_types: Annotated[tuple[VisitType, ...], NotEmpty] | None = Field(
        default=None,
        description="kinds of visit: IP, ED, OP, RX, OTHER; any if left out",
    )


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
        if self.codes is None and self.visit_types is None:
            raise ValueError("needs codes, visit_types or both")
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
        what = "/".join(self.visit_types or ("any",)) + " visit"
        if self.codes is not None:
            shown = ", ".join(self.codes[:2]) + (", ..." if self.codes[2:] else "")
            what += f" with {shown}"
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
        description="visits whose last day is an index date: codes, visit_types"
    )

    def describe(self) -> str:
        """What the attrition table calls it."""
        return f"end of {'/'.join(self.visit.visit_types or ('any',))} visit"


class BirthdayIndex(_Index):
    """Every birthday (1 March for those born on 29 February, in other years)."""

    kind: Literal["birthday"]

    def describe(self) -> str:
        """What the attrition table calls it."""
        return "birthday"


Index = Annotated[
    CalendarIndex | FixedIndex | EachVisitIndex | BirthdayIndex,
    Field(discriminator="kind"),
]


class Outcome(VisitMatch):
    """What makes the label 1 when it happens in the window."""

    min_count: Count = Field(
        default=1, description="on how many different days of the window it must happen"
    )
    min_cost: Cost | None = Field(
        default=None, description="paid for such visits in the window, in all, at least"
    )

    @model_validator(mode="after")
    def _is_an_event(self) -> Outcome:
        if self.codes is None and self.visit_types is None and self.min_cost is None:
            raise ValueError("needs codes, visit_types or min_cost")
        if self.min_cost is not None and self.min_count > 1:
            raise ValueError("takes min_cost or min_count, not both")
        return self


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


class Task(Block):
    """A population, an index date and an outcome: one question about members."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = Field(
        description="lower case, digits and _; names runs and models"
    )
    description: str = Field(default="", description="one or two sentences for reports")
    population: Population = Field(
        default=Population(), description="whom the question concerns"
    )
    index: Index = Field(description="the dates at which the question is asked")
    washout_days: Days = Field(
        default=0, description="no outcome may have begun in the last N days"
    )
    gap_days: Days = Field(
        default=0, description="days after the index date that count neither way"
    )
    outcome: Outcome = Field(description="what makes the label 1")
    window_days: SomeDays = Field(
        description="the outcome must begin in the N days after the gap"
    )
    censoring: Censoring = Field(
        default=Censoring(), description="rows not seen to the window's end"
    )
    exclusions: tuple[Criterion, ...] = Field(
        default=(),
        description="criteria of which none may be met before the index date",
    )
    truth: str | None = Field(
        default=None,
        description="the simulator's column of true risks, where there is one",
    )

    @property
    def horizon_days(self) -> int:
        """Days from the index date to the last day of the outcome window."""
        return self.gap_days + self.window_days

    def to_yaml(self) -> str:
        """The task with every default written out; parses to an equal task."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


def shipped_tasks() -> list[str]:
    """Names of the tasks that come with the package, sorted.

    >>> "asthma_exacerbation" in shipped_tasks()
    True
    """
    folder = resources.files("claimpt_tf.tasks") / "shipped"
    names = (entry.name for entry in folder.iterdir())
    return sorted(Path(name).stem for name in names if name.endswith(".yaml"))


def load_task(name_or_path: str | Path) -> Task:
    """A shipped task by name, or a task file by path.

    Args:
        name_or_path: a name from `shipped_tasks()`, or a path that ends in .yaml or
            .yml or holds a folder separator.

    Raises:
        TaskError: no such task or file, or the file is wrong; the message lists every
            fault with file, line, field and what is allowed.

    >>> load_task("readmission_30d").window_days
    30
    >>> load_task("asthma")
    Traceback (most recent call last):
    ...
    claimpt_tf.errors.TaskError: no task 'asthma'; did you mean 'asthma_exacerbation'? \
Shipped: asthma_exacerbation, high_cost, readmission_30d, self_harm. \
Or give the path of a YAML file.
    """
    text = str(name_or_path)
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or path.name != text:
        return parse_task(_read(path), str(path))
    names = shipped_tasks()
    if text in names:
        entry = resources.files("claimpt_tf.tasks") / "shipped" / f"{text}.yaml"
        return parse_task(entry.read_text(encoding="utf-8"), f"{text}.yaml")
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    near = near or [name for name in names if name.startswith(text)][:1]
    hint = f"did you mean '{near[0]}'? Shipped: " if near else "shipped: "
    raise TaskError(
        f"no task '{text}'; {hint}{', '.join(names)}. Or give the path of a YAML file."
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TaskError(f"{path}: no such task file") from None
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8"
        ) from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror})") from None


def parse_task(text: str, source: str = "task") -> Task:
    """A task from the text of its YAML.

    Args:
        text: the YAML.
        source: what error messages call it, usually the file's name.

    Raises:
        TaskError: as in `load_task`.

    >>> parse_task("name: x", "x.yaml")
    Traceback (most recent call last):
    ...
    claimpt_tf.errors.TaskError: x.yaml has 3 faults:
      line 1, index: missing, and required
      line 1, outcome: missing, and required
      line 1, window_days: missing, and required
    """
    root, given = load_yaml(text, source)
    try:
        return Task.model_validate(given)
    except ValidationError as error:
        raise TaskError(describe_faults(error, root, source)) from None
