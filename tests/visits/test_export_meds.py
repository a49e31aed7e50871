"""Records -> MEDS -> records gives the same timelines, and nothing early."""

from __future__ import annotations

import json
from pathlib import Path

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from claimpt_tf.claims.privacy import hash_members
from claimpt_tf.claims.readers.meds import MedsReader
from claimpt_tf.errors import InputError
from claimpt_tf.visits.assemble import Assembled, assemble
from claimpt_tf.visits.export_meds import export_meds, meds_events, subject_ids
from claimpt_tf.visits.records import encode, write_records
from claimpt_tf.visits.rules import VisitRules
from claimpt_tf.visits.splits import SPLITS, split_of
from tests.claims.reading import KEY, read_all
from tests.visits import drawn, tables


def made(seed: int, rules: VisitRules | None = None) -> pl.DataFrame:
    """The timelines of some people with all that a record can hold."""
    lines = [
        # An emergency visit one day before a stay that began a day earlier by another
        # one: what merging would change when it is done twice.
        tables.line("90", 1, "ED", 3007, "ICD10CM:R0602", paid=10.25),
        tables.line("91", 1, "ED", 3009, "ICD10CM:J4541", paid=400.1),
        tables.line("92", 1, "IP", 3010, "MSDRG:203", "OMOP:4112343", end=3012),
        tables.line("93", 1, "OP", 3010, "LOINC:45484", "SNOMED:195967001"),
    ]
    events = tables.events(*drawn.lines(seed), *lines)
    return assemble(events, tables.members(*drawn.PEOPLE), rules).timelines


def write_folder(frame: pl.DataFrame, folder: Path) -> Path:
    splits = split_of(frame["patient_id"])
    for name in SPLITS:
        part = frame.filter(splits == name)
        for number in range(2):
            path = folder / f"Split-{name}" / f"data_tfrecord-{number:05d}-of-00002.gz"
            write_records(encode(part[number::2]), path)
    return folder


def read_back(folder: Path) -> Assembled:
    got = read_all(MedsReader(), folder, 500)
    return assemble(got.events, got.members, VisitRules(encounters="keep"))


@pytest.mark.parametrize(
    "rules", [VisitRules(), VisitRules(outpatient="claim", inpatient_gap_days=0)]
)
def test_timelines_survive(tmp_path: Path, rules: VisitRules) -> None:
    before = made(4, rules)
    source = write_folder(before, tmp_path / "records")
    done = export_meds(str(source), str(tmp_path / "meds"))
    after = read_back(tmp_path / "meds")
    ids = subject_ids(before["patient_id"]).cast(pl.String)
    expected = before.with_columns(patient_id=hash_members(ids, KEY))
    assert after.timelines.equals(expected.sort("patient_id"))
    assert after.quarantined.is_empty()
    assert done.subjects == len(before)
    fates = [n for name, n in after.counts.items() if name.startswith("rows/")]
    assert sum(fates) == done.rows


def test_files_are_what_meds_asks_for(tmp_path: Path) -> None:
    before = made(5)
    source = write_folder(before, tmp_path / "records")
    done = export_meds(str(source), str(tmp_path / "meds"), name="children")
    seen: list[pl.DataFrame] = []
    splits = dict(
        pl.read_parquet(tmp_path / "meds" / meds.subject_splits_filepath).rows()
    )
    for path in (tmp_path / "meds" / "data").rglob("*.parquet"):
        meds.DataSchema.validate(pq.read_table(path))
        frame = pl.read_parquet(path)
        assert frame.equals(frame.sort("subject_id", maintain_order=True))
        timed = frame.drop_nulls("time")
        assert timed.equals(timed.sort("subject_id", "time", maintain_order=True))
        assert {splits[who] for who in frame["subject_id"]} <= {path.parent.name}
        seen.append(frame)
    everything = pl.concat(seen)
    assert everything.n_unique("subject_id") == len(before) == len(splits)
    codes = pq.read_table(tmp_path / "meds" / meds.code_metadata_filepath)
    meds.CodeMetadataSchema.validate(codes)
    assert set(codes["code"].to_pylist()) == set(everything["code"])
    assert done.codes == codes.num_rows
    dataset = json.loads(
        (tmp_path / "meds" / meds.dataset_metadata_filepath).read_text()
    )
    assert (dataset["dataset_name"], dataset["meds_version"][:3]) == ("children", "0.4")


def test_nothing_stands_before_it_is_known() -> None:
    timelines = made(6)
    events = meds_events(timelines).with_columns(
        day=pl.col("time").dt.epoch("d").cast(pl.Int64)
    )
    visits = (
        timelines.select(
            subject_ids(timelines["patient_id"]).alias("subject_id"),
            "visit_days",
            "visit_length",
        )
        .filter(pl.col("visit_days").list.len() > 0)
        .explode("visit_days", "visit_length")
        .with_columns(visit_id=pl.int_range(pl.len()).over("subject_id"))
        .with_columns(known=pl.col("visit_days") + pl.col("visit_length"))
    )
    told = events.join(visits, on=["subject_id", "visit_id"])
    starts = told["code"].str.ends_with("//START")
    assert told.filter(starts)["day"].equals(told.filter(starts)["visit_days"])
    assert told.filter(~starts)["day"].equals(told.filter(~starts)["known"])
    assert told.filter(starts)["numeric_value"].null_count() == starts.sum()
    assert (visits["visit_length"] > 0).any()


def test_labels(tmp_path: Path) -> None:
    timelines = made(7)
    source = write_folder(timelines, tmp_path / "records")
    examples = timelines.with_columns(
        index_day=pl.lit(2500), label=pl.int_range(pl.len()) % 2
    )
    cohort = write_folder(examples, tmp_path / "cohort")
    done = export_meds(str(source), str(tmp_path / "meds"), str(cohort))
    labels = []
    for path in (tmp_path / "meds" / "labels").glob("*.parquet"):
        meds.LabelSchema.validate(pq.read_table(path))
        labels.append(pl.read_parquet(path))
    got = pl.concat(labels).sort("subject_id")
    assert done.labels == len(got) == len(examples)
    expected = examples.select(
        subject_ids(examples["patient_id"]).alias("subject_id"),
        boolean_value=pl.col("label") == 1,
    )
    assert got.select("subject_id", "boolean_value").equals(expected.sort("subject_id"))
    assert got["prediction_time"].dt.epoch("d").unique().to_list() == [2500]


def test_other_labels_have_other_columns(tmp_path: Path) -> None:
    timelines = made(7)
    source = write_folder(timelines, tmp_path / "records")
    same = {"label": pl.lit(1), "label_value": pl.lit(1.0)}
    kinds = [["CCSR:RSP009", "CCS:128"]] * len(timelines)
    for extra, column in (
        (same, "boolean_value"),
        ({"label": pl.lit(3), "label_value": pl.lit(3.0)}, "integer_value"),
        ({"label": pl.lit(0), "label_value": pl.lit(2.5)}, "float_value"),
        ({**same, "label_categories": pl.Series(kinds)}, "categorical_value"),
    ):
        examples = timelines.with_columns(index_day=pl.lit(2500), **extra)
        cohort = write_folder(examples, tmp_path / column)
        output = tmp_path / f"meds {column}"
        export_meds(str(source), str(output), str(cohort))
        path = next((output / "labels").glob("*.parquet"))
        labels = pl.read_parquet(path)
        assert labels.columns == ["subject_id", "prediction_time", column]
        assert len(labels) % labels.n_unique("subject_id") == 0


def test_refuses_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no patient records"):
        export_meds(str(tmp_path), str(tmp_path / "meds"))
    source = write_folder(made(7), tmp_path / "records")
    with pytest.raises(InputError, match="already exists"):
        export_meds(str(source), str(tmp_path))
    with pytest.raises(InputError, match="no patient records"):
        export_meds(str(source), str(tmp_path / "meds"), str(tmp_path / "none"))
    assert not (tmp_path / "meds").exists()
