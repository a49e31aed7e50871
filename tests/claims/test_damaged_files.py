"""Files damaged at random end in a clear message, or with every row accounted for."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.quarantine import dropped_rows
from claimpt_tf.claims.readers.tuva import TuvaReader
from claimpt_tf.errors import InputError
from tests.claims.reading import read_all
from tests.claims.tuva_folder import DEFAULTS, TuvaFolder

TRIALS = 30
TROUBLE = b'",\n\r;\t\x00 0-/\xff'


def damaged(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(content) + 1)
        before, after = content[:place], content[place:]
        kind = rng.random()
        if kind < 0.4:
            content = before + bytes([rng.randrange(256)]) + after[1:]
        elif kind < 0.6:
            content = before + bytes([rng.choice(TROUBLE)]) + after[1:]
        elif kind < 0.75:
            content = before + after[rng.randint(1, 50) :]
        elif kind < 0.9:
            content = before + bytes(rng.choices(TROUBLE, k=rng.randint(1, 9))) + after
        else:
            content = before
    return content


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("table", list(DEFAULTS))
def test_damage(tuva_folder: TuvaFolder, table: str, suffix: str) -> None:
    rng = random.Random(f"{table}{suffix}")
    for _ in range(TRIALS):
        rows = [{} for _ in range(rng.randint(1, 20))]
        plain = tuva_folder.write(table, *rows)
        path = plain.with_suffix(suffix)
        if suffix == ".parquet":
            pl.read_csv(plain, infer_schema=False).write_parquet(path)
        elif suffix == ".csv.gz":
            path.write_bytes(gzip.compress(plain.read_bytes()))
        if path != plain:
            plain.unlink()
        path.write_bytes(damaged(path.read_bytes(), rng))
        check_and_read(tuva_folder.path)
        path.unlink()


def check_and_read(folder: Path) -> None:
    reader = TuvaReader()
    try:
        reader.check(str(folder))
    except InputError as error:
        assert "P1" not in str(error) and "M1" not in str(error)
    try:
        got = read_all(reader, folder)
    except InputError as error:
        assert "P1" not in str(error) and "M1" not in str(error)
        return
    used = sum(
        len(frame.select("source", "row").unique())
        for frame in (got.events, got.members)
        if len(frame)
    )
    assert used + len(dropped_rows(got.quarantined)) == sum(got.lines.values())
