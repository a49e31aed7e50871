"""Codes as ACES files spell them, to codes and kinds of visit of claims."""

from __future__ import annotations

import re
from typing import Final

from claimpt_tf.codes.systems import SYSTEMS
from claimpt_tf.tasks.criteria import VisitMatch
from claimpt_tf.tasks.match import normalise_pattern

# Names by which MEDS and ESGPT data sets call the kinds of visit.
_VISITS: Final = {
    "IP": ("admission", "hospital_admission", "discharge", "hospital_discharge",
           "inpatient", "visit/ip", "ip"),
    "ED": ("ed_registration", "ed_admission", "ed_out", "ed_discharge", "emergency",
           "visit/er", "visit/ed", "ed"),
    "OP": ("outpatient", "visit/op", "op"),
    "RX": ("pharmacy", "rx"),
}  # fmt: skip
_SYSTEMS: Final = {
    "icd10": "ICD10CM", "icd-10-cm": "ICD10CM", "icd10cm": "ICD10CM",
    "icd9": "ICD9CM", "icd-9-cm": "ICD9CM", "icd9cm": "ICD9CM",
    "cpt": "HCPCS", "cpt4": "HCPCS",
}  # fmt: skip
_SEPARATOR = re.compile(r"//|:|/|_")


class DoesNotMapError(ValueError):
    """Claims have nothing that a code of ACES could mean."""


def match_of_code(code: str) -> VisitMatch:
    """One code, exactly; or a kind of visit.

    Raises:
        DoesNotMapError: it is neither.

    >>> match_of_code("diagnosis//ICD10CM/I21.4").codes
    ('ICD10CM:I214$',)
    >>> match_of_code("ED_REGISTRATION//WALK IN").visit_types
    ('ED',)
    """
    bare = re.sub(r"^(event_type|visit_type|diagnosis|procedure|drug)//", "", code)
    for kind, names in _VISITS.items():
        if bare.split("//")[0].lower() in names:
            return VisitMatch.model_validate({"visit_types": (kind,)})
    return VisitMatch(codes=(_pattern(bare) + "$",))


def match_of_regex(regex: str) -> VisitMatch:
    """A regular expression that is no more than the start of a code.

    Raises:
        DoesNotMapError: it is more.

    >>> match_of_regex("^ICD10CM//J45.*").codes
    ('ICD10CM:J45',)
    """
    text = regex.removeprefix("^")
    open_end = not text.endswith("$")
    text = text.removesuffix("$").replace("\\.", "")
    while text.endswith(".*"):
        text, open_end = text.removesuffix(".*"), True
    if re.search(r"[(){}|+^$\\]|(?<!\.)\*|\*.", text) or "?" in text:
        raise DoesNotMapError(
            f"{regex!r} is more than the start of a code; list the codes under "
            "any: instead",
        )
    head = _SEPARATOR.split(text, maxsplit=1)
    if len(head) == 2:
        text = f"{head[0]}//{head[1].replace('.', '?')}"
    pattern = _pattern(text)
    return VisitMatch(codes=(pattern if open_end else pattern + "$",))


def _pattern(code: str) -> str:
    parts = re.sub(r"^(diagnosis|procedure|drug)//", "", code, flags=re.I)
    version = re.fullmatch(r"ICD//(9|10)//(.+)", parts, re.I)
    if version:
        system, rest = f"icd{version.group(1)}", version.group(2)
    else:
        split = _SEPARATOR.split(parts, maxsplit=1)
        if len(split) != 2:
            raise DoesNotMapError(f"{code!r} names no code system, like ICD10CM//I21")
        system, rest = split[0], split[1]
    name = _SYSTEMS.get(system.lower(), system.upper())
    if name not in SYSTEMS:
        raise DoesNotMapError(
            f"{code!r}: claims have no codes of {system!r}; known are "
            f"{', '.join(SYSTEMS)}",
        )
    try:
        return normalise_pattern(f"{name}:{rest.replace('//', '')}")
    except ValueError as error:
        raise DoesNotMapError(str(error)) from None
