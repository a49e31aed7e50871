"""ClaimsExampleGen: what a rerun takes from the cache, and what a new month does."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from claimpt_tf.beam_options import BeamConfig
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.claims.spans import span_folders
from claimpt_tf.errors import InputError
from claimpt_tf.visits.ingest import ingest
from claimpt_tf.visits.records import decode, read_records
from claimpt_tf.visits.schema import SCHEMA_PATH

DAYS = {"medical_claim": "claim_start_date", "pharmacy_claim": "dispensing_date"}


def add_span(claims: Path, months: Path, span: int, start: str, end: str) -> None:
    """A folder with the eligibility of everybody and the lines of some days."""
    folder = months / f"month-{span}"
    folder.mkdir(parents=True)
    pl.read_parquet(claims / "eligibility.parquet").write_parquet(
        folder / "eligibility.parquet"
    )
    for table, day in DAYS.items():
        rows = pl.read_parquet(claims / f"{table}.parquet")
        within = pl.col(day).cast(pl.String).is_between(pl.lit(start), pl.lit(end))
        rows.filter(within).write_parquet(folder / f"{table}.parquet")


def records(folder: Path) -> pl.DataFrame:
    return decode(list(read_records(sorted(folder.glob("Split-*/*.gz"))))).sort(
        "patient_id"
    )


@pytest.mark.slow
def test_a_new_span_runs_what_depends_on_claims_and_no_more(tmp_path: Path) -> None:
    from tfx.components import StatisticsGen
    from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import Pipeline

    from components.claims_example_gen.component import ClaimsExampleGen
    from pipeline.lineage import latest_run, sqlite

    claims, months = tmp_path / "claims", tmp_path / "months"
    write_simulation(simulate(SimulationConfig(40, 1, 5)), claims)
    metadata = sqlite(str(tmp_path / "metadata.sqlite"))

    def run() -> dict[str, bool]:
        gen = ClaimsExampleGen(str(months), "tuva", pattern="month-{SPAN}/*")
        schema = ImportSchemaGen(schema_file=str(SCHEMA_PATH))
        statistics = StatisticsGen(examples=gen.outputs["examples"])
        LocalDagRunner().run(
            Pipeline(
                pipeline_name="spans",
                pipeline_root=str(tmp_path / "root"),
                metadata_connection_config=metadata,
                components=[gen, schema, statistics],
                enable_cache=True,
                beam_pipeline_args=list(BeamConfig().to_args()),
            )
        )
        return {name: node.cached for name, node in latest_run(metadata).items()}

    add_span(claims, months, 9, "0000", "2023-06-30")
    assert set(run().values()) == {False}
    assert set(run().values()) == {True}
    half = Path(latest_run(metadata)["ClaimsExampleGen"].uri("examples"))
    add_span(claims, months, 10, "2023-07-01", "9999")
    assert run() == {
        "ClaimsExampleGen": False,
        "ImportSchemaGen": True,
        "StatisticsGen": False,
    }
    whole = Path(latest_run(metadata)["ClaimsExampleGen"].uri("examples"))
    ingest("tuva", str(months / "month-{SPAN}"), str(tmp_path / "straight"))
    assert records(whole).equals(records(tmp_path / "straight"))
    assert records(half)["visit_days"].explode().len() < (
        records(whole)["visit_days"].explode().len()
    )
    read = json.loads((whole / "summary.json").read_text())["tables"]["medical_claim"]
    straight = pl.read_parquet(claims / "medical_claim.parquet")
    assert read["read"] == straight.height


def test_spans_are_numbered_folders(tmp_path: Path) -> None:
    for name in ("month-2", "month-10", "month-x", "other"):
        (tmp_path / name).mkdir()
    path = str(tmp_path / "month-{SPAN}")
    assert [Path(one).name for one in span_folders(path)] == ["month-2", "month-10"]
    assert [Path(one).name for one in span_folders(path, until=2)] == ["month-2"]
    (tmp_path / "month-02").mkdir()
    with pytest.raises(InputError, match="month-02 and month-2 are both span 2"):
        span_folders(path)
    with pytest.raises(InputError, match="no folder of this name"):
        span_folders(str(tmp_path / "week-{SPAN}"))
    with pytest.raises(InputError, match="in the name of the folder"):
        span_folders(str(tmp_path / "month-{SPAN}" / "tables"))
    with pytest.raises(InputError, match="in the name of the folder"):
        span_folders(str(tmp_path / "month-{YYYY}"))


@pytest.mark.parametrize("pattern", ["{SPAN}", "a/b-{SPAN}/*", "month-{SPAN}/x-{SPAN}"])
def test_a_pattern_with_its_span_elsewhere_is_refused(pattern: str) -> None:
    from components.claims_example_gen.component import ClaimsExampleGen

    with pytest.raises(InputError, match="in the name of a folder below"):
        ClaimsExampleGen("claims", "tuva", pattern=pattern)
