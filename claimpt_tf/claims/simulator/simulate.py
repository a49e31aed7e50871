"""Simulates a population of children and the claims they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from claimpt_tf.claims.simulator.code_book import CodeBook
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.diagnoses import draw_diagnoses
from claimpt_tf.claims.simulator.draws import Bools, Ints, Streams
from claimpt_tf.claims.simulator.fills import draw_fills
from claimpt_tf.claims.simulator.illness_visits import illness_visits
from claimpt_tf.claims.simulator.latent import Latent, draw_latent
from claimpt_tf.claims.simulator.lines import draw_lines
from claimpt_tf.claims.simulator.months import Calendar
from claimpt_tf.claims.simulator.planned_visits import planned_visits
from claimpt_tf.claims.simulator.population import draw_population
from claimpt_tf.claims.simulator.tables import (
    eligibility_table,
    medical_claim_table,
    person_ids,
    pharmacy_claim_table,
)
from claimpt_tf.claims.simulator.true_risk import true_risk_table
from claimpt_tf.claims.simulator.visits import Visits

Progress = Callable[[str, float], None]
OUTSIDE_ENROLMENT = 0.004  # share of services then that still leave a claim


@dataclass(frozen=True)
class Simulation:
    """Simulated tables: three of the Tuva input layer, and the truth behind them."""

    config: SimulationConfig
    medical_claim: pl.DataFrame
    pharmacy_claim: pl.DataFrame
    eligibility: pl.DataFrame
    true_risk: pl.DataFrame


def simulate(config: SimulationConfig, progress: Progress | None = None) -> Simulation:
    """Draws a population and everything billed for it.

    Args:
      config: size, length and seed.
      progress: called with what is being done and the share done so far, 0 to 1.

    Returns:
      The same tables for the same configuration, on any machine.

    Raises:
      InputError: where the configuration makes no sense.

    >>> tables = simulate(SimulationConfig(members=20, years=1))
    >>> sorted(set(tables.eligibility["data_source"]))
    ['institution_a', 'institution_b']
    """
    config.check()
    tell = progress or (lambda text, share: None)
    tell("population", 0.0)
    streams, book = Streams(config.seed), CodeBook()
    calendar = Calendar.starting(config.first_day, config.months)
    population = draw_population(config.members, calendar, streams)
    latent = draw_latent(calendar, population, streams)
    tell("visits", 0.05)
    visits = Visits.concat(
        [illness_visits(latent, streams), planned_visits(latent, streams)]
    )
    fills = draw_fills(visits, latent, streams)
    visits = visits.take(_billed(visits.member, visits.day, latent, streams("visits")))
    fills = fills.take(_billed(fills.member, fills.day, latent, streams("fills")))
    tell("diagnoses", 0.2)
    diagnoses = draw_diagnoses(visits, latent, streams, book)
    tell("claim lines", 0.3)
    lines = draw_lines(visits, latent, streams, book)
    tell("claims tables", 0.45)
    medical = medical_claim_table(visits, diagnoses, lines, population, streams, book)
    pharmacy = pharmacy_claim_table(fills, population, streams)
    eligibility = eligibility_table(population, calendar)
    tell("true risks", 0.7)
    true_risk = true_risk_table(latent, person_ids(config.members))
    tell("done", 1.0)
    return Simulation(config, medical, pharmacy, eligibility, true_risk)


def _billed(member: Ints, day: Ints, latent: Latent, rng: np.random.Generator) -> Bools:
    """Services within the period of enrolled members, and a few of others."""
    calendar, population = latent.calendar, latent.population
    within = (day >= calendar.start) & (day <= calendar.end)
    within &= day >= population.birth[member]
    month = np.clip(calendar.month_index(day), 0, calendar.months - 1)
    covered = population.enrolled[member, month]
    stray = rng.random(len(member)) < OUTSIDE_ENROLMENT
    covered |= stray & population.eligible[member, month]
    return within & covered & ~population.silent[member]
