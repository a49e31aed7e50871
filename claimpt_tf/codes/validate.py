"""Which codes no published table knows: kept, but counted."""

from __future__ import annotations

import functools

import polars as pl

from claimpt_tf.codes.code_tables import known_codes
from claimpt_tf.codes.systems import SYSTEMS, split_code


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


def count_unknown(codes: pl.Series) -> dict[str, int]:
    """Number of codes, by system, that cannot be codes of it or are not in its table.

    ICD codes are looked up in the published tables; those of other systems, whose
    tables may not be shipped or change weekly, are told by their shape alone.

    Args:
      codes: String, `SYSTEM:CODE`; a code given twice counts twice.

    Returns:
      Systems with unknown codes only; a system that is not in `SYSTEMS` is left out.

    Example:
      >>> codes = ["ICD10CM:J45901", "ICD10CM:NONSENSE", "HCPCS:99213", "NDC:1", "X:1"]
      >>> count_unknown(pl.Series(codes))
      {'ICD10CM': 1, 'NDC': 1}
    """
    distinct = (
        codes.alias("whole")
        .value_counts(name="count")
        .with_columns(
            system=pl.col("whole").str.extract("^([^:]*):"),
            code=pl.col("whole").str.replace("^[^:]*:", ""),
        )
    )
    unknown: dict[str, int] = {}
    for (system,), group in distinct.group_by("system"):
        if system not in SYSTEMS:
            continue
        table = _table(str(system))
        if table is None:
            odd = group.filter(~pl.col("code").str.contains(SYSTEMS[str(system)].shape))
        else:
            odd = group.join(table, on="code", how="anti")
        if not odd.is_empty():
            unknown[str(system)] = int(odd["count"].sum())
    return dict(sorted(unknown.items()))


@functools.cache
def _table(system: str) -> pl.DataFrame | None:
    known = known_codes(system)
    return None if known is None else pl.DataFrame({"code": sorted(known)})
