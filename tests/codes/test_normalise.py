"""Normalisation: length kept, idempotent, nothing but canonical characters."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimpt_tf.codes import normalise
from claimpt_tf.codes.code_tables import titles

EVERY = [
    normalise.plain,
    normalise.diagnoses,
    normalise.procedures,
    normalise.hcpcs,
    normalise.drgs,
    normalise.ndcs,
]
MESSY = st.one_of(
    st.none(),
    st.text(max_size=15),
    st.text(alphabet="0123456789.- VEJ", max_size=14),
)


def series(values: list[str | None]) -> pl.Series:
    return pl.Series("codes", values, dtype=pl.String)


@pytest.mark.parametrize("function", EVERY)
@given(values=st.lists(MESSY, max_size=30))
def test_any_text(
    function: Callable[[pl.Series], pl.Series], values: list[str | None]
) -> None:
    once = function(series(values))
    assert len(once) == len(values)
    assert once.dtype == pl.String
    assert once.drop_nulls().str.contains(r"^[0-9A-Z]+$").all()
    assert function(once).equals(once)
    alone = [function(series([value]))[0] for value in values]
    assert once.to_list() == alone


@pytest.mark.parametrize("function", EVERY)
@given(code=st.text(alphabet="0123456789ABCDEF", min_size=5, max_size=7))
def test_case_and_padding_do_not_matter(
    function: Callable[[pl.Series], pl.Series], code: str
) -> None:
    spelt = series([code, code.lower(), f"  {code} "])
    assert function(spelt).n_unique() == 1


@pytest.mark.parametrize("system", ["ICD9CM", "ICD10CM"])
def test_official_diagnoses_with_and_without_dot(system: str) -> None:
    dotted_after = {
        code: 4 if system == "ICD9CM" and code[0] == "E" else 3
        for code in titles(system)
    }
    codes = [code for code, place in dotted_after.items() if len(code) > place]
    dotted = [f"{c[: dotted_after[c]]}.{c[dotted_after[c] :]}" for c in codes]
    assert normalise.diagnoses(series(codes)).to_list() == codes
    assert normalise.diagnoses(series(dotted)).to_list() == codes


def test_official_procedures() -> None:
    for system in ("ICD9PCS", "ICD10PCS"):
        codes = [code for code in titles(system) if code.strip("0")]
        assert normalise.procedures(series(codes)).to_list() == codes
    codes = [code for code in titles("ICD9PCS") if code.strip("0")]
    dotted = [f"{int(code[:2])}.{code[2:]}" for code in codes]
    assert normalise.procedures(series(dotted)).to_list() == codes


PARTS = st.tuples(st.integers(1, 99_999), st.integers(0, 9_999), st.integers(0, 99))


@given(PARTS)
def test_ndc_of_any_format(parts: tuple[int, int, int]) -> None:
    labeller, product, package = parts
    full = f"{labeller:05d}{product:04d}{package:02d}"
    spelt = [full, f"{labeller:05d}-{product:04d}-{package:02d}", f"0{full}"]
    if labeller < 10_000:
        spelt += [f"{labeller:04d}-{product:04d}-{package:02d}", full[1:]]
    if product < 1_000:
        spelt.append(f"{labeller:05d}-{product:03d}-{package:02d}")
    if package < 10:
        spelt.append(f"{labeller:05d}-{product:04d}-{package}")
    assert normalise.ndcs(series(spelt)).unique().to_list() == [full]


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (normalise.ndcs, "12345678", "00012345678"),
        (normalise.ndcs, "1234567", "1234567"),
        (normalise.ndcs, "08290-3284-11", "08290328411"),
        (normalise.ndcs, "ABC-12", "ABC12"),
        (normalise.ndcs, "00000000000", None),
        (normalise.hcpcs, "9921325", "99213"),
        (normalise.hcpcs, "100", "00100"),
        (normalise.hcpcs, "0001F", "0001F"),
        (normalise.drgs, "1", "001"),
        (normalise.drgs, "0001", "001"),
        (normalise.drgs, "000", None),
        (normalise.diagnoses, "8", "008"),
        (normalise.diagnoses, "42.0", "0420"),
        (normalise.diagnoses, "E849.0", "E8490"),
        (normalise.diagnoses, "250.00", "25000"),
        (normalise.diagnoses, "V3000", "V3000"),
        (normalise.plain, "Unknown", None),
        (normalise.plain, "#N/A", None),
    ],
)
def test_examples(
    function: Callable[[pl.Series], pl.Series], given: str, expected: str | None
) -> None:
    assert function(series([given])).to_list() == [expected]
