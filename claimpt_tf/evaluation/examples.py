"""Predictions of single rows with the codes that made them, told without the person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claimpt_tf.evaluation.weighted import Floats
from claimpt_tf.training.scores import RISK

_REST = "all other codes"
NO_VISIT = "without any visit"
NO_CODE = "the same visits without their codes"


@dataclass(frozen=True)
class Example:
    """One explained prediction.

    Attributes:
        title: where the row stands in the ranking, and what may be told of the person.
        value: that of the model.
        reference: that of the start.
        moved: what moved it most, in words, and how much each added.
        start: what the reference is of, in words.
        what: what is predicted, in words.
        share: it is a probability, told in per cent.
    """

    title: str
    value: float
    reference: float
    moved: Sequence[tuple[str, float]]
    start: str = NO_VISIT
    what: str = "probability"
    share: bool = True

    def rows(self) -> list[tuple[str, str]]:
        """The table: where it starts, what adds how much, where it ends.

        >>> Example("high", 0.5, 0.1, [("asthma", 0.3)]).rows()[1:3]
        [('asthma', '+30.0%'), ('all other codes', '+10.0%')]
        """
        rest = self.value - self.reference - sum(share for _, share in self.moved)
        return [
            (self.start, self._told(self.reference)),
            *((name, self._told(share, "+")) for name, share in self.moved),
            (_REST, self._told(rest, "+")),
            (self.what, self._told(self.value)),
        ]

    def _told(self, value: float, sign: str = "") -> str:
        text = f"{value:{sign}.1%}" if self.share else f"{value:{sign},.4g}"
        return text.replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Told:
    """The number that is explained, of each row.

    Attributes:
        values: by which rows are ranked too, (rows,).
        columns: which prediction it is, (rows,).
        words: column -> what it is, in words.
        share: it is a probability.
    """

    values: Floats
    columns: Sequence[str]
    words: Mapping[str, str]
    share: bool = True

    @classmethod
    def risk(cls, scores: Floats) -> Told:
        """The probability of yes."""
        return cls(scores, [RISK] * len(scores), {RISK: RISK})
