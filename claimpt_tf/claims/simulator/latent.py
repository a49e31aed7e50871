"""The hidden state: drifting severities, refill gaps, and the onset of conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator.condition import AGE_BANDS, Chronic
from claimpt_tf.claims.simulator.conditions import CHRONIC
from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints, Streams, logistic
from claimpt_tf.claims.simulator.months import Calendar
from claimpt_tf.claims.simulator.population import YEAR, Population

# Month-to-month correlation of each severity; all have mean 0 and variance 1.
PERSISTENCE = {"general": 0.97, "asthma": 0.975, "mental": 0.975}
GAP_END = 0.22  # monthly chance that a refill gap ends
NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Latent:
    """Everything the risks depend on.

    Attributes:
      calendar: the months.
      population: the members.
      severity: by driver, float64 [members, months].
      gap: bool [members, months], whether medicines are not being taken.
      gap_start: float64 [members], monthly chance that a gap begins.
      onset: by chronic condition, int64 [members], day of onset or NEVER.
    """

    calendar: Calendar
    population: Population
    severity: dict[str, Floats]
    gap: Bools
    gap_start: Floats
    onset: dict[str, Ints]

    def active(self, condition: Chronic) -> Bools:
        """Whether a condition is present at the start of each month.

        Returns:
          bool [members, months].
        """
        first = self.calendar.first[None, : self.calendar.months]
        present = self.onset[condition.name][:, None] <= first
        if condition.until < AGE_BANDS[-1]:
            age = (first - self.population.birth[:, None]) / YEAR
            present &= age < condition.until
        return present

    def recent(self, driver: str, weight: float = 0.3) -> Floats:
        """An exponentially weighted mean of a severity, scaled to variance 1."""
        series = self.severity[driver]
        smooth = np.empty_like(series)
        level = series[:, 0]
        for month in range(series.shape[1]):
            level = (1 - weight) * level + weight * series[:, month]
            smooth[:, month] = level
        phi, keep = PERSISTENCE[driver], 1 - weight
        variance = weight / (2 - weight) * (1 + keep * phi) / (1 - keep * phi)
        return smooth / np.sqrt(variance)


def onset_factor(condition: Chronic, population: Population) -> Floats:
    """What each member's traits and sex multiply the rate of onset by."""
    log_rate = np.zeros(len(population.birth))
    for trait, effect in condition.traits.items():
        log_rate += effect * population.traits[trait] - 0.5 * effect**2
    boys = 2 * condition.male / (1 + condition.male)
    return np.exp(log_rate) * np.where(population.male, boys, 2 - boys)


def cumulative_onset(condition: Chronic, age: Floats) -> Floats:
    """Cumulative rate of onset from birth to `age` (years) for an average child."""
    return np.interp(age, AGE_BANDS, _onset_curve(condition))


def _onset_curve(condition: Chronic) -> Floats:
    rates = np.array(condition.onset) / 100.0
    at_birth = -np.log1p(-condition.at_birth / 100.0)
    return at_birth + np.concatenate([[0.0], np.cumsum(rates * np.diff(AGE_BANDS))])


def draw_latent(calendar: Calendar, population: Population, streams: Streams) -> Latent:
    """One path of the hidden state for every member."""
    members, months = population.enrolled.shape
    severity = {
        driver: _autoregression(streams(f"severity {driver}"), members, months, phi)
        for driver, phi in PERSISTENCE.items()
    }
    gap_start = 0.02 + 0.18 * logistic(-1.0 - 1.2 * population.diligence)
    onset = {
        c.name: _draw_onset(c, population, streams(f"onset {c.name}")) for c in CHRONIC
    }
    gap = _two_state_chain(streams("gap"), months, gap_start)
    return Latent(calendar, population, severity, gap, gap_start, onset)


def _autoregression(
    rng: np.random.Generator, members: int, months: int, phi: float
) -> Floats:
    series = np.empty((members, months))
    series[:, 0] = rng.standard_normal(members)
    for month in range(1, months):
        noise = rng.standard_normal(members)
        series[:, month] = phi * series[:, month - 1] + np.sqrt(1 - phi**2) * noise
    return series


def _two_state_chain(rng: np.random.Generator, months: int, start: Floats) -> Bools:
    state = rng.random(len(start)) < start / (start + GAP_END)
    states = np.empty((len(start), months), dtype=bool)
    states[:, 0] = state
    for month in range(1, months):
        uniform = rng.random(len(start))
        state = np.where(state, uniform >= GAP_END, uniform < start)
        states[:, month] = state
    return states


def _draw_onset(
    condition: Chronic, population: Population, rng: np.random.Generator
) -> Ints:
    # The age at which the cumulative rate passes an exponential variate.
    threshold = -np.log1p(-rng.random(len(population.birth)))
    with np.errstate(divide="ignore"):
        passed = threshold / onset_factor(condition, population)
    curve = _onset_curve(condition)
    age = np.interp(passed, curve, AGE_BANDS)
    day = population.birth + np.floor(age * YEAR).astype(np.int64)
    return np.where(passed > curve[-1], NEVER, day)
