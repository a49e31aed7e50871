"""A table of visits to physicians, clinics and hospitals, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from claimpt_tf.claims.simulator.conditions import REASON
from claimpt_tf.claims.simulator.draws import Bools, Ints

KINDS = (
    "office",
    "clinic",  # outpatient department of a hospital
    "psychotherapy",
    "therapy",  # speech, occupational, physical
    "well",
    "flu_shot",
    "dental",
    "emergency",
    "inpatient",
    "birth",
)
KIND = {name: number for number, name in enumerate(KINDS)}


@dataclass(frozen=True)
class Visits:
    """Columns of equal length, all int64.

    Attributes:
      member: row of the member.
      day: first day, since 1970-01-01.
      stay: days until discharge, 0 on the same day.
      kind: index into KINDS.
      reason: index into REASONS.
      item: for well_child, index into the schedule of visits; else -1.
    """

    member: Ints
    day: Ints
    stay: Ints
    kind: Ints
    reason: Ints
    item: Ints

    @classmethod
    def of(
        cls,
        member: Ints,
        day: Ints,
        kind: str | Ints,
        reason: str,
        stay: int | Ints = 0,
        item: int = -1,
    ) -> Visits:
        """Visits for one reason; `kind` one name, or an index a visit."""
        shape = np.shape(member)

        def column(value: int | Ints) -> Ints:
            return np.broadcast_to(np.asarray(value, dtype=np.int64), shape).copy()

        return cls(
            member=member,
            day=day,
            stay=column(stay),
            kind=column(KIND[kind] if isinstance(kind, str) else kind),
            reason=column(REASON[reason]),
            item=column(item),
        )

    @classmethod
    def concat(cls, parts: Sequence[Visits]) -> Visits:
        """All rows of `parts`, in order."""
        names = [f.name for f in fields(cls)]
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def take(self, rows: Ints | Bools) -> Visits:
        """The chosen rows."""
        return Visits(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.member)

    def of_kind(self, *names: str) -> Bools:
        """Whether each visit is of one of the named kinds."""
        return np.isin(self.kind, [KIND[name] for name in names])

    def because(self, name: str) -> Bools:
        """Whether each visit has the named reason."""
        return self.reason == REASON[name]
