"""A task in words: what is predicted, for whom, when."""

from __future__ import annotations

import re

from claimpt_tf.tasks.outcome_spec import Outcome
from claimpt_tf.tasks.spec import Task

_VISITS = {
    "IP": "inpatient",
    "ED": "emergency",
    "OP": "outpatient",
    "RX": "pharmacy",
    "OTHER": "other",
}
_TAKE = {
    "all": "every one of a member's",
    "first": "the first of each member's",
    "last": "the last of each member's",
    "random": "one of each member's, at random",
}


def question_of(task: Task) -> dict[str, str]:
    """Heading -> text, in the order in which a page shows them.

    >>> from claimpt_tf.tasks.spec import load_task
    >>> question_of(load_task("readmission_30d"))["Window"]
    '1 to 30 days after the index date'
    """
    days = f"{task.gap_days + 1} to {task.horizon_days} days"
    answers = (
        {"Outcome": "as a table of labels says"}
        if task.outcome is None
        else {
            "Outcome": _outcome(task.outcome),
            "Window": f"{days} after the index date",
        }
    ) | {
        "Population": _population(task),
        "Index date": _index(task),
        "Known by then": "visits that had ended on or before the index date, and "
        "nothing later",
    }
    if task.washout_days:
        answers["Washout"] = (
            f"no outcome in the {task.washout_days} days before the index date"
        )
    if task.exclusions:
        answers["Excluded"] = "; ".join(one.describe() for one in task.exclusions)
    return answers


def title_of(task: Task) -> str:
    """The task's name as a heading.

    >>> from claimpt_tf.tasks.spec import load_task
    >>> title_of(load_task("self_harm"))
    'Self harm'
    >>> title_of(load_task("readmission_30d"))
    'Readmission, 30 days'
    """
    name = re.sub(r"_(\d+)d$", r", \1 days", task.name)
    return name.replace("_", " ").capitalize()


def _outcome(outcome: Outcome) -> str:
    kinds = [_VISITS[kind] for kind in outcome.visit_types or ()]
    what = f"{' or '.join(kinds)} visit".strip() if kinds else "any visit"
    if outcome.kind == "next_visit":
        what = f"categories of the codes of the next {what.removeprefix('any ')}"
    wanted = (*(outcome.codes or ()), *(outcome.categories or ()))
    if wanted:
        shown = ", ".join(wanted[:4])
        rest = len(wanted) - 4
        what += f" with a code of {shown}" + (f" and {rest} more" if rest > 0 else "")
    if outcome.min_count > 1:
        what += f", on {outcome.min_count} different days"
    if outcome.min_cost is not None:
        what += f", paid {outcome.min_cost:,.0f} or more in all"
    return what


def _population(task: Task) -> str:
    people = task.population
    parts = []
    if people.ages is not None:
        parts.append(f"aged {people.ages.min} to {people.ages.max} years")
    if people.sexes:
        parts.append(f"sex {' or '.join(people.sexes)}")
    if people.institutions:
        parts.append(f"of {', '.join(people.institutions)}")
    if people.enrolled_days:
        parts.append(f"enrolled for the {people.enrolled_days} days before")
    parts += [criterion.describe() for criterion in people.require]
    return "; ".join(parts) if parts else "all members"


def _index(task: Task) -> str:
    dates = task.index
    text = f"{dates.describe()}: {_TAKE[dates.take]}"
    if dates.since:
        text += f", from {dates.since}"
    if dates.until:
        text += f", until {dates.until}"
    return text
