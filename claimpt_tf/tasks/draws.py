"""Random draws that do not depend on order, shards or library versions: hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

_BYTES = 7  # 56 bits fit into Int64


def ranks(names: Iterable[str]) -> pl.Series:
    """A random number for each name, the same whenever and wherever it is drawn.

    Args:
        names: what is drawn for; everything that should change the draw is in it.

    Returns:
        Int64 `rank`, uniform over 0 to 2**56 - 1.

    >>> ranks(["a|1", "a|2", "a|1"]).rank().to_list()
    [2.5, 1.0, 2.5]
    """
    digests = (
        hashlib.blake2b(name.encode(), digest_size=_BYTES).digest() for name in names
    )
    numbers = (int.from_bytes(digest, "big") for digest in digests)
    return pl.Series("rank", list(numbers), dtype=pl.Int64)
