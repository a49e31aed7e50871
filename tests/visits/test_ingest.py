"""Claims tables to a folder of records, by Beam."""

from __future__ import annotations

import gzip
import pickle
import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import polars as pl
import pytest
from apache_beam.testing.util import assert_that, is_not_empty

from claimpt_tf.beam_options import LOCAL_RUNNER
from claimpt_tf.claims.events import (
    EVENT_SCHEMA,
    MEMBER_SCHEMA,
    QUARANTINE_SCHEMA,
)
from claimpt_tf.claims.reader import Chunk, Unit
from claimpt_tf.claims.readers.registry import reader_for
from claimpt_tf.errors import ArtifactError, InputError
from claimpt_tf.visits import claims_to_records, pieces
from claimpt_tf.visits.assemble import assemble
from claimpt_tf.visits.ingest import (
    ClaimsToRecords,
    choose_buckets,
    estimated_lines,
    ingest,
)
from claimpt_tf.visits.records import decode, read_records
from claimpt_tf.visits.schema import load_schema, schema_text
from claimpt_tf.visits.spill import Stored, taken
from claimpt_tf.visits.splits import SPLITS, split_of
from claimpt_tf.visits.summary import Summary
from tests.visits import drawn, tables


@dataclass(frozen=True)
class EventReader:
    """A standard of the tests' own: events and members as they are, in Parquet."""

    batch_rows: int = 7
    lost: bool = False
    name: str = "events"

    def check(self, input_path: str) -> None:
        if not (Path(input_path) / "members.parquet").exists():
            raise InputError(f"{input_path}: no members.parquet")

    def units(self, input_path: str) -> list[Unit]:
        return [
            Unit("members" if path.stem == "members" else "lines", str(path))
            for path in sorted(Path(input_path).glob("*.parquet"))
        ]

    def read(self, unit: Unit, key: bytes, batch_rows: int) -> Iterator[Chunk]:
        rows = pl.read_parquet(unit.path)
        nothing = QUARANTINE_SCHEMA.to_frame()
        if unit.table == "members":
            yield Chunk(unit.table, rows.height, None, rows, nothing)
            return
        for start in range(1, int(rows["row"].max() or 0) + 1, self.batch_rows):
            part = rows.filter(
                pl.col("row").is_between(start, start + self.batch_rows - 1)
            )
            count = part["row"].n_unique() + self.lost
            yield Chunk(unit.table, count, part, None, nothing)


def written(lines: list[dict[str, object]], folder: Path, files: int = 1) -> Path:
    """Spreads lines over Parquet files, which number their rows anew."""
    folder.mkdir()
    for number in range(files):
        name = f"lines-{number}.parquet"
        part = tables.events(*lines[number::files]).with_columns(source=pl.lit(name))
        part.cast(dict(EVENT_SCHEMA)).write_parquet(folder / name)
    tables.members(*drawn.PEOPLE).cast(dict(MEMBER_SCHEMA)).write_parquet(
        folder / "members.parquet"
    )
    return folder


def records_of(output: Path, split: str = "*") -> list[bytes]:
    return list(read_records(sorted(output.glob(f"Split-{split}/*.gz"))))


@pytest.fixture(scope="module")
def lines() -> list[dict[str, object]]:
    return drawn.lines(seed=1)


@pytest.fixture(scope="module")
def one_go(
    lines: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Summary, Path]:
    folder = tmp_path_factory.mktemp("one_go")
    source = written(lines, folder / "in")
    output = folder / "out"
    return ingest(EventReader(), str(source), str(output)), output


def test_writes_what_the_kernel_makes(
    one_go: tuple[Summary, Path], lines: list[dict[str, object]]
) -> None:
    summary, output = one_go
    made = assemble(tables.events(*lines), tables.members(*drawn.PEOPLE))
    records = decode(records_of(output)).sort("patient_id")
    assert records.equals(made.timelines)
    assert summary.members == made.counts["members"]
    assert summary.tables["lines"].read == len(lines)
    assert summary.tables["lines"].kept == made.counts["rows/claims/kept"]
    assert summary.visits["IP"] == made.counts["visits/IP"]


def test_layout_of_the_folder(one_go: tuple[Summary, Path]) -> None:
    summary, output = one_go
    assert sorted(
        str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()
    ) == [
        "Split-eval/data_tfrecord-00000-of-00001.gz",
        "Split-test/data_tfrecord-00000-of-00001.gz",
        "Split-train/data_tfrecord-00000-of-00001.gz",
        "quarantine/lines.parquet",
        "schema.pbtxt",
        "summary.json",
    ]
    assert (output / "schema.pbtxt").read_text() == schema_text(load_schema())
    assert Summary.from_json((output / "summary.json").read_text()) == summary
    assert list(output.parent.iterdir()) != []
    assert not list(output.parent.glob(".out*"))


def test_members_are_in_the_split_of_their_id(one_go: tuple[Summary, Path]) -> None:
    _, output = one_go
    for split in SPLITS:
        ids = decode(records_of(output, split))["patient_id"]
        assert set(split_of(ids)) <= {split}


def test_quarantined_rows_are_written_and_counted(
    one_go: tuple[Summary, Path],
) -> None:
    summary, output = one_go
    quarantined = pl.read_parquet(output / "quarantine" / "lines.parquet")
    assert quarantined.schema == QUARANTINE_SCHEMA
    assert dict(quarantined["reason"].value_counts().rows()) == summary.quarantined
    assert summary.quarantined["before_birth"] > 0
    assert quarantined["row"].is_sorted()


def test_many_quarantined_rows_are_sorted_in_turns(
    one_go: tuple[Summary, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.read_parquet(one_go[1] / "quarantine" / "lines.parquet")
    rows = pl.concat([rows, rows.with_columns(source=pl.lit("another"))])
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=1)
    parts = [pieces.to_bytes(part) for part in shuffled.iter_slices(20)]
    monkeypatch.setattr(claims_to_records, "QUARANTINE_ROWS", 16)
    turns = list(claims_to_records._in_order(parts))
    assert len(turns) > 2
    order = ["source", "row", "reason", "column"]
    assert pl.concat(turns).equals(rows.sort(order))


@pytest.mark.parametrize("shards", [1, 4])
def test_shuffled_files_and_shards_give_the_same_records(
    one_go: tuple[Summary, Path],
    lines: list[dict[str, object]],
    tmp_path: Path,
    shards: int,
) -> None:
    shuffled = random.Random(shards).sample(lines, len(lines))
    source = written(shuffled, tmp_path / "in", files=3)
    summary = ingest(
        EventReader(batch_rows=50), str(source), str(tmp_path / "out"), shards=shards
    )
    assert len(list(tmp_path.glob("out/Split-*/*"))) == 3 * shards
    again, output = records_of(tmp_path / "out"), one_go[1]
    assert sorted(again) == sorted(records_of(output))
    assert summary.visits == one_go[0].visits
    assert summary.tables["lines"] == one_go[0].tables["lines"]


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_files(
    lines: list[dict[str, object]], tmp_path: Path
) -> None:
    source = written(lines, tmp_path / "in", files=4)
    files = []
    for mode, workers in (
        ("in_memory", 1),
        ("multi_threading", 4),
        ("multi_processing", 2),
    ):
        output = tmp_path / mode
        args = [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
        ingest(EventReader(), str(source), str(output), shards=5, beam_args=args)
        files.append(
            {path.relative_to(output): path.read_bytes() for path in output.glob("*/*")}
        )
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == 16


def test_what_is_shuffled_lies_on_disk_for_a_while(
    lines: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []

    def noted(piece: bytes | Stored) -> bytes:
        stored.append(piece)
        return taken(piece)

    monkeypatch.setattr(claims_to_records, "taken", noted)
    source = written(lines, tmp_path / "in", files=2)
    ingest(EventReader(), str(source), str(tmp_path / "out"), shards=3)
    assert len(stored) == 9  # two files of lines and the members, in three buckets
    assert all(isinstance(piece, Stored) for piece in stored)
    assert not [path for path in tmp_path.rglob("*spill*")]


def test_months_of_claims_are_one_timeline(
    one_go: tuple[Summary, Path], lines: list[dict[str, object]], tmp_path: Path
) -> None:
    months = tmp_path / "months"
    months.mkdir()
    for month in range(3):
        written(lines[month::3], months / f"month-{month + 9}")
    path = str(months / "month-{SPAN}")
    summary = ingest(EventReader(), path, str(tmp_path / "out"))
    assert records_of(tmp_path / "out") == records_of(one_go[1])
    assert summary.tables["lines"] == one_go[0].tables["lines"]
    quarantined = pl.read_parquet(tmp_path / "out" / "quarantine" / "lines.parquet")
    assert set(quarantined["source"].str.split("/").list.first()) == {
        "month-9",
        "month-10",
        "month-11",
    }


def test_one_member_with_two_hundred_thousand_lines(tmp_path: Path) -> None:
    count = 200_000
    number = pl.int_range(count, eager=True)
    much = tables.events(
        tables.line("c", 1, "OP", 10, "CVX:08", member=drawn.CHILDREN[0])
    ).drop("day", "end_day", "claim", "row", "source")
    much = much[pl.repeat(0, count, eager=True)].with_columns(
        day=(10 + number % 3000).cast(pl.Int32),
        end_day=(10 + number % 3000).cast(pl.Int32),
        claim=number.cast(pl.String),
        row=number + 1,
        source=pl.lit("lines-0.parquet"),
    )
    source = written([], tmp_path / "in", files=0)
    much.select(EVENT_SCHEMA.names()).write_parquet(source / "lines-0.parquet")
    summary = ingest(EventReader(batch_rows=50_000), str(source), str(tmp_path / "out"))
    assert summary.tables["lines"].kept == count
    record = decode(records_of(tmp_path / "out")).filter(patient_id=drawn.CHILDREN[0])
    assert record["visit_days"].list.len().to_list() == [3000]
    assert record["codes"].explode().explode().to_list() == ["CVX:08"] * 3000


def test_pieces_are_cut_while_reading(
    one_go: tuple[Summary, Path],
    lines: list[dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims_to_records, "PIECE_LINES", 20)
    source = written(lines, tmp_path / "in")
    ingest(EventReader(), str(source), str(tmp_path / "out"))
    assert records_of(tmp_path / "out") == records_of(one_go[1])


def test_progress_is_told(lines: list[dict[str, object]], tmp_path: Path) -> None:
    source = written(lines, tmp_path / "in")
    told: list[tuple[str, int, int]] = []
    ingest(
        EventReader(),
        str(source),
        str(tmp_path / "out"),
        shards=2,
        progress=lambda *what: told.append(what),
    )
    assert told[-1] == ("buckets", 2, 2)
    assert max(done for what, done, _ in told if what == "lines") == (
        len(lines) + len(drawn.PEOPLE)
    )
    assert claims_to_records.listeners == []


def test_records_as_a_transform(lines: list[dict[str, object]], tmp_path: Path) -> None:
    source = written(lines, tmp_path / "in")
    with beam.Pipeline(runner=LOCAL_RUNNER) as pipeline:
        made = pipeline | ClaimsToRecords(EventReader(), str(source), buckets=2)
        assert set(made) == {"records", "quarantine", "counts"}
        ids = made["records"] | beam.MapTuple(_split_is_right)
        assert_that(ids, is_not_empty())


def _split_is_right(split: str, record: bytes) -> str:
    patient = decode([record])["patient_id"]
    assert split_of(patient).to_list() == [split]
    return patient[0]


def test_the_key_does_not_travel_with_the_pipeline(
    lines: list[dict[str, object]], tmp_path: Path
) -> None:
    secret = b"a most secret member key 0123456789"
    key_file = tmp_path / "member.key"
    key_file.write_bytes(secret)
    key_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    source = written(lines, tmp_path / "in")
    step = claims_to_records._ReadAndCut(EventReader(), str(key_file), 1)
    step.setup()
    travels = pickle.dumps(step)
    assert str(key_file).encode() in travels
    assert secret not in travels
    ingest(EventReader(), str(source), str(tmp_path / "out"), key_file=str(key_file))
    for path in (tmp_path / "out").rglob("*.json"):
        assert secret not in path.read_bytes()


def test_unusable_rows_fail_the_run_and_stay_to_be_seen(tmp_path: Path) -> None:
    lines = [
        tables.line(str(number), 1, "OP", -500, member=drawn.CHILDREN[0])
        for number in range(5)
    ]
    source = written(lines, tmp_path / "in")
    with pytest.raises(InputError, match=r"lines: 5 of 5 rows cannot be used"):
        ingest(EventReader(), str(source), str(tmp_path / "out"))
    left = {entry.name for entry in (tmp_path / "out").iterdir()}
    assert left == {"quarantine", "summary.json"}
    summary = ingest(
        EventReader(), str(source), str(tmp_path / "all"), max_quarantined=1.0
    )
    assert summary.quarantined == {"before_birth": 5}


def test_a_reader_that_loses_rows_is_found_out(
    lines: list[dict[str, object]], tmp_path: Path
) -> None:
    source = written(lines, tmp_path / "in")
    with pytest.raises(ArtifactError, match="rows were read but"):
        ingest(EventReader(lost=True), str(source), str(tmp_path / "out"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"in"}


def test_an_output_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("kept")
    with pytest.raises(InputError, match="already exists"):
        ingest("tuva", str(tmp_path), str(tmp_path / "out"))
    assert (tmp_path / "out" / "precious").read_text() == "kept"


def test_input_is_checked_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no members\.parquet"):
        ingest(EventReader(), str(tmp_path), str(tmp_path / "out"))
    with pytest.raises(InputError, match="'nosuch' is no source"):
        ingest("nosuch", str(tmp_path), str(tmp_path / "out"))


def test_number_of_buckets_follows_the_size(tmp_path: Path) -> None:
    assert choose_buckets(0) == 1
    assert choose_buckets(10**7) > choose_buckets(10**6) > 1
    path = tmp_path / "lines.csv"
    path.write_text("claim,day\n" + "123456,2020-01-01\n" * 5000)
    assert abs(estimated_lines(Unit("lines", str(path))) - 5001) < 5
    packed = tmp_path / "lines.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert abs(estimated_lines(Unit("lines", str(packed))) - 5001) < 5
    table = tmp_path / "lines.parquet"
    pl.DataFrame({"claim": range(1234)}).write_parquet(table)
    assert estimated_lines(Unit("lines", str(table))) == 1234
    assert estimated_lines(Unit("lines", str(tmp_path / "gone"))) == 0


def test_tuva_seed_data(open_data: Path, tmp_path: Path) -> None:
    source = open_data / "tuva"
    summary = ingest("tuva", str(source), str(tmp_path / "out"))
    assert summary.tables["medical_claim"].read == 2075
    assert summary.tables["pharmacy_claim"].read == 291
    assert summary.members == 10
    records = decode(records_of(tmp_path / "out"))
    assert records.height == 10
    assert summary.visits == dict(
        records["visit_types"].explode().value_counts().sort("visit_types").rows()
    )
    raw_ids = {
        id_
        for unit in reader_for("tuva").units(str(source))
        for id_ in pl.read_csv(unit.path, infer_schema=False)["person_id"]
    }
    assert not raw_ids & set(records["patient_id"])
