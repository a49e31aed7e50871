"""Predictions of single rows with the codes that made them, told without the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_REST = "all other codes"
NO_VISIT = "without any visit"
NO_CODE = "the same visits without their codes"


@dataclass(frozen=True)
class Example:
    """One explained prediction.

    Attributes:
        title: where the row stands in the ranking, and what may be told of the person.
        probability: that of the model.
        reference: that of the start.
        moved: what moved it most, in words, and how much each added.
        start: what the reference is of, in words.
    """

    title: str
    probability: float
    reference: float
    moved: Sequence[tuple[str, float]]
    start: str = NO_VISIT

    def rows(self) -> list[tuple[str, str]]:
        """The table: where it starts, what adds how much, where it ends.

        >>> Example("high", 0.5, 0.1, [("asthma", 0.3)]).rows()[1:3]
        [('asthma', '+30.0%'), ('all other codes', '+10.0%')]
        """
        rest = self.probability - self.reference - sum(share for _, share in self.moved)
        return [
            (self.start, f"{self.reference:.1%}"),
            *((name, _signed(share)) for name, share in self.moved),
            (_REST, _signed(rest)),
            ("probability", f"{self.probability:.1%}"),
        ]


def _signed(share: float) -> str:
    return f"{share:+.1%}".replace("-", "\N{MINUS SIGN}")
