"""The months of the simulated period and how the seasons move through them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from claimpt_tf.claims.simulator.draws import Ints

# Relative frequency by month of the year, January first; each averages about 1.
SEASONS: dict[str, tuple[float, ...]] = {
    "none": (1,) * 12,
    "autumn": (0.85, 0.9, 1.0, 1.1, 1.15, 0.75, 0.5, 0.8, 1.6, 1.45, 1.2, 0.9),
    "rsv": (2.4, 1.5, 0.7, 0.3, 0.15, 0.1, 0.1, 0.2, 0.5, 1.2, 2.1, 2.75),
    "influenza": (2.9, 2.7, 1.6, 0.6, 0.2, 0.05, 0.05, 0.05, 0.1, 0.4, 1.05, 2.3),
    "winter": (1.5, 1.45, 1.25, 1.0, 0.85, 0.65, 0.5, 0.6, 0.95, 1.05, 1.1, 1.3),
    "spring": (0.6, 0.7, 1.2, 1.7, 1.8, 1.2, 0.7, 0.7, 1.1, 1.0, 0.7, 0.6),
    "summer": (0.6, 0.65, 0.85, 1.1, 1.3, 1.45, 1.45, 1.35, 1.15, 0.9, 0.7, 0.5),
    "school": (1.1, 1.15, 1.15, 1.15, 1.1, 0.75, 0.65, 0.75, 1.05, 1.15, 1.1, 0.9),
}
LOOKAHEAD = 13  # months that a window of 365 days, begun on a first, can touch


def day_of(moment: date) -> int:
    """Days since 1970-01-01.

    >>> day_of(date(1970, 1, 2))
    1
    """
    return moment.toordinal() - date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Calendar:
    """First day, length and month of the year of each month, lookahead included.

    Attributes:
      months: number of simulated months.
      first: int64 [months + LOOKAHEAD + 1], each month's first day since 1970-01-01.
      length: int64 [months + LOOKAHEAD], days in the month.
      month: int64 [months + LOOKAHEAD], 0 for January.
    """

    months: int
    first: Ints
    length: Ints
    month: Ints

    @classmethod
    def starting(cls, start: date, months: int) -> Calendar:
        """The calendar of `months` months from `start`, the first of a month.

        >>> Calendar.starting(date(2021, 1, 1), 12).length[:3].tolist()
        [31, 28, 31]
        """
        count = months + LOOKAHEAD + 1
        ahead = start.month - 1 + np.arange(count)
        first = np.array(
            [day_of(date(start.year + int(a) // 12, int(a) % 12 + 1, 1)) for a in ahead]
        )
        return cls(months, first, np.diff(first), ahead[:-1] % 12)

    @property
    def start(self) -> int:
        """First day of the period."""
        return int(self.first[0])

    @property
    def end(self) -> int:
        """Last day of the period."""
        return int(self.first[self.months]) - 1

    def month_index(self, day: Ints) -> Ints:
        """Index of the month that holds each day (-1 before the period)."""
        return np.searchsorted(self.first, day, side="right") - 1
