"""What pre-training predicts: categories of codes, anywhere and in acute care."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from claimpt_tf.codes.categories import CategoryOf, category_of
from claimpt_tf.visits.ids import FIRST_CODE, VISIT_TYPES

ACUTE_TYPES = tuple(VISIT_TYPES.index(name) + 1 for name in ("IP", "ED"))


@dataclass(frozen=True)
class Targets:
    """Which codes count for which target.

    Attributes:
      names: Target names; those coded in a hospital or an emergency department end
        in "@acute".
      anywhere: For each code id, the index of its category's target, or -1.
      acute: For each code id, the index of the same in acute care, or -1.
    """

    names: list[str]
    anywhere: list[int]
    acute: list[int]

    @property
    def categories(self) -> int:
        """How many targets are categories anywhere; they stand first, by frequency."""
        return max(self.anywhere, default=-1) + 1

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Targets:
        """Reads what `to_json` wrote."""
        return cls(**json.loads(text))


def choose_targets(
    codes: Sequence[str],
    batches: Iterable[Mapping[str, np.ndarray]],
    most: int | None = 512,
    minimum: int = 30,
    acute: bool = True,
    category_of: CategoryOf = category_of,
) -> Targets:
    """The most frequent categories of the training members.

    Args:
      codes: The code vocabulary, in the order of its file.
      batches: `code_ids` and `visit_type` int [N], one entry a coded line of
        training members.
      most: At most so many categories anywhere, and as many in acute care; None for
        all of them, as in the paper.
      minimum: A target has at least so many visits.
      acute: Whether categories in acute care are targets of their own.
      category_of: The categories of codes, one each; the published ones by default.
    """
    categories = [""] * FIRST_CODE + category_of(list(codes))
    index = {name: n for n, name in enumerate(dict.fromkeys(categories))}
    of_code = np.array([index[name] for name in categories])
    counts = np.zeros((2, len(index)), np.int64)
    for batch in batches:
        ids, types = batch["code_ids"], batch["visit_type"]
        counts[0] += np.bincount(of_code[ids].ravel(), minlength=len(index))
        if acute:
            there = ids[np.isin(types, ACUTE_TYPES)]
            counts[1] += np.bincount(of_code[there].ravel(), minlength=len(index))
    counts[:, index[""]] = 0
    by_name = list(index)
    names: list[str] = []
    columns = []
    for count, suffix in zip(counts, ("", "@acute"), strict=True):
        chosen = [int(n) for n in np.argsort(-count, kind="stable")[:most]]
        chosen = [n for n in chosen if count[n] >= max(minimum, 1)]
        column = np.full(len(index), -1)
        column[chosen] = len(names) + np.arange(len(chosen))
        names += [by_name[n] + suffix for n in chosen]
        columns.append(column[of_code].tolist())
    return Targets(names, *columns)
