"""When targets occur, one entry a code: the sparse form that every loss reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

NEVER = 1_000_000


@dataclass(frozen=True)
class Occurrences:
    """Coded targets of each patient, ordered by target and then by day.

    Attributes:
      target: int32 [B, M], -1 where a code has no target.
      day: int32 [B, M], first day of its visit.
      previous: int32 [B, M], day of the same target's occurrence before, -NEVER
        for the first; a second code of a visit has its own day here.
    """

    target: Any
    day: Any
    previous: Any


def occurrences(visit_day: Any, visit_type: Any, code_targets: Any) -> Occurrences:
    """Orders the codes of each patient by target.

    Args:
      visit_day: int32 [B, V], first day of each visit, ascending among real visits.
      visit_type: int32 [B, V], 0 is padding.
      code_targets: int32 [B, V, N], target of each code, -1 for none.

    Returns:
      M = V * N entries a patient.
    """
    batch, visits, codes = ops.shape(code_targets)
    total = visits * codes
    target = ops.where(ops.equal(visit_type, 0)[..., None], -1, code_targets)
    # One sort of whole numbers that hold target and place, instead of an argsort.
    key = ops.reshape(target, (batch, total)) * total + ops.arange(total, dtype="int32")
    key = ops.sort(key, axis=-1)
    target = ops.floor_divide(key, total)
    place = ops.floor_divide(key - target * total, codes)
    day = ops.take_along_axis(visit_day, place, axis=1)
    same = ops.equal(target[:, 1:], target[:, :-1])
    previous = ops.where(same, day[:, :-1], -NEVER)
    first = ops.full((batch, 1), -NEVER, dtype="int32")
    return Occurrences(target, day, ops.concatenate([first, previous], axis=1))


def first_after(known: Occurrences, asked: Any, targets: int) -> tuple[Any, Any, Any]:
    """The next occurrence of each target after each date, where there is one.

    Args:
      known: Of B patients.
      asked: int32 [B, P], dates; occurrences on the date itself are past.
      targets: Only targets below this number.

    Returns:
      Three int32 [E]: row `b * P + p`, target, and days from the date, at least 1.
      No pair of row and target comes twice.
    """
    dates = ops.shape(asked)[1]
    asked = asked[:, :, None]
    ahead = known.day[:, None] > asked
    first = ops.logical_and(ahead, known.previous[:, None] <= asked)
    wanted = ops.logical_and(known.target >= 0, known.target < targets)
    patient, date, entry = ops.nonzero(ops.logical_and(first, wanted[:, None]))
    cell = patient * ops.shape(known.day)[1] + entry
    row = patient * dates + date
    days = _at(known.day, cell) - _at(asked, row)
    return row, _at(known.target, cell), days


def _at(values: Any, cell: Any) -> Any:
    return ops.take(ops.reshape(values, (-1,)), cell, axis=0)
