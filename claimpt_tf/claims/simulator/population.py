"""Who the members are and when they are enrolled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints, Streams
from claimpt_tf.claims.simulator.months import Calendar

YEAR = 365.25
LAST_AGE = 19.0  # coverage ends with the month of this birthday
TRAITS = ("atopy", "neuro", "mind", "body", "frailty", "hardship")
RACES = {
    "white": 0.42,
    "black or african american": 0.24,
    "asian": 0.05,
    "american indian or alaska native": 0.02,
    "other race": 0.12,
    "unknown": 0.15,
}


@dataclass(frozen=True)
class Population:
    """What does not change about the members, and their enrolment.

    Attributes:
      birth: int64 [members], days since 1970-01-01.
      male: bool [members].
      race: int64 [members], index into RACES.
      hispanic: bool [members].
      institution: int64 [members], 0 or 1.
      traits: lasting tendencies by name, each float64 [members], mean 0, variance 1.
      access: float64 [members], how readily care is sought, mean about 1.
      diligence: float64 [members], tendency to take what was prescribed.
      silent: bool [members], enrolled without ever leaving a claim.
      eligible: bool [members, months], born and under 19 on some day of the month.
      enrolled: bool [members, months].
    """

    birth: Ints
    male: Bools
    race: Ints
    hispanic: Bools
    institution: Ints
    traits: dict[str, Floats]
    access: Floats
    diligence: Floats
    silent: Bools
    eligible: Bools
    enrolled: Bools

    def age(self, day: int | Ints) -> Floats:
        """Age in years of every member on `day`."""
        return (day - self.birth) / YEAR


def draw_population(members: int, calendar: Calendar, streams: Streams) -> Population:
    """Members aged 0 to 18 at the start, or born within the period."""
    rng = streams("members")
    oldest = calendar.start - int((LAST_AGE - 0.5) * YEAR)
    youngest = calendar.end - 30
    birth = rng.integers(oldest, youngest + 1, members)
    hardship = rng.standard_normal(members)
    traits = {name: rng.standard_normal(members) for name in TRAITS}
    traits["hardship"] = hardship
    traits["mind"] = 0.3 * hardship + np.sqrt(1 - 0.09) * traits["mind"]
    first, last = calendar.first[:-1], calendar.first[1:] - 1
    months = slice(0, calendar.months)
    eligible = (birth[:, None] <= last[None, months]) & (
        (first[None, months] - birth[:, None]) / YEAR < LAST_AGE
    )
    return Population(
        birth=birth,
        male=rng.random(members) < 0.512,
        race=np.searchsorted(
            np.cumsum(list(RACES.values())), rng.random(members) * 0.999
        ),
        hispanic=rng.random(members) < 0.28,
        institution=(rng.random(members) < 0.45).astype(np.int64),
        traits=traits,
        access=np.exp(0.3 * rng.standard_normal(members) - 0.045),
        diligence=rng.standard_normal(members) - 0.3 * hardship,
        silent=rng.random(members) < 0.02,
        eligible=eligible,
        enrolled=_draw_enrolment(eligible, streams("enrolment")),
    )


def _draw_enrolment(eligible: Bools, rng: np.random.Generator) -> Bools:
    """A coverage chain: leaving, oftenest at yearly renewal, and coming back."""
    members, months = eligible.shape
    opening = eligible.argmax(axis=1)
    late = rng.random(members) < 0.12
    entry = opening + late * rng.integers(1, 19, members)
    remaining = months - 1 - eligible[:, ::-1].argmax(axis=1)
    entry = np.minimum(entry, remaining)
    enrolled = np.zeros((members, months), dtype=bool)
    covered = np.zeros(members, dtype=bool)
    for month in range(months):
        since = month - entry
        renewal = (since > 0) & (since % 12 == 0)
        uniform = rng.random(members)
        leaves = uniform < np.where(renewal, 0.055, 0.006)
        returns = uniform < 0.18
        covered = np.where(covered, ~leaves, (since > 0) & returns)
        covered |= since == 0
        enrolled[:, month] = covered & eligible[:, month]
    return enrolled
