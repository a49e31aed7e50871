"""Code systems by the names that other standards give them, and codes spelt with one.

OMOP's `vocabulary_id`, MEDS's code prefixes and FHIR-like names all come down to the
systems of `claimpt_tf.codes.systems`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import polars as pl

from claimpt_tf.codes.systems import SYSTEMS, split_code

# Names in lower case without anything but letters and digits.
_NAMES: Mapping[str, str] = {
    **{name.lower(): name for name in SYSTEMS},
    "cpt": "HCPCS",
    "cpt4": "HCPCS",
    "drg": "MSDRG",
    "hcpcslevelii": "HCPCS",
    "icd10": "ICD10CM",
    "icd9": "ICD9CM",
    "icd9proc": "ICD9PCS",
    "ndc11": "NDC",
    "rxcui": "RXNORM",
    "snomedct": "SNOMED",
    "snomedctus": "SNOMED",
}
# MEDS extracts of MIMIC name what a code is for, then ICD and its revision.
_ICD_BY_USE = re.compile(r"(?i)^(DIAGNOSIS|PROCEDURE)//ICD//(9|10)//(.+)$")
_ICD = {
    ("DIAGNOSIS", "9"): "ICD9CM",
    ("DIAGNOSIS", "10"): "ICD10CM",
    ("PROCEDURE", "9"): "ICD9PCS",
    ("PROCEDURE", "10"): "ICD10PCS",
}
_SPELT = re.compile(r"^([A-Za-z][A-Za-z0-9 _.-]*?)(?:://|//|/|:|\|)(.+)$")


def system_of(vocabulary: str) -> str | None:
    """The code system that another standard calls `vocabulary`, if it is one of ours.

    Example:
      >>> system_of("RxNorm"), system_of("ICD9Proc"), system_of("CPT4")
      ('RXNORM', 'ICD9PCS', 'HCPCS')
      >>> system_of("RxNorm Extension") is None
      True
    """
    return _NAMES.get(re.sub(r"[^a-z0-9]", "", vocabulary.lower()))


def split_spelt(spelt: pl.Series) -> pl.DataFrame:
    """Codes that carry the name of their vocabulary, taken apart.

    Understood are `VOCABULARY:CODE` with a colon, a slash, two slashes or a bar, where
    the vocabulary is one of `system_of`, and MIMIC's `DIAGNOSIS//ICD//10//CODE`.

    Args:
      spelt: String.

    Returns:
      `system` and canonical `code`, String, of the same length; both null where no
      known vocabulary is named.

    Example:
      >>> split_spelt(
      ...     pl.Series(["SNOMED/195967001", "icd10cm:J45.901", "LAB//50868", "J45"])
      ... ).rows()
      [('SNOMED', '195967001'), ('ICD10CM', 'J45901'), (None, None), (None, None)]
    """
    distinct = spelt.unique().drop_nulls()
    parts = [_split(text) for text in distinct.to_list()]
    known = pl.DataFrame(
        {
            "spelt": distinct,
            "system": pl.Series([system for system, _ in parts], dtype=pl.String),
            "code": pl.Series([code for _, code in parts], dtype=pl.String),
        },
        schema_overrides={"spelt": pl.String},
    )
    known = known.with_columns(code=canonical(known["system"], known["code"]))
    known = known.with_columns(
        system=pl.when(pl.col("code").is_not_null()).then("system")
    )
    return (
        spelt.cast(pl.String)
        .rename("spelt")
        .to_frame()
        .join(known, on="spelt", how="left", maintain_order="left")
        .select("system", "code")
    )


def canonical(systems: pl.Series, codes: pl.Series) -> pl.Series:
    """Each code made canonical as its system asks.

    Args:
      systems: String, names of `SYSTEMS`; others have their codes left as they are.
      codes: String, of the same length.

    Returns:
      String, of the same length; null for what is no code.

    Example:
      >>> systems = pl.Series(["ICD10CM", "CVX"])
      >>> canonical(systems, pl.Series(["k92.2", " 08 "])).to_list()
      ['K922', '08']
    """
    frame = pl.DataFrame({"system": systems, "code": codes}).with_row_index("place")
    parts = [
        part.with_columns(code=_rule(system)(part["code"]))
        for (system,), part in frame.group_by("system")
    ]
    if not parts:
        return codes
    return pl.concat(parts).sort("place")["code"]


def _rule(system: object) -> Callable[[pl.Series], pl.Series]:
    known = SYSTEMS.get(str(system))
    return known.normalise if known else _as_they_are


def _as_they_are(codes: pl.Series) -> pl.Series:
    return codes


def _split(text: str) -> tuple[str | None, str | None]:
    if found := _ICD_BY_USE.match(text):
        return _ICD[found[1].upper(), found[2]], found[3]
    if found := _SPELT.match(text):
        system = system_of(found[1])
        return (system, found[2]) if system else (None, None)
    return None, None


def omop_spelling(code: str) -> str | None:
    """A code of a record as OMOP's vocabularies spell it, `VOCABULARY/CODE`.

    Example:
      >>> omop_spelling("ICD10CM:J45901"), omop_spelling("ICD9CM:E8490")
      ('ICD10CM/J45.901', 'ICD9CM/E849.0')
      >>> omop_spelling("HCPCS:99213"), omop_spelling("LOINC:45484")
      ('CPT4/99213', 'LOINC/4548-4')
      >>> omop_spelling("MEDS:LAB50868") is None
      True
    """
    system, bare = split_code(code)
    if system not in _OMOP_NAMES:
        return None
    name = "CPT4" if system == "HCPCS" and bare[0].isdigit() else _OMOP_NAMES[system]
    if system in ("ICD10CM", "ICD9CM", "ICD9PCS"):
        whole = 2 if system == "ICD9PCS" else 3 + (system + bare[0] == "ICD9CME")
        bare = bare[:whole] + "." * (len(bare) > whole) + bare[whole:]
    if system == "LOINC":
        bare = f"{bare[:-1]}-{bare[-1]}"
    return f"{name}/{bare}"


_OMOP_NAMES: Mapping[str, str] = {
    "CVX": "CVX",
    "HCPCS": "HCPCS",
    "ICD10CM": "ICD10CM",
    "ICD10PCS": "ICD10PCS",
    "ICD9CM": "ICD9CM",
    "ICD9PCS": "ICD9Proc",
    "LOINC": "LOINC",
    "MSDRG": "DRG",
    "NDC": "NDC",
    "RXNORM": "RxNorm",
    "SNOMED": "SNOMED",
}
