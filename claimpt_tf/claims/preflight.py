"""What can be wrong with an input, found in seconds before any long work starts.

Headers of all files are read, and the first rows of some; messages name file and
column and what to do, never a member id or a date of birth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from claimpt_tf.claims import cells, header
from claimpt_tf.claims.input_folder import InputFile, find_files
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.claims.table_file import TableFile
from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.errors import InputError

SAMPLE_ROWS = 1_000
SAMPLED_FILES = 20  # a table; the headers of all its files are read

_ID_ROWS = 50_000
_SHOWN_COMPLAINTS = 20

Made = TypeVar("Made")


@dataclass(frozen=True)
class TableReport:
    """What is known of a table without reading it all.

    Attributes:
      table: Its name.
      files: Names of its files.
      rows: Number of rows, or None where only reading it all would tell.
      sampled: Rows looked at.
      days: First and last day of service or enrolment among those, as days since
        1970-01-01, or None.
    """

    table: str
    files: tuple[str, ...]
    rows: int | None
    sampled: int
    days: tuple[int, int] | None


@dataclass(frozen=True)
class InputReport:
    """What is known of an input; tables without files are not in it."""

    tables: tuple[TableReport, ...]


@dataclass(frozen=True)
class _Opened:
    """A file whose header fits its table."""

    spec: TableSpec
    source: str
    file: TableFile
    positions: Mapping[str, int]


@dataclass(frozen=True)
class _Sample:
    """The first rows of a file."""

    spec: TableSpec
    source: str
    frame: pl.DataFrame
    malformed: int

    @property
    def lines(self) -> int:
        """Rows looked at, those that do not fit the header included."""
        return len(self.frame) + self.malformed

    @property
    def where(self) -> str:
        """For messages."""
        return f"rows 1 to {self.lines:,}"


def check_input(source: str, input_path: str) -> InputReport:
    """Checks an input for a named reader; see `inspect_tables`.

    Args:
      source: Name of a reader.
      input_path: The folder with its tables.

    Returns:
      What was found; nothing for a reader that does not read tables.

    Raises:
      InputError: There is no such reader, or its input cannot be used.
    """
    reader = reader_for(source)
    inspect: Callable[[str], InputReport] | None = getattr(reader, "inspect", None)
    if inspect is not None:
        return inspect(input_path)
    reader.check(input_path)
    return InputReport(())


def inspect_tables(
    tables: Sequence[TableSpec], input_path: str, nested: bool = False
) -> InputReport:
    """Checks all that can be seen of tables without reading them all.

    Args:
      tables: What a reader expects.
      input_path: The folder they lie in.
      nested: Whether files may lie in folders of any name in it.

    Returns:
      What was found.

    Raises:
      InputError: A folder, table or column is missing, a file cannot be read or is
        not what its name says, a required table is empty, no date of a column can be
        read or all lie in the future, or no member of the claims is enrolled.
    """
    found = find_files(tables, input_path, nested)
    opened = _for_each(
        _open, [(spec, file) for spec in tables for file in found[spec.name]]
    )
    samples = [
        _sample(file)
        for spec in tables
        for file in [file for file in opened if file.spec is spec][:SAMPLED_FILES]
    ]
    reports = [_report(spec, opened, samples) for spec in tables if found[spec.name]]
    _for_each(_check_not_empty, [(spec, report) for spec, report in reports])
    _for_each(_check_sample, [(sample,) for sample in samples])
    _check_enrolment(opened, samples)
    return InputReport(tuple(report for _, report in reports))


def _for_each(
    step: Callable[..., Made], items: Iterable[tuple[object, ...]]
) -> list[Made]:
    """Does a step for every item, and complains about all that failed at once."""
    made: list[Made] = []
    complaints: list[str] = []
    for item in items:
        try:
            made.append(step(*item))
        except InputError as error:
            complaints += str(error).splitlines()
    if complaints:
        shown = complaints[:_SHOWN_COMPLAINTS]
        if len(complaints) > len(shown):
            shown.append(f"and {len(complaints) - len(shown):,} more like these")
        raise InputError("\n".join(shown))
    return made


def _open(spec: TableSpec, found: InputFile) -> _Opened:
    file = found.open()
    positions = header.match(spec, file.header(), found.source)
    file.check_types(positions)
    file.check_whole()
    return _Opened(spec, found.source, file, positions)


def _sample(opened: _Opened) -> _Sample:
    batches = opened.file.batches(opened.positions, 0, SAMPLE_ROWS)
    batch = next(iter(batches), None)
    if batch is None:
        return _Sample(opened.spec, opened.source, pl.DataFrame(), 0)
    return _Sample(opened.spec, opened.source, batch.frame, len(batch.malformed))


def _report(
    spec: TableSpec, opened: Sequence[_Opened], samples: Sequence[_Sample]
) -> tuple[TableSpec, TableReport]:
    files = [file for file in opened if file.spec is spec]
    sampled = [sample for sample in samples if sample.spec is spec]
    rows = [file.file.rows for file in files]
    days = [
        day
        for sample in sampled
        for name in _columns(spec, sample, ("date",))
        for parsed in (cells.days(sample.frame[name]),)
        for day in (parsed.min(), parsed.max())
        if isinstance(day, int)
    ]
    return spec, TableReport(
        table=spec.name,
        files=tuple(file.source for file in files),
        rows=None if None in rows else sum(row or 0 for row in rows),
        sampled=sum(sample.lines for sample in sampled),
        days=(min(days), max(days)) if days else None,
    )


def _columns(
    spec: TableSpec, sample: _Sample, kinds: tuple[str, ...], required: bool = False
) -> list[str]:
    """Names of the columns of some kinds that a sample has rows of."""
    return [
        column.name
        for column in spec.columns
        if column.kind in kinds
        and column.name in sample.frame.columns
        and (column.required or not required)
        and len(sample.frame)
    ]


def _check_not_empty(spec: TableSpec, report: TableReport) -> None:
    if spec.required and not report.sampled and not report.rows:
        raise InputError(
            f"{', '.join(report.files)}: the table '{spec.name}' has a header but no "
            "rows. Export it again."
        )


def _check_sample(sample: _Sample) -> None:
    if sample.malformed * 2 > sample.lines:
        raise InputError(
            f"{sample.source}: {sample.malformed:,} of {sample.where} have another "
            "number of fields than the header. Quote fields that contain a comma."
        )
    complaints = _bad_members(sample)
    for name in _columns(sample.spec, sample, ("date", "end", "birth")):
        complaints += _bad_dates(sample, sample.spec.column(name))
    if complaints:
        raise InputError("\n".join(f"{sample.source}: {line}" for line in complaints))


def _bad_members(sample: _Sample) -> list[str]:
    names = _columns(sample.spec, sample, ("member",))
    if not names or any(cells.filled(sample.frame[name]).any() for name in names):
        return []
    return [
        f"column '{names[0]}' is empty in {sample.where}: without a member id no row "
        "can be used."
    ]


def _bad_dates(sample: _Sample, column: Column) -> list[str]:
    given = sample.frame[column.name]
    if not cells.filled(given).any():
        return []
    days = cells.days(given)
    if days.null_count() == len(days):
        return [
            f"no date in column '{column.name}' can be read ({sample.where}). Write "
            f"dates like {cells.DATE_EXAMPLES}."
        ]
    if column.kind != "end" and (days > cells.today()).all():
        return [
            f"every date in column '{column.name}' lies in the future "
            f"({sample.where}). Check the column, and the clock of this machine."
        ]
    return []


def _check_enrolment(opened: Sequence[_Opened], samples: Sequence[_Sample]) -> None:
    """Some member of the first claims must be enrolled, or nobody could be used."""
    enrolment = [file for file in opened if file.spec.role == "eligibility"]
    claims = [sample for sample in samples if sample.spec.role == "claims"]
    given = [_member_ids(c.spec, c.frame) for c in claims if len(c.frame)]
    wanted = pl.concat(given) if given else pl.Series(dtype=pl.String)
    if wanted.is_empty():
        return
    for file in enrolment:
        names = [c.name for c in file.spec.columns if c.kind == "member"]
        positions = {n: file.positions[n] for n in names if n in file.positions}
        for part in range(file.file.parts):
            for batch in file.file.batches(positions, part, _ID_ROWS):
                if _member_ids(file.spec, batch.frame).is_in(wanted.implode()).any():
                    return
    raise InputError(
        f"{', '.join(file.source for file in enrolment)}: members without enrolment: "
        f"none of the {wanted.n_unique():,} members in the first rows of "
        f"{', '.join(sample.source for sample in claims)} is in it. Check that both "
        "hold the same kind of member id, written the same way."
    )


def _member_ids(spec: TableSpec, frame: pl.DataFrame) -> pl.Series:
    """The first member id that is given in each row."""
    columns = [
        cells.text(frame[column.name])
        for column in spec.columns
        if column.kind == "member" and column.name in frame.columns
    ]
    ids = pl.DataFrame(columns).select(pl.coalesce(pl.all())).to_series()
    return ids.drop_nulls().rename("member")
