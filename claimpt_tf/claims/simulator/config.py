"""What a simulated population is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from claimpt_tf.errors import InputError

MAX_YEARS = 20
DEFAULT_END_YEAR = 2023
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class SimulationConfig:
    """Size, length and seed of a simulated population.

    Attributes:
      members: children ever enrolled, at least 1.
      years: years of claims, 1 to 20.
      seed: any integer from 0 up; the same seed gives the same tables.
      start: first day of the period, the first day of a month; by default such that
        the period ends with 2023, 2021-01-01 for three years.

    >>> SimulationConfig(members=0).check()
    Traceback (most recent call last):
    ...
    claimpt_tf.errors.InputError: members is 0: give at least 1
    """

    members: int = 5000
    years: int = 3
    seed: int = 7
    start: date | None = None

    def check(self) -> None:
        """Raises InputError, naming the setting, where a value makes no sense."""
        if self.members < 1:
            raise InputError(f"members is {self.members}: give at least 1")
        if not 1 <= self.years <= MAX_YEARS:
            raise InputError(f"years is {self.years}: give 1 to {MAX_YEARS}")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: give 0 or more")
        first = self.first_day
        if first.day != 1:
            raise InputError(f"start is {first}: give the first day of a month")
        if self.end_day > date.today():
            raise InputError(
                f"the period would end on {self.end_day}, and readers refuse claims of "
                "the future: give an earlier start or fewer years"
            )

    @property
    def first_day(self) -> date:
        """First day of the period."""
        return self.start or date(DEFAULT_END_YEAR + 1 - self.years, 1, 1)

    @property
    def end_day(self) -> date:
        """Last day of the period.

        >>> SimulationConfig(years=2).end_day
        datetime.date(2023, 12, 31)
        """
        return self.first_day.replace(year=self.first_day.year + self.years) - ONE_DAY

    @property
    def months(self) -> int:
        """Number of simulated months."""
        return 12 * self.years
