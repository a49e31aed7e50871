"""Many codes -> one category: what the model learns to predict.

Diagnoses go to AHRQ's groups (CCSR for ICD-10-CM, CCS for ICD-9-CM), procedures to
the section their code stands in, drugs to labeller and product. A code in no map
falls back to its first five characters, as in the paper. A user's own mapping, and an
ontology's own hierarchy, go before these: `claimpt_tf.codes.category_files` reads them.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from claimpt_tf.codes.code_tables import ccs_of_icd9cm, ccsr_of_icd10cm
from claimpt_tf.codes.hcpcs_sections import section_of
from claimpt_tf.codes.systems import split_code
from claimpt_tf.errors import InputError

CategoryOf = Callable[[Sequence[str]], list[str]]

FALLBACK_CHARS = 5
HIERARCHY_LEVEL = 4  # in SNOMED CT, disorders of an organ system and their like

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


class Hierarchy:
    """An ontology's own categories: ancestors at one depth below its roots.

    A concept's depth is its shortest way to a root, a concept without a parent. The
    category of a deeper one is its nearest ancestor at `level` (the first by name, of
    several equally near); any other concept is a category of its own.

    Args:
      edges: Pairs of a concept and a parent of it, both `SYSTEM:CODE`; a concept may
        have several parents.
      level: Depth of the categories, at least 1.
      name: What error messages call it.

    Raises:
      InputError: The edges run in a circle, or `level` is below 1.

    Example:
      >>> steps = [("X:B", "X:A"), ("X:C", "X:B"), ("X:D", "X:C"), ("X:E", "X:A")]
      >>> tree = Hierarchy(steps, level=1)
      >>> [tree.get(f"X:{code}") for code in "ABDEZ"]
      ['X:A', 'X:B', 'X:B', 'X:E', None]
    """

    def __init__(
        self,
        edges: Iterable[tuple[str, str]],
        level: int = HIERARCHY_LEVEL,
        name: str = "the hierarchy",
    ) -> None:
        if level < 1:
            raise InputError(f"the level of categories is {level}: give 1 or more")
        self._level = level
        self._parents: dict[str, list[str]] = {}
        children: dict[str, list[str]] = {}
        for child, parent in edges:
            self._parents.setdefault(child, []).append(parent)
            children.setdefault(parent, []).append(child)
        self._depth = dict.fromkeys(
            (parent for parent in children if parent not in self._parents), 0
        )
        reached = deque(self._depth)
        while reached:
            concept = reached.popleft()
            for child in children.get(concept, ()):
                if child not in self._depth:
                    self._depth[child] = self._depth[concept] + 1
                    reached.append(child)
        lost = sorted(set(self._parents) - set(self._depth))
        if lost:
            raise InputError(
                f"{name}: {len(lost):,} concepts are their own ancestors, {lost[0]} "
                "among them, and lead to no root; mend the parents."
            )

    def get(self, code: str) -> str | None:
        """The category of a concept, None for one that is not in the hierarchy."""
        depth = self._depth.get(code)
        if depth is None or depth <= self._level:
            return None if depth is None else code
        near, seen = [code], {code}
        while near:
            at_level = [one for one in near if self._depth[one] == self._level]
            if at_level:
                return min(at_level)
            near = sorted({up for one in near for up in self._parents.get(one, ())})
            near = [up for up in near if up not in seen]
            seen.update(near)
        return code


class Categories:
    """`category_of` with tables of the user's own before the published ones.

    Args:
      own: Category by `SYSTEM:CODE`; a key that ends in `*` stands for all codes that
        begin with it, the longest such beginning decides.
      hierarchy: Asked for codes that `own` does not have.

    Example:
      >>> groups = Categories({"ICD10CM:J45*": "asthma", "ICD10CM:J450*": "mild"})
      >>> groups(["ICD10CM:J4520", "ICD10CM:J4500", "ICD9CM:49390"])
      ['asthma', 'mild', 'CCS:128']
    """

    def __init__(
        self, own: Mapping[str, str] | None = None, hierarchy: Hierarchy | None = None
    ) -> None:
        own = own or {}
        self._exact = {code: name for code, name in own.items() if code[-1:] != "*"}
        self._starts = {
            code[:-1]: name for code, name in own.items() if code not in self._exact
        }
        self._shortest = min(map(len, self._starts), default=1)
        self._longest = max(map(len, self._starts), default=0)
        self._hierarchy = hierarchy

    def __call__(self, codes: Sequence[str]) -> list[str]:
        """The category of each code, in order; any string has one.

        Args:
          codes: `SYSTEM:CODE`, canonical.
        """
        return [self._own(code) or _category(code) for code in codes]

    def _own(self, code: str) -> str | None:
        if (found := self._exact.get(code)) is not None:
            return found
        for length in range(min(len(code), self._longest), self._shortest - 1, -1):
            if (found := self._starts.get(code[:length])) is not None:
                return found
        return self._hierarchy.get(code) if self._hierarchy else None


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
        for system in (
            "MSDRG",
            "APRDRG",
            "RXNORM",
            "CVX",
            "SNOMED",
            "LOINC",
            "OMOP",
            "MEDS",
        )  # fmt: skip
    },
}
