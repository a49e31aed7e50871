"""Reads every open data set as it is and shows what became of each line.

Each data set goes through a whole ingest, which fails unless every line read is
accounted for. One is also written as MEDS and read back. The result is the table of
docs/sources.md; times are those of one run in one process, start-up apart.

    python benchmarks/reconciliation.py --data ../shared/data
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from claimpt_tf.visits.export_meds import export_meds
from claimpt_tf.visits.ingest import ingest
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.summary import Summary

SOURCES = ("tuva", "synthea", "omop", "synpuf")
FOLDERS = {"omop": ["omop_gibleed"]}
HEADER = (
    "data set",
    "lines",
    "used",
    "merged",
    "left out, by reason",
    "events",
    "members",
    "visits",
    "seconds",
)
RIGHT = {1, 2, 3, 5, 6, 7, 8}


def datasets(data: Path) -> Iterator[tuple[str, Path]]:
    """Source and folder of each data set that is there."""
    for source in SOURCES:
        for pattern in FOLDERS.get(source, [source]):
            folder = data / pattern
            inner = sorted(folder.glob("sample_*"))
            yield from ((source, path) for path in inner or [folder] if path.is_dir())


def row(name: str, summary: Summary) -> tuple[str, ...]:
    """A row of the table; the sum is asserted here again."""
    used = sum(table.kept for table in summary.tables.values())
    denied = sum(table.denied for table in summary.tables.values())
    reasons = {**summary.quarantined, **({"denied": denied} if denied else {})}
    assert summary.lines == used + summary.merged + sum(reasons.values()), name
    return (
        name,
        f"{summary.lines:,}",
        f"{used:,}",
        f"{summary.merged:,}",
        ", ".join(f"`{why}` {count:,}" for why, count in reasons.items()) or "none",
        f"{summary.events:,}",
        f"{summary.members:,}",
        f"{sum(summary.visits.values()):,}",
        f"{summary.seconds:.1f}",
    )


def show(cells: tuple[str, ...]) -> None:
    """Prints one row of a Markdown table."""
    click.echo(f"| {' | '.join(cells)} |")


@click.command()
@click.option(
    "--data",
    default="../shared/data",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of open data sets.",
)
@click.option("--only", help="A source, to read no other.")
def main(data: Path, only: str | None) -> None:
    """Read every open data set and print a row for each."""
    warnings.simplefilter("ignore")
    show(HEADER)
    show(tuple("---:" if place in RIGHT else "---" for place in range(len(HEADER))))
    with tempfile.TemporaryDirectory() as folder:
        for number, (source, path) in enumerate(datasets(data)):
            if only in (None, source):
                output = Path(folder) / str(number)
                summary = ingest(source, str(path), str(output))
                show(row(f"`{path.relative_to(data)}`", summary))
                if source == "omop":
                    written = Path(folder) / "meds"
                    export_meds(str(output), str(written))
                    keep = VisitRules(encounters="keep")
                    again = ingest("meds", str(written), f"{output}-meds", keep)
                    assert again.visits == summary.visits
                    show(row(f"`{path.relative_to(data)}`, written as MEDS", again))


if __name__ == "__main__":
    main()
