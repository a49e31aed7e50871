"""The tables of the Tuva input layer, filled from numbers."""

from __future__ import annotations

import numpy as np
import polars as pl

from claimpt_tf.claims.simulator import providers
from claimpt_tf.claims.simulator.code_book import CodeBook
from claimpt_tf.claims.simulator.condition import INSTITUTIONS
from claimpt_tf.claims.simulator.draws import Bools, Ints, Streams
from claimpt_tf.claims.simulator.drugs import (
    DRUG_NAMES,
    DRUGS,
    LABELERS,
    STRENGTHS,
    ndc,
)
from claimpt_tf.claims.simulator.fills import Fills
from claimpt_tf.claims.simulator.line_specs import FACILITY
from claimpt_tf.claims.simulator.lines import Lines
from claimpt_tf.claims.simulator.mess import MEDICAL, PHARMACY, Ledger, keep_books
from claimpt_tf.claims.simulator.months import Calendar
from claimpt_tf.claims.simulator.population import RACES, Population
from claimpt_tf.claims.simulator.visits import KINDS, Visits

PAYER = "medicaid"
PLANS = ("plan_a", "plan_b")
PLACE_OF_SERVICE = {
    "office": "11",
    "clinic": "22",
    "psychotherapy": "53",
    "therapy": "11",
    "well": "11",
    "flu_shot": "11",
    "dental": "11",
    "emergency": "23",
    "inpatient": "21",
    "birth": "21",
}
BILL_TYPE = {"clinic": "131", "emergency": "131", "inpatient": "111", "birth": "111"}

MEDICAL_COLUMNS = (
    "claim_id",
    "claim_line_number",
    "claim_type",
    "person_id",
    "member_id",
    "payer",
    "plan",
    "claim_start_date",
    "claim_end_date",
    "claim_line_start_date",
    "claim_line_end_date",
    "admission_date",
    "discharge_date",
    "discharge_disposition_code",
    "place_of_service_code",
    "bill_type_code",
    "revenue_center_code",
    "service_unit_quantity",
    "hcpcs_code",
    "hcpcs_modifier_1",
    "rendering_npi",
    "billing_npi",
    "facility_npi",
    "paid_date",
    "paid_amount",
    "allowed_amount",
    "charge_amount",
    "diagnosis_code_type",
    "diagnosis_code_1",
    "diagnosis_code_2",
    "diagnosis_code_3",
    "diagnosis_code_4",
    "diagnosis_code_5",
    "diagnosis_code_6",
    "data_source",
)


def person_ids(members: int) -> pl.Series:
    """String [members], such as P0000012."""
    return _numbered("P", np.arange(members), 7).rename("person_id")


def member_ids(members: int) -> pl.Series:
    """String [members], the number on the card; differs from the person's."""
    return _numbered("M", 10_000_000 + 37 * np.arange(members), 9).rename("member_id")


def eligibility_table(population: Population, calendar: Calendar) -> pl.DataFrame:
    """One row a span of enrolment, ordered by person and start."""
    enrolled = population.enrolled
    edges = np.diff(np.pad(enrolled, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    member, begin = np.nonzero(edges == 1)
    _, stop = np.nonzero(edges == -1)
    start = np.maximum(calendar.first[begin], population.birth[member])
    end = calendar.first[stop] - 1
    count = len(population.birth)
    gender = pl.Series(["female", "male"])
    race = pl.Series([None if r == "unknown" else r for r in RACES], dtype=pl.String)
    ethnicity = pl.Series(["not hispanic", "hispanic"])
    return pl.DataFrame(
        {
            "person_id": person_ids(count).gather(member),
            "member_id": member_ids(count).gather(member),
            "subscriber_id": member_ids(count).gather(member),
            "gender": gender.gather(population.male[member].astype(np.int64)),
            "race": race.gather(population.race[member]),
            "birth_date": _dates(population.birth[member]),
            "death_date": pl.Series([None] * len(member), dtype=pl.Date),
            "death_flag": np.zeros(len(member), dtype=np.int32),
            "enrollment_start_date": _dates(start),
            "enrollment_end_date": _dates(end),
            "payer": _constant(PAYER, len(member)),
            "payer_type": _constant("medicaid", len(member)),
            "plan": pl.Series(PLANS).gather(member % 2),
            "first_name": _constant(None, len(member)),
            "last_name": _constant(None, len(member)),
            "ethnicity": ethnicity.gather(population.hispanic[member].astype(np.int64)),
            "data_source": _sources(population, member),
        }
    )


def medical_claim_table(
    visits: Visits,
    diagnoses: Ints,
    lines: Lines,
    population: Population,
    streams: Streams,
    book: CodeBook,
) -> pl.DataFrame:
    """One row a claim line, ordered by claim, line number and time of entry."""
    facility_line = lines.part == FACILITY
    claim = _dense(2 * lines.visit.astype(np.int64) + facility_line)
    end = (visits.day + visits.stay)[lines.visit]
    certain = visits.because("asthma_exacerbation") | visits.because("self_harm")
    ledger = keep_books(
        claim,
        end,
        lines.charge,
        certain[lines.visit],
        MEDICAL,
        streams("medical books"),
    )
    visit = lines.visit[ledger.line]
    columns = _claim_columns("C", ledger)
    columns["claim_type"] = pl.Series(["professional", "institutional"]).gather(
        lines.part[ledger.line]
    )
    member = visits.member[visit]
    columns |= _person_columns(population, member)
    columns |= _service_columns(visits, lines, ledger)
    columns |= _place_columns(visits, lines, ledger, population, streams)
    columns["service_unit_quantity"] = pl.Series(lines.units[ledger.line])
    columns["hcpcs_code"] = book.strings(lines.hcpcs[ledger.line])
    columns["hcpcs_modifier_1"] = book.strings(lines.modifier[ledger.line])
    columns["revenue_center_code"] = book.strings(lines.revenue[ledger.line])
    columns |= _money_columns(ledger)
    columns["diagnosis_code_type"] = _constant("icd-10-cm", len(visit))
    for slot in range(diagnoses.shape[1]):
        codes = book.strings(diagnoses[visit, slot])
        columns[f"diagnosis_code_{slot + 1}"] = codes
    columns["data_source"] = _sources(population, member)
    return pl.DataFrame({name: columns[name] for name in MEDICAL_COLUMNS})


def pharmacy_claim_table(
    fills: Fills, population: Population, streams: Streams
) -> pl.DataFrame:
    """One row a fill, ordered by claim and time of entry."""
    rng = streams("pharmacy prices")
    price = np.array([drug.price for drug in DRUGS.values()], dtype=np.float64)
    charge = price[fills.drug] * fills.months
    charge *= np.exp(0.3 * rng.standard_normal(len(fills)) - 0.045)
    nothing = np.zeros(len(fills), dtype=bool)
    ledger = keep_books(
        np.arange(len(fills)),
        fills.day,
        np.round(charge, 2),
        nothing,
        PHARMACY,
        streams("pharmacy books"),
    )
    drug, months = fills.drug[ledger.line], fills.months[ledger.line]
    member = fills.member[ledger.line]
    days = np.array([d.days for d in DRUGS.values()])[drug] * months
    quantity = np.array([d.quantity for d in DRUGS.values()])[drug] * months
    texts = pl.Series(
        [
            ndc(name, labeler, strength)
            for name in DRUG_NAMES
            for labeler in range(LABELERS)
            for strength in range(STRENGTHS)
        ]
    )
    product = (drug * LABELERS + fills.labeler[ledger.line]) * STRENGTHS
    prescriber = (member * 7919 + drug) % providers.CLINICIANS
    columns = _claim_columns("R", ledger) | _person_columns(population, member)
    columns |= {
        "prescribing_provider_npi": providers.clinician(
            population.institution[member], prescriber
        ),
        "dispensing_provider_npi": providers.pharmacy(member % providers.PHARMACIES),
        "dispensing_date": _dates(fills.day[ledger.line]),
        "ndc_code": texts.gather(product + fills.strength[ledger.line]),
        "quantity": pl.Series(quantity),
        "days_supply": pl.Series(days.astype(np.int32)),
        "refills": pl.Series(np.where(days >= 28, 5, 0).astype(np.int32)),
    }
    columns |= _money_columns(ledger)
    columns["data_source"] = _sources(population, member)
    return pl.DataFrame(columns)


def _service_columns(
    visits: Visits, lines: Lines, ledger: Ledger
) -> dict[str, pl.Series]:
    visit = lines.visit[ledger.line]
    start, end = visits.day[visit], visits.day[visit] + visits.stay[visit]
    line_day = start + lines.offset[ledger.line]
    stays = visits.of_kind("inpatient", "birth")[visit]
    admitted = stays & (lines.part[ledger.line] == FACILITY)
    whole_stay = admitted & (lines.units[ledger.line] == np.maximum(end - start, 1))
    return {
        "claim_start_date": _dates(start),
        "claim_end_date": _dates(end),
        "claim_line_start_date": _dates(line_day),
        "claim_line_end_date": _dates(np.where(whole_stay, end, line_day)),
        "admission_date": _dates(start, admitted),
        "discharge_date": _dates(end, admitted),
        "discharge_disposition_code": pl.Series([None, "01"]).gather(
            admitted.astype(np.int64)
        ),
    }


def _place_columns(
    visits: Visits,
    lines: Lines,
    ledger: Ledger,
    population: Population,
    streams: Streams,
) -> dict[str, pl.Series]:
    visit = lines.visit[ledger.line]
    in_facility = lines.part[ledger.line] == FACILITY
    kind = visits.kind[visit]
    places = [None, *(PLACE_OF_SERVICE[name] for name in KINDS)]
    bills = [None, *(BILL_TYPE.get(name) for name in KINDS)]
    own = visits.member * 7919 % providers.CLINICIANS
    anybody = streams("clinicians").integers(0, providers.CLINICIANS, len(visits))
    regular = visits.of_kind("office", "well", "flu_shot")
    seen_by = np.where(regular, own, anybody)[visit]
    institution = population.institution[visits.member][visit]
    hospital = providers.facility(institution)
    rendering = providers.clinician(institution, seen_by)
    return {
        "place_of_service_code": pl.Series(places, dtype=pl.String).gather(
            np.where(in_facility, 0, kind + 1)
        ),
        "bill_type_code": pl.Series(bills, dtype=pl.String).gather(
            np.where(in_facility, kind + 1, 0)
        ),
        "rendering_npi": rendering,
        "billing_npi": hospital,
        "facility_npi": _only(hospital, in_facility),
    }


def _claim_columns(letter: str, ledger: Ledger) -> dict[str, pl.Series]:
    return {
        "claim_id": _numbered(letter, ledger.claim, 9),
        "claim_line_number": pl.Series(ledger.number.astype(np.int32)),
    }


def _person_columns(population: Population, member: Ints) -> dict[str, pl.Series]:
    count = len(population.birth)
    return {
        "person_id": person_ids(count).gather(member),
        "member_id": member_ids(count).gather(member),
        "payer": _constant(PAYER, len(member)),
        "plan": pl.Series(PLANS).gather(member % 2),
    }


def _money_columns(ledger: Ledger) -> dict[str, pl.Series]:
    return {
        "paid_date": _dates(ledger.paid_day),
        "paid_amount": pl.Series(ledger.paid),
        "allowed_amount": pl.Series(ledger.allowed),
        "charge_amount": pl.Series(ledger.charge),
    }


def _dense(keys: Ints) -> Ints:
    """Sorted keys renumbered 0, 1, 2, ... without holes."""
    changes = np.ones(len(keys), dtype=np.int64)
    changes[:1] = 0
    changes[1:] = keys[1:] != keys[:-1]
    return np.cumsum(changes)


def _numbered(letter: str, numbers: Ints, width: int) -> pl.Series:
    # at most 12 characters, which polars keeps in place without a second buffer
    digits = pl.Series(numbers).cast(pl.String).str.zfill(width)
    return pl.DataFrame({"d": digits}).select(
        pl.concat_str(pl.lit(letter), "d").alias("d")
    )["d"]


def _dates(days: Ints, where: Bools | None = None) -> pl.Series:
    series = pl.Series(days.astype(np.int32)).cast(pl.Date)
    return series if where is None else _only(series, where)


def _only(series: pl.Series, where: Bools) -> pl.Series:
    """The series with null wherever `where` is false."""
    frame = pl.DataFrame({"value": series, "where": where})
    return frame.select(pl.when("where").then("value"))["value"]


def _constant(text: str | None, count: int) -> pl.Series:
    return pl.Series([text], dtype=pl.String).gather(np.zeros(count, dtype=np.uint32))


def _sources(population: Population, member: Ints) -> pl.Series:
    return pl.Series(INSTITUTIONS).gather(population.institution[member])
