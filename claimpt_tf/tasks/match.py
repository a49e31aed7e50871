"""Which codes a task means: their starts or categories, a distinct code at a time."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import polars as pl

from claimpt_tf.codes.categories import CategoryOf
from claimpt_tf.codes.categories import category_of as published
from claimpt_tf.codes.code_tables import ccs_of_icd9cm, ccsr_of_icd10cm
from claimpt_tf.codes.systems import SYSTEMS

# Codes of these are mere numbers: what 195 begins with says nothing about 195967001.
_NUMBERED_SYSTEMS = ("SNOMED", "RXNORM", "CVX", "LOINC", "MSDRG", "APRDRG")
_ALIASES = {"CPT": "HCPCS", "CPT4": "HCPCS", "DRG": "MSDRG"}
_PUNCTUATION = re.compile(r"[.-](?![^\[]*\])")  # a hyphen in brackets is a range

_PATTERN = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(\S+)")
_CATEGORY = re.compile(r"([A-Z][A-Z0-9]*):(\S+)")
# Maps whose categories are listed, so that a misspelt one is found at once.
_LISTED_MAPS = {"CCSR": ccsr_of_icd10cm, "CCS": ccs_of_icd9cm}
_GLOB_TOKEN = re.compile(r"\[!?[A-Z0-9-]+\]|[*?]|[^*?\[\]]")


def normalise_pattern(pattern: str) -> str:
    """The pattern as records spell codes: upper case, without dots and hyphens.

    A pattern is `SYSTEM:START` and means every code that starts so; in SNOMED, RXNORM,
    CVX, LOINC and DRGs, whose codes have no hierarchy, it means that one code. `?` is
    any character, `*` any number of them, `[...]` one of a set; `$` at the end means
    that no character may follow.

    Args:
        pattern: what the task file says.

    Returns:
        The same pattern, normalised.

    Raises:
        ValueError: no system, an unknown spelling of a known system, or an open
            bracket. The message says what was meant, where that is clear.

    >>> normalise_pattern("icd10cm:j45.90")
    'ICD10CM:J4590'
    >>> normalise_pattern("ICD-10-CM:J45")
    Traceback (most recent call last):
    ...
    ValueError: 'ICD-10-CM:J45': unknown code system 'ICD-10-CM'; did you mean ICD10CM?
    """
    parts = _PATTERN.fullmatch(pattern.strip())
    if parts is None:
        raise ValueError(
            f"{pattern!r} is not SYSTEM:CODE; write for example ICD10CM:J45 "
            "(all codes that start so) or ICD10CM:T4???2 (? is any character)"
        )
    system, code = parts.group(1).upper(), parts.group(2).upper()
    if system not in SYSTEMS:
        near = difflib.get_close_matches(system, SYSTEMS, n=1, cutoff=0.7)
        if meant := _ALIASES.get(system) or "".join(near):
            raise ValueError(
                f"{pattern!r}: unknown code system {parts.group(1)!r}; "
                f"did you mean {meant}?"
            )
    else:
        code = _PUNCTUATION.sub("", code)
    _check_globs(pattern, code)
    if "$" in code[:-1] or code == "$":
        raise ValueError(f"{pattern!r}: '$' may only stand at the end of a code")
    return f"{system}:{code}"


def normalise_category(pattern: str) -> str:
    """The name of a code category as `category_of` gives it, in upper case.

    It means that one category; wildcards as in `normalise_pattern` widen it.

    Args:
        pattern: what the task file says, such as `CCSR:RSP009` or `CCSR:RSP*`.

    Raises:
        ValueError: not MAP:NAME, an open bracket, or no such category of CCSR or CCS.

    >>> normalise_category("ccsr:rsp009")
    'CCSR:RSP009'
    >>> normalise_category("CCSR:RSP099")
    Traceback (most recent call last):
    ...
    ValueError: 'CCSR:RSP099': no category of CCSR is called so; nearest is CCSR:RSP009
    """
    name = pattern.strip().upper()
    parts = _CATEGORY.fullmatch(name)
    if parts is None:
        raise ValueError(
            f"{pattern!r} is not MAP:CATEGORY; write for example CCSR:RSP009"
        )
    _check_globs(pattern, parts.group(2))
    if listed := _LISTED_MAPS.get(parts.group(1)):
        known = sorted({f"{parts.group(1)}:{one}" for one in listed().values()})
        if not any(map(re.compile(category_regex([name])).match, known)):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; nearest is {near[0]}" if near else ""
            raise ValueError(
                f"{pattern!r}: no category of {parts.group(1)} is called so{hint}"
            )
    return name


def _check_globs(pattern: str, text: str) -> None:
    if "".join(_GLOB_TOKEN.findall(text)) != text:
        raise ValueError(
            f"{pattern!r}: a bracket is not closed, or holds something else than "
            "letters, digits and '-'"
        )


def pattern_regex(patterns: Iterable[str]) -> str:
    """One regular expression that matches what any of the normalised patterns does.

    >>> pattern_regex(["ICD10CM:J45", "ICD10CM:T4???2", "CVX:08"])
    '^(?:ICD10CM:J45|ICD10CM:T4...2|CVX:08$)'
    """
    return "^(?:" + "|".join(_one_regex(pattern) for pattern in patterns) + ")"


def category_regex(categories: Iterable[str]) -> str:
    """One regular expression that matches the names of any of the categories.

    >>> category_regex(["CCSR:RSP*", "CCS:128"])
    '^(?:CCSR:RSP.*|CCS:128)$'
    """
    return "^(?:" + "|".join(map(_glob_regex, categories)) + ")$"


def _one_regex(pattern: str) -> str:
    is_whole = pattern.partition(":")[0] in _NUMBERED_SYSTEMS or pattern.endswith("$")
    expression = _glob_regex(pattern.removesuffix("$"))
    return expression + "$" if is_whole else expression


def _glob_regex(pattern: str) -> str:
    return "".join(map(_token_regex, _GLOB_TOKEN.findall(pattern)))


def _token_regex(token: str) -> str:
    if token == "*":
        return ".*"
    if token == "?":
        return "."
    if token.startswith("["):
        return token.replace("[!", "[^")
    return token if token.isalnum() or token == ":" else re.escape(token)


def matching_codes(
    codes: pl.Series,
    patterns: Iterable[str],
    categories: Iterable[str] = (),
    category_of: CategoryOf = published,
) -> pl.Series:
    """Those of the distinct codes that any pattern matches, or that are in a category.

    Args:
        codes: String, distinct codes as records hold them (`SYSTEM:CODE`).
        patterns: normalised patterns; none match nothing.
        categories: normalised categories; none match nothing.
        category_of: the categories of codes, one each; the published ones by default.

    >>> codes = pl.Series(["ICD10CM:J4521", "ICD10CM:J069", "ICD9CM:49302"])
    >>> matching_codes(codes, ["ICD10CM:J45", "ICD9CM:493?2"]).to_list()
    ['ICD10CM:J4521', 'ICD9CM:49302']
    >>> matching_codes(codes, [], ["CCSR:RSP009"]).to_list()
    ['ICD10CM:J4521']
    """
    patterns, categories = tuple(patterns), tuple(categories)
    hits = pl.repeat(False, len(codes), eager=True)
    if patterns:
        hits |= codes.str.contains(pattern_regex(patterns))
    if categories:
        groups = pl.Series(category_of(codes.to_list()), dtype=pl.String)
        hits |= groups.str.contains(category_regex(categories))
    return codes.filter(hits)


def with_any_code(
    coded: pl.DataFrame,
    patterns: Iterable[str],
    categories: Iterable[str] = (),
    category_of: CategoryOf = published,
) -> pl.DataFrame:
    """The visits with at least one matching code.

    Args:
        coded: one row a code of a visit: `visit` (any integer) and `code` (String).
        patterns: normalised patterns.
        categories: normalised categories.
        category_of: as in `matching_codes`.

    Returns:
        One column, `visit`, distinct.

    >>> coded = pl.DataFrame({"visit": [0, 0, 1], "code": ["CVX:1", "CVX:2", "CVX:9"]})
    >>> with_any_code(coded, ["CVX:1", "CVX:2"])["visit"].to_list()
    [0]
    """
    distinct = coded["code"].unique()
    hits = matching_codes(distinct, patterns, categories, category_of)
    matched = coded.lazy().join(hits.to_frame("code").lazy(), on="code", how="semi")
    return matched.select(pl.col("visit").unique()).collect()
