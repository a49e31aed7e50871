"""Records: frame to bytes and back, and TFRecord files."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claimpt_tf.errors import ArtifactError
from claimpt_tf.visits.records import (
    LABELLED_SCHEMA,
    TIMELINE_SCHEMA,
    decode,
    encode,
    read_records,
    write_records,
)

DAY = st.integers(-40_000, 40_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def labelled_rows(draw: st.DrawFn) -> dict[str, object]:
    visits = draw(st.integers(0, 4))

    def each(values: st.SearchStrategy) -> list[object]:
        return draw(st.lists(values, min_size=visits, max_size=visits))

    spans = draw(st.lists(DAY, max_size=3))
    return {
        "patient_id": draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        "sex": draw(st.sampled_from("FMU")),
        "birth_days": draw(DAY),
        "institution": draw(TEXT),
        "enrolled_from": spans,
        "enrolled_to": [day + 30 for day in spans],
        "visit_days": each(DAY),
        "visit_types": each(st.sampled_from(["IP", "ED", "OP", "RX", "OTHER"])),
        "visit_length": each(st.integers(0, 400)),
        "codes": each(st.lists(TEXT, max_size=3)),
        "cost": each(st.floats(0, 1e6, width=32)),
        "index_day": draw(DAY),
        "label": draw(st.integers(0, 1)),
        "label_value": draw(st.floats(0, 1e6, width=32)),
        "label_categories": draw(st.lists(TEXT, max_size=3)),
        "label_row": draw(st.integers(-1, 100)),
        "visit_outcome": each(st.integers(0, 1)),
        "past_days": draw(st.lists(DAY, max_size=3)),
    }


def some_records(count: int = 3) -> list[bytes]:
    frame = pl.DataFrame(
        {
            "patient_id": [f"{number:032x}" for number in range(count)],
            "visit_days": [list(range(number)) for number in range(count)],
        }
    )
    return encode(frame)


@settings(max_examples=50)
@given(st.lists(labelled_rows(), min_size=1, max_size=5))
def test_labelled_examples_come_back_as_they_were(
    rows: list[dict[str, object]],
) -> None:
    frame = pl.DataFrame(rows, schema=LABELLED_SCHEMA, orient="row")
    assert decode(encode(frame)).select(frame.columns).equals(frame)


def test_timelines_come_back_as_they_were() -> None:
    frame = decode(some_records())
    assert frame.schema == TIMELINE_SCHEMA
    assert decode(encode(frame)).equals(frame)


def test_no_records() -> None:
    assert encode(TIMELINE_SCHEMA.to_frame()) == []
    assert decode([]).equals(TIMELINE_SCHEMA.to_frame())


def test_further_columns_pass_through() -> None:
    frame = decode(some_records()).with_columns(
        score=pl.Series([0.5, 0.25, 0.0], dtype=pl.Float32),
        region=pl.Series(["x", "y", "z"]),
        seen=pl.Series([[1, 2], [], [3]]),
    )
    assert decode(encode(frame)).select(frame.columns).equals(frame)


def test_a_slice_of_a_frame_is_encoded_alone() -> None:
    frame = decode(some_records())
    assert encode(frame[1:]) == encode(frame)[1:]


def test_narrower_types_are_widened() -> None:
    frame = pl.DataFrame(
        {"patient_id": ["a"], "birth_days": [3], "cost": [[1.5]], "sex": ["F"]},
        schema={
            "patient_id": pl.Categorical,
            "birth_days": pl.Int16,
            "cost": pl.List(pl.Float64),
            "sex": pl.Enum(["F", "M"]),
        },
    )
    back = decode(encode(frame))
    assert back.select(frame.columns).row(0) == ("a", 3, [1.5], "F")


def test_a_column_that_no_record_can_hold() -> None:
    with pytest.raises(ArtifactError, match="column when has type Date"):
        encode(pl.DataFrame({"when": [None]}, schema={"when": pl.Date}))


def test_the_same_rows_give_the_same_bytes() -> None:
    frame = decode(some_records())
    assert len({tuple(encode(frame)) for _ in range(20)}) == 1
    assert encode(frame.select(frame.columns[::-1])) == encode(frame)


def test_bytes_that_are_no_record() -> None:
    with pytest.raises(ArtifactError, match="these are not patient records"):
        decode([b"\xff\xff\xff nothing of the kind"])


def test_codes_and_row_lengths_that_disagree() -> None:
    wrong = pl.DataFrame({"codes": [["a", "b"]], "codes__row_lengths": [[1]]})
    with pytest.raises(ArtifactError, match="disagree on how many values"):
        decode(encode(wrong))


@pytest.mark.parametrize("name", ["records.tfrecord", "records.tfrecord.gz"])
def test_files_hold_what_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "folder" / name
    assert write_records(some_records(), path) == 3
    assert list(read_records([path, path])) == some_records() * 2
    assert [entry.name for entry in path.parent.iterdir()] == [name]


def test_the_same_records_give_the_same_file(tmp_path: Path) -> None:
    write_records(some_records(), tmp_path / "a.gz")
    write_records(some_records(), tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def broken():
        yield b"one"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_records(broken(), tmp_path / "a.gz")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"gone\.gz: cannot be read"):
        list(read_records([tmp_path / "gone.gz"]))

    whole = tmp_path / "whole"
    write_records(some_records(), whole)
    content = whole.read_bytes()
    cases = {
        "cut": (content[:-5], "cut short"),
        "head": (content + b"\x01\x02", "cut short"),
        "other": (b"member,day,code\n" * 9, "not a TFRecord file, or damaged"),
        "flipped": (content[:-9] + b"\x00" + content[-8:], "a record is damaged"),
        "cut.gz": (gzip.compress(content)[:-9], r"cut\.gz: cannot be read"),
    }
    for name, (damaged, message) in cases.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=message):
            list(read_records([tmp_path / name]))
