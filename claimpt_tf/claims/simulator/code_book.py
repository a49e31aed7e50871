"""Numbers for code strings, so that millions of lines stay small."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from claimpt_tf.claims.simulator.condition import Coding
from claimpt_tf.claims.simulator.draws import Floats, Ints, weighted


class CodeBook:
    """Each distinct string gets the next number; 0 stands for no code.

    >>> book = CodeBook()
    >>> book.number("J4520"), book.number("J4520"), book.number("99213")
    (1, 1, 2)
    >>> book.strings(np.array([0, 2])).to_list()
    [None, '99213']
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, code: str) -> int:
        """The number of `code`."""
        return self._numbers.setdefault(code, len(self._numbers) + 1)

    def draw(self, coding: Coding, institution: Ints, uniform: Floats) -> Ints:
        """Numbers of codes drawn as each row's institution uses them."""
        chosen = np.empty(len(uniform), dtype=np.int64)
        for place in (0, 1):
            weights = coding.of(place)
            numbers = np.array([self.number(code) for code in weights])
            rows = institution == place
            chosen[rows] = numbers[weighted(uniform[rows], weights)]
        return chosen

    def strings(self, numbers: NDArray[np.integer]) -> pl.Series:
        """String series of the codes of `numbers`, null for 0."""
        texts = pl.Series([None, *self._numbers], dtype=pl.String)
        return texts.gather(numbers)
