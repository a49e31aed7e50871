"""Words for codes and categories, where a published table may be shipped.

CPT descriptions belong to the AMA: level I codes and sections have none here.
"""

from __future__ import annotations

import functools
from collections import Counter

from claimpt_tf.codes.code_tables import ccs_names, ccsr_of_icd10cm, titles
from claimpt_tf.codes.systems import split_code

_SHOWN_CATEGORIES = 2


def describe(code: str) -> str | None:
    """A title for a code or a category, or None where there is none.

    Args:
      code: `SYSTEM:CODE`, or a category from `categories.category_of`.

    Example:
      >>> describe("ICD10CM:J45901")
      'Unspecified asthma with (acute) exacerbation'
      >>> describe("ICD9CM:4019"), describe("CCS:128")
      ('Unspecified essential hypertension', 'Asthma')
      >>> describe("CCSR:RSP009")
      'Asthma'
      >>> describe("HCPCS:99213") is None
      True
    """
    system, bare = split_code(code)
    if system == "ICD10CM":
        return _icd10cm_title(bare)
    if system == "CCSR":
        return _ccsr_title(bare)
    if system == "CCS":
        return ccs_names().get(bare)
    if system in ("ICD9CM", "ICD9PCS", "ICD10PCS"):
        return titles(system).get(bare)
    return None


def _icd10cm_title(code: str) -> str | None:
    # Imported on first use: it parses the whole classification, which takes seconds.
    import simple_icd_10_cm as icd

    if icd.is_valid_item(code):
        return str(icd.get_description(code))
    return titles("ICD10CM").get(code)


@functools.cache
def _ccsr_title(group: str) -> str | None:
    """Titles of the ICD-10-CM categories that make up most of the group.

    AHRQ's own short names are in no package this one depends on, so the group is told
    by what is in it: categories that lie wholly in it first, two at most by name.
    """
    shares = _ccsr_shares().get(group)
    if not shares:
        return None
    order = sorted(shares, key=lambda category: (-shares[category], category))
    named = [title for category in order if (title := _icd10cm_title(category))]
    shown = "; ".join(named[:_SHOWN_CATEGORIES])
    more = len(order) - _SHOWN_CATEGORIES
    return f"{shown}; and {more} more" if more > 0 else shown or None


@functools.cache
def _ccsr_shares() -> dict[str, dict[str, float]]:
    """By group, what share of each ICD-10-CM category's codes it holds."""
    sizes: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    for code, group in ccsr_of_icd10cm().items():
        sizes[code[:3]] += 1
        counts.setdefault(group, Counter())[code[:3]] += 1
    return {
        group: {category: n / sizes[category] for category, n in inside.items()}
        for group, inside in counts.items()
    }
