"""The simulated tables: their columns, codes, mess and enrolment."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
import simple_icd_10_cm
from polars.testing import assert_frame_equal

from claimpt_tf.claims.simulator.asthma_coding import ACUTE_CODES
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.occasions import SELF_HARM_CODES
from claimpt_tf.claims.simulator.simulate import Simulation, simulate
from claimpt_tf.errors import InputError

TABLES = ("medical_claim", "pharmacy_claim", "eligibility", "true_risk")
DIAGNOSES = [f"diagnosis_code_{slot}" for slot in range(1, 7)]
LINE = ("claim_id", "claim_line_number")
# Of 100 members, 1 year, seed 1.
EXPECTED_HEIGHTS = [2910, 331, 100, 1177]
EXPECTED_CHARGES = 318506.9


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(SimulationConfig(members=3000, years=3, seed=11))


def hospital_lines(medical: pl.DataFrame) -> pl.DataFrame:
    """Lines of visits to an emergency department or as an inpatient."""
    return medical.filter(
        pl.col("place_of_service_code").is_in(["21", "23"])
        | (pl.col("bill_type_code") == "111")
    )


@pytest.mark.parametrize("table", TABLES[:3])
def test_columns_are_those_of_the_tuva_input_layer(
    simulation: Simulation, table: str, open_data: Path
) -> None:
    header = (open_data / "tuva" / f"{table}_seed.csv").read_text().splitlines()[0]
    real = header.split(",")
    ours = getattr(simulation, table).columns
    assert [name for name in real if name in ours] == [n for n in ours if n in real]
    assert set(ours) <= set(real)


def test_the_same_seed_gives_the_same_tables() -> None:
    config = SimulationConfig(members=200, years=2, seed=5)
    first, second = simulate(config), simulate(config)
    other = simulate(SimulationConfig(members=200, years=2, seed=6))
    for table in TABLES:
        assert_frame_equal(getattr(first, table), getattr(second, table))
        assert not getattr(first, table).equals(getattr(other, table))


def test_tables_do_not_depend_on_the_machine() -> None:
    # Figures written down from one machine; they must come out on any other.
    tables = simulate(SimulationConfig(members=100, years=1, seed=1))
    assert [getattr(tables, table).height for table in TABLES] == EXPECTED_HEIGHTS
    amount = tables.medical_claim["charge_amount"].sum()
    assert amount == pytest.approx(EXPECTED_CHARGES, abs=0.005)


def test_every_diagnosis_is_valid_icd_10_cm(simulation: Simulation) -> None:
    codes = {
        code
        for column in DIAGNOSES
        for code in simulation.medical_claim[column].drop_nulls().unique()
    }
    assert len(codes) > 200
    wrong = [
        code
        for code in sorted(codes)
        if not simple_icd_10_cm.is_valid_item(code)
        or not simple_icd_10_cm.is_leaf(code)
    ]
    assert wrong == []
    assert simulation.medical_claim["diagnosis_code_1"].null_count() == 0


def test_procedures_and_drugs_have_their_code_systems_shape(
    simulation: Simulation,
) -> None:
    procedures = simulation.medical_claim["hcpcs_code"].drop_nulls().unique()
    assert procedures.str.contains(r"^([0-9]{5}|[0-9]{4}F|[A-V][0-9]{4})$").all()
    assert procedures.str.contains("^[A-V]").any()
    assert simulation.pharmacy_claim["ndc_code"].str.contains(r"^[0-9]{11}$").all()


def test_claims_show_the_mess_of_real_ones(simulation: Simulation) -> None:
    for table in (simulation.medical_claim, simulation.pharmacy_claim):
        repeated = table.height - table.unique().height
        assert 0.002 < repeated / table.height < 0.02
        reversals = table.filter(pl.col("charge_amount") < 0)
        assert 0.002 < reversals.height / table.height < 0.04
        taken_back = reversals.join(
            table, on=LINE, how="inner", suffix="_first"
        ).filter(
            pl.col("charge_amount") + pl.col("charge_amount_first") == 0,
            pl.col("paid_amount") + pl.col("paid_amount_first") == 0,
        )
        assert taken_back.select(LINE).unique().height == reversals.height
        corrected = table.join(reversals, on=LINE, how="semi").filter(
            pl.col("paid_date") > pl.col("paid_date").min().over(LINE)
        )
        assert corrected.filter(pl.col("charge_amount") > 0).height > 0
        denied = table.filter(
            pl.col("charge_amount") > 0,
            pl.col("paid_amount") == 0,
            pl.col("allowed_amount") == 0,
        )
        assert 0.005 < denied.height / table.height < 0.06
    medical = simulation.medical_claim
    delay = (medical["paid_date"] - medical["claim_end_date"]).dt.total_days()
    assert delay.min() > 0
    assert 0.01 < (delay > 90).mean() < 0.08


def test_most_drugs_are_dispensed_without_a_visit(simulation: Simulation) -> None:
    visits = simulation.medical_claim.select(
        "person_id", dispensing_date="claim_start_date"
    ).unique()
    alone = simulation.pharmacy_claim.join(
        visits, on=["person_id", "dispensing_date"], how="anti"
    )
    assert alone.height > 0.4 * simulation.pharmacy_claim.height


def test_enrolment_spans_are_closed_ordered_and_apart(simulation: Simulation) -> None:
    spans = simulation.eligibility
    start, end = pl.col("enrollment_start_date"), pl.col("enrollment_end_date")
    assert spans.select((start <= end).all()).item()
    assert spans["enrollment_end_date"].max() == date(2023, 12, 31)
    assert spans.select((start >= pl.col("birth_date")).all()).item()
    apart = spans.select(gap=(start - end.shift(1).over("person_id")).dt.total_days())
    assert apart["gap"].drop_nulls().min() > 1
    assert apart["gap"].drop_nulls().len() > 100
    assert spans["person_id"].n_unique() == 3000
    assert spans["person_id"].is_sorted()
    assert spans["first_name"].null_count() == spans.height
    assert set(spans["data_source"]) == {"institution_a", "institution_b"}


def test_few_members_are_silent_and_few_claims_outside_enrolment(
    simulation: Simulation,
) -> None:
    served = pl.concat(
        [
            simulation.medical_claim.select("person_id", day="claim_start_date"),
            simulation.pharmacy_claim.select("person_id", day="dispensing_date"),
        ]
    ).unique()
    silent = 1 - served["person_id"].n_unique() / 3000
    assert 0.01 < silent < 0.04
    covered = served.join(simulation.eligibility, on="person_id").filter(
        pl.col("day").is_between("enrollment_start_date", "enrollment_end_date")
    )
    outside = 1 - covered.select("person_id", "day").unique().height / served.height
    assert 0 < outside < 0.01
    assert served.select(pl.col("day").min(), last=pl.col("day").max()).row(0) >= (
        date(2021, 1, 1),
        date(2023, 1, 1),
    )


def test_use_of_care_is_of_a_believable_size(simulation: Simulation) -> None:
    span = pl.col("enrollment_end_date") - pl.col("enrollment_start_date")
    years = simulation.eligibility.select(span.dt.total_days().sum() / 365.25).item()
    lines = simulation.medical_claim.height + simulation.pharmacy_claim.height
    assert 30 < lines / years < 45
    days = pl.concat(
        [
            simulation.medical_claim.select("person_id", day="claim_start_date"),
            simulation.pharmacy_claim.select("person_id", day="dispensing_date"),
        ]
    ).unique()
    assert 7 < days.height / years < 12


def test_children_are_born_age_and_are_vaccinated(simulation: Simulation) -> None:
    medical = simulation.medical_claim.join(
        simulation.eligibility.select("person_id", "birth_date").unique(),
        on="person_id",
    ).with_columns(
        age=(pl.col("claim_start_date") - pl.col("birth_date")).dt.total_days()
    )
    births = medical.filter(pl.col("diagnosis_code_1").is_in(["Z3800", "Z3801"]))
    assert births["person_id"].n_unique() > 200
    assert births["age"].max() == 0
    assert medical["age"].min() == 0
    assert medical["age"].max() < 20 * 366
    well = medical.filter(pl.col("hcpcs_code") == "99391")
    assert well["age"].max() < 366
    rotavirus = medical.filter(pl.col("hcpcs_code").is_in(["90680", "90681"]))
    assert rotavirus["age"].is_between(50, 240).all()
    papilloma = medical.filter(pl.col("hcpcs_code") == "90651")
    assert papilloma["age"].min() > 11 * 365


def test_illness_follows_the_seasons(simulation: Simulation) -> None:
    def visits(codes: list[str], months: list[int]) -> int:
        return (
            simulation.medical_claim.filter(
                pl.col("diagnosis_code_1").is_in(codes),
                pl.col("claim_start_date").dt.month().is_in(months),
            )
            .select("person_id", "claim_start_date")
            .n_unique()
        )

    bronchiolitis = ["J210", "J218", "J219"]
    assert visits(bronchiolitis, [11, 12, 1]) > 5 * visits(bronchiolitis, [5, 6, 7])
    influenza = ["J101", "J111", "J1089", "J102"]
    assert visits(influenza, [12, 1, 2]) > 8 * visits(influenza, [6, 7, 8])
    acute = list(ACUTE_CODES)
    assert visits(acute, [9, 10, 11]) > 1.3 * visits(acute, [6, 7, 8])


def test_institutions_code_the_same_condition_differently(
    simulation: Simulation,
) -> None:
    first = simulation.medical_claim.group_by("data_source").agg(
        pl.col("diagnosis_code_1").value_counts(sort=True)
    )
    counts = {
        source: {row["diagnosis_code_1"]: row["count"] for row in rows}
        for source, rows in first.iter_rows()
    }
    a, b = counts["institution_a"], counts["institution_b"]
    assert a.get("F321", 0) > 0 and "F321" not in b
    assert b["F32A"] > 0
    assert a["J301"] > 0 and "J301" not in b

    def vague(codes: dict[str, int]) -> float:
        asthma = {code: n for code, n in codes.items() if code.startswith("J45")}
        unspecified = sum(n for code, n in asthma.items() if code.startswith("J459"))
        return unspecified / sum(asthma.values())

    assert vague(b) > 2 * vague(a)


def test_only_planted_visits_carry_the_outcomes_codes(simulation: Simulation) -> None:
    hospital = hospital_lines(simulation.medical_claim)
    acute = hospital.filter(
        pl.any_horizontal(pl.col(DIAGNOSES).is_in(ACUTE_CODES).fill_null(False))
    )
    assert acute.height > 0
    assert acute["diagnosis_code_1"].is_in(ACUTE_CODES).all()
    harm = simulation.medical_claim.filter(
        pl.any_horizontal(pl.col(DIAGNOSES).is_in(SELF_HARM_CODES).fill_null(False))
    )
    assert harm.height > 0
    assert harm.height == hospital.join(harm, on=LINE, how="semi").height + (
        harm.filter(pl.col("bill_type_code") == "131").height
    )
    seen = set(ACUTE_CODES) | set(SELF_HARM_CODES)
    assert all(simple_icd_10_cm.is_valid_item(code) for code in seen)


@pytest.mark.parametrize("seed", range(6))
def test_a_single_member_is_enough(seed: int) -> None:
    tables = simulate(SimulationConfig(members=1, years=1, seed=seed))
    assert tables.eligibility["person_id"].unique().to_list() == ["P0000000"]
    many = simulate(SimulationConfig(members=50, years=1))
    for table in TABLES:
        assert getattr(tables, table).schema == getattr(many, table).schema


def test_long_periods_are_simulated() -> None:
    tables = simulate(SimulationConfig(members=60, years=20, seed=2))
    days = tables.medical_claim["claim_start_date"]
    assert (days.min().year, days.max().year) == (2004, 2023)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SimulationConfig(members=0), "members is 0: give at least 1"),
        (SimulationConfig(years=0), "years is 0: give 1 to 20"),
        (SimulationConfig(years=21), "years is 21: give 1 to 20"),
        (SimulationConfig(seed=-1), "seed is -1: give 0 or more"),
        (SimulationConfig(start=date(2021, 1, 2)), "give the first day of a month"),
        (SimulationConfig(years=20, start=date(2020, 1, 1)), "end on 2039-12-31"),
    ],
)
def test_bad_settings_are_refused(config: SimulationConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(config)


def test_progress_is_told() -> None:
    told: list[tuple[str, float]] = []
    simulate(SimulationConfig(members=5, years=1), lambda *step: told.append(step))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
