"""Which diagnoses stand on a visit, and in what order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from claimpt_tf.claims.simulator import occasions
from claimpt_tf.claims.simulator.asthma_coding import asthma_codes
from claimpt_tf.claims.simulator.chronic_mind import MENTAL_HEALTH
from claimpt_tf.claims.simulator.code_book import CodeBook
from claimpt_tf.claims.simulator.condition import Chronic, Coding, Symptom
from claimpt_tf.claims.simulator.conditions import ACUTE, CHRONIC, REASON
from claimpt_tf.claims.simulator.draws import Bools, Floats, Ints, Streams, logistic
from claimpt_tf.claims.simulator.latent import Latent
from claimpt_tf.claims.simulator.visits import KINDS, Visits

SLOTS = 6  # diagnoses kept a visit
MENTIONS = (1.25, 0.7)  # readiness to note further diagnoses, by institution
MENTIONS_BY_KIND = {
    "office": 1.0,
    "clinic": 1.2,
    "psychotherapy": 0.3,
    "therapy": 0.25,
    "well": 0.9,
    "flu_shot": 0.0,
    "dental": 0.0,
    "emergency": 1.0,
    "inpatient": 2.2,
    "birth": 1.0,
}
SYMPTOM_FIRST = (0.03, 0.22)  # share of visits that lead with a symptom
STICKINESS = 0.65  # share of visits on which a member gets their usual code


@dataclass(frozen=True)
class _Setting:
    """What every rule needs to know of the visits."""

    visits: Visits
    latent: Latent
    institution: Ints
    month: Ints
    book: CodeBook
    streams: Streams


class _Notes:
    """Further diagnoses gathered as (visit, order, code)."""

    def __init__(self) -> None:
        self.visit: list[Ints] = []
        self.order: list[Ints] = []
        self.code: list[Ints] = []

    def add(self, visit: Ints, order: Ints, code: Ints) -> None:
        """Notes `code` on `visit`; lower orders come first."""
        self.visit.append(visit)
        self.order.append(order)
        self.code.append(code)


def draw_diagnoses(
    visits: Visits, latent: Latent, streams: Streams, book: CodeBook
) -> Ints:
    """Diagnoses of every visit, the principal one first.

    Returns:
      int64 [visits, SLOTS], numbers in `book`, 0 where there is none.
    """
    last = latent.calendar.months - 1
    month = np.clip(latent.calendar.month_index(visits.day), 0, last)
    institution = latent.population.institution[visits.member]
    setting = _Setting(visits, latent, institution, month, book, streams)
    principal = np.zeros(len(visits), dtype=np.int64)
    notes = _Notes()
    for condition in CHRONIC:
        if condition.name != "asthma":
            _illness(setting, condition.name, condition.coding, principal)
        _symptoms(setting, condition.name, condition.symptoms, condition.driver, notes)
        _mention(setting, condition, notes)
    for episode in ACUTE:
        _illness(setting, episode.name, episode.coding, principal)
        _symptoms(setting, episode.name, episode.symptoms, "general", notes)
    _asthma(setting, principal)
    _occasions(setting, principal, notes)
    _self_harm(setting, principal, notes)
    return _arranged(setting, principal, notes)


def _usual_or_fresh(setting: _Setting, rows: Ints, subject: str) -> Floats:
    """Uniform numbers that mostly repeat within a member, so that codes do too."""
    rng = setting.streams(f"codes {subject}")
    usual = rng.random(len(setting.latent.population.birth))
    fresh = rng.random(len(rows))
    sticks = rng.random(len(rows)) < STICKINESS
    return np.where(sticks, usual[setting.visits.member[rows]], fresh)


def _illness(setting: _Setting, name: str, coding: Coding, principal: Ints) -> None:
    rows = np.flatnonzero(setting.visits.because(name))
    uniform = _usual_or_fresh(setting, rows, name)
    principal[rows] = setting.book.draw(coding, setting.institution[rows], uniform)


def _symptoms(
    setting: _Setting,
    name: str,
    symptoms: tuple[Symptom, ...],
    driver: str,
    notes: _Notes,
) -> None:
    relevant = setting.visits.because(name)
    if name == "asthma":
        relevant |= setting.visits.because("asthma_exacerbation")
    rows = np.flatnonzero(relevant)
    member, month = setting.visits.member[rows], setting.month[rows]
    severity = setting.latent.severity[driver][member, month]
    for number, symptom in enumerate(symptoms):
        rng = setting.streams(f"symptom {name} {number}")
        noted = rng.random(len(rows)) < logistic(
            symptom.base + symptom.slope * severity
        )
        chosen = rows[noted]
        place = setting.institution[chosen]
        code = setting.book.draw(symptom.coding, place, rng.random(len(chosen)))
        # a notes symptoms after the comorbidities, b before them
        notes.add(chosen, np.where(place == 0, 2000 + number, number), code)


def _mention(setting: _Setting, condition: Chronic, notes: _Notes) -> None:
    """The condition as a further diagnosis on visits for something else."""
    visits, latent = setting.visits, setting.latent
    rng = setting.streams(f"mention {condition.name}")
    by_kind = np.array([MENTIONS_BY_KIND[kind] for kind in KINDS])
    if condition.name in MENTAL_HEALTH:
        by_kind[KINDS.index("psychotherapy")] = 1.0
    chance = condition.mention * by_kind[visits.kind]
    chance *= np.array(MENTIONS)[setting.institution]
    noted = rng.random(len(visits)) < np.minimum(chance, 0.9)
    onset = latent.onset[condition.name][visits.member]
    noted &= (onset <= visits.day) & ~visits.because(condition.name)
    age = (visits.day - latent.population.birth[visits.member]) / 365.25
    noted &= age < condition.until
    if condition.name == "asthma":
        noted &= ~visits.because("asthma_exacerbation")
    rows = np.flatnonzero(noted)
    place = setting.institution[rows]
    if condition.name == "asthma":
        nothing = np.zeros(len(rows), dtype=bool)
        code = _asthma_numbers(setting, rows, nothing, nothing, "mention")
    else:
        uniform = _usual_or_fresh(setting, rows, f"mention {condition.name}")
        code = setting.book.draw(condition.coding, place, uniform)
    number = REASON[condition.name]
    notes.add(rows, np.where(place == 0, 1000 + number, 1000 - number), code)


def _asthma_numbers(
    setting: _Setting, rows: Ints, exacerbated: Bools, status: Bools, subject: str
) -> Ints:
    latent, member = setting.latent, setting.visits.member[rows]
    habit = setting.streams("asthma grade").standard_normal(
        len(latent.population.birth)
    )
    return asthma_codes(
        setting.book,
        setting.institution[rows],
        latent.severity["asthma"][member, setting.month[rows]],
        habit[member],
        setting.streams(f"asthma codes {subject}"),
        exacerbated,
        status,
    )


def _asthma(setting: _Setting, principal: Ints) -> None:
    """Only the planted visits carry acute codes in the ED or the hospital."""
    visits = setting.visits
    severity = setting.latent.severity["asthma"][visits.member, setting.month]
    rng = setting.streams("asthma course")
    acute = visits.because("asthma_exacerbation")
    in_hospital = visits.of_kind("emergency", "inpatient")
    flare = rng.random(len(visits)) < logistic(-1.8 + 1.1 * severity)
    flare &= ~in_hospital
    grave = logistic(-2.6 + 0.3 * severity + 1.2 * visits.of_kind("inpatient"))
    status = acute & (rng.random(len(visits)) < grave)
    rows = np.flatnonzero(acute | visits.because("asthma"))
    principal[rows] = _asthma_numbers(
        setting, rows, (acute | flare)[rows], status[rows], "visit"
    )


def _occasions(setting: _Setting, principal: Ints, notes: _Notes) -> None:
    visits, book = setting.visits, setting.book
    rng = setting.streams("occasions")
    uniform = rng.random(len(visits))
    for reason, coding in (
        ("well_child", occasions.WELL_CHILD),
        ("flu_shot", occasions.VACCINATION),
        ("dental", occasions.DENTAL),
        ("birth", occasions.BIRTH),
        ("crisis", occasions.CRISIS),
        ("follow_up", occasions.FOLLOW_UP),
    ):
        rows = np.flatnonzero(visits.because(reason))
        principal[rows] = book.draw(coding, setting.institution[rows], uniform[rows])
    age = visits.day - setting.latent.population.birth[visits.member]
    well = visits.because("well_child")
    principal[well & (age < 8)] = book.number("Z00110")
    principal[well & (age >= 8) & (age <= 28)] = book.number("Z00111")
    vaccinated = np.flatnonzero(well & (age > 28) & (rng.random(len(visits)) < 0.7))
    first = np.full(len(vaccinated), -1)
    notes.add(vaccinated, first, np.full(len(vaccinated), book.number("Z23")))


def _self_harm(setting: _Setting, principal: Ints, notes: _Notes) -> None:
    """An injury or poisoning with its intent, or the attempt alone."""
    visits, book = setting.visits, setting.book
    rng = setting.streams("codes self_harm")
    rows = np.flatnonzero(visits.because("self_harm"))
    place = setting.institution[rows]
    way = rng.random(len(rows))
    cut, poisoned = way < 0.42, (way >= 0.42) & (way < 0.8)
    plain = ~cut & ~poisoned
    suicidal = rng.random(len(rows)) < 0.6

    def draw(coding: Coding) -> Ints:
        return book.draw(coding, place, rng.random(len(rows)))

    injury, intent = draw(occasions.INJURY), draw(occasions.INJURY_INTENT)
    poisoning = draw(occasions.POISONING)
    attempt, other = draw(occasions.ATTEMPT), draw(occasions.NOT_SUICIDAL)
    meaning = np.where(suicidal, attempt, other)
    leading = np.where(cut, injury, np.where(poisoned, poisoning, meaning))
    # b leads with the attempt where it names one, a with the injury
    leads_with_intent = (place == 1) & suicidal & ~plain
    principal[rows] = np.where(leads_with_intent, meaning, leading)
    second = np.where(leads_with_intent, leading, meaning)
    told = ~plain & (leads_with_intent | (rng.random(len(rows)) < 0.5))
    notes.add(rows[told], np.full(int(told.sum()), -3), second[told])
    notes.add(rows[cut], np.full(int(cut.sum()), -2), intent[cut])


def _arranged(setting: _Setting, principal: Ints, notes: _Notes) -> Ints:
    visit, order = np.concatenate(notes.visit), np.concatenate(notes.order)
    code = np.concatenate(notes.code)
    known = code != principal[visit]
    visit, order, code = visit[known], order[known], code[known]
    arranged = np.lexsort((code, order, visit))
    visit, order, code = visit[arranged], order[arranged], code[arranged]
    repeats = visit * (1 + int(code.max(initial=0))) + code
    once = np.sort(np.unique(repeats, return_index=True)[1])
    visit, code = visit[once], code[once]
    _, begin, counts = np.unique(visit, return_index=True, return_counts=True)
    slot = np.arange(len(visit)) - np.repeat(begin, counts) + 1
    table = np.zeros((len(principal), SLOTS), dtype=np.int64)
    table[:, 0] = principal
    kept = slot < SLOTS
    table[visit[kept], slot[kept]] = code[kept]
    return _symptom_first(setting, table)


def _symptom_first(setting: _Setting, table: Ints) -> Ints:
    """Some visits lead with what was seen, and name the disease second."""
    rng = setting.streams("symptom first")
    book, visits = setting.book, setting.visits
    noted = [s for c in CHRONIC for s in c.symptoms]
    noted += [s for e in ACUTE for s in e.symptoms]
    symptoms = {
        code
        for symptom in noted
        for place in (0, 1)
        for code in symptom.coding.of(place)
        if code.startswith("R")
    }
    numbers = np.array([book.number(code) for code in sorted(symptoms)])
    share = np.array(SYMPTOM_FIRST)[setting.institution]
    swap = (rng.random(len(visits)) < share) & np.isin(table[:, 1], numbers)
    swap &= ~visits.because("asthma_exacerbation") & ~visits.because("self_harm")
    table[swap, :2] = table[swap, 1::-1]
    return table
