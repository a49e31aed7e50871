"""Codes as they come, made canonical: no dots, no padding, upper case, full length.

Every function takes and returns a String column of the same length; what is no code
(empty, or a word for "none") becomes null. They are vectorised, idempotent, and meant
to run once over all the codes of a batch.
"""

from __future__ import annotations

import polars as pl

ICD10_FROM_DAY = 16_709  # 2015-10-01, when claims in the US went from ICD-9 to ICD-10

_NO_CODE = r"^(?:NULL|NONE|NAN|NA|UNK|UNKNOWN|OTHER|0*)$"


def plain(codes: pl.Series) -> pl.Series:
    """Upper case, nothing but letters and digits.

    Example:
      >>> plain(pl.Series([" j45.901", "99-213", "n/a", ""])).to_list()
      ['J45901', '99213', None, None]
    """
    bare = codes.str.replace_all(r"[^0-9A-Za-z]", "").str.to_uppercase()
    return bare.set(bare.str.contains(_NO_CODE), None)


def diagnoses(codes: pl.Series) -> pl.Series:
    """ICD-9-CM or ICD-10-CM; an ICD-9 category without its leading zeros gets them.

    Example:
      >>> diagnoses(pl.Series(["493.90", "42", "8.61", "e849.0", "J45.20 "])).to_list()
      ['49390', '042', '00861', 'E8490', 'J4520']
    """
    if codes.str.contains(".", literal=True).any():
        codes = codes.str.replace_all(r"[^0-9A-Za-z.]", "")
        codes = codes.str.replace(r"^(\d)\.", "00${1}.")
        codes = codes.str.replace(r"^(\d\d)\.", "0${1}.")
    bare = plain(codes)
    short = (bare.str.len_bytes() < 3) & bare.str.contains(r"^\d")
    return bare.zip_with(~short.fill_null(False), bare.str.zfill(3))


def procedures(codes: pl.Series) -> pl.Series:
    """ICD-9-CM volume 3 or ICD-10-PCS; a dotted ICD-9 code gets its leading zero.

    Example:
      >>> procedures(pl.Series(["81.54", "3.31", "0016070"])).to_list()
      ['8154', '0331', '0016070']
    """
    return plain(codes.str.strip_chars().str.replace(r"^(\d)\.", "0${1}."))


def hcpcs(codes: pl.Series) -> pl.Series:
    """HCPCS, CPT included: five characters, modifiers cut off.

    Example:
      >>> hcpcs(pl.Series(["99213-25", "a0428", "100", "G0438"])).to_list()
      ['99213', 'A0428', '00100', 'G0438']
    """
    bare = plain(codes)
    numeric = bare.str.contains(r"^\d{3,4}$")
    bare = bare.zip_with(~numeric.fill_null(False), bare.str.zfill(5))
    return bare.str.slice(0, 5)


def drgs(codes: pl.Series) -> pl.Series:
    """MS-DRG numbers of three digits.

    Example:
      >>> drgs(pl.Series(["39", "871", "0871"])).to_list()
      ['039', '871', '871']
    """
    return plain(codes).str.strip_chars_start("0").str.zfill(3)


def ndcs(codes: pl.Series) -> pl.Series:
    """National drug codes as 11 digits (labeller 5, product 4, package 2).

    Hyphens tell which part of a ten-digit code is short. Without them the leading zero
    is taken to be lost, as happens when codes pass through a number column; so are
    further ones down to eight digits. Codes of any other shape keep their characters.

    Example:
      >>> ndcs(pl.Series(["0173-0682-20", "50090-539-02", "60505-0253-1"])).to_list()
      ['00173068220', '50090053902', '60505025301']
      >>> ndcs(pl.Series(["173068220", "49999057690", "000173068220"])).to_list()
      ['00173068220', '49999057690', '00173068220']
    """
    trimmed = codes.str.strip_chars()
    if trimmed.str.contains("-", literal=True).any():
        trimmed = trimmed.str.replace(r"^(\d{4})-(\d{4})-(\d{2})$", "0${1}${2}${3}")
        trimmed = trimmed.str.replace(r"^(\d{5})-(\d{3})-(\d{2})$", "${1}0${2}${3}")
        trimmed = trimmed.str.replace(r"^(\d{5})-(\d{4})-(\d)$", "${1}${2}0${3}")
    bare = plain(trimmed)
    if bare.str.contains(r"^(?:\d{8,10}|0\d{11})$").any():
        bare = bare.str.replace(r"^0(\d{11})$", "${1}")
        short = bare.str.contains(r"^\d{8,10}$").fill_null(False)
        bare = bare.zip_with(~short, bare.str.zfill(11))
    return bare
