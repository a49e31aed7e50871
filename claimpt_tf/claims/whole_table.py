"""A table that is looked things up in: read whole, once a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from claimpt_tf.claims import header
from claimpt_tf.claims.input_folder import find_files, source_of
from claimpt_tf.claims.table_file import open_table
from claimpt_tf.claims.table_spec import TableSpec

_BATCH_ROWS = 200_000

Keep = Callable[[pl.DataFrame], pl.DataFrame]


def whole_table(
    spec: TableSpec, folder: str, keep: Keep, key: str | None = None
) -> pl.DataFrame:
    """What `keep` leaves of a table of an input folder.

    Args:
      spec: The table; columns that its files lack are null Strings.
      folder: The input folder.
      keep: From some rows, as the file types them, to what is to be held in memory;
        a function of a module, since results are kept by it. A table without files
        is given to it without rows.
      key: Column whose values are to be distinct: the first row of each is kept.

    Returns:
      The rows of all files together. They are kept until a file changes.
    """
    paths = [file.path for file in find_files([spec], folder)[spec.name]]
    return whole_files(spec, paths, keep, key)


def whole_files(
    spec: TableSpec, paths: Sequence[Path], keep: Keep, key: str | None = None
) -> pl.DataFrame:
    """As `whole_table`, of these files."""
    states = [(path, os.stat(path)) for path in paths]
    return _read(
        spec,
        tuple((str(path), state.st_mtime_ns, state.st_size) for path, state in states),
        keep,
        key,
    )


@lru_cache(maxsize=8)
def _read(
    spec: TableSpec,
    files: tuple[tuple[str, int, int], ...],
    keep: Keep,
    key: str | None,
) -> pl.DataFrame:
    names = [column.name for column in spec.columns]
    parts = [keep(pl.DataFrame(schema=dict.fromkeys(names, pl.String)))]
    for path, _, _ in files:
        source = source_of(spec, path)
        file = open_table(path, source)
        places = header.match(spec, file.header(), source)
        for part in range(file.parts):
            for batch in file.batches(places, part, _BATCH_ROWS):
                absent = [name for name in names if name not in places]
                frame = batch.frame.with_columns(
                    pl.lit(None, dtype=pl.String).alias(name) for name in absent
                )
                parts.append(keep(frame.select(names)))
    whole = pl.concat(parts)
    return whole.unique(key, keep="first", maintain_order=True) if key else whole
