"""Visits of healthy childhood: birth, check-ups, vaccinations, teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator.draws import Streams, scatter
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.visits import Visits

MONTH_DAYS = 30.44


@dataclass(frozen=True)
class CheckUp:
    """One visit of the schedule of preventive care.

    Attributes:
      age: days at which it is due.
      spread: days over which children actually come.
      attended: share of children who come, at average access to care.
      vaccines_a, vaccines_b: CPT codes of the vaccines each institution gives.
    """

    age: int
    spread: int
    attended: float
    vaccines_a: tuple[str, ...] = ()
    vaccines_b: tuple[str, ...] = ()


def _schedule() -> tuple[CheckUp, ...]:
    first_a = ("90723", "90648", "90670", "90681")
    first_b = ("90697", "90677", "90680")
    at_months = {
        1: ((), ()),
        2: (first_a, first_b),
        4: (first_a, first_b),
        6: (("90723", "90670", "90681"), ("90697", "90677", "90680")),
        9: ((), ()),
        12: (("90707", "90716", "90633", "90670"), ("90710", "90633", "90677")),
        15: (("90648", "90700"), ("90647", "90700")),
        18: (("90633",), ("90633",)),
        24: ((), ()),
        30: ((), ()),
    }
    at_years = {
        3: ((), ()),
        4: (("90696", "90710"), ("90700", "90713", "90707", "90716")),
        11: (("90715", "90651", "90619"), ("90715", "90651", "90734")),
        12: (("90651",), ("90651",)),
        16: (("90619", "90620"), ("90734", "90621")),
    }
    visits = [CheckUp(3, 3, 0.9), CheckUp(14, 6, 0.75)]
    for month, (a, b) in at_months.items():
        spread = 14 if month < 12 else 30
        shown = 0.88 if month <= 12 else 0.72
        visits.append(CheckUp(round(month * MONTH_DAYS), spread, shown, a, b))
    for year in range(3, 19):
        a, b = at_years.get(year, ((), ()))
        shown = 0.72 if year < 6 else 0.55 if year < 13 else 0.47
        visits.append(CheckUp(round(year * 365.25), 260, shown, a, b))
    return tuple(visits)


SCHEDULE = _schedule()


def planned_visits(latent: Latent, streams: Streams) -> Visits:
    """All visits that are due by age or season rather than by illness."""
    return Visits.concat(
        [
            _births(latent, streams),
            *_check_ups(latent, streams),
            _flu_shots(latent, streams),
            _dental(latent, streams),
        ]
    )


def _births(latent: Latent, streams: Streams) -> Visits:
    rng = streams("births")
    birth = latent.population.birth
    member = np.flatnonzero(birth >= latent.calendar.start)
    early = latent.onset["prematurity"][member] <= birth[member]
    longer = np.floor(rng.random(len(member)) ** 2 * 40).astype(np.int64)
    stay = np.where(early, 5 + longer, 1 + (rng.random(len(member)) < 0.6))
    return Visits.of(member, birth[member], "birth", "birth", stay)


def _check_ups(latent: Latent, streams: Streams) -> list[Visits]:
    calendar, population = latent.calendar, latent.population
    parts = []
    for item, due in enumerate(SCHEDULE):
        rng = streams(f"check-up {item}")
        delay = np.floor(rng.random(len(population.birth)) * due.spread)
        day = population.birth + due.age + delay.astype(np.int64)
        chance = due.attended * np.clip(0.5 + 0.5 * population.access, 0.6, 1.2)
        comes = rng.random(len(day)) < chance
        within = (day >= calendar.start) & (day <= calendar.end)
        member = np.flatnonzero(comes & within)
        parts.append(Visits.of(member, day[member], "well", "well_child", item=item))
    return parts


def _flu_shots(latent: Latent, streams: Streams) -> Visits:
    rng = streams("flu shots")
    calendar, population = latent.calendar, latent.population
    autumn = np.isin(calendar.month[: calendar.months], (8, 9, 10))
    age = population.age(calendar.first[: calendar.months, None]).T
    rate = 0.06 * (age > 0.5) * autumn[None, :] * population.access[:, None]
    member, month = scatter(rng, rate)
    within = np.floor(rng.random(len(month)) * calendar.length[month])
    day = calendar.first[month] + within.astype(np.int64)
    return Visits.of(member, day, "flu_shot", "flu_shot")


def _dental(latent: Latent, streams: Streams) -> Visits:
    rng = streams("dental")
    calendar, population = latent.calendar, latent.population
    age = population.age(calendar.first[: calendar.months, None]).T
    rate = 0.55 / 12 * (age > 1) * population.access[:, None]
    member, month = scatter(rng, rate)
    within = np.floor(rng.random(len(month)) * calendar.length[month])
    day = calendar.first[month] + within.astype(np.int64)
    return Visits.of(member, day, "dental", "dental")
