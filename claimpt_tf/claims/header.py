"""Finding a table's columns among the names a file really has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from claimpt_tf.claims.table_spec import Column, TableSpec
from claimpt_tf.errors import InputError

# A function of a column, as exports by SQL name what they did not rename:
# date(visit_start_date,'unixepoch').
_EXPRESSION = re.compile(r"""^\w+\(\s*(?:\w+\.)?["`\[]?(\w+)["`\]]?\s*(?:,.*)?\)$""")


def match(spec: TableSpec, header: Sequence[str], source: str) -> dict[str, int]:
    """Where each column of `spec` stands in a file.

    Names are compared without regard to case and surrounding white space. Where a
    column has no name of its own but is a function of one, as in an export of
    `SELECT date(day, 'unixepoch')`, it goes by the name of that one.

    Args:
      spec: The table the file should hold.
      header: The file's column names, in order.
      source: The file's name, for messages.

    Returns:
      Position by the column's name in `spec`; optional columns may be absent.

    Raises:
      InputError: Required columns are missing (all named at once, each with the
        nearest name found), or a column that is used stands there twice.

    Example:
      >>> spec = TableSpec("visits", (Column("person"), Column("day", "date")))
      >>> match(spec, ["Day ", "PERSON"], "visits.csv")
      {'person': 1, 'day': 0}
      >>> match(spec, ["PERSON", "date(day,'unixepoch')"], "visits.csv")
      {'person': 0, 'day': 1}
      >>> match(spec, ["person", "days"], "v.csv")
      Traceback (most recent call last):
      ...
      claimpt_tf.errors.InputError: v.csv: column 'day' is missing; nearest is 'days'
    """
    positions: dict[str, list[int]] = {}
    computed: dict[str, list[int]] = {}
    for position, name in enumerate(header):
        spelt = name.strip().lower()
        positions.setdefault(spelt, []).append(position)
        if expression := _EXPRESSION.match(spelt):
            computed.setdefault(expression[1], []).append(position)
    positions = {**computed, **positions}
    found = {
        column.name: positions[named]
        for column in spec.columns
        if (named := _spelling(column, positions)) is not None
    }
    complaints = [
        f"column '{name}' stands there {len(places)} times (columns "
        f"{', '.join(str(place + 1) for place in places)}); keep one"
        for name, places in found.items()
        if len(places) > 1
    ]
    missing = [c for c in spec.columns if c.required and c.name not in found]
    taken = {place for places in found.values() for place in places}
    free = [name for place, name in enumerate(header) if place not in taken]
    complaints += [_missing(column, free) for column in missing]
    if complaints:
        raise InputError("\n".join(f"{source}: {line}" for line in complaints))
    return {name: places[0] for name, places in found.items()}


def _spelling(column: Column, positions: dict[str, list[int]]) -> str | None:
    for name in (column.name, *column.aliases):
        if name.lower() in positions:
            return name.lower()
    return None


def _missing(column: Column, free: Sequence[str]) -> str:
    by_lower = {name.strip().lower(): name.strip() for name in free}
    near = difflib.get_close_matches(column.name.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"; nearest is '{by_lower[near[0]]}'" if near else ""
    return f"column '{column.name}' is missing{hint}"
