"""The semantics of a task again, a row at a time in plain Python, to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from claimpt_tf.codes.categories import category_of
from claimpt_tf.tasks.criteria import Criterion, VisitMatch
from claimpt_tf.tasks.spec import Task
from tests.tasks.members import EPOCH, Member, Visit


def as_date(number: int) -> date:
    return EPOCH + timedelta(days=number)


def counts(code: str, match: VisitMatch) -> bool:
    """Whether the code is one that the match names; any is, where it names none."""
    if match.codes is None and match.categories is None:
        return True
    patterns, categories = match.codes or (), match.categories or ()
    return any(fnmatchcase(code, pattern + "*") for pattern in patterns) or any(
        fnmatchcase(category_of([code])[0], category) for category in categories
    )


def matches(visit: Visit, match: VisitMatch) -> bool:
    if match.visit_types is not None and visit.type not in match.visit_types:
        return False
    if match.codes is None and match.categories is None:
        return True
    return any(counts(code, match) for code in visit.codes)


def known(visit: Visit, index: int) -> bool:
    return visit.day + visit.length <= index


def met(criterion: Criterion, member: Member, index: int) -> bool:
    days = {
        visit.day
        for visit in member.visits
        if matches(visit, criterion)
        and known(visit, index)
        and (criterion.within_days is None or visit.day > index - criterion.within_days)
    }
    if len(days) < criterion.min_count:
        return False
    return max(days) - min(days) >= criterion.min_days_apart


def covered(member: Member, first: int, last: int) -> bool:
    return any(start <= first and last <= end for start, end in member.enrolled)


def age(member: Member, index: int) -> int | None:
    if member.birth is None:
        return None
    born, now = as_date(member.birth), as_date(index)
    return now.year - born.year - ((now.month, now.day) < (born.month, born.day))


def is_period_edge(index: int, every: str, at: str) -> bool:
    months = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}[every]
    first = as_date(index) if at == "first_day" else as_date(index + 1)
    return first.day == 1 and (first.month - 1) % months == 0


def is_birthday(member: Member, index: int) -> bool:
    today, before = age(member, index), age(member, index - 1)
    return today is not None and before is not None and today > max(before, 0)


def index_days(task: Task, member: Member) -> Iterator[int]:
    index = task.index
    ends = {visit.day + visit.length for visit in member.visits}
    days = {day for start, end in member.enrolled for day in range(start, end + 1)}
    for day in sorted(days | ends):
        if index.since is not None and as_date(day) < index.since:
            continue
        if index.until is not None and as_date(day) > index.until:
            continue
        if index.kind == "fixed":
            chosen = as_date(day) == index.date
        elif index.kind == "calendar":
            chosen = is_period_edge(day, index.every, index.at)
        elif index.kind == "birthday":
            chosen = is_birthday(member, day)
        elif index.kind == "first_diagnosis":
            chosen = day == min(
                (
                    visit.day + visit.length
                    for visit in member.visits
                    if matches(visit, index.visit)
                ),
                default=None,
            )
        else:
            chosen = any(
                visit.day + visit.length == day and matches(visit, index.visit)
                for visit in member.visits
            )
        if chosen:
            yield day


def eligible(task: Task, member: Member, index: int, end: int) -> bool:
    population = task.population
    if population.ages is not None:
        years = age(member, index)
        if years is None or not population.ages.min <= years <= population.ages.max:
            return False
    if population.sexes is not None and member.sex not in population.sexes:
        return False
    if (
        population.institutions is not None
        and member.institution not in population.institutions
    ):
        return False
    if not covered(member, index - population.enrolled_days, index):
        return False
    if not all(met(criterion, member, index) for criterion in population.require):
        return False
    if any(met(criterion, member, index) for criterion in task.exclusions):
        return False
    washed = [
        visit
        for visit in member.visits
        if known(visit, index) and visit.day > index - task.washout_days
    ]
    if occurred(task, washed, washout=True):
        return False
    window_seen = index + task.gap_days + task.window_days <= end
    return window_seen or not task.censoring.require_enrolled_to_end


def occurred(task: Task, visits: list[Visit], washout: bool = False) -> bool:
    outcome = task.outcome
    visits = [visit for visit in visits if matches(visit, outcome)]
    if outcome.min_cost is not None:
        return bool(visits) and sum(visit.cost for visit in visits) >= outcome.min_cost
    needed = 1 if washout else outcome.min_count
    return len({visit.day for visit in visits}) >= needed


def taken(task: Task, member: Member, days: list[int]) -> list[int]:
    if not days or task.index.take == "all":
        return days
    if task.index.take == "random":
        return [min(days, key=lambda day: rank(task, member, day))]
    return [days[0] if task.index.take == "first" else days[-1]]


def rank(task: Task, member: Member, index: int) -> bytes:
    text = f"{task.name}|{member.id}|{index}"
    return hashlib.blake2b(text.encode(), digest_size=7).digest()


def label(task: Task, members: list[Member], end: int) -> list[dict[str, Any]]:
    """Examples as dicts, in the order of the members and of the index days."""
    rows = []
    for member in members:
        days = [
            day
            for day in index_days(task, member)
            if day <= end and eligible(task, member, day, end)
        ]
        for index in taken(task, member, days):
            opens, closes = index + task.gap_days, index + task.horizon_days
            window = [visit for visit in member.visits if opens < visit.day <= closes]
            categories = next_categories(task, window)
            if task.outcome.kind == "next_visit":
                if categories:
                    rows.append(example(task, member, index, True, categories))
                continue
            positive = occurred(task, window)
            early = [visit for visit in member.visits if index < visit.day <= opens]
            if task.censoring.drop_if_in_gap and occurred(task, early, washout=True):
                continue
            if task.censoring.require_enrolled_to_end:
                kept_anyway = positive and task.censoring.keep_if_outcome
                if not (covered(member, index, closes) or kept_anyway):
                    continue
            rows.append(example(task, member, index, positive, []))
    return rows


def next_categories(task: Task, window: list[Visit]) -> list[str]:
    """Of the codes that count, on the first day of the window that has any."""
    found = [
        (visit.day, category_of([code])[0])
        for visit in window
        if matches(visit, task.outcome)
        for code in visit.codes
        if counts(code, task.outcome)
    ]
    first = min((day for day, _ in found), default=None)
    return sorted({category for day, category in found if day == first})


def example(
    task: Task, member: Member, index: int, positive: bool, categories: list[str]
) -> dict[str, Any]:
    since = index - (task.lookback_days or 10**6)
    seen = [
        visit for visit in member.visits if known(visit, index) and visit.day > since
    ]
    spans = [span for span in member.enrolled if span[0] <= index]
    return {
        "patient_id": member.id,
        "sex": member.sex,
        "birth_days": member.birth,
        "institution": member.institution,
        "enrolled_from": [first for first, _ in spans],
        "enrolled_to": [min(last, index) for _, last in spans],
        "visit_days": [visit.day for visit in seen],
        "visit_types": [visit.type for visit in seen],
        "visit_length": [visit.length for visit in seen],
        "codes": [list(visit.codes) for visit in seen],
        "cost": [visit.cost for visit in seen],
        "index_day": index,
        "label": int(positive),
        "label_value": float(positive),
        "label_categories": categories,
        "label_row": -1,
        "visit_outcome": [int(occurred(task, [visit], washout=True)) for visit in seen],
        "past_days": [],  # of training members only
    }


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dicts()
