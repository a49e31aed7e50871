"""Counts of an ingest: added up, reconciled, written, shown."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from rich.table import Table

from claimpt_tf.claims.quarantine import REASONS
from claimpt_tf.errors import ArtifactError, InputError

MAX_QUARANTINED = 0.2
DATES_SHIFTED = "dates_shifted"  # a count above 0: every day was moved by member

Counts = dict[str, int]

_MERGES = ("duplicate", "reversed")
_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class TableRows:
    """What became of the rows of one input table.

    Attributes:
      read: Rows in the files.
      kept: Rows that reached a timeline.
      duplicate: Claim lines identical to one that was kept.
      reversed: Originals and reversals that cancelled each other.
      denied: Claim lines the payer refused, left out.
      quarantined: Rows that could not be used, by reason.
      noted: Rows that were used although a cell of theirs could not be, by reason.
    """

    read: int = 0
    kept: int = 0
    duplicate: int = 0
    reversed: int = 0
    denied: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)

    @property
    def accounted(self) -> int:
        """Rows with a fate; equal to `read` unless something was lost."""
        return (
            self.kept
            + self.duplicate
            + self.reversed
            + self.denied
            + sum(self.quarantined.values())
        )

    @property
    def faulty(self) -> int:
        """Quarantined rows, those left out by rule (such as "not covered") apart."""
        return sum(
            count
            for reason, count in self.quarantined.items()
            if reason not in REASONS or REASONS[reason].fault
        )


@dataclass(frozen=True)
class Summary:
    """What an ingest read and wrote.

    Attributes:
      tables: Rows by input table.
      members: Timelines written.
      members_without_visits: Those among them with an empty timeline.
      birth_date_conflicts: Members whose eligibility rows disagree on the birth date.
      visits: Visits by type.
      events: Codes of kept lines, before repeated ones in a visit are dropped.
      codes: Codes in visits by system.
      first_month: Month of the first visit as 2019-03, or None; its day could be the
        birthday of one newborn.
      last_month: Month in which the last visit ends, or None.
      seconds: Wall time.
      sex_unknown: Members whose sex no table gives; their records have "U".
      codes_unknown: Codes in visits that the published table of their system lacks, or
        that have not the shape of its codes, by system; they are kept.
      dates_shifted: Whether each member's days were moved by a number of their own;
        `first_month` and `last_month` are then shifted.
    """

    tables: dict[str, TableRows]
    members: int
    members_without_visits: int
    birth_date_conflicts: int
    visits: dict[str, int]
    events: int
    codes: dict[str, int]
    first_month: str | None
    last_month: str | None
    seconds: float = 0.0
    sex_unknown: int = 0
    codes_unknown: dict[str, int] = field(default_factory=dict)
    dates_shifted: bool = False

    @property
    def lines(self) -> int:
        """Rows read from all tables."""
        return sum(rows.read for rows in self.tables.values())

    @property
    def merged(self) -> int:
        """Rows merged into another or cancelled by one."""
        return sum(rows.duplicate + rows.reversed for rows in self.tables.values())

    @property
    def quarantined(self) -> dict[str, int]:
        """Quarantined rows of all tables by reason, most first."""
        total: Counts = {}
        for rows in self.tables.values():
            for reason, count in rows.quarantined.items():
                total[reason] = total.get(reason, 0) + count
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> str:
        """The summary as it stands in `summary.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def to_table(self) -> Table:
        """The summary as a table for the screen: what came in, and what became of it.

        The reasons for quarantine stand below the rows of their table.
        """
        table = Table("", "rows", title="Claims read", title_justify="left")
        table.columns[1].justify = "right"
        for name, rows in self.tables.items():
            table.add_row(f"[bold]{name}[/]", f"{rows.read:,}")
            fates = {
                "kept": rows.kept,
                "repeated, merged": rows.duplicate,
                "reversed": rows.reversed,
                "denied, left out": rows.denied,
                **{f"quarantined: {why}": n for why, n in rows.quarantined.items()},
                **{f"kept, noted: {why}": n for why, n in rows.noted.items()},
            }
            for fate, count in fates.items():
                if count:
                    table.add_row(f"  {fate}", f"{count:,}")
            table.add_section()
        table.add_row("[bold]members[/]", f"{self.members:,}")
        table.add_row("  without visits", f"{self.members_without_visits:,}")
        if self.sex_unknown:
            table.add_row("  sex unknown", f"{self.sex_unknown:,}")
        table.add_row("[bold]visits[/]", f"{sum(self.visits.values()):,}")
        for setting, count in self.visits.items():
            table.add_row(f"  {setting}", f"{count:,}")
        table.add_row("[bold]codes in visits[/]", f"{sum(self.codes.values()):,}")
        for system, count in self.codes.items():
            table.add_row(f"  {system}", f"{count:,}")
            if unknown := self.codes_unknown.get(system):
                table.add_row("    in no table, kept", f"{unknown:,}")
        if self.first_month:
            shifted = " (shifted)" if self.dates_shifted else ""
            period = f"{self.first_month} to {self.last_month}{shifted}"
            table.caption = f"{period}, {self.seconds:.1f} s"
        return table

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Reads what `to_json` wrote."""
        values = json.loads(text)
        tables = {name: TableRows(**rows) for name, rows in values["tables"].items()}
        return cls(**{**values, "tables": tables})


def merge_counts(parts: Iterable[Mapping[str, int]]) -> Counts:
    """Adds up counts; of the first and last day it keeps the extremes.

    Example:
      >>> merge_counts([{"members": 2, "last_day": 9}, {"members": 1, "last_day": 4}])
      {'last_day': 9, 'members': 3}
    """
    total: Counts = {}
    for part in parts:
        for name, value in part.items():
            if name not in total:
                total[name] = value
            elif name == "first_day":
                total[name] = min(total[name], value)
            elif name == "last_day":
                total[name] = max(total[name], value)
            else:
                total[name] += value
    return dict(sorted(total.items()))


def finish(
    counts: Mapping[str, int],
    seconds: float = 0.0,
    max_quarantined: float = MAX_QUARANTINED,
) -> Summary:
    """Makes the summary of an ingest and checks that nothing was lost.

    Args:
      counts: From `merge_counts` over all that the transforms emitted.
      seconds: Wall time.
      max_quarantined: Largest share of a table's rows that may be at fault.

    Raises:
      ArtifactError: Rows read and rows accounted for differ.
      InputError: More rows than `max_quarantined` of a table are at fault, or no
        member is left.
    """
    summary = summarise(counts, seconds)
    check_quarantined(summary, max_quarantined)
    return summary


def summarise(counts: Mapping[str, int], seconds: float = 0.0) -> Summary:
    """Sorts counts into a summary.

    Raises:
      ArtifactError: Rows read and rows accounted for differ.
    """
    summary = Summary(
        tables=_tables(counts),
        members=counts.get("members", 0),
        members_without_visits=counts.get("members/without_visits", 0),
        birth_date_conflicts=counts.get("members/birth_date_conflict", 0),
        visits=_under("visits/", counts),
        events=counts.get("events", 0),
        codes=_under("codes/", counts),
        first_month=_month(counts.get("first_day")),
        last_month=_month(counts.get("last_day")),
        seconds=round(seconds, 3),
        sex_unknown=counts.get("members/sex_unknown", 0),
        codes_unknown=_under("unknown_codes/", counts),
        dates_shifted=counts.get(DATES_SHIFTED, 0) > 0,
    )
    for name, rows in summary.tables.items():
        if rows.read != rows.accounted:
            raise ArtifactError(
                f"{name}: {rows.read:,} rows were read but {rows.accounted:,} are "
                "accounted for. The reader of this source yields rows as neither "
                "events, members nor quarantined, or some twice; please report it."
            )
    return summary


def check_quarantined(summary: Summary, max_quarantined: float) -> None:
    """Raises InputError when too many rows of a table were at fault."""
    for name, rows in summary.tables.items():
        if rows.faulty > max_quarantined * rows.read:
            reasons = ", ".join(
                f"{reason} {count:,}"
                for reason, count in sorted(
                    rows.quarantined.items(), key=lambda item: -item[1]
                )
            )
            raise InputError(
                f"{name}: {rows.faulty:,} of {rows.read:,} rows cannot be used "
                f"({reasons}), more than the {max_quarantined:.0%} allowed. The rows "
                "stand in quarantine/ with file, row and reason; mend the input, or "
                "allow more with max_quarantined."
            )
    if not summary.members:
        raise InputError(
            "no member has both an enrolment span and a birth date, so there is "
            "nothing to write. Check that the member ids of claims and eligibility "
            "are of the same kind."
        )


def _tables(counts: Mapping[str, int]) -> dict[str, TableRows]:
    nested: dict[str, dict[str, int]] = {}
    for name, count in _under("rows/", counts).items():
        table, fate = name.split("/", 1)
        nested.setdefault(table, {})[fate] = count
    return {
        table: TableRows(
            **{
                fate: fates.get(fate, 0)
                for fate in ("read", "kept", *_MERGES, "denied")
            },
            quarantined=_under("quarantined/", fates),
            noted=_under("noted/", fates),
        )
        for table, fates in sorted(nested.items())
    }


def _under(prefix: str, counts: Mapping[str, int]) -> Counts:
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(counts.items())
        if name.startswith(prefix)
    }


def _month(day: int | None) -> str | None:
    return None if day is None else f"{_EPOCH + datetime.timedelta(day):%Y-%m}"
