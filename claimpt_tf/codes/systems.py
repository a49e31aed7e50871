"""The code systems that records may hold, and what is done with the codes of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from claimpt_tf.codes import normalise


@dataclass(frozen=True)
class System:
    """A code system.

    Attributes:
      name: The part of a code before the colon, as in `ICD10CM:J45901`.
      kind: What its codes stand for.
      title: What it is called in full.
      normalise: Makes codes canonical; see `claimpt_tf.codes.normalise`.
      shape: Pattern of its canonical codes; a code of another shape is in no edition.
    """

    name: str
    kind: str
    title: str
    normalise: Callable[[pl.Series], pl.Series]
    shape: str


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System(
            "ICD10CM",
            "diagnosis",
            "ICD-10-CM",
            normalise.diagnoses,
            r"^[A-Z]\d[0-9A-Z]{1,5}$",
        ),
        System(
            "ICD9CM",
            "diagnosis",
            "ICD-9-CM, vol. 1 and 2",
            normalise.diagnoses,
            r"^(?:\d{3,5}|V\d{2,4}|E\d{3,4})$",
        ),
        System(
            "ICD10PCS",
            "procedure",
            "ICD-10-PCS",
            normalise.procedures,
            r"^[0-9A-HJ-NP-Z]{7}$",
        ),
        System(
            "ICD9PCS",
            "procedure",
            "ICD-9-CM, vol. 3",
            normalise.procedures,
            r"^\d{2,4}$",
        ),
        System(
            "HCPCS",
            "procedure",
            "HCPCS levels I (CPT) and II",
            normalise.hcpcs,
            r"^(?:\d{5}|\d{4}[A-Z]|[A-Z]\d{4})$",
        ),
        System(
            "MSDRG", "grouping", "Medicare severity DRG", normalise.drgs, r"^\d{3}$"
        ),
        System(
            "APRDRG", "grouping", "All patient refined DRG", normalise.drgs, r"^\d{3}$"
        ),
        System(
            "NDC", "drug", "National drug code, 11 digits", normalise.ndcs, r"^\d{11}$"
        ),
        System("RXNORM", "drug", "RxNorm concept", normalise.plain, r"^\d{1,8}$"),
        System("CVX", "vaccine", "CDC vaccine code", normalise.plain, r"^\d{2,3}$"),
        System(
            "SNOMED", "clinical", "SNOMED CT concept", normalise.plain, r"^\d{6,18}$"
        ),
        System(
            "LOINC",
            "measurement",
            "LOINC, without its hyphen",
            normalise.plain,
            r"^\d{2,8}$",
        ),
        # What a source has that no vocabulary is known for: kept as it is named there.
        System("OMOP", "concept", "OMOP concept id", normalise.plain, r"^\d+$"),
        System("MEDS", "concept", "MEDS code", normalise.plain, r"^[0-9A-Z]+$"),
    )
}


def split_code(code: str) -> tuple[str, str]:
    """System and code; the system is empty where none is named.

    Example:
      >>> split_code("ICD10CM:J45901")
      ('ICD10CM', 'J45901')
      >>> split_code("J45901")
      ('', 'J45901')
    """
    system, colon, bare = code.partition(":")
    return (system, bare) if colon else ("", code)
