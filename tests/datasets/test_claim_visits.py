"""The tensorflow-datasets builder: what it writes is what the ingest writes."""

from __future__ import annotations

import csv
import functools
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import tensorflow_datasets as tfds

import claimpt_tf.datasets  # noqa: F401  registers claim_visits
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.datasets import ClaimVisitsConfig, synpuf_files
from claimpt_tf.datasets.claim_visits import PUBLIC_KEY, SPLIT_NAMES
from claimpt_tf.errors import InputError
from claimpt_tf.visits.ingest import ingest
from claimpt_tf.visits.records import TIMELINE_SCHEMA, decode, read_records
from claimpt_tf.visits.summary import Summary
from tests.claims.test_synpuf import (
    BENEFICIARY,
    CARRIER,
    DRUG,
    INPATIENT,
    OUTPATIENT,
)

CHILDREN = ClaimVisitsConfig(name="few_children", members=60, years=1, seed=5)


def frame(builder: tfds.core.DatasetBuilder, split: str) -> pl.DataFrame:
    """A prepared split as the frame that `records.decode` gives."""
    rows = []
    for example in builder.as_dataset(split=split):
        row = {}
        for name, value in example.items():
            plain = value.to_list() if name == "codes" else value.numpy()
            row[name] = plain if isinstance(plain, (list, bytes)) else plain.tolist()
        rows.append({name: text(row[name]) for name in TIMELINE_SCHEMA})
    return pl.DataFrame(rows, schema=TIMELINE_SCHEMA).sort("patient_id")


def text(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return [text(one) for one in value] if isinstance(value, list) else value


def ingested(source: str, claims: Path, output: Path) -> Summary:
    return ingest(source, str(claims), str(output), key_file=str(PUBLIC_KEY))


def assert_same_records(builder: tfds.core.DatasetBuilder, output: Path) -> None:
    for split, name in SPLIT_NAMES.items():
        files = sorted(output.glob(f"Split-{split}/*"))
        expected = decode(list(read_records(files))).sort("patient_id")
        assert builder.info.splits[name].num_examples == len(expected)
        assert frame(builder, name).equals(expected)


def prepared(
    folder: Path, config: ClaimVisitsConfig | str, manual: Path | None = None
) -> tfds.core.DatasetBuilder:
    builder = tfds.builder("claim_visits", config=config, data_dir=str(folder))
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual, try_download_gcs=False
        )
    )
    return builder


@pytest.mark.slow
def test_simulated_children(tmp_path: Path) -> None:
    builder = prepared(tmp_path / "tfds", CHILDREN)
    assert set(builder.info.features) == set(TIMELINE_SCHEMA)
    claims = tmp_path / "claims"
    write_simulation(
        simulate(SimulationConfig(CHILDREN.members, CHILDREN.years, CHILDREN.seed)),
        claims,
    )
    summary = ingested("tuva", claims, tmp_path / "records")
    assert_same_records(builder, tmp_path / "records")
    told = Summary.from_json((Path(builder.data_dir) / "summary.json").read_text())
    assert told.tables == summary.tables
    assert told.members == CHILDREN.members - summary.quarantined.get(
        "member_without_enrolment", 0
    )


@pytest.mark.slow
def test_synpuf_of_a_manual_folder(open_data: Path, tmp_path: Path) -> None:
    manual = tmp_path / "manual"
    manual.mkdir()
    chosen: list[str] | None = None
    for path in sorted((open_data / "synpuf" / "sample_1").glob("*.csv*")):
        table = pl.read_csv(path, infer_schema=False)
        if chosen is None:
            chosen = table["DESYNPUF_ID"].head(200).to_list()
        few = table.filter(pl.col("DESYNPUF_ID").is_in(chosen))
        few.write_csv(manual / path.name.removesuffix(".gz"))
    assert chosen
    builder = prepared(tmp_path / "tfds", "synpuf", manual)
    ingested("synpuf", manual, tmp_path / "records")
    assert_same_records(builder, tmp_path / "records")
    assert frame(builder, "train")["codes"].explode().explode().drop_nulls().len()


@pytest.fixture
def cms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server of zips in the place of cms.gov; the folder that it serves."""
    served = tmp_path / "cms"
    served.mkdir()
    handler = functools.partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(synpuf_files, "_PAGE", address)
        monkeypatch.setattr(synpuf_files, "_FILES", address)
        yield served
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_synpuf_is_downloaded_where_no_folder_is_given(
    cms: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    rows = {
        "Beneficiary": BENEFICIARY,
        "Inpatient": INPATIENT,
        "Outpatient": OUTPATIENT,
        "Carrier": CARRIER,
        "Prescription": DRUG,
    }
    for place, url in enumerate(synpuf_files.download_urls(2)):
        name = url.rpartition("/")[2].removesuffix(".zip") + ".csv"
        row = next(row for kind, row in rows.items() if kind in name)
        with (plain / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            for patient in range(40):  # some in each split
                own = {"DESYNPUF_ID": f"P{patient}", "CLM_ID": f"{patient}-{place}"}
                writer.writerow(row | {k: v for k, v in own.items() if k in row})
        with zipfile.ZipFile(cms / name.replace(".csv", ".zip"), "w") as archive:
            archive.write(plain / name, name)
    config = ClaimVisitsConfig(name="downloaded", source="synpuf", sample=2)
    builder = prepared(tmp_path / "tfds", config)
    ingested("synpuf", plain, tmp_path / "records")
    assert_same_records(builder, tmp_path / "records")


def test_names_and_defaults() -> None:
    assert {"simulated", "synpuf"} == set(
        tfds.builder_cls("claim_visits").builder_configs
    )
    with pytest.raises(InputError, match="samples 1 to 20"):
        synpuf_files.download_urls(21)
