"""The two planted outcomes: their hazards and the events drawn from them.

The daily hazard of an outcome is

    exp(base + sum_d severity[d] * s_d + gap * g + sum_c comorbidity[c] * x_c
        + log season + f(age)) / 30.4375

where s_d are the drifting severities, g is 1 in a refill gap and x_c is 1 from the
onset of a condition on. No code enters. Events are a Poisson process with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator.draws import Floats, Ints, Streams, scatter
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.months import SEASONS
from claimpt_tf.claims.simulator.population import YEAR

DAYS_A_MONTH = YEAR / 12


@dataclass(frozen=True)
class Outcome:
    """The log hazard of one outcome, linear in the hidden state.

    Attributes:
      name: prefix of the true risk's columns.
      base: log of the monthly hazard at zero of everything else.
      severity: coefficient of each severity.
      gap: coefficient of being in a refill gap.
      comorbidity: coefficient of each condition present.
      season: name in SEASONS; its logarithm enters.
      ages: (years, effect) knots, linear between them.
      requires: condition without which there is no hazard, or None.
    """

    name: str
    base: float
    severity: Mapping[str, float]
    gap: float
    comorbidity: Mapping[str, float]
    season: str
    ages: tuple[tuple[float, float], ...]
    requires: str | None = None


ASTHMA_EXACERBATION = Outcome(
    "asthma_exacerbation",
    base=-5.15,
    severity={"asthma": 1.45, "general": 0.25},
    gap=1.0,
    comorbidity={
        "allergic_rhinitis": 0.5,
        "atopic_dermatitis": 0.3,
        "food_allergy": 0.5,
        "obesity": 0.6,
        "prematurity": 0.5,
        "reflux": 0.4,
        "sleep_apnea": 0.5,
        "anxiety": 0.4,
        "depression": 0.5,
    },
    season="autumn",
    ages=((0, 0.3), (3, 0.8), (9, 0.0), (19, -0.8)),
    requires="asthma",
)
SELF_HARM = Outcome(
    "self_harm",
    base=-8.1,
    severity={"mental": 1.35, "general": 0.2},
    gap=1.0,
    comorbidity={
        "depression": 1.6,
        "trauma": 1.1,
        "mood_dysregulation": 1.2,
        "substance_use": 0.7,
        "eating_disorder": 0.5,
        "anxiety": 1.1,
        "conduct": 0.9,
        "adhd": 0.8,
        "migraine": 0.15,
    },
    season="school",
    ages=((6, -9.0), (8, -4.0), (10, -1.4), (13, 0.0), (16, 0.4), (19, 0.3)),
)
OUTCOMES = (ASTHMA_EXACERBATION, SELF_HARM)


def draw_occurrences(
    outcome: Outcome, latent: Latent, streams: Streams
) -> tuple[Ints, Ints, Ints]:
    """Member, month index and day of every event, drawn from the hazard itself."""
    calendar = latent.calendar
    rate = np.empty((len(latent.population.birth), calendar.months))
    for month in range(calendar.months):
        rate[:, month] = calendar.length[month] * daily_hazard(outcome, latent, month)
    rng = streams(f"outcome {outcome.name}")
    member, month_index = scatter(rng, rate)
    within = np.floor(rng.random(len(member)) * calendar.length[month_index])
    return member, month_index, calendar.first[month_index] + within.astype(np.int64)


def daily_hazard(outcome: Outcome, latent: Latent, month: int) -> Floats:
    """Hazard a day of every member in a month, float64 [members]."""
    first = latent.calendar.first[month]
    age = latent.population.age(first)
    log_rate = fixed_log_rate(outcome, latent, month, age)
    for driver, effect in outcome.severity.items():
        log_rate += effect * latent.severity[driver][:, month]
    log_rate += outcome.gap * latent.gap[:, month]
    for name, effect in outcome.comorbidity.items():
        log_rate += effect * (latent.onset[name] <= first)
    possible = age >= 0
    if outcome.requires is not None:
        possible &= latent.onset[outcome.requires] <= first
    return np.where(possible, np.exp(log_rate), 0.0)


def fixed_log_rate(outcome: Outcome, latent: Latent, month: int, age: Floats) -> Floats:
    """The part of the log daily hazard left to no chance: base, season, age."""
    season = SEASONS[outcome.season][latent.calendar.month[month]]
    years, effects = zip(*outcome.ages, strict=True)
    scale = outcome.base + np.log(season) - np.log(DAYS_A_MONTH)
    return scale + np.interp(age, years, effects)
