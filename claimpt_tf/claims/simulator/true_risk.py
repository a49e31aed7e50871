"""The risk that an all-knowing observer would state on the first of each month.

The true risk over a window is 1 - E[exp(-H)], with H the hazard accumulated over the
window and the expectation over all futures of the hidden state, given its value on
the day. Mean and variance of H are closed forms: lognormal moments of the
autoregressions, powers of the two-state chain, and the onset rates of conditions
not there yet. E[exp(-H)] is taken as that of a lognormal variate with those two
moments. The variance that further onsets of comorbidities add within the window is
left out.
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
    """Moments of the hazard ahead, for a slice of the members.

    Arrays [ahead, members] have one row for each of the LOOKAHEAD months from the
    one in question on.
    """

    def __init__(self, outcome: Outcome, latent: Latent, chunk: slice) -> None:
        self._outcome = outcome
        self._latent = latent
        self._chunk = chunk
        calendar, population = latent.calendar, latent.population
        count = calendar.months + LOOKAHEAD
        age = population.age(calendar.first[:count, None])[:, chunk]
        self._fixed = np.stack(
            [fixed_log_rate(outcome, latent, m, age[m]) for m in range(count)]
        )
        names = [*outcome.comorbidity]
        if outcome.requires is not None:
            names.append(outcome.requires)
        self._cumulative = {
            name: cumulative_onset(_CONDITIONS[name], age)
            * onset_factor(_CONDITIONS[name], population)[chunk]
            for name in names
        }
        gap_start = latent.gap_start[chunk]
        self._gap_share = gap_start / (gap_start + GAP_END)
        lags = np.arange(LOOKAHEAD)[:, None]
        self._gap_memory = (1.0 - gap_start - GAP_END) ** lags
        self._gap_repeats = self._gap_share + (1 - self._gap_share) * self._gap_memory

    def monthly(self) -> Iterator[Floats]:
        """Risks float64 [members, len(HORIZONS)] as of each month's first day."""
        for month in range(self._latent.calendar.months):
            yield self.as_of(month)

    def as_of(self, month: int) -> Floats:
        """Risks float64 [members, len(HORIZONS)] on the first day of `month`."""
        gap = self._gap_chance(month)
        gate = self._gate(month)
        rates = self._mean(month, gap) * gate
        windows = [_overlap(self._latent.calendar, month, h) for h in HORIZONS]
        mean = np.stack([(days[:, None] * rates).sum(axis=0) for days in windows], 1)
        risks = -np.expm1(-mean)
        weighty = np.flatnonzero(mean[:, -1] > _NEGLIGIBLE)
        variance = self._variance(
            rates[:, weighty],
            gap[:, weighty],
            gate[:, weighty],
            self._gap_repeats[:, weighty],
            windows,
        )
        risks[weighty] = _at_least_one(mean[weighty], variance)
        return risks

    def _variance(
        self,
        rates: Floats,
        gap: Floats,
        gate: Floats,
        repeats: Floats,
        windows: list[Ints],
    ) -> Floats:
        """Variance of the accumulated hazard, float64 [members, len(HORIZONS)].

        Args:
          rates: expected daily hazard, float64 [ahead, members].
          gap: chance of a gap, float64 [ahead, members].
          gate: chance that the required condition is there, float64 [ahead, members].
          repeats: chance of a gap given one `ahead` months before.
          windows: for each horizon, the days that fall in each month ahead.
        """
        variance = np.zeros((rates.shape[1], len(windows)))
        lift = np.expm1(self._outcome.gap)
        for j in range(LOOKAHEAD):
            # Present at i, a condition is still there at j.
            stays = 1 / np.where(gate[j] > 0, gate[j], 1.0)
            for i in range(j + 1):
                both = lift * (gap[i] + gap[j]) + lift**2 * gap[i] * repeats[j - i]
                apart = (1 + lift * gap[i]) * (1 + lift * gap[j])
                ratio = self._shared_severity(i, j) * (1 + both) / apart * stays
                covariance = rates[i] * rates[j] * (ratio - 1)
                for w, days in enumerate(windows):
                    if days[i] and days[j]:
                        times = days[i] * days[j] * (1 if i == j else 2)
                        variance[:, w] += times * covariance
        return variance

    def _shared_severity(self, i: int, j: int) -> float:
        """What common severity lifts E[h_i h_j] by, i <= j months on."""
        shared = 0.0
        for driver, effect in self._outcome.severity.items():
            phi = PERSISTENCE[driver]
            shared += effect**2 * phi ** (j - i) * (1 - phi ** (2 * i))
        return float(np.exp(shared))

    def _mean(self, month: int, gap: Floats) -> Floats:
        """Expected daily hazards, were the required condition there."""
        outcome, ahead = self._outcome, np.arange(LOOKAHEAD)[:, None]
        log_rate = self._fixed[month : month + LOOKAHEAD].copy()
        for driver, effect in outcome.severity.items():
            decay = PERSISTENCE[driver] ** ahead
            level = self._latent.severity[driver][self._chunk, month]
            log_rate += effect * decay * level + 0.5 * effect**2 * (1 - decay**2)
        rate = np.exp(log_rate) * (1 + np.expm1(outcome.gap) * gap)
        for name, effect in outcome.comorbidity.items():
            rate *= 1 + np.expm1(effect) * self._present(name, month)
        return rate

    def _gap_chance(self, month: int) -> Floats:
        now = self._latent.gap[self._chunk, month].astype(np.float64)
        return self._gap_share + (now - self._gap_share) * self._gap_memory

    def _gate(self, month: int) -> Floats:
        if self._outcome.requires is None:
            return np.ones_like(self._gap_memory)
        return self._present(self._outcome.requires, month)

    def _present(self, name: str, month: int) -> Floats:
        """Chance that a condition is there, float64 [ahead, members]."""
        cumulative = self._cumulative[name][month : month + LOOKAHEAD]
        chance = -np.expm1(cumulative[0] - cumulative)
        onset = self._latent.onset[name][self._chunk]
        chance[:, onset <= self._latent.calendar.first[month]] = 1.0
        return chance


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
    none: Floats = np.zeros_like(mean)
    sigma = np.sqrt(sigma2)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        none += weight * np.exp(-mean * np.exp(sigma * node - 0.5 * sigma2))
    return np.subtract(1.0, none)
