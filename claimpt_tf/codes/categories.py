"""Many codes -> one category: what the model learns to predict.

Diagnoses go to AHRQ's groups (CCSR for ICD-10-CM, CCS for ICD-9-CM), procedures to
the section their code stands in, drugs to labeller and product. A code in no map
falls back to its first five characters, as in the paper.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from claimpt_tf.codes.code_tables import ccs_of_icd9cm, ccsr_of_icd10cm
from claimpt_tf.codes.hcpcs_sections import section_of
from claimpt_tf.codes.systems import split_code

FALLBACK_CHARS = 5

_NDC_PRODUCT_CHARS = 9  # labeller and product, without the package
_ICD10PCS_CHARS = 3  # section, body system, operation
_ICD9PCS_CHARS = 2
_SHORTEST_ICD = 3


def category_of(codes: Sequence[str]) -> list[str]:
    """The category of each code, in order; any string has one.

    Args:
      codes: `SYSTEM:CODE`, canonical.

    Returns:
      Categories as `MAP:NAME`.

    Example:
      >>> category_of(["ICD10CM:J45901", "ICD10CM:J4520", "ICD9CM:49390"])
      ['CCSR:RSP009', 'CCSR:RSP009', 'CCS:128']
      >>> category_of(["NDC:00173068220", "HCPCS:99284", "MSDRG:203"])
      ['NDC9:001730682', 'CPT:99281-99290', 'MSDRG:203']
      >>> category_of(["ICD10CM:QQ12345", "SNOMED:195967001"])
      ['ICD10CM:QQ123', 'SNOMED:195967001']
    """
    return [_category(code) for code in codes]


@functools.lru_cache(maxsize=1 << 20)
def _category(code: str) -> str:
    system, bare = split_code(code)
    rule = _RULES.get(system)
    found = rule(bare) if rule else None
    if found is not None:
        return found
    return f"{system}:{bare[:FALLBACK_CHARS]}" if system else bare[:FALLBACK_CHARS]


def _icd10cm(code: str) -> str | None:
    return _grouped(code, ccsr_of_icd10cm(), "CCSR")


def _icd9cm(code: str) -> str | None:
    return _grouped(code, ccs_of_icd9cm(), "CCS")


def _grouped(code: str, groups: Mapping[str, str], name: str) -> str | None:
    """The group of a code, or of the longest code it starts with."""
    for length in range(len(code), _SHORTEST_ICD - 1, -1):
        if (group := groups.get(code[:length])) is not None:
            return f"{name}:{group}"
    return None


def _ndc(code: str) -> str | None:
    if len(code) == 11 and code.isdigit():
        return f"NDC9:{code[:_NDC_PRODUCT_CHARS]}"
    return None


def _first(system: str, characters: int | None) -> Callable[[str], str | None]:
    return lambda code: f"{system}:{code[:characters]}"


_RULES: Mapping[str, Callable[[str], str | None]] = {
    "ICD10CM": _icd10cm,
    "ICD9CM": _icd9cm,
    "ICD10PCS": _first("ICD10PCS", _ICD10PCS_CHARS),
    "ICD9PCS": _first("ICD9PCS", _ICD9PCS_CHARS),
    "HCPCS": section_of,
    "NDC": _ndc,
    # Numbers without a hierarchy in them: their first characters mean nothing.
    **{
        system: _first(system, None)
        for system in ("MSDRG", "APRDRG", "RXNORM", "CVX", "SNOMED", "LOINC")
    },
}
