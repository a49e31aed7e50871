"""Files that hold tables: which suffixes are read, and how one is opened."""

from __future__ import annotations

from pathlib import Path

from claimpt_tf.claims.csv_file import CsvFile
from claimpt_tf.claims.parquet_file import ParquetFile

SUFFIXES = (".parquet", ".csv", ".csv.gz")

TableFile = CsvFile | ParquetFile


def split_name(name: str) -> tuple[str, str] | None:
    """A file name's stem and suffix, or None for a file of another kind.

    Example:
      >>> split_name("Medical_Claim.CSV.gz")
      ('Medical_Claim', '.csv.gz')
      >>> split_name("notes.txt") is None
      True
    """
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], suffix
    return None


def open_table(path: str | Path, source: str) -> TableFile:
    """The file at `path`; it is not touched before one of its methods is called."""
    named = split_name(Path(path).name)
    if named is not None and named[1] == ".parquet":
        return ParquetFile(path, source)
    return CsvFile(path, source)
