"""Prescriptions dispensed: monthly refills, rescue inhalers, drugs after a visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np

from claimpt_tf.claims.simulator.condition import Chronic, Medicine
from claimpt_tf.claims.simulator.conditions import ACUTE, CHRONIC
from claimpt_tf.claims.simulator.draws import Bools, Ints, Streams, logistic, scatter
from claimpt_tf.claims.simulator.drugs import DRUG_NAMES, DRUGS, STRENGTHS
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.visits import Visits

REFILLED, REFILLED_IN_GAP = 0.93, 0.1  # monthly chance of a fill when due
LONG_SUPPLY_SHARE = 0.12  # members who get three months at a time
PREFERRED_LABELER = (0.1, 0.85)  # chance of labeler 1, by institution


@dataclass(frozen=True)
class Fills:
    """Columns of equal length, int64.

    Attributes:
      member: row of the member.
      day: when it was dispensed.
      drug: index into DRUG_NAMES.
      labeler: 0 or 1.
      strength: 0 to STRENGTHS - 1.
      months: 1, or 3 for a long supply.
    """

    member: Ints
    day: Ints
    drug: Ints
    labeler: Ints
    strength: Ints
    months: Ints

    @classmethod
    def concat(cls, parts: Sequence[Fills]) -> Fills:
        """All rows of `parts`, in order."""
        names = [f.name for f in fields(cls)]
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def take(self, rows: Ints | Bools) -> Fills:
        """The chosen rows."""
        return Fills(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.member)


def draw_fills(visits: Visits, latent: Latent, streams: Streams) -> Fills:
    """Every drug dispensed to anybody, ordered by drug and occasion."""
    treated: dict[str, Bools] = {}
    for condition in CHRONIC:
        for medicine in condition.medicines:
            months = _treated_months(condition, medicine, latent, streams)
            if medicine.drug in treated:
                months |= treated[medicine.drug]
            treated[medicine.drug] = months
    parts = [
        _refills(drug, months, latent, streams) for drug, months in treated.items()
    ]
    parts.append(_rescue(latent, streams))
    parts += _after_episodes(visits, latent, streams)
    parts += _after_asthma(visits, latent, streams)
    return Fills.concat(parts)


def _fill(
    drug: str,
    member: Ints,
    day: Ints,
    latent: Latent,
    streams: Streams,
    occasion: str,
    months: int | Ints = 1,
) -> Fills:
    """Fills of one drug; a member mostly keeps to one strength of it."""
    usual = streams(f"strength {drug}").random(len(latent.population.birth)) ** 1.6
    rng = streams(f"fill {drug} {occasion}")
    other = rng.random(len(member)) < 0.1
    uniform = np.where(other, rng.random(len(member)), usual[member])
    chance = np.array(PREFERRED_LABELER)[latent.population.institution[member]]
    return Fills(
        member=member,
        day=day,
        drug=np.full(len(member), DRUG_NAMES.index(drug)),
        labeler=(rng.random(len(member)) < chance).astype(np.int64),
        strength=np.floor(uniform * STRENGTHS).astype(np.int64),
        months=np.broadcast_to(np.asarray(months, dtype=np.int64), member.shape).copy(),
    )


def _treated_months(
    condition: Chronic, medicine: Medicine, latent: Latent, streams: Streams
) -> Bools:
    """Months in which a member has the drug prescribed, bool [members, months]."""
    rng = streams(f"treated {condition.name} {medicine.drug}")
    inclination = rng.standard_normal(len(latent.population.birth))[:, None]
    follow = medicine.follow
    score = follow * latent.recent(condition.driver)
    score += np.sqrt(1 - follow**2) * inclination
    threshold = NormalDist().inv_cdf(1 - medicine.share)
    return (score > threshold) & latent.active(condition)


def _refills(drug: str, months: Bools, latent: Latent, streams: Streams) -> Fills:
    rng = streams(f"refills {drug}")
    members = len(latent.population.birth)
    chance = np.where(latent.gap, REFILLED_IN_GAP, REFILLED)
    filled = months & (rng.random(months.shape) < chance)
    monthly = DRUGS[drug].days >= 28
    long_supply = (rng.random(members) < LONG_SUPPLY_SHARE) & monthly
    phase = np.floor(rng.random(members) * 3).astype(np.int64)
    due = (np.arange(months.shape[1])[None, :] + phase[:, None]) % 3 == 0
    filled &= due | ~long_supply[:, None]
    if not monthly:  # creams and the like last longer than their days of supply
        filled &= rng.random(months.shape) < 0.3
    anchor = np.floor(rng.random(members) * 24).astype(np.int64)
    member, month = np.nonzero(filled)
    slip = np.floor(rng.random(len(member)) ** 2 * 6).astype(np.int64)
    day = latent.calendar.first[month] + anchor[member] + slip
    supply = np.where(long_supply[member], 3, 1)
    return _fill(drug, member, day, latent, streams, "refill", supply)


def _rescue(latent: Latent, streams: Streams) -> Fills:
    """Reliever inhalers: more in bad months and when the controller is not taken."""
    rng = streams("rescue")
    asthma = next(c for c in CHRONIC if c.name == "asthma")
    rate = 0.32 * np.exp(0.9 * latent.severity["asthma"] + 0.5 * latent.gap - 0.45)
    rate *= latent.active(asthma) * latent.population.access[:, None]
    member, month = scatter(rng, rate)
    within = np.floor(rng.random(len(month)) * latent.calendar.length[month])
    day = latent.calendar.first[month] + within.astype(np.int64)
    return _fill("rescue", member, day, latent, streams, "need")


def _pickup_day(visits: Visits, rows: Ints, rng: np.random.Generator) -> Ints:
    wait = np.floor(rng.random(len(rows)) ** 3 * 4).astype(np.int64)
    return visits.day[rows] + visits.stay[rows] + wait


def _after_episodes(visits: Visits, latent: Latent, streams: Streams) -> list[Fills]:
    parts = []
    for episode in ACUTE:
        seen = np.flatnonzero(visits.because(episode.name))
        for drug, chance in episode.drugs.items():
            occasion = f"after {episode.name}"
            rng = streams(f"{drug} {occasion}")
            rows = seen[rng.random(len(seen)) < chance]
            day = _pickup_day(visits, rows, rng)
            member = visits.member[rows]
            parts.append(_fill(drug, member, day, latent, streams, occasion))
    return parts


def _after_asthma(visits: Visits, latent: Latent, streams: Streams) -> list[Fills]:
    rng = streams("after asthma visits")
    last = latent.calendar.months - 1
    month = np.clip(latent.calendar.month_index(visits.day), 0, last)
    severity = latent.severity["asthma"][visits.member, month]
    acute = visits.because("asthma_exacerbation")
    routine = visits.because("asthma")
    steroid = np.where(acute, 0.7, routine * logistic(-2.0 + 1.0 * severity))
    rescue = np.where(acute, 0.5, routine * 0.2)
    parts = []
    for drug, chance in (("oral_steroid", steroid), ("rescue", rescue)):
        rows = np.flatnonzero(rng.random(len(visits)) < chance)
        day = _pickup_day(visits, rows, rng)
        member = visits.member[rows]
        parts.append(_fill(drug, member, day, latent, streams, "after asthma"))
    return parts
