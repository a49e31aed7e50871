"""Codes that no table knows are counted."""

from __future__ import annotations

from claimpt_tf.codes.code_tables import ccsr_of_icd10cm, known_codes
from claimpt_tf.codes.validate import count_unknown, is_known


def test_known_and_unknown() -> None:
    assert is_known("ICD10CM:J45901") is True
    assert is_known("ICD10CM:J45") is True
    assert is_known("ICD10CM:J45.901") is False
    assert is_known("ICD10CM:J4") is False
    assert is_known("ICD9CM:0389") is True
    assert is_known("ICD9PCS:81") is True
    assert is_known("ICD10PCS:0BH17EZ") is True
    assert is_known("HCPCS:99213") is None
    assert is_known("J45901") is None


def test_older_editions_are_known() -> None:
    known = known_codes("ICD10CM")
    assert known is not None
    assert {code for code in ccsr_of_icd10cm() if len(code) > 3} <= known


def test_counts_by_system() -> None:
    codes = ["ICD10CM:NOPE", "ICD10CM:NOPE", "ICD10CM:J45", "ICD9CM:4019", "NDC:1"]
    assert count_unknown(codes) == {"ICD10CM": 2, "ICD9CM": 0}
    assert count_unknown([]) == {}
