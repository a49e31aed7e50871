"""Visits that illness leads to: chronic care, acute episodes, crises, the outcomes."""

from __future__ import annotations

import numpy as np

from claimpt_tf.claims.simulator.chronic_mind import MENTAL_HEALTH
from claimpt_tf.claims.simulator.condition import AGE_BANDS, Chronic, Episode
from claimpt_tf.claims.simulator.conditions import ACUTE, CHRONIC
from claimpt_tf.claims.simulator.draws import Floats, Ints, Streams, logistic, scatter
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.months import SEASONS
from claimpt_tf.claims.simulator.outcomes import (
    ASTHMA_EXACERBATION,
    SELF_HARM,
    draw_occurrences,
)
from claimpt_tf.claims.simulator.visits import KIND, Visits

CLINIC_SHARE = (0.4, 0.22)  # of planned care held at the hospital, by institution
MISSED_IN_GAP = 0.3  # share of planned visits missed while medicines are not taken


def illness_visits(latent: Latent, streams: Streams) -> Visits:
    """All visits for chronic and acute illness and for the planted outcomes."""
    parts = [_chronic_care(c, latent, streams) for c in CHRONIC]
    parts += [_acute_episodes(e, latent, streams) for e in ACUTE]
    parts.append(_crises(latent, streams))
    parts.append(_asthma_exacerbations(latent, streams))
    parts.append(_self_harm(latent, streams))
    return Visits.concat(parts)


def _monthly_season(latent: Latent, season: str) -> Floats:
    months = latent.calendar.month[: latent.calendar.months]
    return np.array(SEASONS[season])[months][None, :]


def _days_within(latent: Latent, month: Ints, rng: np.random.Generator) -> Ints:
    length = latent.calendar.length[month]
    within = np.floor(rng.random(len(month)) * length).astype(np.int64)
    return latent.calendar.first[month] + within


def _chronic_care(condition: Chronic, latent: Latent, streams: Streams) -> Visits:
    rng = streams(f"care {condition.name}")
    population = latent.population
    pull = condition.pull * latent.severity[condition.driver]
    pace = np.exp(pull - 0.5 * condition.pull**2) / 12
    pace *= latent.active(condition) * _monthly_season(latent, condition.season)
    attended = population.access[:, None] * (1 - MISSED_IN_GAP * latent.gap)
    hardship = np.exp(0.25 * population.traits["hardship"] - 0.03)[:, None]

    member, month = scatter(rng, condition.office * pace * attended)
    hospital = (
        rng.random(len(member)) < np.array(CLINIC_SHARE)[population.institution[member]]
    )
    planned = KIND[condition.clinic]
    moves = condition.clinic == "office"
    kind = np.where(hospital & moves, KIND["clinic"], planned)
    parts = [Visits.of(member, _days_within(latent, month, rng), kind, condition.name)]
    member, month = scatter(rng, condition.emergency * pace * hardship)
    day = _days_within(latent, month, rng)
    parts.append(Visits.of(member, day, "emergency", condition.name))
    member, month = scatter(rng, condition.inpatient * pace)
    day = _days_within(latent, month, rng)
    stay = _stays(rng, len(member), 4.0)
    parts.append(Visits.of(member, day, "inpatient", condition.name, stay))
    return Visits.concat(parts)


def _stays(rng: np.random.Generator, count: int, mean: float) -> Ints:
    """Geometric lengths of stay of at least one day, int64 [count]."""
    uniform = rng.random(count)
    if mean <= 1.0:
        return np.ones(count, dtype=np.int64)
    longer = np.floor(np.log1p(-uniform) / np.log1p(-1.0 / mean)).astype(np.int64)
    return 1 + np.minimum(longer, 30)


def _acute_episodes(episode: Episode, latent: Latent, streams: Streams) -> Visits:
    rng = streams(f"episode {episode.name}")
    calendar, population = latent.calendar, latent.population
    age = population.age(calendar.first[: calendar.months, None] + 15).T
    band = np.clip(np.searchsorted(AGE_BANDS, age, side="right") - 1, 0, 5)
    general = latent.severity["general"]
    log_rate = 0.2 * general - 0.02
    for trait, effect in episode.traits.items():
        log_rate += effect * population.traits[trait][:, None] - 0.5 * effect**2
    rate = np.array(episode.incidence)[band] / 12 * (age > 0) * np.exp(log_rate)
    rate *= _monthly_season(latent, episode.season) * population.access[:, None]
    member, month = scatter(rng, rate)
    day = np.maximum(_days_within(latent, month, rng), population.birth[member] + 5)

    state = general[member, month]
    hardship = population.traits["hardship"][member]
    urgent = episode.emergency * np.exp(episode.fragility * state + 0.3 * hardship)
    severe = episode.inpatient * np.exp(1.5 * episode.fragility * state)
    calm = max(1 - episode.emergency - episode.inpatient, 0.0)
    place = rng.random(len(member)) * (urgent + severe + calm)
    kind = np.where(
        place < severe,
        KIND["inpatient"],
        np.where(place < severe + urgent, KIND["emergency"], KIND["office"]),
    )
    stay = np.where(kind == KIND["inpatient"], _stays(rng, len(kind), episode.stay), 0)
    first = Visits.of(member, day, kind, episode.name, stay)

    again = (kind != KIND["office"]) & (rng.random(len(kind)) < 0.3)
    later = day + stay + 2 + np.floor(rng.random(len(day)) * 9).astype(np.int64)
    return Visits.concat(
        [first, Visits.of(member[again], later[again], "office", episode.name)]
    )


def _crises(latent: Latent, streams: Streams) -> Visits:
    """Emergency visits in mental distress, without self-harm."""
    rng = streams("crisis")
    calendar = latent.calendar
    onset = np.min([latent.onset[name] for name in MENTAL_HEALTH], axis=0)
    first = calendar.first[None, : calendar.months]
    age = latent.population.age(calendar.first[: calendar.months, None]).T
    rate = 0.09 / 12 * np.exp(0.8 * latent.severity["mental"] - 0.3)
    rate *= (onset[:, None] <= first) & (age >= 7)
    member, month = scatter(rng, rate * _monthly_season(latent, "school"))
    day = _days_within(latent, month, rng)
    kept = rng.random(len(member)) < 0.2
    kind = np.where(kept, KIND["inpatient"], KIND["emergency"])
    stay = np.where(kept, _stays(rng, len(member), 6.0), 0)
    return Visits.of(member, day, kind, "crisis", stay)


def _asthma_exacerbations(latent: Latent, streams: Streams) -> Visits:
    member, month, day = draw_occurrences(ASTHMA_EXACERBATION, latent, streams)
    rng = streams("care asthma_exacerbation")
    severity = latent.severity["asthma"][member, month]
    kept = rng.random(len(member)) < logistic(-2.2 + 0.3 * severity)
    kind = np.where(kept, KIND["inpatient"], KIND["emergency"])
    stay = np.where(kept, _stays(rng, len(member), 2.5), 0)
    acute = Visits.of(member, day, kind, ASTHMA_EXACERBATION.name, stay)
    seen = rng.random(len(member)) < 0.4 * np.minimum(
        latent.population.access[member], 1.5
    )
    after = day + stay + 2 + np.floor(rng.random(len(day)) * 13).astype(np.int64)
    return Visits.concat(
        [acute, Visits.of(member[seen], after[seen], "office", "asthma")]
    )


def _self_harm(latent: Latent, streams: Streams) -> Visits:
    member, _, day = draw_occurrences(SELF_HARM, latent, streams)
    rng = streams("care self_harm")
    kept = rng.random(len(member)) < 0.35
    kind = np.where(kept, KIND["inpatient"], KIND["emergency"])
    stay = np.where(kept, _stays(rng, len(member), 6.0), 0)
    acute = Visits.of(member, day, kind, SELF_HARM.name, stay)
    parts = [acute]
    for week in range(3):
        seen = rng.random(len(member)) < 0.4
        wait = 3 + 7 * week + np.floor(rng.random(len(day)) * 7).astype(np.int64)
        after = (day + stay + wait)[seen]
        parts.append(Visits.of(member[seen], after, "psychotherapy", "follow_up"))
    return Visits.concat(parts)
