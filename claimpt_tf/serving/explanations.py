"""What a person reads of an explanation: visits and codes with their shares."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimpt_tf.serving.requests import Member, parse_members

_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class CodeShare:
    """A code of a visit, and what it adds to the risk."""

    code: str
    share: float


@dataclass(frozen=True)
class VisitShare:
    """A visit and what it adds to the risk, its codes included.

    What the codes do not add, the visit itself does: its place, time, stay and cost.
    """

    date: datetime.date
    type: str
    share: float
    codes: tuple[CodeShare, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a member has the risk that the model gives.

    Attributes:
        probability: the risk.
        reference: the risk of the same person without any visit.
        visits: ordered by day; their shares sum to probability - reference.
    """

    probability: float
    reference: float
    visits: tuple[VisitShare, ...]

    def top_codes(self, count: int = 5) -> list[CodeShare]:
        """Codes that move the risk most, summed over visits, largest first."""
        total: dict[str, float] = {}
        for visit in self.visits:
            for one in visit.codes:
                total[one.code] = total.get(one.code, 0.0) + one.share
        ranked = sorted(total.items(), key=lambda item: (-abs(item[1]), item[0]))
        return [CodeShare(code, share) for code, share in ranked[:count]]


def explanations(
    members: Sequence[Mapping[str, Any]], outputs: Mapping[str, Any]
) -> list[Explanation]:
    """The outputs of `explain` with the visits and codes that they speak of.

    Args:
        members: as they were asked about.
        outputs: `probability`, `reference` [B], `visit_share` [B, V], `code_share`
            [B, V, C].

    Raises:
        InputError: a member is not as claimpt_tf.serving.requests describes them.
    """
    arrays = {name: np.asarray(value, float) for name, value in outputs.items()}
    return [
        Explanation(
            float(arrays["probability"][at]),
            float(arrays["reference"][at]),
            _visits(member, arrays["visit_share"][at], arrays["code_share"][at]),
        )
        for at, member in enumerate(parse_members(members))
    ]


def _visits(
    member: Member, visit_share: np.ndarray, code_share: np.ndarray
) -> tuple[VisitShare, ...]:
    return tuple(
        VisitShare(
            _EPOCH + datetime.timedelta(days=visit.day),
            visit.type,
            float(visit_share[i]),
            tuple(
                CodeShare(code, float(code_share[i, j]))
                for j, code in enumerate(visit.codes)
            ),
        )
        for i, visit in enumerate(member.visits)
    )
