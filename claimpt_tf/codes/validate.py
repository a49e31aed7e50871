"""Which codes no published table knows: kept, but counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from claimpt_tf.codes.code_tables import known_codes
from claimpt_tf.codes.systems import split_code


def is_known(code: str) -> bool | None:
    """Whether a code, or a category of codes, is in its system's table.

    None where no table is at hand: HCPCS, NDC, SNOMED and others.

    Example:
      >>> is_known("ICD10CM:J45901"), is_known("ICD10CM:J45"), is_known("ICD10CM:J4X")
      (True, True, False)
      >>> is_known("NDC:00173068220") is None
      True
    """
    system, bare = split_code(code)
    known = known_codes(system)
    return None if known is None else bare in known


def count_unknown(codes: Iterable[str]) -> dict[str, int]:
    """Number of codes by system that its table does not know.

    Args:
      codes: `SYSTEM:CODE`; a code given twice counts twice.

    Returns:
      Systems with a table only, 0 where all codes are known.

    Example:
      >>> count_unknown(["ICD10CM:J45901", "ICD10CM:NONSENSE", "HCPCS:99213"])
      {'ICD10CM': 1}
    """
    unknown: Counter[str] = Counter()
    for code in codes:
        known = is_known(code)
        if known is not None:
            unknown[split_code(code)[0]] += not known
    return dict(unknown)
