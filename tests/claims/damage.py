"""Claims tables of any standard, written at random and then damaged at random.

Everything follows from one seed, so that a failure can be run again:
`python scripts/fuzz_readers.py --seed SEED --count 1`.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from claimpt_tf.claims.events import EVENT_SCHEMA, MEMBER_SCHEMA
from claimpt_tf.claims.reader import Chunk, Reader
from claimpt_tf.claims.readers.registry import reader_for, reader_names
from claimpt_tf.claims.table_reader import TableReader
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.errors import InputError
from claimpt_tf.visits.assemble import assemble
from claimpt_tf.visits.claims_to_records import _chunk_counts
from claimpt_tf.visits.summary import merge_counts, summarise

KEY = b"a key that only the tests use"
FORMATS = (".csv", ".csv.gz", ".parquet")

_MEMBERS = ["Zaphod-1", "Zaphod-2", "Zaphod-3", "Zaphod-4"]
_BIRTHS = ["1943-05-01", "20100516", "02/29/2012", "1980-01-01T00:00:00"]
_DATES = ["2009-03-07", "2009-12-31", "20100516", "2010-01-01 08:30:00", "02/03/2010"]
_AMOUNTS = ["80.00", "0", "-80.00", "$1,234.50", "(12.00)", "5"]
_TEXTS = [
    "", "1", "2", "3", "12", "J45.901", "493.90", "99213", "00173-0682-20", "23", "21",
    "11", "111", "0450", "institutional", "professional", "icd-10-cm", "inpatient",
    "emergency", "9201", "9203", "9202", "8507", "8532", "F", "M", "C1", "C2", "C3",
    "SNOMED", "195967001", "encounter",
]  # fmt: skip
_TROUBLE = [
    "NULL", "NaN", "inf", "-", "?", "9999-99-99", "0000-00-00", "2019-02-30", "1/13/9",
    "1e400", "99999999999999999999", "-1", "2262-04-12", "9999-12-31", "1677-01-01",
    " ", "\t", "\x00", "\u202e", "\ufeff", "é", "日", "🙂", "'", '"', ",", ";", "a\nb",
    "x" * 3000, "=1+1", "0x10", "1,5", "1.2.3", "True", "[]", "{}",
]  # fmt: skip
_BYTES = b'",\n\r;\t\x00 0-/\xff\xfe\xef\xbb\xbf'


def table_readers() -> list[str]:
    """The standards that lie in tables, by name."""
    return [
        name for name in reader_names() if isinstance(reader_for(name), TableReader)
    ]


def run(seed: int, name: str, folder: Path, verbose: bool = False) -> str:
    """Writes, damages and reads one input.

    Args:
      seed: Of everything random.
      name: A reader's name.
      folder: An empty folder.
      verbose: Tell the message too.

    Returns:
      "refused at once" or "refused on reading", by a clear message; or "read", every
      row of it accounted for.

    Raises:
      AssertionError: A message tells a member's id.
      Exception: Whatever else went wrong; only InputError ever should.
    """
    chance = random.Random(f"{name} {seed}")
    reader = reader_for(name)
    assert isinstance(reader, TableReader)
    write_damaged(reader, folder, chance)
    if refusal := _refusal(lambda: reader.check(str(folder))):
        return f"refused at once: {refusal}" if verbose else "refused at once"
    if refusal := _refusal(lambda: reconcile(reader, folder)):
        return f"refused on reading: {refusal}" if verbose else "refused on reading"
    return "read"


def _refusal(work: Callable[[], object]) -> str | None:
    try:
        work()
    except InputError as error:
        text = str(error)
        assert not any(member in text for member in _MEMBERS), text
        return text
    return None


def reconcile(reader: Reader, folder: Path) -> Counter[str]:
    """Reads an input into visits and checks that each row has one fate.

    Raises:
      ArtifactError: Rows read and rows accounted for differ.
    """
    chunks = [
        chunk
        for unit in reader.units(str(folder))
        for chunk in reader.read(unit, KEY, 7)
    ]
    made = assemble(_together(chunks, "events"), _together(chunks, "members"))
    counts = merge_counts([*map(_chunk_counts, chunks), made.counts])
    summary = summarise(counts)
    return Counter(summary.quarantined)


def _together(chunks: Iterable[Chunk], kind: str) -> pl.DataFrame:
    frames = [
        frame.with_columns(table=pl.lit(chunk.table))
        for chunk in chunks
        if (frame := getattr(chunk, kind)) is not None
    ]
    schema = EVENT_SCHEMA if kind == "events" else MEMBER_SCHEMA
    empty = schema.to_frame().with_columns(table=pl.lit(None, pl.String))
    return pl.concat([empty, *frames])


def write_damaged(reader: TableReader, folder: Path, chance: random.Random) -> None:
    """Writes each table of a standard; most of them with something wrong."""
    for spec in reader.tables:
        if not spec.required and chance.random() < 0.1:
            continue
        odd = chance.random() < 0.6 / len(reader.tables)
        suffix = chance.choice(FORMATS)
        names, rows = _table(spec, chance)
        path = folder / _file_name(spec, suffix)
        if chance.random() < 2 / len(reader.tables):
            for _ in range(chance.randint(1, 5)):
                row, place = chance.randrange(len(rows)), chance.randrange(len(names))
                rows[row][place] = chance.choice(_TROUBLE)
        if odd and chance.random() < 0.3:
            _damage_columns(names, rows, chance)
        if suffix == ".parquet":
            content = _parquet(names, rows, chance, odd)
        else:
            content = _csv(names, rows, chance, odd)
            if suffix == ".csv.gz":
                content = gzip.compress(content)
        if odd and chance.random() < 0.5:
            content = _damage_bytes(content, chance)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _file_name(spec: TableSpec, suffix: str) -> str:
    stem = spec.example.split(".")[0] if spec.example else spec.name
    return stem + suffix


def _table(spec: TableSpec, chance: random.Random) -> tuple[list[str], list[list[str]]]:
    columns = [c for c in spec.columns if c.required or chance.random() < 0.5]
    rows = [
        [_cell(column, chance) for column in columns]
        for _ in range(chance.randint(1, 25))
    ]
    return [column.name for column in columns], rows


def _cell(column: Column, chance: random.Random) -> str:
    pools: Mapping[str, list[str]] = {
        "member": _MEMBERS, "date": _DATES, "end": [*_DATES, ""], "birth": _BIRTHS,
        "amount": _AMOUNTS, "text": _TEXTS,
    }  # fmt: skip
    return chance.choice(pools[column.kind])


def _damage_columns(
    names: list[str], rows: list[list[str]], chance: random.Random
) -> None:
    place = chance.randrange(len(names))
    kind = chance.randrange(5)
    if kind == 0:
        names[place] = chance.choice(["", names[place][:-1], names[0], "x", '"'])
    elif kind == 1:
        names[place] = f" {names[place].upper()} "
    elif kind == 2 and len(names) > 1:
        del names[place]
        for row in rows:
            del row[place]
    elif kind == 3:
        chance.choice(rows).append("one too many")
    else:
        chance.choice(rows).pop()


def _csv(
    names: list[str], rows: list[list[str]], chance: random.Random, odd: bool
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=chance.choice(",,,,,,;\t|") if odd else ",",
        quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        lineterminator=chance.choice(["\n", "\r\n"]),
        escapechar="\\",
    )
    writer.writerow(names)
    writer.writerows(rows)
    encodings = ["utf-8", "utf-8-sig", "utf-16", "latin-1"] if odd else ["utf-8"]
    content = text.getvalue().encode(chance.choice(encodings), "replace")
    return content.rstrip(b"\r\n") if chance.random() < 0.1 else content


def _parquet(
    names: list[str], rows: list[list[str]], chance: random.Random, odd: bool
) -> bytes:
    even = [(row + [""] * len(names))[: len(names)] for row in rows]
    columns: dict[str, pl.Series] = {}
    for place, name in enumerate(names):
        values = pl.Series([row[place] or None for row in even], dtype=pl.String)
        if odd and chance.random() < 0.1:
            values = _retyped(values, chance)
        columns[name or "unnamed"] = values
    out = io.BytesIO()
    frame = pl.DataFrame(columns)
    if odd and chance.random() < 0.05:
        frame = frame.clear()
    frame.write_parquet(out, row_group_size=chance.choice([3, 1000]))
    return out.getvalue()


def _retyped(values: pl.Series, chance: random.Random) -> pl.Series:
    day = datetime.date(2010, 5, 16)
    made: list[Callable[[], Any]] = [
        lambda: values.cast(pl.Int64, strict=False),
        lambda: values.cast(pl.Float64, strict=False),
        lambda: values.cast(pl.Categorical),
        lambda: values.cast(pl.Binary),
        lambda: pl.repeat(None, len(values), dtype=pl.Null, eager=True),
        lambda: pl.repeat(True, len(values), eager=True),
        lambda: pl.repeat(day, len(values), eager=True),
        lambda: pl.repeat(
            datetime.datetime(2010, 5, 16, 12), len(values), eager=True
        ).cast(pl.Datetime(chance.choice(["ms", "us", "ns"]))),
        lambda: pl.repeat(datetime.time(8), len(values), eager=True),
        lambda: values.cast(pl.Decimal(18, 2), strict=False),
        lambda: pl.Series([[one] for one in values]),
        lambda: pl.Series([{"a": one} for one in values]),
        lambda: values.cast(pl.Float64, strict=False).cast(pl.UInt8, strict=False),
    ]
    return chance.choice(made)()


def _damage_bytes(content: bytes, chance: random.Random) -> bytes:
    kind = chance.randrange(8)
    if kind == 0:
        return b""
    if kind == 1:
        return content[: chance.randrange(len(content))]
    if kind == 2:
        return content + bytes(chance.choices(range(256), k=20))
    if kind == 3:
        return gzip.compress(b"") if chance.random() < 0.5 else gzip.compress(content)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(content) + 1)
        before, after = content[:place], content[place:]
        what = chance.randrange(4)
        if what == 0:
            content = before + bytes([chance.randrange(256)]) + after[1:]
        elif what == 1:
            content = before + bytes([chance.choice(_BYTES)]) + after[1:]
        elif what == 2:
            content = before + after[chance.randint(1, 50) :]
        else:
            content = before + bytes(chance.choices(_BYTES, k=9)) + after
    return content
