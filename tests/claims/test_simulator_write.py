"""Writing a simulated population to a folder."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import Simulation, simulate
from claimpt_tf.claims.simulator.write import TABLES, write_simulation
from claimpt_tf.errors import InputError


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(SimulationConfig(members=60, years=1, seed=3))


def test_parquet_comes_back_as_it_was(simulation: Simulation, tmp_path: Path) -> None:
    written = write_simulation(simulation, tmp_path / "new" / "claims")
    assert [path.name for path in written] == [
        *(f"{table}.parquet" for table in TABLES),
        "README.txt",
    ]
    for table, path in zip(TABLES, written, strict=False):
        assert_frame_equal(pl.read_parquet(path), getattr(simulation, table))
    names = {path.name for path in (tmp_path / "new" / "claims").iterdir()}
    assert names == {path.name for path in written}


def test_pyarrow_reads_plain_columns(simulation: Simulation, tmp_path: Path) -> None:
    write_simulation(simulation, tmp_path)
    schema = pq.read_schema(tmp_path / "medical_claim.parquet")
    types = {str(field.type) for field in schema}
    assert types <= {"large_string", "string", "int32", "double", "date32[day]"}


def test_csv_has_iso_dates_and_empty_cells(
    simulation: Simulation, tmp_path: Path
) -> None:
    write_simulation(simulation, tmp_path, "csv")
    for table in TABLES:
        frame = getattr(simulation, table)
        read = pl.read_csv(tmp_path / f"{table}.csv", schema=frame.schema)
        assert_frame_equal(read, frame)
    first = (tmp_path / "eligibility.csv").read_text().splitlines()[1]
    assert ",,," in first or ",," in first
    assert ",2023-" in first


def test_the_folder_says_that_it_is_simulated(
    simulation: Simulation, tmp_path: Path
) -> None:
    write_simulation(simulation, tmp_path)
    note = (tmp_path / "README.txt").read_text()
    assert note.startswith("SIMULATED DATA")
    assert "60 members, 1 years from 2023-01-01, seed 3" in note


def test_writing_again_replaces(simulation: Simulation, tmp_path: Path) -> None:
    write_simulation(simulation, tmp_path)
    other = simulate(SimulationConfig(members=5, years=1, seed=4))
    write_simulation(other, tmp_path)
    assert_frame_equal(
        pl.read_parquet(tmp_path / "eligibility.parquet"), other.eligibility
    )


def test_tables_in_both_formats_are_refused(
    simulation: Simulation, tmp_path: Path
) -> None:
    write_simulation(simulation, tmp_path, "csv")
    with pytest.raises(InputError, match="medical_claim.csv is there already"):
        write_simulation(simulation, tmp_path, "parquet")


def test_an_unknown_format_is_refused(simulation: Simulation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format is 'xlsx': give one of parquet, csv"):
        write_simulation(simulation, tmp_path, "xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_refused(
    simulation: Simulation, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot write to .*taken"):
        write_simulation(simulation, tmp_path / "taken")


def test_progress_names_the_files(simulation: Simulation, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    write_simulation(simulation, tmp_path, progress=lambda *step: told.append(step))
    assert told[0] == ("medical_claim.parquet", 0.0)
    assert told[-1] == ("done", 1.0)
