"""Codes that no table knows are counted."""

from __future__ import annotations

import polars as pl
import pytest

from claimpt_tf.codes.code_tables import ccsr_of_icd10cm, known_codes, titles
from claimpt_tf.codes.systems import SYSTEMS
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
    assert count_unknown(pl.Series(codes)) == {"ICD10CM": 2, "NDC": 1}
    assert count_unknown(pl.Series([], dtype=pl.String)) == {}


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("HCPCS:99213", True),
        ("HCPCS:J7613", True),
        ("HCPCS:0001A", True),
        ("HCPCS:9921", False),
        ("NDC:00173068220", True),
        ("NDC:173068220", False),
        ("MSDRG:203", True),
        ("MSDRG:1203", False),
        ("SNOMED:195967001", True),
        ("SNOMED:ASTHMA", False),
        ("CVX:08", True),
        ("LOCAL:WHATEVER", True),
        ("NO SYSTEM", True),
    ],
)
def test_without_a_table_the_shape_tells(code: str, known: bool) -> None:
    assert (not count_unknown(pl.Series([code]))) is known


@pytest.mark.parametrize("name", ["ICD9CM", "ICD9PCS", "ICD10CM", "ICD10PCS"])
def test_published_codes_have_the_shape_of_their_system(name: str) -> None:
    full = pl.Series(list(titles(name)))
    assert full.filter(~full.str.contains(SYSTEMS[name].shape)).to_list() == []
