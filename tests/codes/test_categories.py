"""Categories of known codes, and of anything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.codes.categories import category_of
from claimpt_tf.codes.code_tables import (
    ccs_names,
    ccs_of_icd9cm,
    ccsr_of_icd10cm,
    titles,
)
from claimpt_tf.codes.systems import SYSTEMS

KNOWN = {
    "ICD10CM:J45901": "CCSR:RSP009",
    "ICD10CM:J4520": "CCSR:RSP009",
    "ICD10CM:J45": "CCSR:RSP009",
    "ICD10CM:J459019": "CCSR:RSP009",
    "ICD10CM:I10": "CCSR:CIR007",
    "ICD10CM:U071": "CCSR:INF012",
    "ICD10CM:Q9999999": "CCSR:MAL009",
    "ICD10CM:QQ": "ICD10CM:QQ",
    "ICD10CM:ZZZ4567": "ICD10CM:ZZZ45",
    "ICD9CM:49390": "CCS:128",
    "ICD9CM:4019": "CCS:98",
    "ICD9CM:E9500": "CCS:662",
    "ICD9CM:V5789": "CCS:254",
    "ICD9PCS:8154": "ICD9PCS:81",
    "ICD10PCS:0BH17EZ": "ICD10PCS:0BH",
    "HCPCS:99213": "CPT:99202-99216",
    "HCPCS:99284": "CPT:99281-99290",
    "HCPCS:00100": "CPT:00100-01999",
    "HCPCS:00099": "CPT:00000-00099",
    "HCPCS:99999": "CPT:99605-99999",
    "HCPCS:1126F": "CPT:F",
    "HCPCS:0042T": "CPT:T",
    "HCPCS:J7613": "HCPCS2:J7",
    "HCPCS:A0428": "HCPCS2:A0",
    "HCPCS:G0438": "HCPCS2:G",
    "HCPCS:XX": "HCPCS:XX",
    "NDC:00173068220": "NDC9:001730682",
    "NDC:1234567": "NDC:12345",
    "MSDRG:203": "MSDRG:203",
    "SNOMED:195967001": "SNOMED:195967001",
    "CVX:140": "CVX:140",
    "LOCAL:ABCDEFG": "LOCAL:ABCDE",
    "NOSYSTEM": "NOSYS",
    "": "",
}


@pytest.mark.parametrize(("code", "category"), KNOWN.items())
def test_known_codes(code: str, category: str) -> None:
    assert category_of([code]) == [category]


def test_order_is_kept() -> None:
    assert category_of(list(KNOWN)) == list(KNOWN.values())
    assert category_of([]) == []


SYSTEM = st.one_of(st.sampled_from([*SYSTEMS, "", "LOCAL"]), st.text(max_size=6))


@given(st.lists(st.tuples(SYSTEM, st.text(max_size=12))))
def test_any_string_has_a_category(parts: list[tuple[str, str]]) -> None:
    codes = [f"{system}:{code}" for system, code in parts]
    categories = category_of(codes)
    assert len(categories) == len(codes)
    assert all(isinstance(category, str) for category in categories)
    assert category_of(codes) == categories


def test_most_official_codes_are_grouped() -> None:
    tenth = [f"ICD10CM:{code}" for code in titles("ICD10CM")]
    grouped = [c for c in category_of(tenth) if c.startswith("CCSR:")]
    assert len(grouped) / len(tenth) > 0.995  # the table is older than some codes
    ninth = [f"ICD9CM:{code}" for code in titles("ICD9CM")]
    grouped = [c for c in category_of(ninth) if c.startswith("CCS:")]
    assert len(grouped) / len(ninth) > 0.999


def test_a_short_code_is_grouped_only_where_that_is_clear() -> None:
    groups = ccsr_of_icd10cm()
    assert "I1" not in groups
    below = {group for code, group in groups.items() if code.startswith("E11")}
    assert len(below) > 1
    assert "E11" not in groups
    assert category_of(["ICD10CM:E11"]) == ["ICD10CM:E11"]


def test_every_group_has_a_name() -> None:
    assert set(ccs_of_icd9cm().values()) <= set(ccs_names())


def test_a_vocabulary_takes_no_time() -> None:
    codes = [f"ICD10CM:{code}" for code in titles("ICD10CM")]
    category_of(codes)
    began = time.perf_counter()
    category_of(codes)
    assert time.perf_counter() - began < 5
