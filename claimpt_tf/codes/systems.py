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
    """

    name: str
    kind: str
    title: str
    normalise: Callable[[pl.Series], pl.Series]


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System("ICD10CM", "diagnosis", "ICD-10-CM", normalise.diagnoses),
        System("ICD9CM", "diagnosis", "ICD-9-CM, vol. 1 and 2", normalise.diagnoses),
        System("ICD10PCS", "procedure", "ICD-10-PCS", normalise.procedures),
        System("ICD9PCS", "procedure", "ICD-9-CM, vol. 3", normalise.procedures),
        System("HCPCS", "procedure", "HCPCS levels I (CPT) and II", normalise.hcpcs),
        System("MSDRG", "grouping", "Medicare severity DRG", normalise.drgs),
        System("APRDRG", "grouping", "All patient refined DRG", normalise.drgs),
        System("NDC", "drug", "National drug code, 11 digits", normalise.ndcs),
        System("RXNORM", "drug", "RxNorm concept", normalise.plain),
        System("CVX", "vaccine", "CDC vaccine code", normalise.plain),
        System("SNOMED", "clinical", "SNOMED CT concept", normalise.plain),
        System("LOINC", "measurement", "LOINC, without its hyphen", normalise.plain),
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
