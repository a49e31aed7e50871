"""Words for codes, and none where they may not be shipped."""

from __future__ import annotations

import pytest

from claimpt_tf.codes.categories import category_of
from claimpt_tf.codes.code_tables import ccsr_of_icd10cm
from claimpt_tf.codes.describe import describe


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("ICD10CM:J45", "Asthma"),
        ("ICD10CM:J45901", "Unspecified asthma with (acute) exacerbation"),
        ("ICD10CM:ZZZ", None),
        ("ICD9CM:49390", "Asthma, unspecified type, unspecified"),
        ("ICD9PCS:8154", "Total knee replacement"),
        ("ICD10PCS:0BH17EZ", None),
        ("CCS:128", "Asthma"),
        ("CCS:9999", None),
        ("CCSR:RSP009", "Asthma"),
        ("CCSR:XXX999", None),
        ("NDC:00173068220", None),
        ("J45", None),
    ],
)
def test_titles(code: str, title: str | None) -> None:
    found = describe(code)
    if code.startswith("ICD10PCS"):
        assert found is not None and found.startswith("Insertion of")
    else:
        assert found == title


@pytest.mark.parametrize("code", ["HCPCS:99213", "HCPCS:0042T", "HCPCS:1126F"])
def test_cpt_has_no_words(code: str) -> None:
    assert describe(code) is None
    assert describe(category_of([code])[0]) is None


def test_every_ccsr_group_has_words() -> None:
    groups = set(ccsr_of_icd10cm().values())
    assert len(groups) > 500
    assert all(describe(f"CCSR:{group}") for group in groups)
