"""The risk that an all-knowing observer would state on the first of each month.

The true risk over a window is 1 - E[exp(-H)], with H the hazard accumulated over the
window and the expectation over all futures of the hidden state, given its value on
the day. Mean and variance of H are closed forms: lognormal moments of the
autoregressions, powers of the two-state chain, and the onset rates of conditions
not there yet. E[exp(-H)] is taken as that of a lognormal variate with those two moments.
The variance that further onsets of comorbidities add within the window is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from claimpt_tf.claims.simulator.conditions import CHRONIC
from claimpt_tf.claims.simulator.draws import Floats, Ints
from claimpt_tf.claims.simulator.latent import (
    GAP_END,
    PERSISTENCE,
    Latent,
    cumulative_onset,
    onset_factor,
)
from claimpt_tf.claims.simulator.months import LOOKAHEAD, Calendar
from claimpt_tf.claims.simulator.outcomes import OUTCOMES, Outcome, fixed_log_rate

HORIZONS = (30, 90, 180, 365)  # days
_CHUNK = 4000  # members at a time, so that the working arrays stay small
_NEGLIGIBLE = 0.002  # below this mean, 1 - exp(-mean) is as good
_NODES = 12  # of the quadrature over a lognormal variate
_CONDITIONS = {c.name: c for c in CHRONIC}


def true_risk_table(latent: Latent, person_id: pl.Series) -> pl.DataFrame:
    """One row a member and first of a month on which the member is born and under 19.

    Args:
      latent: the hidden state.
      person_id: String [members].

    Returns:
      person_id, day (Date) and, for each outcome and horizon, a Float32 column such
      as `asthma_exacerbation_180d`: the probability of at least one event in
      (day, day + horizon], whether or not the member stays enrolled. Ordered by
      person_id, day.
    """
    calendar, population = latent.calendar, latent.population
    columns = [f"{o.name}_{h}d" for o in OUTCOMES for h in HORIZONS]
    tables = []
    for begin in range(0, len(person_id), _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        risks = np.concatenate(
            [_risks(outcome, latent, chunk) for outcome in OUTCOMES], axis=2
        )
        first = calendar.first[: calendar.months]
        wanted = population.eligible[chunk] & (
            population.birth[chunk, None] <= first[None, :]
        )
        member, month = np.nonzero(wanted)
        table = pl.DataFrame(
            {
                "person_id": person_id.gather(begin + member),
                "day": pl.Series(first[month].astype(np.int32)).cast(pl.Date),
            }
        )
        chosen = risks[member, month].astype(np.float32)
        tables.append(
            table.with_columns(
                pl.Series(name, chosen[:, i]) for i, name in enumerate(columns)
            )
        )
    return pl.concat(tables, rechunk=True)


def _risks(outcome: Outcome, latent: Latent, chunk: slice) -> Floats:
    """Risks float64 [members of the chunk, months, len(HORIZONS)]."""
    return np.stack([*_Forecast(outcome, latent, chunk).monthly()], axis=1)


class _Forecast:
    """Moments of the hazard ahead, for a slice of the members."""

    def __init__(self, outcome: Outcome, latent: Latent, chunk: slice) -> None:
        self._outcome = outcome
        self._latent = latent
        self._chunk = chunk
        calendar, population = latent.calendar, latent.population
        count = calendar.months + LOOKAHEAD
        self._age = population.age(calendar.first[:count, None]).T[chunk]
        self._fixed = np.stack(
            [
                fixed_log_rate(outcome, latent, m, self._age[:, m])
                for m in range(count)
            ],
            axis=1,
        )
        names = [*outcome.comorbidity]
        if outcome.requires is not None:
            names.append(outcome.requires)
        self._cumulative = {
            name: cumulative_onset(_CONDITIONS[name], self._age)
            * onset_factor(_CONDITIONS[name], population)[chunk, None]
            for name in names
        }
        self._gap_start = latent.gap_start[chunk]
        self._gap_share = self._gap_start / (self._gap_start + GAP_END)
        self._gap_keep = 1.0 - self._gap_start - GAP_END
        self._gap_repeats = {
            lag: self._gap_share + (1 - self._gap_share) * self._gap_keep**lag
            for lag in range(LOOKAHEAD)
        }

    def monthly(self) -> Iterator[Floats]:
        """Risks float64 [members, len(HORIZONS)] as of each month's first day."""
        for month in range(self._latent.calendar.months):
            yield self._as_of(month)

    def _as_of(self, month: int) -> Floats:
        gap = [self._gap_chance(month, j) for j in range(LOOKAHEAD)]
        gate = [self._gate(month, j) for j in range(LOOKAHEAD)]
        rates = [self._mean(month, j, gap[j]) * gate[j] for j in range(LOOKAHEAD)]
        windows = [_overlap(self._latent.calendar, month, h) for h in HORIZONS]
        mean = np.zeros((len(self._gap_start), len(HORIZONS)))
        for w, days in enumerate(windows):
            for j in range(LOOKAHEAD):
                mean[:, w] += days[j] * rates[j]
        variance = np.zeros_like(mean)
        weighty = np.flatnonzero(mean[:, -1] > _NEGLIGIBLE)
        repeats = {lag: chance[weighty] for lag, chance in self._gap_repeats.items()}
        gap, gate, rates = (
            [values[weighty] for values in series] for series in (gap, gate, rates)
        )
        for j in range(LOOKAHEAD):
            for i in range(j + 1):
                ratio = self._ratio(i, j, gap, repeats[j - i])
                # Present at i, a condition is still there at j.
                ratio = ratio / np.where(gate[j] > 0, gate[j], 1.0)
                covariance = rates[i] * rates[j] * (ratio - 1)
                for w, days in enumerate(windows):
                    if days[i] and days[j]:
                        times = days[i] * days[j] * (1 if i == j else 2)
                        variance[weighty, w] += times * covariance
        risks = -np.expm1(-mean)
        risks[weighty] = _at_least_one(mean[weighty], variance[weighty])
        return risks

    def _mean(self, month: int, ahead: int, gap: Floats) -> Floats:
        """Expected daily hazard `ahead` months on, were the required condition there."""
        outcome = self._outcome
        log_rate = self._fixed[:, month + ahead].copy()
        for driver, effect in outcome.severity.items():
            decay = PERSISTENCE[driver] ** ahead
            level = self._latent.severity[driver][self._chunk, month]
            log_rate += effect * decay * level + 0.5 * effect**2 * (1 - decay**2)
        rate = np.exp(log_rate) * (1 + np.expm1(outcome.gap) * gap)
        for name, effect in outcome.comorbidity.items():
            rate *= 1 + np.expm1(effect) * self._present(name, month, ahead)
        return rate

    def _ratio(self, i: int, j: int, gap: list[Floats], repeat: Floats) -> Floats:
        """E[h_i h_j] / (E[h_i] E[h_j]) of the hazards i <= j months on.

        `repeat` is the chance of a gap at j given one at i.
        """
        shared = 0.0
        for driver, effect in self._outcome.severity.items():
            phi = PERSISTENCE[driver]
            shared += effect**2 * phi ** (j - i) * (1 - phi ** (2 * i))
        lift = np.expm1(self._outcome.gap)
        joint = 1 + lift * (gap[i] + gap[j]) + lift**2 * gap[i] * repeat
        apart = (1 + lift * gap[i]) * (1 + lift * gap[j])
        return np.exp(shared) * joint / apart

    def _gap_chance(self, month: int, ahead: int) -> Floats:
        now = self._latent.gap[self._chunk, month]
        return self._gap_share + (now - self._gap_share) * self._gap_keep**ahead

    def _gate(self, month: int, ahead: int) -> Floats:
        if self._outcome.requires is None:
            return np.ones(len(self._gap_start))
        return self._present(self._outcome.requires, month, ahead)

    def _present(self, name: str, month: int, ahead: int) -> Floats:
        """Chance that a condition is there `ahead` months after `month`."""
        cumulative = self._cumulative[name]
        fresh = -np.expm1(cumulative[:, month] - cumulative[:, month + ahead])
        here = self._latent.onset[name][self._chunk] <= self._latent.calendar.first[month]
        return np.where(here, 1.0, fresh)


def _overlap(calendar: Calendar, month: int, horizon: int) -> Ints:
    """Days of (first day, first day + horizon] within each month ahead."""
    first = calendar.first[month : month + LOOKAHEAD + 1]
    begin = np.maximum(first[:-1], first[0] + 1)
    end = np.minimum(first[1:], first[0] + horizon + 1)
    return np.maximum(end - begin, 0)


def _at_least_one(mean: Floats, variance: Floats) -> Floats:
    """1 - E[exp(-H)] of a lognormal variate H with this mean and variance."""
    squared = np.where(mean > 0, mean, 1.0) ** 2
    sigma2 = np.log1p(np.maximum(variance, 0.0) / squared)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    none = np.zeros_like(mean)
    sigma = np.sqrt(sigma2)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        none += weight * np.exp(-mean * np.exp(sigma * node - 0.5 * sigma2))
    return 1.0 - none
