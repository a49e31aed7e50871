"""What a simulated population is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from claimpt_tf.errors import InputError

MAX_YEARS = 20


@dataclass(frozen=True)
class SimulationConfig:
    """Size, length and seed of a simulated population.

    Attributes:
      members: children ever enrolled, at least 1.
      years: years of claims, 1 to 20.
      seed: any integer from 0 up; the same seed gives the same tables.
      start: first day of the period, the first day of a month.

    >>> SimulationConfig(members=0).check()
    Traceback (most recent call last):
    ...
    claimpt_tf.errors.InputError: members is 0: give at least 1
    """

    members: int = 5000
    years: int = 3
    seed: int = 7
    start: date = date(2021, 1, 1)

    def check(self) -> None:
        """Raises InputError, naming the setting, where a value makes no sense."""
        if self.members < 1:
            raise InputError(f"members is {self.members}: give at least 1")
        if not 1 <= self.years <= MAX_YEARS:
            raise InputError(f"years is {self.years}: give 1 to {MAX_YEARS}")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: give 0 or more")
        if self.start.day != 1:
            raise InputError(f"start is {self.start}: give the first day of a month")

    @property
    def months(self) -> int:
        """Number of simulated months."""
        return 12 * self.years
