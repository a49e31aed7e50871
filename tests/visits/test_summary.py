"""Counts add up, or the run says so."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.visits.summary import Summary, finish, merge_counts, summarise

COUNTS = {
    "rows/medical_claim/read": 100,
    "rows/medical_claim/kept": 70,
    "rows/medical_claim/duplicate": 4,
    "rows/medical_claim/reversed": 6,
    "rows/medical_claim/denied": 5,
    "rows/medical_claim/quarantined/before_birth": 3,
    "rows/medical_claim/quarantined/date_missing": 12,
    "rows/medical_claim/noted/claim_missing": 2,
    "rows/eligibility/read": 10,
    "rows/eligibility/kept": 4,
    "rows/eligibility/quarantined/not_covered": 6,
    "members": 4,
    "members/without_visits": 1,
    "visits/IP": 3,
    "visits/OP": 30,
    "events": 120,
    "codes/HCPCS": 55,
    "first_day": 0,
    "last_day": 365,
}


def test_counts_become_a_summary() -> None:
    summary = finish(COUNTS, seconds=1.5)
    assert summary.lines == 110
    assert summary.merged == 10
    assert summary.quarantined == {
        "date_missing": 12,
        "not_covered": 6,
        "before_birth": 3,
    }
    assert summary.tables["medical_claim"].noted == {"claim_missing": 2}
    assert summary.visits == {"IP": 3, "OP": 30}
    assert (summary.first_month, summary.last_month) == ("1970-01", "1971-01")
    assert Summary.from_json(summary.to_json()) == summary


def test_counts_of_workers_add_up() -> None:
    again = {**COUNTS, "first_day": -5, "last_day": 300}
    merged = merge_counts([COUNTS, {}, again])
    assert merged["rows/medical_claim/read"] == 200
    assert (merged["first_day"], merged["last_day"]) == (-5, 365)
    assert merge_counts([merge_counts([COUNTS]), merge_counts([again])]) == merged


def test_lost_rows_are_noticed() -> None:
    with pytest.raises(ArtifactError, match="101 rows were read but 100 are accounted"):
        summarise({**COUNTS, "rows/medical_claim/read": 101})


def test_too_many_unusable_rows() -> None:
    with pytest.raises(
        InputError,
        match=r"medical_claim: 15 of 100 rows .* \(date_missing 12, before_birth 3\)",
    ):
        finish(COUNTS, max_quarantined=0.1)


def test_rows_left_out_by_rule_are_no_fault() -> None:
    assert finish(COUNTS).tables["eligibility"].faulty == 0


def test_nobody_left() -> None:
    with pytest.raises(InputError, match="no member has both"):
        finish({**COUNTS, "members": 0})


def test_table_for_the_screen() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(finish(COUNTS).to_table())
    text = console.export_text()
    for word in ("medical_claim", "quarantined: date_missing", "reversed", "IP"):
        assert word in text
