"""The planted outcomes and their true risks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from claimpt_tf.claims.simulator.asthma_coding import ACUTE_CODES
from claimpt_tf.claims.simulator.chronic_mind import MENTAL_HEALTH
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.draws import Streams
from claimpt_tf.claims.simulator.latent import Latent, draw_latent
from claimpt_tf.claims.simulator.months import Calendar
from claimpt_tf.claims.simulator.outcomes import (
    ASTHMA_EXACERBATION,
    OUTCOMES,
    SELF_HARM,
    Outcome,
    daily_hazard,
    draw_occurrences,
)
from claimpt_tf.claims.simulator.population import draw_population
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.tables import person_ids
from claimpt_tf.claims.simulator.true_risk import HORIZONS, true_risk_table

MEMBERS = 30_000
MONTH = 1  # risks as of the first day of the second month


@dataclass(frozen=True)
class World:
    latent: Latent
    streams: Streams
    risks: pl.DataFrame

    @property
    def day(self) -> int:
        return int(self.latent.calendar.first[MONTH])

    def risk(self, outcome: Outcome, horizon: int) -> NDArray[np.float64]:
        """By member; 0 for those not born or too old."""
        values = np.zeros(MEMBERS)
        member = self.risks["person_id"].str.slice(1).cast(pl.Int64).to_numpy()
        values[member] = self.risks[f"{outcome.name}_{horizon}d"].to_numpy()
        return values

    def happened(self, outcome: Outcome, horizon: int) -> NDArray[np.bool_]:
        member, _, day = draw_occurrences(outcome, self.latent, self.streams)
        occurred = np.zeros(MEMBERS, dtype=bool)
        occurred[member[(day > self.day) & (day <= self.day + horizon)]] = True
        return occurred

    def cohort(self, outcome: Outcome) -> NDArray[np.bool_]:
        """Who the outcome is about: diagnosed, and of an age for it."""
        population, onset = self.latent.population, self.latent.onset
        age = population.age(self.day)
        if outcome is ASTHMA_EXACERBATION:
            return (onset["asthma"] <= self.day) & (age >= 2) & (age < 18)
        ill = np.any([onset[name] <= self.day for name in MENTAL_HEALTH], axis=0)
        return ill & (age >= 10) & (age < 18)


@pytest.fixture(scope="module")
def world() -> World:
    streams = Streams(3)
    calendar = Calendar.starting(date(2021, 1, 1), 14)
    latent = draw_latent(calendar, draw_population(MEMBERS, calendar, streams), streams)
    day = pl.lit(int(calendar.first[MONTH])).cast(pl.Int32).cast(pl.Date)
    table = true_risk_table(latent, person_ids(MEMBERS))
    return World(latent, streams, table.filter(pl.col("day") == day))


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda o: o.name)
@pytest.mark.parametrize("horizon", HORIZONS)
def test_true_risks_are_calibrated(
    world: World, outcome: Outcome, horizon: int
) -> None:
    risk, happened = world.risk(outcome, horizon), world.happened(outcome, horizon)
    edges = np.quantile(risk[risk > 0.001], [0, 0.5, 0.8, 0.95, 1])
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        rows = (risk >= low) & (risk <= high)
        stated, seen = risk[rows].mean(), happened[rows].mean()
        error = np.sqrt(stated * (1 - stated) / rows.sum())
        assert abs(seen - stated) < 3.5 * error, (low, high, stated, seen, rows.sum())


@pytest.mark.parametrize(
    ("outcome", "horizon", "rates", "bounds"),
    [
        (ASTHMA_EXACERBATION, 180, (0.11, 0.18), (0.81, 0.87)),
        (SELF_HARM, 365, (0.05, 0.09), (0.79, 0.86)),
    ],
    ids=["asthma_exacerbation", "self_harm"],
)
def test_true_risks_rank_well_but_not_perfectly(
    world: World,
    outcome: Outcome,
    horizon: int,
    rates: tuple[float, float],
    bounds: tuple[float, float],
) -> None:
    cohort = world.cohort(outcome)
    risk = world.risk(outcome, horizon)[cohort]
    happened = world.happened(outcome, horizon)[cohort]
    assert rates[0] < happened.mean() < rates[1]
    assert bounds[0] < roc_auc_score(happened, risk) < bounds[1]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda o: o.name)
def test_risks_agree_with_futures_drawn_from_one_present(outcome: Outcome) -> None:
    """Many futures of one member, who has the conditions and is in a refill gap."""
    futures = 20_000
    streams = Streams(9)
    calendar = Calendar.starting(date(2021, 9, 1), 13)
    population = draw_population(futures, calendar, streams)
    alike = replace(
        population,
        birth=np.full(futures, calendar.start - 5000),
        male=np.ones(futures, dtype=bool),
        traits={name: np.zeros(futures) for name in population.traits},
        diligence=np.zeros(futures),
        eligible=np.ones((futures, 13), dtype=bool),
    )
    latent = draw_latent(calendar, alike, streams)
    present = {"asthma": 1.0, "mental": 1.0, "general": 0.5}
    severity, gap = _futures(latent, present)
    onset = dict(latent.onset)
    for name in ("asthma", "anxiety"):
        onset[name] = np.full(futures, calendar.start - 400)
    known = replace(latent, severity=severity, gap=gap, onset=onset)
    # Whoever has a further condition by now is another member.
    same = np.ones(futures, dtype=bool)
    for name in outcome.comorbidity:
        if name != "anxiety":
            same &= onset[name] > calendar.start
    table = true_risk_table(known, person_ids(futures)).filter(
        pl.col("day") == date(2021, 9, 1)
    )
    member, _, day = draw_occurrences(outcome, known, streams)
    for horizon in HORIZONS:
        stated = table[f"{outcome.name}_{horizon}d"].to_numpy()[same]
        assert np.ptp(stated) < 1e-6
        window = (day > calendar.start) & (day <= calendar.start + horizon)
        happened = np.zeros(futures, dtype=bool)
        happened[member[window]] = True
        seen = happened[same].mean()
        error = np.sqrt(stated[0] * (1 - stated[0]) / same.sum())
        assert abs(seen - stated[0]) < 3.5 * error, (horizon, stated[0], seen)


def _futures(
    latent: Latent, present: dict[str, float]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    """Severities and gaps that all start from one present, in a refill gap."""
    from claimpt_tf.claims.simulator.latent import GAP_END, PERSISTENCE

    rng = np.random.default_rng(4)
    members, months = latent.gap.shape
    severity = {}
    for driver, phi in PERSISTENCE.items():
        path = np.empty((members, months))
        path[:, 0] = present[driver]
        for month in range(1, months):
            noise = np.sqrt(1 - phi**2) * rng.standard_normal(members)
            path[:, month] = phi * path[:, month - 1] + noise
        severity[driver] = path
    gap = np.ones((members, months), dtype=bool)
    for month in range(1, months):
        change = rng.random(members)
        ends, begins = change < GAP_END, change < latent.gap_start
        gap[:, month] = np.where(gap[:, month - 1], ~ends, begins)
    return severity, gap


def test_no_code_enters_the_hazard(world: World) -> None:
    """The log hazard is linear in the hidden state, with the published effects."""
    for outcome in OUTCOMES:
        latent = world.latent
        at_risk = daily_hazard(outcome, latent, MONTH) > 0
        expected = np.log(daily_hazard(outcome, latent, MONTH)[at_risk])
        for driver, effect in outcome.severity.items():
            raised = dict(latent.severity) | {driver: latent.severity[driver] + 1}
            hazard = daily_hazard(outcome, replace(latent, severity=raised), MONTH)
            np.testing.assert_allclose(np.log(hazard[at_risk]) - expected, effect)
        free = replace(latent, gap=np.zeros_like(latent.gap))
        gained = np.log(daily_hazard(outcome, free, MONTH)[at_risk])
        apart = outcome.gap * latent.gap[at_risk, MONTH]
        np.testing.assert_allclose(expected - gained, apart, atol=1e-9)


def test_the_table_has_a_row_for_each_first_of_a_month_under_19() -> None:
    simulation = simulate(SimulationConfig(members=300, years=2, seed=4))
    table = simulation.true_risk
    names = [f"{o.name}_{h}d" for o in OUTCOMES for h in HORIZONS]
    assert table.columns == ["person_id", "day", *names]
    assert [table.schema[name] for name in names] == [pl.Float32] * len(names)
    assert table.select(pl.col("day").dt.day().unique()).to_series().to_list() == [1]
    assert not table.select("person_id", "day").is_duplicated().any()
    values = table.select(names)
    assert values.null_count().sum_horizontal().item() == 0
    assert values.min().min_horizontal().item() >= 0
    assert values.max().max_horizontal().item() <= 1
    for outcome in OUTCOMES:
        for shorter, longer in zip(HORIZONS[:-1], HORIZONS[1:], strict=True):
            short = table[f"{outcome.name}_{shorter}d"]
            assert (table[f"{outcome.name}_{longer}d"] >= short - 1e-6).all()
    enrolled = simulation.eligibility.filter(
        pl.col("enrollment_start_date").dt.day() == 1
    ).select("person_id", day="enrollment_start_date")
    assert enrolled.join(table, on=["person_id", "day"], how="anti").is_empty()


@pytest.mark.slow
def test_no_single_code_comes_near_the_true_risk() -> None:
    simulation = simulate(SimulationConfig(members=8000, years=2, seed=21))
    index, end = date(2023, 4, 1), date(2023, 9, 28)
    diagnoses = [f"diagnosis_code_{slot}" for slot in range(1, 7)]
    medical, pharmacy = simulation.medical_claim, simulation.pharmacy_claim
    day = pl.col("claim_start_date").alias("day")
    events = pl.concat(
        [medical.select("person_id", day, code=name) for name in diagnoses]
        + [medical.select("person_id", day, code="hcpcs_code")]
        + [pharmacy.select("person_id", day="dispensing_date", code="ndc_code")]
    ).drop_nulls()
    past = events.filter(pl.col("day") <= index)
    acute = medical.filter(
        pl.col("diagnosis_code_1").is_in(ACUTE_CODES),
        pl.col("place_of_service_code").is_in(["21", "23"]),
        pl.col("claim_start_date").is_between(index, end, closed="right"),
    )
    cohort = (
        past.filter(pl.col("code").str.starts_with("J45"))
        .select("person_id")
        .unique()
        .join(simulation.true_risk.filter(pl.col("day") == index), on="person_id")
        .with_columns(y=pl.col("person_id").is_in(acute["person_id"].to_list()))
        .sort("person_id")
    )
    best = roc_auc_score(cohort["y"], cohort["asthma_exacerbation_180d"])
    counts = (
        past.group_by("code", "person_id")
        .len()
        .filter(pl.col("person_id").is_in(cohort["person_id"].to_list()))
        .filter(pl.len().over("code") >= 20)
    )
    single = {}
    for (code,), rows in counts.group_by("code", maintain_order=True):
        joined = cohort.join(rows, on="person_id", how="left")
        single[code] = roc_auc_score(cohort["y"], joined["len"].fill_null(0))
    assert best > 0.78
    assert max(single.values()) < best - 0.05
    # All the same, the claims do tell of the risk.
    assert max(single.values()) > 0.6
