"""Members looked up by id, as records have them, and no id in a message."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from claimpt_tf.claims.privacy import hash_members, load_key
from claimpt_tf.claims.simulator.config import SimulationConfig
from claimpt_tf.claims.simulator.simulate import simulate
from claimpt_tf.claims.simulator.write import write_simulation
from claimpt_tf.cli import cli
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.serving.record_members import members_of_records
from claimpt_tf.serving.requests import examples_to_predict_inputs, to_predict_inputs
from claimpt_tf.serving.score import find_records, records_of_tables
from claimpt_tf.visits.ingest import ingest
from claimpt_tf.visits.records import decode, read_records


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lookup")
    (folder / "key").write_text("an example key, no more")
    write_simulation(simulate(SimulationConfig(40, 2, 5)), str(folder / "claims"))
    ingest(
        "tuva", str(folder / "claims"), str(folder / "records"), shards=1,
        key_file=str(folder / "key"),
    )  # fmt: skip
    return folder


def test_a_member_is_what_the_record_says(claims: Path) -> None:
    table = pl.read_parquet(claims / "claims/eligibility.parquet")
    ids = table["person_id"].unique(maintain_order=True).to_list()[:30]
    key = str(claims / "key")
    found = members_of_records([str(claims / "records")], ids, None, key)
    assert len(found) == 30 and sum(len(one["visits"]) for one in found) > 50
    rows = [
        record
        for file in find_records([str(claims / "records")])
        for record in read_records([file])
    ]
    hashed = decode(rows)["patient_id"].to_list()
    again = members_of_records([str(claims / "records")], ids[::-1], None, key)
    assert again == found[::-1]
    place = [hashed.index(one) for one in hash_members(pl.Series(ids), load_key(key))]
    wanted = examples_to_predict_inputs([rows[at] for at in place])
    given = to_predict_inputs(found)
    for name in ("codes", "visit_days", "visit_types", "visit_length", "birth_days"):
        assert (given[name] == wanted[name]).all(), name
    np.testing.assert_allclose(given["cost"], wanted["cost"])


def test_what_comes_later_is_left_out(claims: Path) -> None:
    table = pl.read_parquet(claims / "claims/eligibility.parquet")
    ids = table["person_id"].unique(maintain_order=True).to_list()
    found = members_of_records(
        [str(claims / "records")], ids, datetime.date(2023, 1, 31), str(claims / "key")
    )
    days = [visit["date"] for one in found for visit in one["visits"]]
    assert days and max(days) <= "2023-01-31"


def test_an_unknown_id_is_not_repeated(claims: Path) -> None:
    with pytest.raises(InputError, match="1 of the 1 members .* number 1") as error:
        members_of_records(
            [str(claims / "records")], ["Jane Doe 17"], None, str(claims / "key")
        )
    assert "Jane" not in str(error.value)


def test_tables_to_score_are_read_once_and_not_mixed(
    claims: Path, tmp_path: Path
) -> None:
    tables, out, key = tmp_path / "claims", tmp_path / "out", str(claims / "key")
    shutil.copytree(claims / "claims", tables)
    kept = records_of_tables("tuva", str(tables), out, key)
    first = {file: Path(file).stat().st_mtime_ns for file in find_records([kept])}
    assert records_of_tables("tuva", str(tables), out, key) == kept
    assert {f: Path(f).stat().st_mtime_ns for f in find_records([kept])} == first
    with pytest.raises(ArtifactError, match="records of other tables"):
        records_of_tables("tuva", str(claims / "claims"), out, key)
    pl.read_parquet(tables / "eligibility.parquet").head(30).write_parquet(
        tables / "eligibility.parquet"
    )
    with pytest.raises(ArtifactError, match="as it was before"):
        records_of_tables("tuva", str(tables), out, key)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is not empty"):
        records_of_tables("tuva", str(tables), tmp_path / "full", key)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["{claims}/records", "--source", "tuva"], "give either RECORDS"),
        (["--source", "tuva"], "give either RECORDS"),
        (["--source", "tuva", "--input", "{claims}/claims"], "none: no such folder"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_reading(
    claims: Path, tmp_path: Path, given: list[str], said: str
) -> None:
    words = [word.format(claims=claims) for word in given]
    out = tmp_path / "out"
    command = ["score", *words, "--model", "none", "--output", str(out)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code != 0 and said in (done.output + str(done.exception))
    assert not out.exists()
