"""Parquet files, whole and broken."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.claims.parquet_file import ParquetFile
from claimpt_tf.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"n": range(1, 11), "x": [None, "y"] * 5, "other": [0.5] * 10})
    frame.write_parquet(path, row_group_size=4)
    return path


def test_row_groups_are_parts_with_row_numbers_of_the_file(path: Path) -> None:
    file = ParquetFile(path, "t.parquet")
    assert file.header() == ["n", "x", "other"]
    assert (file.parts, file.rows) == (3, 10)
    seen = []
    for part in range(file.parts):
        for batch in file.batches({"number": 0, "same": 0}, part, 3):
            assert batch.frame.columns == ["number", "same"]
            assert batch.lines == len(batch.frame) <= 3
            assert batch.rows.to_list() == batch.frame["number"].to_list()
            seen += batch.rows.to_list()
    assert seen == list(range(1, 11))


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame(schema={"n": pl.Int64}).write_parquet(path)
    file = ParquetFile(path, "t.parquet")
    assert file.header() == ["n"]
    batches = [b for part in range(file.parts) for b in file.batches({"n": 0}, part, 5)]
    assert sum(batch.lines for batch in batches) == 0


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.touch()
    with pytest.raises(InputError, match=r"^t.parquet: the file is empty"):
        ParquetFile(path, "t.parquet").header()


def test_cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no readable Parquet"):
        ParquetFile(path, "t.parquet").check_whole()


def test_damaged_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    file = ParquetFile(path, "t.parquet")
    file.check_whole()
    with pytest.raises(InputError, match="one of its pages is damaged"):
        list(file.batches({"n": 0, "x": 1}, 0, 10))


def test_another_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="of another kind"):
        ParquetFile(path, "t.parquet").header()
