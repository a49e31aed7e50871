"""Which tasks a command is about: names, files, a table of labels, an ACES file."""

from __future__ import annotations

from collections.abc import Sequence

from claimpt_tf.errors import TaskError
from claimpt_tf.tasks.aces import import_aces
from claimpt_tf.tasks.spec import Task, label_task, load_task, with_label_table


def chosen_tasks(
    names: Sequence[str],
    labels: str | None = None,
    aces: str | None = None,
    predicates: str | None = None,
) -> tuple[list[Task], tuple[str, ...]]:
    """The tasks that options of the command line mean.

    Args:
        names: shipped tasks, or task files.
        labels: a table that gives the labels of the one task, which may be left out.
        aces: a task file of ACES, in place of a name.
        predicates: its predicates, where they stand in a file of their own.

    Returns:
        The tasks, and notes for a person to read.

    Raises:
        TaskError: no task is meant, options exclude each other, two tasks have one
            name, or a task is wrong.

    >>> chosen_tasks(["self_harm"], labels="charts.csv")[0][0].label_kind is None
    True
    >>> chosen_tasks([])
    Traceback (most recent call last):
    ...
    claimpt_tf.errors.TaskError: no task: give a name, a file, --labels or --aces
    """
    if not (names or labels or aces):
        raise TaskError("no task: give a name, a file, --labels or --aces")
    if predicates and not aces:
        raise TaskError("--predicates goes with --aces")
    if aces and names:
        raise TaskError("give either TASK or --aces, not both")
    if labels and len(names) > 1:
        raise TaskError("--labels goes with one TASK at most")
    notes: tuple[str, ...] = ()
    tasks = [load_task(name) for name in names]
    if aces:
        imported = import_aces(aces, predicates)
        tasks, notes = [imported.task], imported.notes
    if labels:
        tasks = [with_label_table(tasks[0], labels) if tasks else label_task(labels)]
    taken = [task.name for task in tasks]
    if twice := [name for name in taken if taken.count(name) > 1]:
        raise TaskError(f"task {twice[0]} is given more than once")
    return tasks, notes
