"""How many members and rows are left at each step, and whether they are enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any

from rich.table import Table

from claimpt_tf.claims.quarantine import REASONS
from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.label_spec import LabelKind

SMALLEST_CELL = 11  # smaller counts are not exported
FEWEST_POSITIVES = 10
FEWEST_IN_TABLE = 2  # of each class, where a person made the labels one by one
FEW_POSITIVES = 50
SHOWN_CLASSES = 10
_COUNTED_KINDS = ("binary", "time_to_event")  # label 1 means that it happened


@dataclass(frozen=True)
class Step:
    """What one demand of the task left over."""

    name: str
    members: int
    rows: int


@dataclass(frozen=True)
class SplitCounts:
    """The labelled examples of one split."""

    members: int = 0
    rows: int = 0
    positives: int = 0

    def __add__(self, other: SplitCounts) -> SplitCounts:
        """Counts of two disjoint groups of members."""
        return SplitCounts(
            self.members + other.members,
            self.rows + other.rows,
            self.positives + other.positives,
        )


@dataclass(frozen=True)
class Attrition:
    """True counts of one shard or of all; they add up, as a member is in one shard.

    Attributes:
        task: the task's name.
        steps: in the order in which they were applied; the first counts the members
            read and has no rows.
        splits: counts of the labelled examples by split.
        ages: completed years on the index date -> rows, of those with a birth date.
        kind: what the labels are; `positives` are counted for binary and
            time-to-event labels only.
        classes: rows by class or category, of multi-class and multi-label labels.
        unusable: rows of the table of labels by reason, where there is a table.
    """

    task: str
    steps: tuple[Step, ...] = ()
    splits: Mapping[str, SplitCounts] = field(default_factory=dict)
    ages: Mapping[int, int] = field(default_factory=dict)
    kind: LabelKind = "binary"
    classes: Mapping[str, int] = field(default_factory=dict)
    unusable: Mapping[str, int] | None = None

    @property
    def total(self) -> SplitCounts:
        """Counts over all splits."""
        return sum(self.splits.values(), start=SplitCounts())

    @property
    def prevalence(self) -> float | None:
        """Share of rows with the outcome; None without rows or such an outcome."""
        total = self.total
        if not total.rows or self.kind not in _COUNTED_KINDS:
            return None
        return total.positives / total.rows

    def age_summary(self) -> dict[str, float] | None:
        """Mean and quartiles of age at the index date, in completed years.

        >>> Attrition("t", ages={4: 1, 6: 2, 10: 1}).age_summary()
        {'mean': 6.5, 'q1': 4, 'median': 6, 'q3': 6}
        """
        rows = sum(self.ages.values())
        if not rows:
            return None
        mean = sum(age * count for age, count in self.ages.items()) / rows
        quartiles = {}
        for name, share in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
            reached = 0
            for age in sorted(self.ages):
                reached += self.ages[age]
                if reached >= share * rows:
                    quartiles[name] = age
                    break
        return {"mean": round(mean, 2), **quartiles}

    def to_dict(self) -> dict[str, Any]:
        """True counts, for passing between processes; `export` is for publishing."""
        return {
            "task": self.task,
            "steps": [asdict(step) for step in self.steps],
            "splits": {name: asdict(counts) for name, counts in self.splits.items()},
            "ages": {str(age): rows for age, rows in self.ages.items()},
            "kind": self.kind,
            "classes": dict(self.classes),
            "unusable": None if self.unusable is None else dict(self.unusable),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Attrition:
        """The inverse of `to_dict`."""
        return cls(
            task=given["task"],
            steps=tuple(Step(**step) for step in given["steps"]),
            splits={name: SplitCounts(**it) for name, it in given["splits"].items()},
            ages={int(age): rows for age, rows in given["ages"].items()},
            kind=given["kind"],
            classes=given["classes"],
            unusable=given["unusable"],
        )

    def export(self) -> dict[str, Any]:
        """What may be published: JSON-able, counts from 1 to 10 replaced by "<11".

        A split whose count could be had by subtraction from the total is replaced by
        "hidden"; so are positives that nearly all rows, but not all, share.
        """
        total = self.total
        counted = self.kind in _COUNTED_KINDS
        few_positives = _is_small(total.positives, total.rows)
        small_cohort = total.rows < SMALLEST_CELL
        return {
            "task": self.task,
            "kind": self.kind,
            "steps": [
                {
                    "name": step.name,
                    "members": _cell(step.members),
                    "rows": None if number == 0 else _cell(step.rows),
                }
                for number, step in enumerate(self.steps)
            ],
            "total": {
                "members": _cell(total.members),
                "rows": _cell(total.rows),
                "positives": _cell(total.positives, total.rows) if counted else None,
            },
            "prevalence": None
            if few_positives or self.prevalence is None
            else round(self.prevalence, 6),
            "ages": None if small_cohort else self.age_summary(),
            "splits": self._export_splits(),
            "classes": self._export_classes(),
            "unusable": None
            if self.unusable is None
            else {reason: _cell(rows) for reason, rows in self.unusable.items()},
            "smallest_cell": SMALLEST_CELL,
        }

    def _export_classes(self) -> dict[str, int | str]:
        """Rows by class, most first."""
        names = sorted(self.classes, key=lambda name: (-self.classes[name], name))
        counts = [self.classes[name] for name in names]
        if self.kind == "multi_label":  # a row has many: they add up to nothing known
            rows = self.total.rows
            return {n: _cell(c, rows) for n, c in zip(names, counts, strict=True)}
        return dict(zip(names, column_cells(counts), strict=True))

    def _export_splits(self) -> dict[str, dict[str, int | str | None]]:
        names = sorted(self.splits, key=_split_order)
        counts = [self.splits[name] for name in names]
        rows = [one.rows for one in counts]
        columns: dict[str, Sequence[int | str | None]] = {
            "members": column_cells([one.members for one in counts]),
            "rows": column_cells(rows),
            "positives": column_cells([one.positives for one in counts], rows)
            if self.kind in _COUNTED_KINDS
            else [None] * len(rows),
        }
        return {
            name: {column: cells[place] for column, cells in columns.items()}
            for place, name in enumerate(names)
        }

    def table(self) -> Table:
        """The steps as a table for the screen, counts suppressed as in `export`."""
        published = self.export()
        table = Table(title=f"Cohort of task {self.task}", title_justify="left")
        table.add_column("step")
        for name in ("members", "index dates"):
            table.add_column(name, justify="right")
        for step in published["steps"]:
            rows = "" if step["rows"] is None else _shown(step["rows"])
            table.add_row(step["name"], _shown(step["members"]), rows)
        table.add_section()
        for name, split in published["splits"].items():
            if (positives := split["positives"]) is not None:
                name = f"{name}: {_shown(positives)} with the outcome"
            table.add_row(name, _shown(split["members"]), _shown(split["rows"]))
        if classes := published["classes"]:
            table.add_section()
            for name in list(classes)[:SHOWN_CLASSES]:
                table.add_row(f"label {name}", "", _shown(classes[name]))
            if (rest := len(classes) - SHOWN_CLASSES) > 0:
                table.add_row(f"and {rest:,} more labels", "", "")
        if unusable := published["unusable"]:
            table.add_section()
            for reason, rows in unusable.items():
                text = REASONS[reason].text if reason in REASONS else reason
                table.add_row(f"label row left out: {text}", "", _shown(rows))
        table.caption = self._caption(published)
        table.caption_justify = "left"
        return table

    def _caption(self, published: Mapping[str, Any]) -> str:
        parts = []
        if published["prevalence"] is not None:
            parts.append(f"prevalence {published['prevalence']:.2%}")
        if ages := published["ages"]:
            parts.append(
                f"age {ages['mean']:.1f} on average, half are {ages['q1']} to "
                f"{ages['q3']}"
            )
        return "; ".join(parts)


def merge(parts: Iterable[Attrition], task: str = "") -> Attrition:
    """The sum of several shards' counts.

    Args:
        parts: attrition of one task over disjoint sets of members.
        task: the name to give where there is no part at all.

    Raises:
        ValueError: the parts are not of one task.
    """
    merged: Attrition | None = None
    for part in parts:
        merged = part if merged is None else _add(merged, part)
    return merged if merged is not None else Attrition(task)


def _add(left: Attrition, right: Attrition) -> Attrition:
    steps = []
    for a, b in zip_longest(left.steps, right.steps):
        if a is None or b is None or a.name != b.name:
            raise ValueError(
                f"attrition of tasks {left.task!r} and {right.task!r} cannot be added"
            )
        steps.append(Step(a.name, a.members + b.members, a.rows + b.rows))
    splits, ages = dict(left.splits), dict(left.ages)
    for name, counts in right.splits.items():
        splits[name] = splits.get(name, SplitCounts()) + counts
    for age, rows in right.ages.items():
        ages[age] = ages.get(age, 0) + rows
    classes = dict(left.classes)
    for name, rows in right.classes.items():
        classes[name] = classes.get(name, 0) + rows
    kind = left.kind
    return Attrition(left.task, tuple(steps), splits, ages, kind, classes)


def check_enough(attrition: Attrition, training_split: str = "train") -> list[str]:
    """Refuses a cohort that nothing can be learned from; warns of a small one.

    Args:
        attrition: true counts, all shards merged.
        training_split: the split that is learned from; all of them together where
            there is no split of that name.

    Returns:
        Warnings to print, possibly none.

    Raises:
        TaskError: nobody is left (naming the step at which the last were lost), every
            training row has the outcome, or fewer than 10 have it (2 where the labels
            come from a table); of other kinds of label: there is one class only, or
            fewer than 10 rows.
    """
    _check_anybody(attrition)
    training = attrition.splits.get(training_split)
    where = f"the {training_split} split"
    if training is None:
        training, where = attrition.total, "the data"
    if attrition.kind not in _COUNTED_KINDS:
        _check_variety(attrition, training, where)
        return []
    task, from_table = attrition.task, attrition.unusable is not None
    if training.rows and training.positives == training.rows:
        raise TaskError(
            f"task {task}: every row in {where} has the outcome, so there is nothing "
            "to tell apart. "
            + (
                "Label rows without it too."
                if from_table
                else "Widen the population, or narrow the outcome or its window."
            )
        )
    fewest = FEWEST_IN_TABLE if from_table else FEWEST_POSITIVES
    if training.positives < fewest:
        remedy = "label more rows" if from_table else _REMEDY
        raise TaskError(
            f"task {task}: fewer than {fewest} rows in {where} have the "
            f"outcome (of {_shown(_cell(training.rows))}); at least "
            f"{fewest} are needed, {FEW_POSITIVES} are better: {remedy}."
        )
    warnings = []
    if training.positives < FEW_POSITIVES:
        warnings.append(
            f"task {task}: only {_shown(_cell(training.positives))} rows in {where} "
            f"have the outcome; under {FEW_POSITIVES}, figures vary widely."
        )
    return warnings


_REMEDY = (
    "widen the outcome, its window or the population, take more index dates a member, "
    "or bring more data"
)


def _check_variety(attrition: Attrition, training: SplitCounts, where: str) -> None:
    """Labels without an outcome that happens or not: classes, categories, numbers."""
    task = attrition.task
    if training.rows < FEWEST_POSITIVES:
        raise TaskError(
            f"task {task}: fewer than {FEWEST_POSITIVES} rows in {where} have a label; "
            f"at least {FEWEST_POSITIVES} are needed."
        )
    common = [n for n, rows in attrition.classes.items() if rows >= FEWEST_IN_TABLE]
    if attrition.kind == "multi_class" and len(common) < 2:
        raise TaskError(
            f"task {task}: fewer than two classes have {FEWEST_IN_TABLE} rows or "
            "more, so there is nothing to tell apart. Label rows of other classes too."
        )


def _check_anybody(attrition: Attrition) -> None:
    before = attrition.steps[0] if attrition.steps else Step("", 0, 0)
    if before.members == 0:
        raise TaskError(f"task {attrition.task} matches nobody: no member was read.")
    for step in attrition.steps[1:]:
        if step.rows == 0:
            raise TaskError(
                f"task {attrition.task} matches nobody: all "
                f"{_shown(_cell(before.members))} left at step '{step.name}'."
            )
        before = step


def _is_small(count: int, of: int | None = None) -> bool:
    """Whether the count, or what it leaves of the whole, is from 1 to 10."""
    rest = 0 if of is None else of - count
    return 0 < count < SMALLEST_CELL or 0 < rest < SMALLEST_CELL


def _cell(count: int, of: int | None = None) -> int | str:
    if 0 < count < SMALLEST_CELL:
        return f"<{SMALLEST_CELL}"
    return "hidden" if _is_small(count, of) else count


def column_cells(
    counts: Sequence[int], of: Sequence[int] | None = None
) -> list[int | str]:
    """Cells of one column whose total is known: never just one is withheld."""
    wholes = of if of is not None else [None] * len(counts)
    cells = [_cell(count, whole) for count, whole in zip(counts, wholes, strict=True)]
    withheld = [cell for cell in cells if isinstance(cell, str)]
    others = [
        place for place, cell in enumerate(cells) if isinstance(cell, int) and cell
    ]
    if len(withheld) == 1 and others:
        cells[min(others, key=lambda place: counts[place])] = "hidden"
    return cells


def _split_order(name: str) -> tuple[int, str]:
    order = ("train", "eval", "test")
    return (order.index(name) if name in order else len(order), name)


def _shown(cell: int | str) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
