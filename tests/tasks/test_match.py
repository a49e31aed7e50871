from __future__ import annotations

import re
from fnmatch import fnmatchcase

import polars as pl
import pytest
import simple_icd_10_cm
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.tasks.match import (
    matching_codes,
    normalise_pattern,
    pattern_regex,
    with_any_code,
)
from claimpt_tf.tasks.spec import load_task

CODES = st.text("AB19X", min_size=1, max_size=6).map("ICD10CM:".__add__)
GLOB_PARTS = st.sampled_from(["A", "B", "1", "9", "?", "*", "[AB]", "[!1-9]"])
GLOBS = st.lists(GLOB_PARTS, min_size=1, max_size=5).map("".join)


def icd10(task_name: str) -> set[str]:
    """The valid ICD-10-CM codes that are the task's outcome."""
    codes = simple_icd_10_cm.get_all_codes(with_dots=False)
    leaves = ["ICD10CM:" + code for code in codes if simple_icd_10_cm.is_leaf(code)]
    patterns = load_task(task_name).outcome.codes
    assert patterns is not None
    return set(matching_codes(pl.Series(leaves), patterns).str.slice(8))


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("ICD10CM:J45.901", "ICD10CM:J45901"),
        (" icd10cm:j45 ", "ICD10CM:J45"),
        ("ICD9CM:493.?1", "ICD9CM:493?1"),
        ("NDC:00173-0682-2", "NDC:0017306822"),
        ("ICD10CM:J45.[2-5]1", "ICD10CM:J45[2-5]1"),
        ("OURS:1.2-3", "OURS:1.2-3"),
        ("OURS:Z*", "OURS:Z*"),
    ],
)
def test_patterns_are_spelt_as_records_spell_codes(given: str, normalised: str) -> None:
    assert normalise_pattern(given) == normalised


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("J45", "is not SYSTEM:CODE"),
        ("ICD10CM: J45", "is not SYSTEM:CODE"),
        ("ICD10:J45", "did you mean ICD10CM"),
        ("CPT:99213", "did you mean HCPCS"),
        ("HCPC:99213", "did you mean HCPCS"),
        ("ICD10CM:J45[2-5", "a bracket is not closed"),
        ("ICD10CM:J45]", "a bracket is not closed"),
        ("ICD10CM:J45[]", "a bracket is not closed"),
    ],
)
def test_a_wrong_pattern_says_what_was_meant(given: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        normalise_pattern(given)


@given(st.lists(CODES, min_size=1, unique=True), GLOBS)
def test_patterns_match_from_the_start_as_in_a_shell(
    codes: list[str], glob: str
) -> None:
    pattern = normalise_pattern("ICD10CM:" + glob)
    found = set(matching_codes(pl.Series(codes), [pattern]))
    assert found == {code for code in codes if fnmatchcase(code, pattern + "*")}


def test_where_codes_have_no_hierarchy_a_pattern_is_the_whole_code() -> None:
    codes = pl.Series(
        ["SNOMED:195", "SNOMED:1959", "CVX:1", "CVX:10", "NDC:1", "NDC:10"]
    )
    found = matching_codes(codes, ["SNOMED:195", "CVX:1", "NDC:1"])
    assert found.to_list() == ["SNOMED:195", "CVX:1", "NDC:1", "NDC:10"]
    assert matching_codes(codes, ["SNOMED:195*"]).len() == 2


def test_characters_that_mean_something_in_an_expression_are_plain() -> None:
    codes = pl.Series(["OURS:A.B", "OURS:AXB", "OURS:A+B"])
    assert matching_codes(codes, ["OURS:A.B"]).to_list() == ["OURS:A.B"]
    assert re.match(pattern_regex(["OURS:A+B"]), "OURS:A+B")


def test_no_pattern_matches_nothing() -> None:
    assert matching_codes(pl.Series(["CVX:1"]), []).to_list() == []


def test_visits_with_any_code_are_told_once() -> None:
    coded = pl.DataFrame(
        {
            "visit": pl.Series([7, 7, 8, 9], dtype=pl.UInt32),
            "code": ["CVX:1", "CVX:2", "CVX:2", "NDC:1"],
        }
    )
    assert sorted(with_any_code(coded, ["CVX:*"])["visit"]) == [7, 8]


def test_the_self_harm_outcome_is_every_code_of_intentional_self_harm() -> None:
    codes = icd10("self_harm")
    described = {
        code
        for code in simple_icd_10_cm.get_all_codes(with_dots=False)
        if simple_icd_10_cm.is_leaf(code)
        and re.search(
            r"self-harm|suicide attempt|intentional collision of motor",
            simple_icd_10_cm.get_description(code),
            re.IGNORECASE,
        )
        and not code.startswith("Z")  # history of
    }
    assert codes == described
    assert {"T360X2A", "T3692XA", "T1491XA", "X780XXA", "R4588"} <= codes
    assert not {"T360X1A", "T360X5A", "R45851", "T40602"} & codes


def test_the_asthma_outcome_is_exacerbation_and_status() -> None:
    assert icd10("asthma_exacerbation") == {
        *("J4521", "J4522", "J4531", "J4532", "J4541", "J4542", "J4551", "J4552"),
        *("J45901", "J45902"),
    }
    patterns = load_task("asthma_exacerbation").outcome.codes
    assert patterns is not None
    codes = pl.Series([f"ICD9CM:493{a}{b}" for a in range(10) for b in range(4)])
    assert sorted(matching_codes(codes, patterns).str.slice(7)) == [
        *("49301", "49302", "49311", "49312", "49321", "49322", "49391", "49392"),
    ]
