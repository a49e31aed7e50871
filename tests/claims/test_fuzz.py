"""Damaged inputs of every standard: refused in clear words, or every row accounted for.

`scripts/fuzz_readers.py` runs as many as one wants.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.claims import damage


@pytest.mark.parametrize("name", damage.table_readers())
def test_no_input_ends_in_a_traceback_or_loses_a_row(name: str) -> None:
    fates: Counter[str] = Counter()

    @settings(
        max_examples=5,
        derandomize=True,  # scripts/fuzz_readers.py draws others, and more
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(seed=st.integers(0, 2**32))
    def reads(seed: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fates[damage.run(seed, name, Path(folder))] += 1

    reads()
    assert fates["read"], "every input was refused: the damage is too strong to tell"
