"""Writes a simulated population to a folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import polars as pl

from claimpt_tf.claims.simulator.simulate import Progress, Simulation
from claimpt_tf.errors import InputError

FORMATS = ("parquet", "csv")
TABLES = ("medical_claim", "pharmacy_claim", "eligibility", "true_risk")
NOTE_NAME = "README.txt"
_ROW_GROUP = 250_000

_NOTE = """SIMULATED DATA

Nobody in these tables exists: every member, claim, code and amount was drawn by
ClaimPT-TF's simulator ({members} members, {years} years from {start}, seed {seed}).
No figure computed from them says anything about real children or real care.

medical_claim, pharmacy_claim, eligibility
    the tables of the Tuva input layer, with its column names
true_risk
    what no model may see: on the first of each month, each member's probability of
    an acute asthma visit and of a self-harm visit within 30, 90, 180 and 365 days,
    given the simulator's hidden state. It is the best that any model could do.
"""


def write_simulation(
    simulation: Simulation,
    out_dir: str | os.PathLike[str],
    format: str = "parquet",
    progress: Progress | None = None,
) -> list[Path]:
    """Writes the four tables and a note that they are simulated.

    The folder is made if need be. Files appear under their names only once all of
    them are complete; tables of an earlier simulation in the same format are replaced.

    Args:
      simulation: what `simulate` returned.
      out_dir: folder to write to.
      format: "parquet" or "csv".
      progress: called with the file being written and the share done so far, 0 to 1.

    Returns:
      The paths written, the note last.

    Raises:
      InputError: for another format, a folder that cannot be written to, or one
        that holds the same tables in the other format, which would be read twice.
    """
    if format not in FORMATS:
        raise InputError(f"format is {format!r}: give one of {', '.join(FORMATS)}")
    folder = Path(out_dir)
    tell = progress or (lambda text, share: None)
    names = [f"{table}.{format}" for table in TABLES]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_twins(folder, format)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
            for number, (table, name) in enumerate(zip(TABLES, names, strict=True)):
                tell(name, number / len(names))
                _write_table(getattr(simulation, table), Path(partial) / name)
            (Path(partial) / NOTE_NAME).write_text(_note(simulation), encoding="utf-8")
            for name in (*names, NOTE_NAME):
                os.replace(Path(partial) / name, folder / name)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}") from error
    tell("done", 1.0)
    return [folder / name for name in (*names, NOTE_NAME)]


def _refuse_twins(folder: Path, format: str) -> None:
    for other in FORMATS:
        if other == format:
            continue
        for table in TABLES:
            twin = folder / f"{table}.{other}"
            if twin.exists():
                raise InputError(
                    f"{twin} is there already: remove it or write elsewhere"
                )


def _write_table(table: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        table.write_csv(path)
    else:
        table.write_parquet(path, row_group_size=_ROW_GROUP)


def _note(simulation: Simulation) -> str:
    config = simulation.config
    return _NOTE.format(
        members=config.members,
        years=config.years,
        start=config.first_day,
        seed=config.seed,
    )
