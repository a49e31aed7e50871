"""A task as data: the YAML's fields, checked, with errors that name the line."""

from __future__ import annotations

import difflib
import functools
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from claimpt_tf.codes.categories import CategoryOf
from claimpt_tf.codes.categories import category_of as published
from claimpt_tf.codes.category_files import load_categories
from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.criteria import Criterion, Days, Population, SomeDays
from claimpt_tf.tasks.index_spec import Index
from claimpt_tf.tasks.label_spec import LabelKind, LabelTable
from claimpt_tf.tasks.outcome_spec import Censoring, Definition, Outcome
from claimpt_tf.yaml_lines import Block, describe_faults, load_yaml, read_yaml

_BY_TABLE = "comes from the table of labels; leave it out"


class Task(Block):
    """A population, an index date and an outcome: one question about members.

    Or, with `labels`, a table that says whom, when, and with which answer.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = Field(
        description="lower case, digits and _; names runs and models"
    )
    description: str = Field(default="", description="one or two sentences for reports")
    labels: LabelTable | None = Field(
        default=None, description="a table of labels, in place of index and outcome"
    )
    proxy: Definition | None = Field(
        default=None,
        description="with labels: an outcome in the claims that comes near to them, "
        "for adaptation to train on",
    )
    population: Population = Field(
        default=Population(), description="whom the question concerns"
    )
    category_files: tuple[str, ...] = Field(
        default=(),
        description="your own categories of codes (docs/codes.md), which go before the "
        "published ones; beside the task file unless the path is absolute",
    )
    index: Index = Field(description="the dates at which the question is asked")
    lookback_days: SomeDays | None = Field(
        default=None,
        description="inputs are the visits that began in the last N days; all the "
        "past if left out",
    )
    washout_days: Days = Field(
        default=0, description="no outcome may have begun in the last N days"
    )
    gap_days: Days = Field(
        default=0, description="days after the index date that count neither way"
    )
    outcome: Outcome | None = Field(description="what makes the label 1")
    window_days: SomeDays | None = Field(
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

    @model_validator(mode="before")
    @classmethod
    def _table_gives_the_rest(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("labels") is not None:
            table = {"index": {"kind": "table"}, "outcome": None, "window_days": None}
            return {**table, **given}
        return given

    @field_validator("proxy")
    @classmethod
    def _proxy_goes_with_labels(
        cls, proxy: Definition | None, info: ValidationInfo
    ) -> Definition | None:
        if proxy is not None and info.data.get("labels", proxy) is None:
            raise ValueError("goes with labels; the task has an outcome of its own")
        if proxy is not None and proxy.outcome.kind != "event":
            raise ValueError("its outcome should be of kind event")
        return proxy

    @field_validator("index")
    @classmethod
    def _dates_come_from_one_place(cls, index: Index, info: ValidationInfo) -> Index:
        if "labels" in info.data:
            if info.data["labels"] is None and index.kind == "table":
                raise ValueError("kind table goes with labels")
            if info.data["labels"] is not None and index.kind != "table":
                raise ValueError(_BY_TABLE)
        return index

    @field_validator("washout_days", "gap_days")
    @classmethod
    def _days_are_of_the_outcome(cls, days: int, info: ValidationInfo) -> int:
        if days and info.data.get("labels") is not None:
            raise ValueError(
                "goes with an outcome; here the table of labels gives the answers"
            )
        return days

    @field_validator("outcome")
    @classmethod
    def _one_source_of_labels(
        cls, outcome: Outcome | None, info: ValidationInfo
    ) -> Outcome | None:
        labels = info.data.get("labels")
        if outcome is not None and labels is not None:
            raise ValueError(
                f"{_BY_TABLE}, or put it under proxy for adaptation to train on"
            )
        if outcome is None and "labels" in info.data and labels is None:
            raise ValueError("missing, and required")
        many = outcome is not None and outcome.kind == "next_visit"
        if many and info.data.get("washout_days"):
            raise ValueError("kind next_visit takes no washout_days")
        return outcome

    @field_validator("window_days")
    @classmethod
    def _window_goes_with_an_outcome(
        cls, days: int | None, info: ValidationInfo
    ) -> int | None:
        labels = info.data.get("labels")
        if days is not None and labels is not None:
            raise ValueError(f"{_BY_TABLE}, or put it under proxy")
        if days is None and "labels" in info.data and labels is None:
            raise ValueError("missing, and required")
        return days

    @field_validator("censoring")
    @classmethod
    def _gap_to_look_into(cls, censoring: Censoring, info: ValidationInfo) -> Censoring:
        if censoring.drop_if_in_gap and not info.data.get("gap_days", 1):
            raise ValueError("drop_if_in_gap needs gap_days of 1 or more")
        return censoring

    @property
    def label_kind(self) -> LabelKind | None:
        """What the labels are; None for a table that was not read yet.

        `claimpt_tf.tasks.label_table.read_labels` gives the task with its kind.
        """
        if self.labels is not None:
            return self.labels.kind
        if self.outcome is not None and self.outcome.kind == "next_visit":
            return "multi_label"
        return "binary"

    @property
    def category_of(self) -> CategoryOf:
        """The categories of codes, one each: the task's own, then the published ones.

        Raises:
            InputError: a file of categories cannot be used.
        """
        return _categories(self.category_files) if self.category_files else published

    @property
    def definition(self) -> Definition | None:
        """The outcome and window by which any past can be labelled, if there is one.

        The task's own, or the proxy of a task with a table of labels.
        """
        if self.outcome is None or self.window_days is None:
            return self.proxy
        return Definition(
            outcome=self.outcome, gap_days=self.gap_days, window_days=self.window_days
        )

    @property
    def at_visits(self) -> bool:
        """Whether index dates are the ends of visits."""
        return self.index.kind == "each_visit"

    @property
    def horizon_days(self) -> int:
        """Days from the index date to the last day of the outcome window; 0 without."""
        return self.gap_days + (self.window_days or 0)

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
Shipped: asthma_exacerbation, high_cost, next_visit_diagnosis, readmission_30d, \
self_harm. \
Or give the path of a YAML file.
    """
    text = str(name_or_path)
    path = Path(name_or_path)
    if path.suffix.lower() in (".yaml", ".yml") or path.name != text:
        return _beside(path, parse_task(read_yaml(path), str(path)))
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


def with_label_table(task: Task, file: str) -> Task:
    """The task with its labels from a table.

    Args:
        task: one with `labels`, whose file is replaced; or one with an outcome, which
            becomes the proxy that adaptation trains on: the table then says who is
            asked about, and when, so population, index, washout and exclusions go.
        file: the table.

    >>> task = with_label_table(load_task("readmission_30d"), "charts.csv")
    >>> task.index.kind, task.proxy.window_days
    ('table', 30)
    """
    if task.labels is not None:
        labels = task.labels.model_copy(update={"file": file})
        return task.model_copy(update={"labels": labels})
    asked = task.definition
    can_adapt = asked is not None and asked.outcome.kind == "event"
    return Task.model_validate(
        {
            "name": task.name,
            "description": task.description,
            "labels": LabelTable(file=file).model_dump(),
            "proxy": asked.model_dump() if asked is not None and can_adapt else None,
            "lookback_days": task.lookback_days,
            "category_files": task.category_files,
        }
    )


def label_task(file: str) -> Task:
    """A task that is nothing but a table of labels, named after its file.

    >>> label_task("charts/Reviewed 2023.csv").name
    'reviewed_2023'
    """
    stem = Path(file).name.split(".")[0].lower()
    words = re.findall(r"[a-z0-9]+", stem)
    name = "_".join(words)[:63] or "labels"
    name = name if name[0].isalpha() else f"labels_{name}"[:63]
    return Task.model_validate({"name": name, "labels": {"file": file}})


@functools.lru_cache(maxsize=8)
def _categories(files: tuple[str, ...]) -> CategoryOf:
    return load_categories(files)


def _beside(path: Path, task: Task) -> Task:
    """The task with the paths of its files taken from the task file's folder."""
    if task.category_files:
        # The cohort's copy of the task lies elsewhere.
        files = tuple(str((path.parent / f).resolve()) for f in task.category_files)
        task = task.model_copy(update={"category_files": files})
    if task.labels is None or task.labels.file is None:
        return task
    return with_label_table(task, str(path.parent / task.labels.file))


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
